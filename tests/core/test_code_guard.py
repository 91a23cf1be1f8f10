"""The guard notices changed code, and only changed code."""

import ast

import pytest

from llm_assets.core import code_guard
from llm_assets.core.errors import InputError
from llm_assets.core.jsonio import read_json
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


def test_the_record_takes_a_change_with_a_new_version_or_a_reason(tmp_path, monkeypatch):
    monkeypatch.setattr(code_guard, "RECORD", tmp_path / "versions.json")
    code_guard.write_record({"a": spec("llm_assets.core.jsonio:digest")})
    before = code_guard.RECORD.read_bytes()
    changed = {"a": spec("llm_assets.core.ledger:ledger_row")}
    with pytest.raises(InputError, match="code of a changed and its code_version is still 1"):
        code_guard.write_record(changed)
    assert code_guard.RECORD.read_bytes() == before
    code_guard.write_record(changed, "moved")
    assert read_json(code_guard.RECORD)["a"]["same_results"] == "moved"
    code_guard.write_record(changed)  # nothing changed since: the reason stays
    assert read_json(code_guard.RECORD)["a"]["same_results"] == "moved"
    code_guard.write_record({"a": spec("llm_assets.core.jsonio:canonical", code_version="2")})
    assert "same_results" not in read_json(code_guard.RECORD)["a"]


def test_other_modules_count_when_the_spec_names_them():
    plain = code_guard.code_hash(spec("llm_assets.core.jsonio:digest"))
    assert code_guard.code_hash(spec("llm_assets.core.jsonio:digest", code=("llm_assets.core.ledger",))) != plain
    assert code_guard.code_hash(spec("llm_assets.core.jsonio:canonical")) == plain


def test_what_the_entry_imports_counts_by_itself_and_its_gates_do_not():
    from llm_assets.stages import spec_of

    names = {path.name for path in code_guard.deciding_files(spec_of("sft_model"))}
    assert {"model.py", "trainer.py", "merging.py", "examples.py", "fused.py"} <= names
    assert "model_gates.py" not in names
