"""``image_dataset``: reads the image records of one crawl, writes PNGs, ``images.parquet``, a contact sheet and the ledger.

Three steps: every image that may be kept is decoded and shaped (files of equal bytes once, and those that an older crawl kept
not at all), in processes that may die; copies of what older crawls kept go, and copies within the crawl are told apart in an
order that does not depend on the crawl's; what is left is stored once for each rotation that the recipe asks for.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import polars as pl
from PIL import Image

from llm_assets.core import optouts
from llm_assets.core.artefact import Artefact, Inputs, WorkDir
from llm_assets.core.errors import InputError
from llm_assets.core.ledger import Verdict, ledger_frame, ledger_row, write_ledger
from llm_assets.core.machine import available_cores
from llm_assets.core.progress import Progress
from llm_assets.core.recipe.images import ImageDatasetConfig
from llm_assets.core.report import Report
from llm_assets.core.warcs import WarcFiles
from llm_assets.stages.images.captions import KINDS, Captions
from llm_assets.stages.images.copies import Candidate, choose, order_of, thumb_of
from llm_assets.stages.images.decoders import Decoders
from llm_assets.stages.images.older import OlderImages, equal_in, similar_in, write_index
from llm_assets.stages.images.records import as_utf8, payload_of
from llm_assets.stages.images.shape import TURNS, png
from llm_assets.stages.images.sheet import MOST, write_sheet

TABLE, FOLDER, SHEET = "images.parquet", "images", "contact_sheet.png"
IMAGES = pl.Schema(
    {
        "doc_id": pl.String,
        "url": pl.String,
        "page_url": pl.String,  # a page that says the caption; empty where none does
        "caption": pl.String,
        "caption_kind": pl.String,  # alt | figcaption | title; empty where there is none
        "sha256": pl.String,  # of the PNG, which is images/<sha256>.png
        "rotation_degrees": pl.Int16,  # clockwise, of this variant
        "width": pl.Int32,
        "height": pl.Int32,
        "source_format": pl.String,
        "source_width": pl.Int32,
        "source_height": pl.Int32,
        "frames": pl.Int32,  # of the file; the first is what is stored
        "oriented": pl.Boolean,  # EXIF said it was to be turned
        "cropped": pl.Boolean,  # a border was cut off, or the middle cut out
        "transparent": pl.Boolean,
        "profile": pl.String,  # ICC: none | converted | unusable
        "copies": pl.Int32,  # other images of this crawl that were dropped as copies of it
        "dhash": pl.String,  # 64 bits as hex, of the upright variant
    }
)
_MARKS = (b"<img", b"<IMG", b"<\0i", b"<\0I")  # of a page with images, in UTF-16 too
_BATCH = 1_024  # images handed to the threads at a time
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Made:
    """An image that may be kept: where its upright pixels lie, and what is known of it. ``members``: rows of equal bytes."""

    row: Mapping[str, Any]
    members: Sequence[Mapping[str, Any]]
    upright: Path
    facts: dict[str, Any]
    candidate: Candidate
    verdict: Verdict


def run(inputs: Inputs, out: WorkDir, config: ImageDatasetConfig, progress: Progress) -> Report:
    """The stage's entry: see the module."""
    raw = inputs.one("raw_crawl")
    older = [OlderImages(artefact, config) for artefact in inputs.many("image_dataset")]
    index = pl.read_parquet(raw.file("index.parquet")).filter(pl.col("record_type") == "response").sort("warc_file", "offset")
    records = list(index.filter(pl.col("kind") == "image").iter_rows(named=True))
    (out.files / FOLDER).mkdir(exist_ok=True)
    (out.private / FOLDER).mkdir(exist_ok=True)
    with ThreadPoolExecutor(config.workers or available_cores()) as pool:
        texts, unreadable = _captions(raw, index, records, config.max_caption_chars)
        verdicts, made = _decoded(raw, records, older, config, out, progress)
        chosen = _chosen(made, verdicts, older, config, out.partition)
        rows = _stored(chosen, texts, config, out.files / FOLDER, pool)
    ledger = [ledger_row(out.partition, "image_dataset", r["doc_id"], r["url"], verdicts[r["doc_id"]]) for r in records]
    counts = write_ledger(out.files, ledger_frame(ledger))
    kept = sorted((family[0] for family in chosen.values()), key=lambda one: one.candidate.order)
    digests = {one.row["doc_id"]: one.row["payload_digest"] for one in kept}
    write_index(out.files, [one.candidate for one in kept], digests, config)
    table = pl.DataFrame(rows, schema=IMAGES, orient="row").sort("url", "doc_id", "rotation_degrees")
    table.write_parquet(out.files / TABLE, compression="zstd")
    shown = sorted({row["sha256"] for row in rows if row["rotation_degrees"] == config.rotations_degrees[0]})[:MOST]
    write_sheet(out.files / SHEET, [out.files / FOLDER / f"{sha256}.png" for sha256 in shown])
    report = _report(table, counts, texts, unreadable)
    copies = Counter(row["detail"].removeprefix("of ") for row in ledger if row["rule"].endswith("_duplicate"))
    report.metrics |= {"older_crawls": [one.crawl for one in older], "duplicates_by_crawl": dict(sorted(copies.items()))}
    return report


