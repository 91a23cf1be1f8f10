"""``preference_dataset``: the true description of an extract against one that is wrong or damaged.

These are synthetic preferences over real text: the preferred answer is what people wrote for that page, the other one was made
by rule. Four rules: the description of an article of another topic, of the same topic, the true one cut short, the true one in
shuffled order. The split is that of ``instruction_dataset``, so no article is in two splits here either; wrong descriptions are
taken from the same split.
"""

import hashlib
import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from llm_assets.core.artefact import Inputs, WorkDir
from llm_assets.core.errors import InputError
from llm_assets.core.ledger import LEDGER_FILE, Verdict, ledger_frame, ledger_row, write_ledger
from llm_assets.core.progress import Progress
from llm_assets.core.recipe.post_training import PreferenceDatasetConfig
from llm_assets.core.report import Report

SPLITS = ("train", "validation", "test")
KINDS = ("other_topic", "same_topic", "truncated", "shuffled")
DRAWS = 8
UNKNOWN_TOPICS = ("", "Uncategorized")

PREFERENCES = pl.Schema(
    {
        "id": pl.String,
        "doc_id": pl.String,  # the page whose extract is asked about
        "url": pl.String,
        "article": pl.String,
        "prompt": pl.String,
        "chosen": pl.String,
        "rejected": pl.String,
        "kind": pl.String,
        "rejected_doc_id": pl.String,  # the page whose description was rejected: the same one for damaged descriptions
    }
)

REJECTED = PREFERENCES.names().index("rejected")


@dataclass(frozen=True, slots=True)
class Question:
    """One extract with its true description."""

    doc_id: str
    url: str
    article: str
    prompt: str
    chosen: str
    topic: str


def same_answer(a: str, b: str, max_words: int) -> bool:
    """Whether two answers say the same once clipped, but for case and punctuation: such a pair teaches nothing (case B32)."""
    return _words(a, max_words) == _words(b, max_words)


def _words(text: str, max_words: int) -> list[str]:
    return re.findall(r"\w+", " ".join(text.split()[:max_words]).casefold())


