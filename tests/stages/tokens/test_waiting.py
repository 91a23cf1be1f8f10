"""New crawls wait for each other, or for the mix to grow old; what the mix has already is followed at once."""

import polars as pl
import pytest

from llm_assets.core.artefact import Artefact, Inputs
from llm_assets.core.manifest import InputEntry, Manifest
from llm_assets.core.recipe.tokens import TrainingMixConfig
from llm_assets.stages.tokens.waiting import new_crawls

MADE = 1_793_491_200.0  # 2026-11-01 00:00 UTC
HOUR = 3600.0


@pytest.fixture
def house(tmp_path):
    """A mix of c1; c2 has 100 English, 100 French and 100 German tokens, c3 was not tokenised."""

    def crawl(asset, name, **tokens):
        folder = tmp_path / asset / name / "1"
        folder.mkdir(parents=True)
        pl.DataFrame({"lang": list(tokens), "length": list(tokens.values())}, schema={"lang": pl.String, "length": pl.Int64}
        ).write_parquet(folder / "documents.parquet")  # fmt: skip
        return Artefact(asset, name, "1", folder)

    entry = InputEntry(asset="tokenized_dataset", partition="c1", identity="1", digest="", fingerprint="")
    folder = tmp_path / "training_mix/all/1"
    folder.mkdir(parents=True)
    Manifest(
        asset="training_mix", partition="all", identity="1", digest="", code_version="1", inputs=[entry],
        started_at="2026-11-01T00:00:00+00:00",
    ).save(folder)  # fmt: skip
    inputs = Inputs(
        {
            "tokenized_dataset": [crawl("tokenized_dataset", "c1", en=9_999), crawl("tokenized_dataset", "c2", en=100, fr=100, de=100)],
            "deduped_shards": [crawl("deduped_shards", name) for name in ("c1", "c2", "c3")],
        }
    )  # fmt: skip
    return Artefact("training_mix", "all", "1", folder), inputs


def waiting(house, now=MADE, **policy):
    return new_crawls(*house, TrainingMixConfig(languages={"en": 1.0, "fr": 0.1}, **policy), now)


def test_without_a_policy_nothing_waits(house):
    assert waiting(house) is None


def test_too_few_new_tokens_wait_with_the_crawl_that_is_not_even_tokenised(house):
    """100 English tokens once and a tenth of 100 French; German is not in the mix."""
    found = waiting(house, minimum_new_tokens=111)
    assert (found.crawls, found.tokens) == (("c2", "c3"), 110)
    assert str(found) == ("c2, c3 with 110 new tokens: at least 111 are asked for (training_mix.minimum_new_tokens)")
    assert waiting(house, minimum_new_tokens=110) is None


def test_a_young_mix_waits_and_an_old_one_does_not(house):
    found = waiting(house, now=MADE + 1.5 * HOUR, minimum_age_hours=24.0)
    assert found.reasons == ("the mix is 1.5 of 24 hours old (training_mix.minimum_age_hours)",)
    assert waiting(house, now=MADE + 24 * HOUR, minimum_age_hours=24.0) is None


def test_both_must_be_met(house):
    policy = {"minimum_new_tokens": 50, "minimum_age_hours": 1.0}
    assert len(waiting(house, **policy).reasons) == 1
    assert len(waiting(house, **{**policy, "minimum_new_tokens": 5_000}).reasons) == 2
    assert waiting(house, now=MADE + HOUR, **policy) is None


def test_a_mix_that_has_all_crawls_waits_for_nothing(house):
    mix, inputs = house
    known = Inputs({"tokenized_dataset": inputs.many("tokenized_dataset")[:1]})
    assert new_crawls(mix, known, TrainingMixConfig(minimum_new_tokens=10**9), MADE) is None


def test_the_policy_is_no_part_of_the_mixs_identity():
    from llm_assets.core.recipe.base import identity_values

    asked = TrainingMixConfig(minimum_new_tokens=5, minimum_age_hours=5.0)
    assert identity_values(asked) == identity_values(TrainingMixConfig())
