"""Metadata: numbers stay numbers, NaN becomes text, page text is never Markdown."""

import dagster as dg

from llm_assets.core.report import Gate
from llm_assets.defs import metadata


def test_numbers_keep_their_type_and_nan_becomes_text():
    assert isinstance(metadata.value(3), dg.IntMetadataValue)
    assert isinstance(metadata.value(3.5), dg.FloatMetadataValue)
    assert isinstance(metadata.value(True), dg.BoolMetadataValue)
    assert metadata.value(float("nan")).value == "nan"
    assert metadata.value({"a": [float("inf"), 1]}).value == {"a": ["inf", 1]}


def test_text_is_plain_and_short():
    found = metadata.value("![x](http://evil/) " * 100)
    assert isinstance(found, dg.TextMetadataValue)
    assert len(found.value) == 500


def test_a_plot_is_inlined_up_to_a_size(tmp_path):
    small, large = tmp_path / "s.png", tmp_path / "l.png"
    small.write_bytes(b"\x89PNG")
    large.write_bytes(b"0" * 200_001)
    assert "data:image/png;base64," in metadata.plot(small, "t").value
    assert metadata.plot(large, "t").value == str(large)
    assert "was not written" in metadata.plot(tmp_path / "none.png", "t").value


def test_tables_have_a_typed_schema():
    found = metadata.table([{"model": "a", "loss": 1.5, "n": 2, "who": None}])
    assert [(c.name, c.type) for c in found.schema.columns] == [
        ("model", "string"),
        ("loss", "float"),
        ("n", "int"),
        ("who", "string"),
    ]


def test_a_gate_that_cannot_block_is_a_warning():
    assert metadata.check_result("a", Gate("g", False, blocking=False)).severity == dg.AssetCheckSeverity.WARN
    assert metadata.check_result("a", Gate("g", False)).severity == dg.AssetCheckSeverity.ERROR
