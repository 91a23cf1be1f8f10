"""The guard notices changed code, and only changed code."""

import ast

from llm_assets.core import code_guard
from llm_assets.core.spec import AssetSpec


def spec(entry, **more):
    return AssetSpec("a", entry, **more)


def test_comments_docstrings_and_formatting_do_not_count():
    one = ast.parse('def f(x):\n    "doc"\n    return x + 1\n')
    two = ast.parse("def f(x):\n    # why\n    return (x +\n            1)\n")
    three = ast.parse("def f(x):\n    return x + 2\n")
    dump = [ast.dump(code_guard._without_docstrings(tree)) for tree in (one, two, three)]
    assert dump[0] == dump[1] != dump[2]


def test_a_change_without_a_version_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(code_guard, "RECORD", tmp_path / "versions.json")
    specs = {"a": spec("llm_assets.core.jsonio:digest")}
    assert "not on record" in code_guard.changed_without_version(specs)[0]
    code_guard.write_record(specs)
    assert code_guard.changed_without_version(specs) == []
    changed = {"a": spec("llm_assets.core.ledger:ledger_row")}
    assert "raise its code_version" in code_guard.changed_without_version(changed)[0]
    raised = {"a": spec("llm_assets.core.ledger:ledger_row", code_version="2")}
    assert "raise its" not in code_guard.changed_without_version(raised)[0]


def test_other_modules_count_when_the_spec_names_them():
    plain = code_guard.code_hash(spec("llm_assets.core.jsonio:digest"))
    assert code_guard.code_hash(spec("llm_assets.core.jsonio:digest", code=("llm_assets.core.ledger",))) != plain
    assert code_guard.code_hash(spec("llm_assets.core.jsonio:canonical")) == plain


def test_what_the_entry_imports_counts_by_itself_and_its_gates_do_not():
    from llm_assets.stages import spec_of

    names = {path.name for path in code_guard.deciding_files(spec_of("sft_model"))}
    assert {"model.py", "trainer.py", "merging.py", "examples.py", "fused.py"} <= names
    assert "model_gates.py" not in names
