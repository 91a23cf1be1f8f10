"""``tokenizer``: byte-level BPE with a pre-tokenizer that llama.cpp has built in, so that the GGUF gives the same ids.

It is trained on the crawls that the recipe names, never on "the newest": a refresh must not change ids.
"""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from llm_assets.core.artefact import Inputs, WorkDir
from llm_assets.core.errors import InputError
from llm_assets.core.jsonio import write_json
from llm_assets.core.machine import available_cores
from llm_assets.core.progress import Progress
from llm_assets.core.recipe.tokens import TokenizerConfig
from llm_assets.core.report import Report
from llm_assets.lm import chat
from llm_assets.lm import tokenizer as files_of
from llm_assets.lm.tokenizer import CONTROL_TOKENS, END_OF_TEXT, PAD, TURN_END, TURN_START
from llm_assets.stages.tokens.sampling import unit_intervals

_BATCH = 1_000  # texts handed to the trainer at a time
_NUMBA_FROM_BYTES = 20_000_000  # below it compiling (10 s, once a machine) takes longer than it saves
_LONGEST = 1 << 30  # "no limit" for transformers: the tokenizer doesn't bound a model's context

# What the round-trip gate decodes: each is a place where tokenizers have lost or changed text.
SAMPLES = (
    "The quick brown fox isn't late; they'll say \"it's 3.14159\".",
    "  two spaces,\ttab,\r\nCRLF,\n\n\nthree newlines  ",
    "1234567890 12,345.67 −5 ½ ٣ Ⅷ",
    "Élève à l'école, ça va? L’été où naît Œdipe…",
    "e\u0301 is not é; ﬁ is not fi; ſ isn't s",
    "汉字とかな 한국어 中文。",
    "👩‍👩‍👧‍👦 🏳️‍🌈 🇫🇷 👍🏽",
    "\u200bzero width\u00a0nbsp\u2028line sep\ufeff",
    "def f(x):\n    return {'a': x**2}  # ok\n",
    "<|endoftext|><|im_start|>system\nhello<|im_end|><|pad|>",
    "\x00\x07\x7f\x85",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 \U0010fffd",
)


def run(inputs: Inputs, out: WorkDir, config: TokenizerConfig, progress: Progress) -> Report:
    """Train on the named crawls and write a Hugging Face tokenizer folder.

    Raises ``InputError`` where no named language has text, or where there is too little text for the vocabulary.
    """
    shards = [shard for artefact in inputs.many("deduped_shards") for shard in artefact.shards()]
    crawls = [artefact.partition for artefact in inputs.many("deduped_shards")]
    bytes_by_language, shares = _plan(shards, config)
    progress.note(f"tokenizer: training on {', '.join(crawls)}")
    counts = {"documents": 0, "bytes": 0}
    planned = sum(shares[lang] * size for lang, size in bytes_by_language.items())
    engine = trained(_texts(shards, shares, counts, progress), config, planned)
    size = files_of.vocab_size(engine)
    if size != config.vocab_size:
        raise InputError(
            f"tokenizer.vocab_size is {config.vocab_size}, but {counts['bytes']:,} bytes of text give only {size} ids; "
            f"use {max(288, size // 32 * 32)} or less, or name more crawls"
        )
    write_folder(out.files, engine)
    return Report(
        counts={**counts, "vocab_size": size},
        metrics={
            "crawls": crawls,
            "share_by_language": shares,
            "bytes_by_language": bytes_by_language,
            "llama_cpp_pre": files_of.LLAMA_CPP_PRE,
            "longest_token_chars": max(len(token) for token in engine.get_vocab()),
        },
        tables={"Sample splits": _splits(out.files)},
    )


def trained(batches: Iterator[list[str]], config: TokenizerConfig, planned_bytes: float) -> Tokenizer:
    """The tokenizer that the texts give. Which engine finds the merges decides how long it takes, and nothing else."""
    engine = _untrained()
    control = [AddedToken(token, special=True, normalized=False) for token in CONTROL_TOKENS]
    if config.engine == "numba" or (config.engine == "auto" and planned_bytes >= _NUMBA_FROM_BYTES):
        from llm_assets.lm import bpe
        from llm_assets.lm.pretokens import PieceCounter

        counter = PieceCounter(config.threads or available_cores())
        for batch in batches:
            counter.add(batch)
        words, limits = counter.words(), {"min_count": config.min_pair_count, "max_chars": config.max_token_chars}
        vocabulary, merges = bpe.train(words, byte_alphabet(), CONTROL_TOKENS, config.vocab_size, **limits)
        engine.model = models.BPE(vocabulary, merges)
        engine.add_special_tokens(control)
        return engine
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocab_size,
        min_frequency=config.min_pair_count,
        special_tokens=control,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        max_token_length=config.max_token_chars,
        show_progress=False,
    )
    engine.train_from_iterator(batches, trainer=trainer)
    return engine


