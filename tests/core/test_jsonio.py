"""JSON for hashes and for people."""

import pytest

from llm_assets.core.jsonio import canonical, digest, read_json, write_atomic, write_json


def test_canonical_is_sorted_and_compact():
    assert canonical({"b": [1, 2.5], "a": "é"}) == '{"a":"é","b":[1,2.5]}'.encode()
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})


def test_nan_is_refused():
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical(float("nan"))


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "f.json"
    write_json(path, {"v": 1})

    def refuse(*_):
        raise OSError("no")

    monkeypatch.setattr("os.replace", refuse)
    with pytest.raises(OSError, match="no"):
        write_atomic(path, b"half")
    assert read_json(path) == {"v": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["f.json"]
