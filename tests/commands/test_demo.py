"""The demo's table and the refresh's judgement, from manifests."""

import io

import polars as pl
import pytest
from rich.console import Console

from llm_assets.commands import demo, refresh
from llm_assets.commands.run import Part, all_parts, selected
from llm_assets.core.claims import Claim, read_claims
from llm_assets.core.errors import LlmAssetsError
from llm_assets.core.produce import produce
from llm_assets.core.store import Store
from tests.support import toy

HELD = Claim("a", "the model beats the bigram", 1.6, 1.9, True, interval=(0.1, 0.2), note="trigram 1.7")
BROKEN = Claim("b", "the answers are short", 9, 3, False)
TOO_SMALL = Claim("c", "the interval is narrow", 0, 0, False, applies=False)


def shown(claims):
    stream = io.StringIO()
    Console(file=stream, width=200).print(demo.claims_table(claims))
    return stream.getvalue()


def test_claims_survive_json_and_the_table_says_what_holds():
    claims = [HELD, BROKEN, TOO_SMALL]
    assert read_claims({"claims": [claim.row() for claim in claims]}) == claims
    text = shown(claims)
    lines = {name: line for line in text.splitlines() for name in ("bigram", "short", "narrow") if name in line}
    assert "yes" in lines["bigram"]
    assert "0.1 … 0.2" in lines["bigram"]
    assert "NO" in lines["short"]
    assert "not judged" in lines["narrow"]


def test_select_cuts_the_parts_and_an_unknown_asset_names_the_near_miss():
    found = selected(all_parts(), ["eval_report", "deduped_shards"])
    assert found == [
        Part("data_refresh", ("deduped_shards",), partitioned=True),
        Part("evaluate", ("eval_report",)),
    ]
    with pytest.raises(LlmAssetsError, match="did you mean: base_model"):
        selected(all_parts(), ["base_modle"])


def test_the_parts_cover_every_asset_once():
    from llm_assets.commands.run import _assets_of
    from llm_assets.stages import all_specs

    covered = [name for part in all_parts() for name in (part.assets or _assets_of(part.job))]
    assert sorted(covered) == sorted(all_specs())


def test_a_changed_byte_or_time_of_the_first_snapshot_is_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(refresh, "DATA_PARTITIONED", ("numbers",))
    store = Store(tmp_path, "toy")
    produce(store, toy.NUMBERS, toy.NumbersConfig(), partition="one")
    before = refresh.frozen_state(store, "one")
    assert refresh.frozen_state(store, "one") == before
    store.current("numbers", "one").file("numbers.txt").write_text("1 2 3")
    after = refresh.frozen_state(store, "one")
    assert after != before
    with pytest.raises(LlmAssetsError, match="run 'llm-assets demo' first"):
        refresh.frozen_state(store, "two")


def test_new_and_unchanged_pages_are_counted_from_the_index(tmp_path):
    rows = [("page", "response")] * 3 + [("page", "revisit")] * 5 + [("image", "response")]
    pl.DataFrame(rows, schema=["kind", "record_type"], orient="row").write_parquet(tmp_path / "index.parquet")
    assert refresh.new_and_changed(tmp_path / "index.parquet") == (3, 5)
