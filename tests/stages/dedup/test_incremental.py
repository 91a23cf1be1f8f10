"""Crawl by crawl gives what all at once gives, whatever the split and the order of the crawls, and both do what the rule says."""

import random
from datetime import UTC, datetime, timedelta

import polars as pl
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from llm_assets.core.recipe.corpus import DedupedShardsConfig, RepeatedLines
from tests.stages.dedup.conftest import Bench
from tests.support import corpus

LINES = [f"this line number {n} stands on very many pages" for n in range(3)]
# 120 bands of 2: a pair at 0.5 is missed with a probability of 0.75^120 = 1e-15
CONFIG = DedupedShardsConfig(
    jaccard=0.5,
    bands=120,
    rows=2,
    prefer=[],
    repeated_lines=RepeatedLines(action="remove", max_pages=2, scope="all", min_words_left=0),
)


def crowd(rng):
    """Families of near-copies, exact copies, pages fetched again at their address, short texts, lines that many share."""
    bases = [[f"w{rng.randrange(60)}" for _ in range(rng.choice((3, 12, 25)))] for _ in range(6)]
    pages = {}
    for number in range(rng.randint(10, 40)):
        words = list(rng.choice(bases))
        for _ in range(rng.choice((0, 0, 1, 1, 2, 3))):
            words[rng.randrange(len(words))] = f"v{rng.randrange(4)}"
        text = "\n".join([" ".join(words), *rng.sample(LINES, rng.choice((0, 0, 1, 2)))])
        name = f"http://{rng.choice('ab')}.test/p{rng.randrange(25)}"
        row = corpus.row(name, text, day=rng.randint(1, 28), title=str(number), host=name[7:13])
        pages[row["doc_id"]] = row
    return list(pages.values())


def own_order(pages, prefer, links):
    """The judging order of one crawl, by the words of the recipe."""

    def place(row):
        link = links[row["doc_id"]]
        preferred = {
            "self_canonical": 1 if link is None else 0 if link == row["canonical_url"] else 2,
            "longer": -row["n_bytes"],
        }
        return [preferred[name] for name in prefer], row["fetched_at"], row["canonical_url"], row["doc_id"]

    return sorted(pages, key=place)


def brute_force(pages, width=5):
    """The rule itself, in plain Python over all pairs: doc_id → (rule, related), and doc_id → text that is left."""
    kept, found, texts = [], {}, {}
    seen = {}  # line → addresses of the kept pages that have it
    for row in pages:
        words = row["text"].split()
        mine = {tuple(words[at : at + width]) for at in range(len(words) - width + 1)}
        twin = next((other for other in kept if other["text"] == row["text"]), None)
        best, related = 0.0, None
        for other in kept:
            if mine and other["set"] and other["canonical_url"] != row["canonical_url"]:
                similarity = len(mine & other["set"]) / len(mine | other["set"])
                if similarity > best:
                    best, related = similarity, other["doc_id"]
        if twin:
            found[row["doc_id"]] = ("exact_duplicate", twin["doc_id"])
        elif best >= CONFIG.jaccard:
            found[row["doc_id"]] = ("near_duplicate", related)
        else:
            found[row["doc_id"]] = ("kept", None)
            kept.append({**row, "set": mine})
            url = row["canonical_url"]
            lines = row["text"].split("\n")
            shared = {line for line in lines if len(line.split()) >= CONFIG.repeated_lines.min_words}
            full = {line for line in shared if len(seen.get(line, set()) - {url}) >= CONFIG.repeated_lines.max_pages}
            stay = [line for line in lines if line not in full]
            texts[row["doc_id"]] = "\n".join(stay)
            for line in shared:
                seen.setdefault(line, set()).add(url)
    return found, texts


DROPPED = ["doc_id", "rule", "value", pl.when(~pl.col("kept")).then("related_doc")]


def read(folders, name, columns):
    return pl.concat([pl.read_parquet(folder / name).select(columns) for folder in folders]).sort("doc_id")


@given(
    seed=st.integers(0, 10**9),
    crawls=st.integers(1, 4),
    limit=st.sampled_from([1000, 2]),
    prefer=st.lists(st.sampled_from(["self_canonical", "longer"]), unique=True, max_size=2),
)
@example(seed=3, crawls=4, limit=2, prefer=[])
@example(seed=5639, crawls=1, limit=1000, prefer=[])  # a page's own line, on three pages, is repeated as well
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_crawl_by_crawl_gives_what_all_at_once_gives(tmp_path_factory, seed, crawls, limit, prefer):
    """Any split of any pages over crawls, in any order of fetching: the same fates, twins, texts and superseded pages."""
    rng = random.Random(seed)
    bench = Bench(tmp_path_factory.mktemp("split"))
    config = CONFIG.model_copy(update={"bucket_limit": limit, "prefer": prefer})
    parts = [[] for _ in range(crawls)]
    for row in crowd(rng):
        rng.choice(parts).append(row)
    links = {row["doc_id"]: rng.choice((None, row["canonical_url"], "http://c.test/")) for part in parts for row in part}
    older, judged = [], []
    for number, part in enumerate(parts):
        bench.links(f"c{number}", {row["doc_id"]: links[row["doc_id"]] for row in part})
        files, _ = bench.run(f"c{number}", [part[::2], part[1::2]], older, config)
        older.append(files)
        judged += own_order(part, prefer, links)
    # all at once, in the same order: the fetch times say it
    moments = [datetime(2026, 11, 1, tzinfo=UTC) + timedelta(hours=hour) for hour in range(len(judged))]
    at_once = [row | {"fetched_at": moment} for row, moment in zip(judged, moments, strict=True)]
    rng.shuffle(at_once)
    whole, _ = bench.run("all", [at_once], config=config.model_copy(update={"prefer": []}))
    batch = read([whole], "ledger.parquet", DROPPED)
    assert batch.equals(read(older, "ledger.parquet", DROPPED))
    texts = ["doc_id", "text", "n_words", "n_bytes"]
    left = read([whole], "shards/00000.parquet", texts)
    assert left.equals(read(older, "shards/*.parquet", texts))
    lines = ["doc_id", "lines", "bytes", "action"]
    assert read([whole], "repeated_lines.parquet", lines).equals(read(older, "repeated_lines.parquet", lines))
    if not prefer:  # which capture of an address is the newest goes by fetch time within a crawl
        replaced = pl.concat([pl.read_parquet(folder / "superseded.parquet") for folder in older])
        newest = replaced.unique("doc_id", keep="last", maintain_order=True).select("doc_id", "by_doc_id").sort("doc_id")
        assert newest.equals(read([whole], "superseded.parquet", ["doc_id", "by_doc_id"]))
    if limit == 1000:
        fates, stay = brute_force(judged)
        assert {doc: (rule, related) for doc, rule, _, related in batch.rows()} == fates
        assert {doc: text for doc, text, _, _ in left.rows()} == stay


def test_the_rule_meets_all_it_is_about():
    """The crowds that the property is tried on hold kept and dropped pages of every kind, and lines that go."""
    rules, gone = set(), 0
    for seed in range(20):
        pages = crowd(random.Random(seed))
        fates, texts = brute_force(pages)
        rules |= {rule for rule, _ in fates.values()}
        gone += sum(texts.get(row["doc_id"], row["text"]) != row["text"] for row in pages)
    assert rules == {"kept", "exact_duplicate", "near_duplicate"} and gone > 20
