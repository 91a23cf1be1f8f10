"""The house stands as docs/architecture.md says: layers, rooms, light definitions, code versions."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from llm_assets.core.code_guard import changed_without_version
from llm_assets.stages import ROOMS, all_specs

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "llm_assets"
HEAVY = (
    "torch",
    "transformers",
    "trl",
    "peft",
    "datatrove",
    "great_expectations",
    "pandas",
    "matplotlib",
    "numba",
    "xllamacpp",
    "datasets",
    "sklearn",
)
NAMED_BY_THE_MISSION = {
    "raw_crawl",
    "cleaned_corpus",
    "deduped_shards",
    "tokenized_dataset",
    "base_model",
    "sft_model",
    "reward_model",
    "rlhf_model",
    "eval_report",
    "quantized_export",
}


def test_imports_point_one_way():
    result = subprocess.run(
        [Path(sys.executable).parent / "lint-imports"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_definitions_load_nothing_heavy():
    code = f"import sys, llm_assets.definitions; print([m for m in {HEAVY!r} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_the_ten_assets_that_the_mission_names_exist_and_have_a_gate_that_blocks():
    specs = all_specs()
    assert set(specs) >= NAMED_BY_THE_MISSION
    assert all(specs[name].gates and specs[name].gate_names for name in NAMED_BY_THE_MISSION)


def test_every_asset_has_a_skin_and_every_skin_an_asset():
    from llm_assets.definitions import SKINS

    assert sorted(skin.asset for skin in SKINS) == sorted(all_specs())


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_has_a_docstring_tests_and_a_row_in_the_readme(room):
    folder = PACKAGE / "stages" / room
    docstring = ast.get_docstring(ast.parse((folder / "__init__.py").read_text("utf-8")))
    assert docstring and len(docstring) > 40
    assert list((ROOT / "tests" / "stages" / room).glob("test_*.py"))
    assert f"stages/{room}" in (ROOT / "README.md").read_text("utf-8")


def test_stages_meet_only_through_artefacts_that_exist():
    specs = all_specs()
    for spec in specs.values():
        for rule in spec.inputs:
            assert rule.asset in specs, f"{spec.name} reads {rule.asset}, which no stage makes"


def test_a_changed_stage_has_a_changed_code_version():
    """The syntax trees of each asset's code are hashed; a changed hash needs a changed code version, and the file updated."""
    assert changed_without_version(all_specs()) == []


def test_modules_open_with_what_they_are():
    silent = [
        path.relative_to(ROOT).as_posix()
        for path in PACKAGE.rglob("*.py")
        if not ast.get_docstring(ast.parse(path.read_text("utf-8")))
    ]
    assert silent == []


def test_no_exception_is_swallowed():
    pattern = re.compile(r"except(\s+(Base)?Exception)?:\s*(\n\s*)?pass\b")
    assert [p.name for p in PACKAGE.rglob("*.py") if pattern.search(p.read_text("utf-8"))] == []
