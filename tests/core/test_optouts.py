"""Opt-outs: the first honoured signal is the reason, and only honoured ones count."""

import pytest

from llm_assets.core.optouts import refused


@pytest.mark.parametrize(
    ("row", "honoured", "rule"),
    [
        ({"optout_noai": True}, ["robots_ai", "noai"], "optout_noai"),
        ({"optout_noai": True, "optout_tdm": True}, ["tdm", "noai"], "optout_tdm"),
        ({"optout_noai": True}, ["tdm"], None),
        ({"optout_noai": True}, [], None),
        ({"optout_noai": False, "optout_tdm": None}, ["noai", "tdm", "ai_txt"], None),
    ],
)
def test_the_first_honoured_signal_decides(row, honoured, rule):
    verdict = refused(row, honoured)
    assert (verdict and (verdict.kept, verdict.rule)) == (rule and (False, rule))
