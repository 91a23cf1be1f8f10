"""What may stop the tokens group: text that does not come back whole, counts that don't add up, a mix not as asked."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from tokenizers import Tokenizer

from llm_assets.core import suites
from llm_assets.core.artefact import Inputs
from llm_assets.core.errors import InputError
from llm_assets.core.expectations import check
from llm_assets.core.jsonio import read_json
from llm_assets.core.ledger import LEDGER_FILE, counts_add_up, ledger_counts
from llm_assets.core.recipe.tokens import TokenizedDatasetConfig, TokenizerConfig, TrainingMixConfig
from llm_assets.core.report import Gate, Report
from llm_assets.core.shards import rows_of
from llm_assets.lm import chat
from llm_assets.lm import tokenizer as files_of
from llm_assets.lm.tokenizer import CONTROL_TOKENS
from llm_assets.stages.tokens.encode import DOCUMENTS, DOCUMENTS_FILE, TOKENS_FILE, shard_name
from llm_assets.stages.tokens.mix import MIX_FILE, TRAIN, VALIDATION, factor, tokens_by
from llm_assets.stages.tokens.sampling import unit_intervals
from llm_assets.stages.tokens.train import SAMPLES


def tokenizer(inputs: Inputs, files: Path, config: TokenizerConfig, report: Report) -> list[Gate]:
    """Text comes back whole, the vocabulary is what the recipe says, control ids are 0 to 3 and typed ones stay text."""
    engine = files_of.load_plain(files)
    return [_round_trip(inputs, engine), _vocabulary(engine, config), _control(files, engine)]


def _round_trip(inputs: Inputs, engine: Tokenizer) -> Gate:
    texts = list(SAMPLES)
    for artefact in inputs.many("deduped_shards"):
        for shard in artefact.shards()[:1]:
            texts += pl.read_parquet(shard, columns=["text"], n_rows=200)["text"].to_list()
    ids = chat.encode_texts(engine, texts)
    broken = [text for text, found in zip(texts, ids, strict=True) if engine.decode(found, skip_special_tokens=False) != text]
    message = f"{len(broken)} of {len(texts)} texts change when encoded and decoded" + (
        f": {broken[0][:80]!r}" if broken else ""
    )
    return Gate("text_round_trips", not broken, message, {"texts": len(texts), "changed": len(broken)})


def _vocabulary(engine: Tokenizer, config: TokenizerConfig) -> Gate:
    numbers = sorted(engine.get_vocab(with_added_tokens=True).values())
    exact = numbers == list(range(config.vocab_size))
    message = (
        f"{len(numbers)} ids, from {numbers[0]} to {numbers[-1]}; the recipe asks for 0 to {config.vocab_size - 1} without gaps"
    )
    return Gate("vocabulary_exact", exact, message, {"ids": len(numbers), "vocab_size": config.vocab_size})


def _control(files: Path, engine: Tokenizer) -> Gate:
    found = {token: engine.token_to_id(token) for token in CONTROL_TOKENS}
    typed = set(engine.encode("".join(CONTROL_TOKENS)).ids) & set(found.values())
    problem = ""
    if list(found.values()) != list(range(len(CONTROL_TOKENS))):
        problem = f"control tokens have the ids {found}, not 0 to 3 in order"
    elif typed:
        problem = f"typed control tokens become the ids {sorted(typed)}"
    else:
        try:
            files_of.separator(files, engine)
        except InputError as error:
            problem = str(error)
    return Gate("control_ids", not problem, problem or "control ids are 0 to 3, and typed ones stay text", {"ids": found})


def tokenized_dataset(inputs: Inputs, files: Path, config: TokenizedDatasetConfig, report: Report) -> list[Gate]:
    """Separators, lengths, round trip of a sample, bytes per token, the ledger, and the table of documents."""
    documents = pl.read_parquet(files / DOCUMENTS_FILE)
    about = read_json(files / TOKENS_FILE)
    return [
        _separators(files, documents, about),
        _lengths(files, documents, about),
        _sample_round_trip(inputs, files, documents, about, config),
        _bytes_per_token(documents, config),
        _shards_ledger(files, documents),
        *suites.check(
            "tokenized_dataset",
            files,
            suites.measured(documents, pl.col("length")),
            config,
            DOCUMENTS,
            [files / DOCUMENTS_FILE],
        ),
    ]


def _separators(files: Path, documents: pl.DataFrame, about: dict[str, Any]) -> Gate:
    found, misplaced = 0, 0
    for number in range(len(about["shard_tokens"])):
        shard = np.load(files / shard_name(number), mmap_mode="r")
        found += int(np.count_nonzero(shard == about["separator_id"]))
        mine = documents.filter(pl.col("shard") == number)
        ends = (mine["start"] + mine["length"] - 1).to_numpy()
        inside = ends[ends < shard.size]
        misplaced += int(ends.size - inside.size + np.count_nonzero(shard[inside] != about["separator_id"]))
    message = f"{found:,} separators for {documents.height:,} documents, {misplaced:,} documents don't end in one"
    return Gate("separators_match_documents", found == documents.height and not misplaced, message, {"separators": found})


def _lengths(files: Path, documents: pl.DataFrame, about: dict[str, Any]) -> Gate:
    stored = [int(np.load(files / shard_name(number), mmap_mode="r").size) for number in range(len(about["shard_tokens"]))]
    listed = int(documents["length"].sum())
    passed = stored == about["shard_tokens"] and sum(stored) == listed
    said = sum(about["shard_tokens"])
    message = f"documents add up to {listed:,} tokens, the shards hold {sum(stored):,}, {TOKENS_FILE} says {said:,}"
    return Gate("lengths_add_up", passed, message, {"tokens": sum(stored)})


def _sample_round_trip(
    inputs: Inputs, files: Path, documents: pl.DataFrame, about: dict[str, Any], config: TokenizedDatasetConfig
) -> Gate:
    engine = files_of.load_plain(inputs.one("tokenizer").files)
    chance = pl.Series("chance", unit_intervals(documents["doc_id"], "round trip"), dtype=pl.Float64)
    sample = documents.with_columns(chance).sort("chance").head(config.sampled_documents)
    texts = {}
    for shard in inputs.one("deduped_shards").shards():
        texts.update(dict(rows_of(shard, sample["doc_id"].to_list(), ["doc_id", "text"]).iter_rows()))
    changed = []
    for row in sample.iter_rows(named=True):
        ids = np.load(files / shard_name(row["shard"]), mmap_mode="r")[row["start"] : row["start"] + row["length"] - 1]
        if engine.decode(ids.tolist(), skip_special_tokens=False) != texts.get(row["doc_id"]):
            changed.append(row["doc_id"])
    message = f"{len(changed)} of {sample.height} sampled documents differ from their text when decoded"
    return Gate("text_round_trips", not changed, message, {"sampled": sample.height, "changed": changed[:20]})


def _bytes_per_token(documents: pl.DataFrame, config: TokenizedDatasetConfig) -> Gate:
    tokens = int(documents["length"].sum())
    found = int(documents["n_bytes"].sum()) / tokens if tokens else 0.0
    message = f"{found:.2f} bytes a token; at least {config.min_bytes_per_token} wanted (tokenized_dataset.min_bytes_per_token)"
    return Gate("bytes_per_token", found >= config.min_bytes_per_token, message, {"bytes_per_token": found})


def _shards_ledger(files: Path, documents: pl.DataFrame) -> Gate:
    counts = ledger_counts(pl.read_parquet(files / LEDGER_FILE))
    passed = counts_add_up(counts) and counts["kept"] == documents.height
    message = (
        f"{counts['documents_in']:,} documents came in, {counts['kept']:,} are kept, {documents.height:,} are in the shards"
    )
    return Gate("counts_add_up", passed, message, counts)


def training_mix(inputs: Inputs, files: Path, config: TrainingMixConfig, report: Report) -> list[Gate]:
    """Enough tokens, in the proportions asked; splits apart; nothing superseded; every document accounted for."""
    kept = pl.read_parquet(files / DOCUMENTS_FILE)
    return [
        _enough(kept, config),
        _proportions(inputs, kept, files, config),
        _apart(kept),
        _mix_ledger(kept, files),
        check(
            "documents_table",
            kept.select("doc_id", "split", "epochs", "length"),
            [
                ("expect_column_values_to_not_be_null", {"column": "doc_id"}),
                ("expect_column_values_to_be_unique", {"column": "doc_id"}),
                ("expect_column_values_to_be_in_set", {"column": "split", "value_set": [TRAIN, VALIDATION]}),
                ("expect_column_values_to_be_between", {"column": "epochs", "min_value": 1}),
                ("expect_column_values_to_be_between", {"column": "length", "min_value": 1}),
            ],
        ),
    ]


def _enough(kept: pl.DataFrame, config: TrainingMixConfig) -> Gate:
    train, validation = sum(tokens_by(kept, TRAIN, "lang").values()), sum(tokens_by(kept, VALIDATION, "lang").values())
    passed = train >= config.min_train_tokens and validation > 0
    message = (
        f"{train:,} training and {validation:,} validation tokens; at least {config.min_train_tokens:,} "
        "(training_mix.min_train_tokens) and 1 are needed"
    )
    return Gate("enough_tokens", passed, message, {"train_tokens": train, "validation_tokens": validation})


def _proportions(inputs: Inputs, kept: pl.DataFrame, files: Path, config: TrainingMixConfig) -> Gate:
    """Each language's tokens against (tokens there are) × (epochs asked, by language and source kind).

    A language too small to sample well isn't judged.
    """
    refs = {entry["ref"] for entry in read_json(files / MIX_FILE)["crawls"]}
    there: dict[str, float] = {}  # language → tokens that the epochs and factors ask for
    superseded = set(pl.read_parquet(files / LEDGER_FILE).filter(pl.col("rule") == "superseded")["doc_id"])
    epochs_of = pl.col("lang").replace_strict(config.languages, default=0.0, return_dtype=pl.Float64) * factor(config)
    held_out = config.validation_fraction
    wanted_of = pl.col("length") * (epochs_of * (1 - held_out) + epochs_of.clip(upper_bound=1.0) * held_out)
    for artefact in inputs.many("tokenized_dataset"):
        if artefact.ref in refs:
            documents = pl.read_parquet(artefact.file(DOCUMENTS_FILE)).filter(~pl.col("doc_id").is_in(list(superseded)))
            for lang, tokens in documents.group_by("lang").agg(wanted_of.sum()).iter_rows():
                there[lang] = there.get(lang, 0.0) + tokens
    train, validation = tokens_by(kept, TRAIN, "lang"), tokens_by(kept, VALIDATION, "lang")
    ratios, off = {}, []
    for lang in config.languages:
        wanted = there.get(lang, 0.0)
        if wanted < max(1, config.min_tokens_judged):
            continue
        ratios[lang] = (train.get(lang, 0) + validation.get(lang, 0)) / wanted
        if abs(ratios[lang] - 1) > config.share_tolerance:
            off.append(lang)
    stray = sorted((set(train) | set(validation)) - set(config.languages))
    message = (
        f"tokens found ÷ asked by language: {', '.join(f'{lang} {r:.3f}' for lang, r in ratios.items()) or 'none big enough'}"
    )
    if off or stray:
        message += f"; beyond ±{config.share_tolerance} (training_mix.share_tolerance): {', '.join(off + stray)}"
    return Gate("proportions", not off and not stray, message, {"ratio_by_language": ratios, "stray": stray})


def _apart(kept: pl.DataFrame) -> Gate:
    sides = kept.group_by("canonical_url").agg(pl.col("split").n_unique())
    both = sides.filter(pl.col("split") > 1)["canonical_url"].to_list()
    return Gate("splits_apart", not both, f"{len(both)} URLs are in both training and validation", {"urls": both[:10]})


def _mix_ledger(kept: pl.DataFrame, files: Path) -> Gate:
    counts = ledger_counts(pl.read_parquet(files / LEDGER_FILE))
    passed = counts_add_up(counts) and counts["kept"] == kept.height
    message = f"{counts['documents_in']:,} documents came in, {counts['kept']:,} are kept, {kept.height:,} are in the mix"
    return Gate("counts_add_up", passed, message, counts)
