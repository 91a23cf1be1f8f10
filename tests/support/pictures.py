"""Images made in the test, as bytes of real files, and raw crawls that hold them."""

import gzip
import io
from datetime import UTC, datetime

import polars as pl
from PIL import Image, ImageDraw

from llm_assets.core.documents import RAW_INDEX, payload_digest


def picture(width=120, height=80, seed=0):
    """A gradient with a red disc that stands further right by each seed: no border, no symmetry."""
    image = Image.linear_gradient("L").resize((width, height)).point(lambda v: 40 + v * 3 // 5).convert("RGB")
    ImageDraw.Draw(image).ellipse([10 + seed * 7, 10, 50 + seed * 7, 50], fill=(250, 20, 20 + seed))
    return image


def noise(width=64, height=64, seed=0):
    """Pixels that nothing compresses, always the same for a seed."""
    import numpy as np

    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def encoded(image, kind="PNG", **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def record(payload, content_type, more=""):
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n{more}Content-Length: {len(payload)}\r\n\r\n".encode()
    body = head + payload
    warc = (
        "WARC/1.1\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:uuid:00000000-0000-0000-0000-000000000000>\r\n"
        "WARC-Date: 2026-11-01T00:00:00Z\r\nContent-Type: application/http; msgtype=response\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()
    return gzip.compress(warc + body + b"\r\n\r\n")


def doc(name):
    """The same id for a name wherever it stands in a crawl."""
    return payload_digest(name.encode())[7:39]


def crawl(folder, items):
    """A raw_crawl folder of (name, payload, changes to the index row); names that end in .html are pages."""
    (folder / "warc").mkdir(parents=True)
    rows, offset = [], 0
    with open(folder / "warc" / "part-00000.warc.gz", "wb") as handle:
        for name, payload, changes in items:
            page = name.endswith(".html")
            content_type = changes.pop("content_type", "text/html" if page else "image/png")
            data = record(payload, content_type, changes.pop("headers", ""))
            handle.write(data)
            url = f"http://site.example/{name}"
            rows.append(
                {
                    **dict.fromkeys(RAW_INDEX.names()),
                    "doc_id": doc(name),
                    "url": url,
                    "canonical_url": url,
                    "fetched_at": datetime(2026, 11, 1, tzinfo=UTC),
                    "status": 200,
                    "content_type": content_type,
                    "kind": "page" if page else "image",
                    "record_type": "response",
                    "payload_digest": payload_digest(payload),
                    "warc_file": "warc/part-00000.warc.gz",
                    "offset": offset,
                    "length": len(data),
                    "truncated": False,
                    "optout_robots_ai": False,
                    "optout_noai": False,
                    "optout_tdm": False,
                    "optout_ai_txt": False,
                    **changes,
                }
            )
            offset += len(data)
    pl.DataFrame(rows, schema=RAW_INDEX).write_parquet(folder / "index.parquet")
    return folder
