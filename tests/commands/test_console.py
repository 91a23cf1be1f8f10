"""One line for each asset: seconds, figures, what refused it."""

import io

from llm_assets.commands import console
from llm_assets.core.produce import produce
from llm_assets.core.store import Store
from llm_assets.defs.progress import LISTENERS
from tests.support import toy


def test_lines_for_made_reused_refused_and_failed(tmp_path, monkeypatch):
    monkeypatch.setitem(console.HIGHLIGHTS, "total", ("total",))
    store = Store(tmp_path, "toy")
    produce(store, toy.NUMBERS, toy.NumbersConfig(values=[5000]), partition="one")
    good = produce(store, toy.TOTAL, toy.TotalConfig(limit=9000))
    bad = produce(store, toy.TOTAL, toy.TotalConfig(limit=10))
    stream = io.StringIO()
    with console.ConsoleListener(stream) as listener:
        assert listener in LISTENERS
        for outcome in (good, bad):
            listener.on_start("total", "all")
            listener.on_progress("total", 1, 2, "steps", {"loss": 2.5})
            listener.on_finish("total", "all", outcome)
        listener.on_start("other", "one")
        listener.on_fail("other", "one", "the disk [is] full")
    assert listener not in LISTENERS
    text = stream.getvalue()
    assert "✓ total" in text
    assert "total 5,000" in text
    assert "✗ total" in text
    assert "refused below_limit: the total is 5000, at most 10 is allowed" in text
    assert "✗ other: the disk [is] full" in text
    assert listener.failures == {"total": "refused by below_limit", "other": "the disk [is] full"}


def test_numbers_as_a_person_reads_them():
    assert [console.short(v) for v in (12345, 0.12345, 1234.5, True, "x")] == ["12,345", "0.123", "1,234", "yes", "x"]