def _captions(raw: Artefact, index: pl.DataFrame, records: Sequence[Mapping[str, Any]], max_chars: int) -> tuple[Captions, int]:
    """What the crawl's pages say of its images, and how many pages could not be read."""
    texts, unreadable = Captions({row["canonical_url"] for row in records}, max_chars), 0
    with WarcFiles() as opened:
        for row in index.filter(pl.col("kind") == "page").iter_rows(named=True) if records else ():
            try:
                headers, body = payload_of(opened, raw.files, row)
            except InputError:  # the page's own line in the ledger of extracted_pages says what is wrong with it
                unreadable += 1
                continue
            if any(mark in body for mark in _MARKS):
                page = as_utf8(headers, body)
                unreadable += page is None
                texts.read(page or b"", row["url"])
    return texts, unreadable


def _decoded(
    raw: Artefact,
    records: Sequence[Mapping[str, Any]],
    older: Sequence[OlderImages],
    config: ImageDatasetConfig,
    out: WorkDir,
    progress: Progress,
) -> tuple[dict[str, Verdict], list[Made]]:
    """Verdicts by doc_id on all but those images that may be kept, and those."""
    verdicts = {row["doc_id"]: refused for row in records if (refused := _refused(row, config)) is not None}
    known = equal_in(older, {row["payload_digest"] for row in records if row["doc_id"] not in verdicts})
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in sorted(records, key=lambda row: (row["canonical_url"], row["doc_id"])):
        if row["doc_id"] in verdicts:
            continue
        if row["payload_digest"] in known:
            verdicts[row["doc_id"]] = known[row["payload_digest"]]
        else:
            groups.setdefault(row["payload_digest"], []).append(row)

    firsts = {members[0]["doc_id"]: members for members in groups.values()}
    made, done = list[Made](), len(verdicts)
    decoders = Decoders(raw.files, out.private / FOLDER, config)
    for row, answer in decoders.answers([members[0] for members in firsts.values()]):
        members, verdict = firsts[row["doc_id"]], Verdict(**answer["verdict"])
        if verdict.kept:
            made.append(_made(members, answer, verdict, out.private / FOLDER))
        else:
            verdicts |= {member["doc_id"]: verdict for member in members}
        done += len(members)
        progress.update(done, len(records), "images")
    return verdicts, made


def _refused(row: Mapping[str, Any], config: ImageDatasetConfig) -> Verdict | None:
    opted_out = optouts.refused(row, config.honour_optouts)
    return opted_out or (Verdict(False, "truncated") if row["truncated"] else None)


def _made(members: Sequence[Mapping[str, Any]], answer: Mapping[str, Any], verdict: Verdict, folder: Path) -> Made:
    row, facts = members[0], answer["facts"]
    order = order_of(facts["source_width"] * facts["source_height"], row["canonical_url"], row["doc_id"])
    candidate = Candidate(row["doc_id"], order, int(answer["dhash"], 16), thumb_of(answer["thumb"]))
    return Made(row, members, folder / f"{row['doc_id']}.png", facts, candidate, verdict)


