"""The gates of ``cleaned_corpus``: enough kept, no rule run wild, personal data found on a labelled set, a sound table."""

from pathlib import Path

import polars as pl

from llm_assets.core import suites
from llm_assets.core.artefact import Inputs
from llm_assets.core.documents import CLEANED
from llm_assets.core.errors import InputError
from llm_assets.core.jsonio import canonical
from llm_assets.core.ledger import LEDGER_FILE, ledger_counts
from llm_assets.core.recipe.cleaning import CleanedCorpusConfig
from llm_assets.core.report import Gate, Report
from llm_assets.core.tombstones import Tombstones
from llm_assets.stages.clean import pii
from llm_assets.stages.clean.run import CAPTURES_FILE, with_digests

# What the rules were fitted to, and what they were not. Both written for this project, with invented people.
KNOWN, HELD_OUT = "personal_data.tsv", "personal_data_held_out.tsv"


def labelled(name: str) -> list[tuple[str, str, str]]:
    """The rows ``(text, personal, kind)`` of one of the two sets; ``InputError`` names a line that isn't one."""
    rows = []
    for number, line in enumerate(Path(__file__).with_name(name).read_text("utf-8").splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        parts = line.split("\t")
        if len(parts) != 3:
            raise InputError(f"{name}, line {number}: three columns are needed (text, personal, kind), {len(parts)} found")
        # A broken bar breaks up invented keys, so that scanners of repositories don't take them for real ones.
        rows.append((parts[0].replace("¦", ""), parts[1].replace("¦", ""), parts[2]))
    return rows


def gates(inputs: Inputs, files: Path, config: CleanedCorpusConfig, report: Report) -> list[Gate]:
    """All but the suite's warnings block."""
    shards = sorted((files / "shards").glob("*.parquet"))
    columns = ["doc_id", "url", "lang", "lang_score", "n_words", "n_bytes", "text"]
    schema = pl.Schema({name: CLEANED[name] for name in columns})
    frame = pl.concat([pl.read_parquet(path, columns=columns) for path in shards]) if shards else pl.DataFrame(schema=schema)
    counts = ledger_counts(pl.read_parquet(files / LEDGER_FILE))
    seen = counts["documents_in"]
    share = counts["kept"] / seen if seen else 1.0
    dropped = {key.removeprefix("dropped:"): n for key, n in counts.items() if key.startswith("dropped:")}
    worst = max(dropped, key=lambda rule: dropped[rule]) if dropped else ""
    worst_share = dropped[worst] / seen if worst else 0.0
    return [
        Gate(
            "enough_kept",
            share >= config.min_kept_share,
            f"{counts['kept']} of {seen} pages kept ({share:.1%}), at least {config.min_kept_share:.0%} expected; "
            f"most were dropped by {worst or 'no rule'}",
            {"share_kept": share},
        ),
        Gate(
            "no_rule_dominates",
            worst_share <= config.max_rule_share,
            f"{worst or 'no rule'} dropped {worst_share:.1%} of the pages, at most {config.max_rule_share:.0%} is allowed",
            {"rule": worst, "share": worst_share},
        ),
        Gate(
            "ledger_matches_shards",
            frame.height == counts["kept"],
            f"{frame.height} documents in the shards, {counts['kept']} kept in the ledger",
        ),
        _personal_data(config),
        _no_personal_data_left(frame, config),
        *suites.check("cleaned_corpus", files, suites.measured(frame, pl.col("n_words")), config, CLEANED, shards),
    ]


def _personal_data(config: CleanedCorpusConfig) -> Gate:
    """Precision and recall of each kind on both labelled sets."""
    limits = config.personal_data
    asked = {KNOWN: (limits.min_precision, limits.min_recall)}
    asked[HELD_OUT] = (limits.min_precision_held_out, limits.min_recall_held_out)
    said: list[str] = []
    weak: list[str] = []
    figures: dict[str, float] = {}
    for name, (precision, recall) in asked.items():
        rows = labelled(name)
        found = pii.score(rows, limits.kinds)
        part = "held out" if name == HELD_OUT else "known"
        weak += [f"{k} ({part})" for k, n in found.items() if n["recall"] < recall or n["precision"] < precision]
        told = ", ".join(f"{kind} {n['precision']:.3f}/{n['recall']:.3f}" for kind, n in found.items())
        said.append(f"on {len(rows)} lines {part}: {told}; at least {precision}/{recall} each")
        figures[f"{part.replace(' ', '_')}_lines"] = len(rows)
        figures |= {f"{part.replace(' ', '_')}_{kind}_{of}": value for kind, n in found.items() for of, value in n.items()}
    message = f"precision/recall {'; '.join(said)}" + (f"; below: {', '.join(weak)}" if weak else "")
    return Gate("personal_data_rules", not weak or not limits.enabled, message, figures)


def _no_personal_data_left(frame: pl.DataFrame, config: CleanedCorpusConfig) -> Gate:
    """In an eighth of the documents (ids that begin with 0 or 1 of 16 hex digits) nothing more may be found."""
    kinds = config.personal_data.kinds if config.personal_data.enabled else []
    sample = frame.filter(pl.col("doc_id").str.head(1).is_in(["0", "1"]))
    left = sample["doc_id"].filter(pii.replace_all(sample["text"], kinds)[1] > 0).to_list()
    return Gate(
        "no_personal_data_left",
        not left,
        f"{len(left)} of {sample.height} sampled documents still hold personal data that the rules find",
        {"documents": left[:5]},
    )


def concerned(artefact: object, inputs: Inputs, config: CleanedCorpusConfig) -> str:
    """Fingerprint of the tombstones for this crawl: only those that match its pages; no match, no new identity."""
    stones = Tombstones.given(inputs)
    if not stones:
        return "none"
    matched = set()
    pages = inputs.one("extracted_pages")
    for path in pages.shards():
        rows = with_digests(pl.read_parquet(path, columns=["url", "doc_id"]), pages.file(CAPTURES_FILE))
        for url, doc_id, digest in rows.iter_rows():
            stone = stones.match(url=url, doc_id=doc_id, sha256=digest or "")
            if stone is not None:
                matched.add(stone)
    return canonical(sorted(matched)).decode() if matched else "none"