def truncated(text: str, rng: random.Random) -> str | None:
    """The first words, at most two thirds of them; None where there are fewer than three."""
    words = text.split()
    if len(words) < 3:
        return None
    return " ".join(words[: rng.randint(1, max(1, 2 * len(words) // 3))]).rstrip(",;:(–- ")


def shuffled(text: str, rng: random.Random) -> str | None:
    """The same words in another order; None where no order differs. The first letter's case stays with the first place, so that
    capitals don't give it away."""
    words = text.split()
    if len({word.casefold() for word in words}) < 2:
        return None
    for _ in range(8):
        mixed = rng.sample(words, len(words))
        if [word.casefold() for word in mixed] != [word.casefold() for word in words]:
            first = mixed[0]
            mixed[0] = first[:1].upper() + first[1:] if text[:1].isupper() else first
            return " ".join(mixed)
    return None


def run(inputs: Inputs, out: WorkDir, config: PreferenceDatasetConfig, progress: Progress) -> Report:
    """Write the three splits. Raises ``InputError`` where a split has no question."""
    topics = _topics(inputs)
    counts: Counter[str] = Counter()
    table = []
    samples: dict[str, str] = {}
    fates: dict[str, Verdict] = {}
    for done, split in enumerate(SPLITS, 1):
        questions = _questions(inputs, split, topics, fates)
        if split == "train" and config.max_articles:
            over = Verdict(False, "over_max_articles", len(questions), config.max_articles)
            fates |= {question.doc_id: over for question in questions[config.max_articles :]}
            questions = questions[: config.max_articles]
        counts[f"questions_{split}"] = len(questions)
        rows = _pairs(questions, config, counts, fates, split)
        frame = pl.DataFrame(rows, schema=PREFERENCES, orient="row")
        frame.write_parquet(out.files / f"{split}.parquet", compression="zstd")
        counts[f"pairs_{split}"] = frame.height
        kinds = Counter(frame["kind"])
        table.append({"split": split, **{kind: kinds[kind] for kind in KINDS}})
        for row in frame.head(8).to_dicts():
            samples.setdefault(row["kind"], f"{row['prompt']}\n✓ {row['chosen']}\n✗ {row['rejected']}")
        progress.update(done, len(SPLITS), "splits", pairs=frame.height)
    told = write_ledger(out.files, _ledger(inputs, fates))
    return Report(
        counts={**told, **counts},
        metrics={"origin": "synthetic preferences over real text: no person was asked"},
        tables={"pairs by split and kind": table},
        samples=samples,
    )


def _topics(inputs: Inputs) -> dict[str, str]:
    shards = [shard for crawl in inputs.many("deduped_shards") for shard in crawl.shards()]
    frame = pl.concat(pl.scan_parquet(shard).select("doc_id", "section") for shard in shards).collect()
    return dict(frame.with_columns(pl.col("section").fill_null("").str.strip_chars()).iter_rows())


def _ledger(inputs: Inputs, fates: dict[str, Verdict]) -> pl.DataFrame:
    """A line a page that instructions were made of: four pairs, or why none."""
    before = pl.read_parquet(inputs.one("instruction_dataset").file(LEDGER_FILE)).filter("kept")
    none = Verdict(False, "no_question", detail="no extract to describe")
    return ledger_frame(
        ledger_row(crawl, "preference_dataset", doc, url, fates.get(doc, none))
        for crawl, doc, url in before.select("crawl", "doc_id", "url").iter_rows()
    )


def _questions(inputs: Inputs, split: str, topics: dict[str, str], fates: dict[str, Verdict]) -> list[Question]:
    """The split's summarise rows whose topic is known, in the order of the instruction data (a hash order)."""
    frame = pl.read_parquet(inputs.one("instruction_dataset").file(f"{split}.parquet"))
    found = []
    for row in frame.filter(pl.col("task") == "summarise").iter_rows(named=True):
        topic = topics.get(row["doc_id"], "")
        if topic in UNKNOWN_TOPICS:
            fates[row["doc_id"]] = Verdict(False, "no_topic")
        else:
            found.append(Question(row["doc_id"], row["url"], row["article"], row["prompt"], row["answer"], topic))
    if not found:
        raise InputError(
            f"the {split} split of instruction_dataset has no summarise row whose page names a topic; "
            "preferences need pages with a description and an article:section"
        )
    return found


def _pairs(
    questions: list[Question], config: PreferenceDatasetConfig, counts: Counter[str], fates: dict[str, Verdict], split: str
) -> list[tuple[str, ...]]:
    """Four pairs a question, one of each kind, with four rejected answers; a question that can't give all four is left out, so
    that kinds stay balanced."""
    by_topic: dict[str, list[Question]] = defaultdict(list)
    for question in questions:
        by_topic[question.topic].append(question)
    rows: list[tuple[str, ...]] = []
    for question in questions:
        rng = random.Random(f"{config.seed}\x1f{question.doc_id}")
        made: list[tuple[str, ...] | None] = []
        used: set[str] = set()
        for kind in KINDS:
            pair = _pair(kind, question, questions, by_topic, rng, config.max_answer_words, used)
            made.append(pair)
            used |= {pair[REJECTED]} if pair else set()
        missing = [kind for kind, pair in zip(KINDS, made, strict=True) if pair is None]
        if missing:
            counts[f"left_out:{missing[0]}"] += 1
            fates[question.doc_id] = Verdict(False, f"no_{missing[0]}_answer", detail="none that differs from the true one")
        else:
            fates[question.doc_id] = Verdict(True, detail=f"{len(made)} pairs; {split}")
            rows += [pair for pair in made if pair is not None]
    return rows


def _pair(
    kind: str,
    question: Question,
    questions: list[Question],
    by_topic: dict[str, list[Question]],
    rng: random.Random,
    max_words: int,
    used: set[str],
) -> tuple[str, ...] | None:
    """One pair, or None where the rule gives nothing that differs from the true answer after clipping, and from ``used``.

    "Genus of plants" may be the description of another page and what is left of this page's own.
    """
    damage: dict[str, Callable[[str, random.Random], str | None]] = {"truncated": truncated, "shuffled": shuffled}
    if kind in damage:
        drawn = (damage[kind](question.chosen, rng) for _ in range(DRAWS))
        rejected, source = next((text for text in drawn if text not in used), None), question.doc_id
    else:
        other = _other(kind, question, questions, by_topic, rng, max_words, used)
        rejected, source = (other.chosen, other.doc_id) if other else (None, "")
    if not rejected or same_answer(rejected, question.chosen, max_words):
        return None
    number = hashlib.blake2b(f"{kind}\x1f{question.doc_id}\x1f{rejected}".encode(), digest_size=8).hexdigest()
    q = question
    return (f"{kind}-{number}", q.doc_id, q.url, q.article, q.prompt, q.chosen, rejected, kind, source)


def _other(
    kind: str,
    question: Question,
    questions: list[Question],
    by_topic: dict[str, list[Question]],
    rng: random.Random,
    max_words: int,
    used: set[str],
) -> Question | None:
    pool = by_topic[question.topic] if kind == "same_topic" else questions
    for _ in range(32):
        other = pool[rng.randrange(len(pool))]
        right_topic = (other.topic == question.topic) == (kind == "same_topic") and other.chosen not in used
        if right_topic and other.article != question.article and not same_answer(other.chosen, question.chosen, max_words):
            return other
    return None
