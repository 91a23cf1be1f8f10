"""Verdicts, the ledger and its counts."""

import polars as pl

from llm_assets.core.ledger import KEEP, LEDGER, Verdict, counts_add_up, ledger_frame, ledger_row, write_ledger


def test_counts_come_from_the_rows_and_add_up(tmp_path):
    rows = [
        ledger_row("c", "s", "1", "http://x/", KEEP),
        ledger_row("c", "s", "2", "http://y/", Verdict(False, "short", 3, 20)),
        ledger_row("c", "s", None, "http://z/", Verdict(False, "robots")),
        ledger_row("c", "s", "4", "http://w/", Verdict(False, "short", 5, 20)),
    ]
    counts = write_ledger(tmp_path, ledger_frame(rows))
    assert counts == {"documents_in": 4, "kept": 1, "dropped:robots": 1, "dropped:short": 2}
    assert counts_add_up(counts)
    assert not counts_add_up({**counts, "kept": 2})
    assert pl.read_parquet(tmp_path / "ledger.parquet").schema == LEDGER


def test_an_empty_ledger_has_its_schema(tmp_path):
    assert write_ledger(tmp_path, ledger_frame([])) == {"documents_in": 0, "kept": 0}