def byte_alphabet() -> dict[int, str]:
    """Byte → the character that stands for it in byte-level BPE: printable ones for themselves, the rest from U+0100 on."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {byte: chr(byte) for byte in shown} | {byte: chr(0x100 + place) for place, byte in enumerate(hidden)}


def _untrained() -> Tokenizer:
    engine = Tokenizer(models.BPE())
    engine.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(files_of.PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    engine.decoder = decoders.ByteLevel()
    engine.post_processor = processors.ByteLevel(trim_offsets=False)
    return engine


def _plan(shards: list[Path], config: TokenizerConfig) -> tuple[dict[str, int], dict[str, float]]:
    """Bytes there are by language, and the share of each language's documents to read."""
    found = pl.concat([pl.read_parquet(shard, columns=["lang", "n_bytes"]) for shard in shards]) if shards else None
    sums = dict(found.group_by("lang").agg(pl.col("n_bytes").sum()).sort("lang").iter_rows()) if found is not None else {}
    asked = {lang: min(1.0, share) for lang, share in config.languages.items() if sums.get(lang)}
    total = sum(share * sums[lang] for lang, share in asked.items())
    if not total:
        raise InputError(
            f"tokenizer.languages names {', '.join(config.languages)}, but the crawls hold text in "
            f"{', '.join(map(str, sums)) or 'no language at all'}; name a language that is there"
        )
    shrink = min(1.0, config.max_train_bytes / total)
    return {lang: int(sums[lang]) for lang in asked}, {lang: share * shrink for lang, share in asked.items()}


def _texts(shards: list[Path], shares: dict[str, float], counts: dict[str, int], progress: Progress) -> Iterator[list[str]]:
    for number, shard in enumerate(shards):
        frame = pl.read_parquet(shard, columns=["doc_id", "lang", "text", "n_bytes"]).filter(pl.col("lang").is_in(list(shares)))
        chance = pl.Series("chance", unit_intervals(frame["doc_id"], "tokenizer"), dtype=pl.Float64)
        share = pl.col("lang").replace_strict(shares, return_dtype=pl.Float64)
        frame = frame.with_columns(chance).filter(pl.col("chance") < share)
        for batch in frame.iter_slices(_BATCH):
            counts["documents"] += batch.height
            counts["bytes"] += int(batch["n_bytes"].sum())
            yield batch["text"].to_list()
        progress.update(number + 1, len(shards), "shards")


def write_folder(folder: Path, engine: Tokenizer) -> None:
    """``tokenizer.json`` and the files that transformers, vLLM and the GGUF export read beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    engine.save(str(folder / files_of.TOKENIZER_FILE))
    special = {"eos_token": END_OF_TEXT, "pad_token": PAD, "additional_special_tokens": [TURN_START, TURN_END]}
    write_json(
        folder / files_of.CONFIG_FILE,
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            **special,
            "bos_token": None,
            "unk_token": None,
            "add_bos_token": False,
            "add_eos_token": False,
            "clean_up_tokenization_spaces": False,
            "model_max_length": _LONGEST,
            "padding_side": "right",
            "llama_cpp_pre": files_of.LLAMA_CPP_PRE,
        },
    )
    write_json(folder / "special_tokens_map.json", special)
    (folder / "chat_template.jinja").write_text(chat.TEMPLATE, "utf-8")


def _splits(folder: Path) -> list[dict[str, str]]:
    engine = files_of.load_plain(folder)
    rows = []
    for sample in SAMPLES[:5]:
        pieces = [engine.decode([number], skip_special_tokens=False) for number in engine.encode(sample).ids]
        rows.append({"text": sample.strip()[:60], "tokens": "·".join(pieces)[:160]})
    return rows