def _chosen(
    made: Sequence[Made], verdicts: dict[str, Verdict], older: Sequence[OlderImages], config: ImageDatasetConfig, crawl: str
) -> dict[str, list[Made]]:
    """Judge copies, of older crawls first; returns doc_id of each image kept → itself and its copies here, itself first."""
    limits = config.max_hash_distance, config.max_colour_difference
    known = similar_in(older, [one.candidate for one in made], *limits)
    verdicts |= {row["doc_id"]: known[one.row["doc_id"]] for one in made if one.row["doc_id"] in known for row in one.members}
    by_doc = {one.row["doc_id"]: one for one in made if one.row["doc_id"] not in known}
    families: dict[str, list[Made]] = {}
    for candidate, judged in choose([one.candidate for one in by_doc.values()], *limits):
        one, verdict = by_doc[candidate.doc_id], judged if judged.kept else replace(judged, detail=f"of {crawl}")
        families.setdefault(verdict.related_doc or candidate.doc_id, []).append(one)
        verdicts[candidate.doc_id] = one.verdict if verdict.kept else verdict
        equal = Verdict(False, "exact_duplicate", related_doc=candidate.doc_id, detail=f"of {crawl}")
        verdicts |= {row["doc_id"]: equal if verdict.kept else verdict for row in one.members[1:]}
    return families


def _stored(
    families: Mapping[str, Sequence[Made]], texts: Captions, config: ImageDatasetConfig, folder: Path, pool: ThreadPoolExecutor
) -> list[dict[str, Any]]:
    """Write each kept image in its rotations; the rows of the table."""

    def variants(family: Sequence[Made]) -> list[dict[str, Any]]:
        first = family[0]
        addresses = [row["canonical_url"] for one in family for row in one.members]
        own = texts.of(*(row["canonical_url"] for row in first.members))
        caption = own if own.text else texts.of(*addresses)
        about = {
            "doc_id": first.row["doc_id"],
            "url": first.row["url"],
            "page_url": caption.page_url,
            "caption": caption.text,
            "caption_kind": caption.kind,
            "copies": len(addresses) - 1,
            "dhash": f"{first.candidate.dhash:016x}",
            **first.facts,
        }
        return [{**about, **_variant(first.upright, degrees, folder)} for degrees in config.rotations_degrees]

    return [row for rows in _in_threads(pool, variants, families.values()) for row in rows]


def _variant(upright: Path, degrees: int, folder: Path) -> dict[str, Any]:
    """One rotation as a file that is named by its content."""
    with Image.open(upright, formats=["PNG"]) as image:
        turned = image.transpose(TURNS[degrees]) if degrees else image
        width, height = turned.size
        data = png(turned) if degrees else upright.read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    (folder / f"{sha256}.png").write_bytes(data)
    return {"sha256": sha256, "rotation_degrees": degrees, "width": width, "height": height}


def _in_threads(pool: ThreadPoolExecutor, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Results in order; only a batch of items waits at a time."""
    waiting = iter(items)
    while batch := list(islice(waiting, _BATCH)):
        yield from pool.map(function, batch)


def _report(table: pl.DataFrame, counts: dict[str, int], texts: Captions, unreadable: int) -> Report:
    images = table.unique("doc_id", keep="first", maintain_order=True)
    kinds = dict(images.group_by("caption_kind").len().iter_rows())
    formats = images.group_by("source_format").len().sort("len", "source_format", descending=[True, False])
    captioned = images.filter(pl.col("caption") != "")
    return Report(
        counts={**counts, "files": table["sha256"].n_unique()},
        metrics={
            **{name: int(images[name].sum()) for name in ("oriented", "cropped", "transparent")},
            "animated": int((images["frames"] > 1).sum()),
            "profiles_converted": int((images["profile"] == "converted").sum()),
            "profiles_unusable": int((images["profile"] == "unusable").sum()),
            "captioned": captioned.height,
            **{f"captions_{kind}": int(kinds.get(kind, 0)) for kind in KINDS},
            "caption_words": int(captioned["caption"].str.split(" ").list.len().sum()),
            "captions_refused": texts.refused,
            "pages_unreadable": unreadable,
        },
        plots={"contact sheet": SHEET} if images.height else {},
        tables={"Formats": [{"format": name, "images": n} for name, n in formats.iter_rows()]} if images.height else {},
        samples={"caption": captioned["caption"][0]} if captioned.height else {},
    )
