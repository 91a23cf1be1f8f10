"""What every command pays for: reading the graph, the recipe and the SQL project loads no library that takes seconds."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from llm_assets.stages import ROOMS

ROOT = Path(__file__).parents[1]
# distributions' top modules that take more than about a tenth of a second to import, or start threads when they are
HEAVY = {
    "datasets",
    "datatrove",
    "duckdb",
    "great_expectations",
    "matplotlib",
    "numba",
    "pandas",
    "peft",
    "scipy",
    "sklearn",
    "sqlglot",
    "tokenizers",
    "torch",
    "transformers",
    "trl",
    "xllamacpp",
}


def loaded_by(code):
    """Top modules in memory after running ``code`` in a process of its own."""
    script = f"import json, sys\n{code}\nprint(json.dumps(sorted({{name.partition('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_the_graph_loads_nothing_heavy():
    assert loaded_by("import llm_assets.stages as s; assert s.all_specs()") & HEAVY == set()


def test_a_code_server_loads_no_library_that_only_runs_need():
    """Its memory is counted (benchmarks/dagster_overhead.py): a run is a process of its own, and loads what it needs."""
    assert (
        loaded_by("import warnings; warnings.simplefilter('ignore'); import llm_assets.definitions")
        & (HEAVY | {"numpy", "polars", "pyarrow", "dagster_graphql"})
        == set()
    )


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_declares_itself_without_loading_its_tools(room):
    assert loaded_by(f"import llm_assets.stages.{room}") & (HEAVY | {"dagster", "polars"}) == set()


def test_the_recipe_loads_nothing_heavy():
    code = "from llm_assets.core.recipe import load_recipe; load_recipe('demo'); load_recipe('smoke')"
    assert loaded_by(code) & (HEAVY | {"dagster", "polars"}) == set()


def test_no_module_of_core_loads_a_heavy_library_when_it_is_imported():
    names = [path.relative_to(ROOT).with_suffix("") for path in sorted((ROOT / "llm_assets/core").rglob("*.py"))]
    modules = [".".join(name.parts).removesuffix(".__init__") for name in names]
    assert loaded_by("\n".join(f"import {module}" for module in modules)) & HEAVY == set()


def test_reading_the_sql_project_opens_no_database():
    code = "from pathlib import Path; from llm_assets.sql.project import Project; assert Project(Path('dbt_like_sql')).models"
    assert loaded_by(code) & HEAVY == set()
