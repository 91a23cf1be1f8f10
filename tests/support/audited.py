"""A small store whose every document has a known fate: two crawls, one kept page of each kind of end."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from llm_assets.core.artefact import Artefact, Inputs
from llm_assets.core.documents import CLEANED, RAW_INDEX
from llm_assets.core.jsonio import write_json
from llm_assets.core.ledger import KEEP, Verdict, ledger_frame, ledger_row, write_ledger
from llm_assets.core.manifest import FileEntry, InputEntry, Manifest
from llm_assets.core.store import Store

FIRST, SECOND = "wiki-2026-11", "wiki-2026-12"
SITE = "https://site.example"
RECIPE = "demo"
STEPS = 100  # that the base model was trained for; an epoch has four
START = datetime(2026, 11, 1, tzinfo=UTC)


def doc(number: int) -> str:
    return f"{number:032x}"


def url(name: str) -> str:
    return f"{SITE}/{name}"


# name → doc_id of the capture in each crawl
PAGES = {
    FIRST: {"kept": 1, "short": 2, "copy": 3, "changed": 4, "french": 5, "held": 6},
    SECOND: {"changed": 14, "new": 17, "kept": 11},  # "kept" is a revisit
}
IMAGES = {FIRST: {"flag.png": 8}}


class Audited:
    """Writes the artefacts into a store, each current."""

    def __init__(self, root: Path) -> None:
        self.store = Store(root, RECIPE)
        self.raw()
        self.extracted()
        self.cleaned()
        self.deduped()
        self.tokenized()
        self.mix()
        self.models()

    def inputs(self) -> Inputs:
        """All current artefacts."""
        found: dict[str, list[Artefact]] = {}
        for folder in sorted(p for p in self.store.root.iterdir() if p.is_dir() and not p.name.startswith(".")):
            current = [self.store.current(folder.name, name) for name in self.store.partitions(folder.name)]
            found[folder.name] = [artefact for artefact in current if artefact]
        return Inputs(found, self.store.root)

    def publish(
        self, asset: str, partition: str, write, inputs=(), counts=None, identity="", metrics=None, config=None, weights=False
    ) -> Artefact:
        """Let ``write(files)`` fill a folder and make it the current artefact."""
        identity = identity or f"{asset[:4]}{len(partition)}{partition[-1]}"
        files = self.store.folder(asset, partition, identity)
        files.mkdir(parents=True)
        write(files)
        entries = [
            InputEntry(asset=a.asset, partition=a.partition, identity=a.identity, digest="d", fingerprint="d") for a in inputs
        ]
        Manifest(
            asset=asset,
            partition=partition,
            identity=identity,
            digest=f"digest of {identity}",
            code_version="1",
            inputs=entries,
            files={
                "model.safetensors" if weights else "a": FileEntry(bytes=3, sha256="00"),
                "b": FileEntry(bytes=4, sha256="11"),
            },
            config=config or {},
            counts=counts or {},
            metrics=metrics or {},
            started_at=START.isoformat(),
            recipe=RECIPE,
        ).save(files)
        artefact = Artefact(asset, partition, identity, files)
        self.store.accept(artefact)
        return artefact

    def of(self, asset: str) -> list[Artefact]:
        return self.inputs().many(asset)

    def copy(self, asset: str, partition: str, target: Path) -> None:
        """The files of a current artefact."""
        shutil.copytree(self.store.current(asset, partition).files, target, dirs_exist_ok=True)

    def raw(self) -> None:
        for number, crawl in enumerate(PAGES):
            self.store.number_crawl(crawl)
            records = [(name, n, "page") for name, n in PAGES[crawl].items()]
            records += [(name, n, "image") for name, n in IMAGES.get(crawl, {}).items()]
            rows = [ledger_row(crawl, "raw_crawl", doc(n), url(name), KEEP) for name, n, _ in records]
            rows.append(ledger_row(crawl, "raw_crawl", None, url("private"), Verdict(False, "robots", detail="User-agent: *")))

            def write(files: Path, crawl=crawl, rows=rows, records=records, number=number) -> None:
                counts = write_ledger(files, ledger_frame(rows))
                assert counts["documents_in"] == len(rows)
                index = [
                    {
                        "doc_id": doc(n),
                        "url": url(name),
                        "canonical_url": url(name),
                        "fetched_at": START + timedelta(days=30 * number, seconds=n),
                        "status": 200,
                        "content_type": "text/html",
                        "kind": kind,
                        "record_type": "revisit" if (crawl, name) == (SECOND, "kept") else "response",
                        "revisit_of": doc(1) if (crawl, name) == (SECOND, "kept") else None,
                        "payload_digest": "sha256:00",
                        "warc_file": "warc/part-00000.warc.gz",
                        "offset": 0,
                        "length": 100,
                        "truncated": False,
                        "source_kind": "web",
                        "optout_robots_ai": False,
                        "optout_noai": False,
                        "optout_tdm": False,
                    }
                    for name, n, kind in records
                ]
                pl.DataFrame(index, schema=RAW_INDEX).write_parquet(files / "index.parquet")

            config = {
                "snapshots": {FIRST: 1},
                "seeds": {SECOND: [SITE]},
                "common_crawl": {"ids": {}},
                "user_agent": "auditor/1",
                **{f"honour_{name}": True for name in ("robots_ai", "ai_txt", "noai", "tdm")},
            }
            counts = {"documents_in": len(rows), "kept": len(records)}
            self.publish("raw_crawl", crawl, write, counts=counts, config=config)

    def extracted(self) -> None:
        for crawl in PAGES:
            pages = {name: n for name, n in PAGES[crawl].items() if (crawl, name) != (SECOND, "kept")}
            self.ledger("extracted_pages", crawl, pages, {}, "raw_crawl")

    def cleaned(self) -> None:
        dropped = {"short": Verdict(False, "gopher_word_count", 31, 50)}
        for crawl in PAGES:
            pages = {name: n for name, n in PAGES[crawl].items() if (crawl, name) != (SECOND, "kept")}
            self.ledger("cleaned_corpus", crawl, pages, dropped, "extracted_pages", shards=True)

    def deduped(self) -> None:
        dropped = {"copy": Verdict(False, "near_duplicate", 0.97, 0.8, related_doc=doc(1))}
        for crawl in PAGES:
            pages = {
                name: n
                for name, n in PAGES[crawl].items()
                if (crawl, name) != (SECOND, "kept") and name not in ("short", "copy")
            }
            pages |= {"copy": PAGES[crawl]["copy"]} if "copy" in PAGES[crawl] else {}
            self.ledger("deduped_shards", crawl, pages, dropped, "cleaned_corpus", shards=True)

    def ledger(self, stage, crawl, pages, dropped, reads, shards=False) -> None:
        rows = [ledger_row(crawl, stage, doc(n), url(name), dropped.get(name, KEEP)) for name, n in pages.items()]
        kept = {name: n for name, n in pages.items() if name not in dropped}

        def write(files: Path) -> None:
            write_ledger(files, ledger_frame(rows))
            if shards:
                (files / "shards").mkdir()
                self.documents(kept).write_parquet(files / "shards/00000.parquet")
            if stage == "deduped_shards":
                old = [{"doc_id": doc(4), "by_doc_id": doc(14), "crawl": FIRST}] if crawl == SECOND else []
                schema = {"doc_id": pl.String, "by_doc_id": pl.String, "crawl": pl.String}
                pl.DataFrame(old, schema=schema).write_parquet(files / "superseded.parquet")

        before = [found for found in [self.store.current(reads, crawl)] if found]
        self.publish(stage, crawl, write, before, {"documents_in": len(rows), "kept": len(kept)})

    def documents(self, pages) -> pl.DataFrame:
        rows = [
            {
                "doc_id": doc(n),
                "url": url(name),
                "canonical_url": url(name),
                "host": "site.example",
                "fetched_at": START,
                "source_kind": "web",
                "title": name,
                "text": "word " * n,
                "lang": "fr" if name == "french" else "en",
                "lang_score": 0.9,
                "n_words": n,
                "n_bytes": 5 * n,
                "n_pii": 0,
            }
            for name, n in pages.items()
        ]
        return pl.DataFrame(rows, schema=CLEANED)

    def tokenized(self) -> None:
        for crawl, pages in {FIRST: ["kept", "changed", "french", "held"], SECOND: ["changed", "new"]}.items():

            def write(files: Path, crawl=crawl, pages=pages) -> None:
                rows = [ledger_row(crawl, "tokenized_dataset", doc(PAGES[crawl][p]), url(p), KEEP) for p in pages]
                write_ledger(files, ledger_frame(rows))
                self.places(crawl, pages).write_parquet(files / "documents.parquet")

            self.publish("tokenized_dataset", crawl, write, [self.store.current("deduped_shards", crawl)])

    def places(self, crawl, pages) -> pl.DataFrame:
        numbers = [PAGES[crawl][p] for p in pages]
        return pl.DataFrame(
            {
                "doc_id": [doc(n) for n in numbers],
                "url": [url(p) for p in pages],
                "canonical_url": [url(p) for p in pages],
                "lang": ["fr" if p == "french" else "en" for p in pages],
                "source_kind": ["forum" if p == "new" else "web" for p in pages],
                "shard": [0] * len(pages),
                "start": [sum(numbers[:place]) for place in range(len(pages))],
                "length": numbers,
                "n_bytes": [5 * n for n in numbers],
            },
            schema_overrides={"shard": pl.Int32},
        )

    def mix(self) -> None:
        sources = self.of("tokenized_dataset")
        frames = []
        for artefact, pages in zip(sources, (["kept", "held"], ["changed", "new"]), strict=True):
            split = pl.Series("split", ["validation" if p == "held" else "train" for p in pages])
            epochs = pl.Series("epochs", [2 if p == "kept" else 1 for p in pages], dtype=pl.Int32)
            everything = self.places(
                artefact.partition, {FIRST: ["kept", "changed", "french", "held"]}.get(artefact.partition, pages)
            )
            mine = everything.filter(pl.col("url").is_in([url(p) for p in pages]))
            frames.append(mine.with_columns(pl.lit(artefact.ref).alias("ref"), split, epochs))
        rows = [ledger_row(c, "training_mix", doc(PAGES[c][p]), url(p), KEEP) for c, p in [(FIRST, "kept"), (SECOND, "new")]]
        rows += [
            ledger_row(SECOND, "training_mix", doc(14), url("changed"), KEEP),
            ledger_row(FIRST, "training_mix", doc(6), url("held"), Verdict(True, detail="validation")),
            ledger_row(FIRST, "training_mix", doc(4), url("changed"), Verdict(False, "superseded", related_doc=doc(14))),
            ledger_row(FIRST, "training_mix", doc(5), url("french"), Verdict(False, "language_not_in_mix", detail="fr")),
        ]

        def write(files: Path) -> None:
            write_ledger(files, ledger_frame(rows))
            pl.concat(frames).write_parquet(files / "documents.parquet")
            write_json(files / "mix.json", {"separator_id": 0, "vocab_size": 32})

        self.publish("training_mix", "all", write, sources)

    def instructions(self) -> None:
        """Two questions of one page that is in the mix, and one of a page that is not."""
        rows = [
            ledger_row(FIRST, "instruction_dataset", doc(1), url("kept"), KEEP),
            ledger_row(FIRST, "instruction_dataset", doc(6), url("held"), Verdict(False, "no_question")),
        ]
        questions = [
            {"id": f"q{n}", "doc_id": doc(d), "url": url(name), "task": "topic", "prompt": "Topic?", "answer": "né" * n}
            for n, d, name in ((1, 1, "kept"), (2, 1, "kept"), (3, 17, "new"))
        ]

        def write(files: Path) -> None:
            write_ledger(files, ledger_frame(rows))
            pl.DataFrame(questions).write_parquet(files / "train.parquet")

        self.publish("instruction_dataset", "all", write)

    def models(self) -> None:
        base = self.base()
        # the SFT model read an earlier base model, which readers no longer see
        old = Artefact("base_model", "all", "before", base.files)
        self.publish("sft_model", "all", lambda files: None, [old], weights=True)
        self.publish("quantized_export", "all", lambda files: None, self.of("sft_model"))

    def base(self, steps=STEPS, identity="", length=4, rows=2) -> Artefact:
        """A base model that read the first ``steps`` batches of ``rows`` windows of ``length`` tokens."""
        mix = self.store.current("training_mix")
        order = {"mix": mix.ref, "split": "train", "sequence_length": length, "batch_rows": rows, "seed": 1, "steps": 99}

        def write(files: Path) -> None:
            write_json(files / "data_order.json", order)

        metrics = {"best_step": steps, "tokens": steps * length * rows}
        return self.publish("base_model", "all", write, [mix], metrics=metrics, identity=identity, weights=True)
