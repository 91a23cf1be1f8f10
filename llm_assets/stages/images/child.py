"""A process that decodes images one after another, and may die of one.

``python -m llm_assets.stages.images.child`` reads a job as JSON from standard input (``files``, ``folder``, ``config``,
``rows`` of the index) and writes a line of JSON an image, as soon as it is done: the caller knows by what is missing of which
it died.
"""

import json
import os
import resource
import signal
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from llm_assets.core.errors import InputError
from llm_assets.core.ledger import Verdict
from llm_assets.core.recipe.images import ImageDatasetConfig
from llm_assets.core.warcs import WarcFiles
from llm_assets.stages.images.copies import difference_hash, thumbnail
from llm_assets.stages.images.decode import Picture, decode, quiet
from llm_assets.stages.images.records import payload_of
from llm_assets.stages.images.shape import flat, png, shaped


def prepared(
    opened: WarcFiles, files: Path, row: Mapping[str, Any], config: ImageDatasetConfig, folder: Path
) -> dict[str, Any]:
    """Decode and shape one image; its upright pixels go to ``folder/<doc_id>.png``.

    ``verdict``; and of an image that may be kept ``facts``, ``dhash`` and ``thumb`` as hex.
    """
    try:
        _, body = payload_of(opened, files, row)
    except InputError as error:
        said = str(error).replace(str(files), "")[:100]
        return {"verdict": asdict(Verdict(False, "unreadable_record", detail=said))}
    picture, verdict = decode(body, config)
    if picture is None:
        return {"verdict": asdict(verdict)}
    image, refused = shaped(picture.image, config)
    if image is None:
        return {"verdict": asdict(refused)}
    (folder / f"{row['doc_id']}.png").write_bytes(png(image))
    seen = flat(image)
    return {
        "verdict": asdict(verdict),
        "facts": _facts(picture, image.size, config),
        "dhash": f"{difference_hash(seen):016x}",
        "thumb": thumbnail(seen).tobytes().hex(),
    }


def _facts(picture: Picture, size: tuple[int, int], config: ImageDatasetConfig) -> dict[str, Any]:
    before = picture.image.size
    scaled = max(before) > config.max_side_pixels  # then shapes tell whether it was cropped
    cropped = abs(size[0] / size[1] / (before[0] / before[1]) - 1) > 0.01 if scaled else size != before
    return {
        "source_format": picture.format,
        "source_width": picture.width,
        "source_height": picture.height,
        "frames": picture.frames,
        "oriented": picture.oriented,
        "cropped": cropped,
        "transparent": picture.transparent,
        "profile": picture.profile,
    }


def main() -> int:
    """The process itself."""
    job = json.load(sys.stdin)
    config = ImageDatasetConfig.model_validate(job["config"])
    memory = config.max_memory_mb * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # whatever a native library prints must not end up among the answers
    with quiet(), WarcFiles() as opened:
        for row in job["rows"]:
            signal.setitimer(signal.ITIMER_PROF, config.max_cpu_seconds)  # its signal ends the process
            try:
                answer = prepared(opened, Path(job["files"]), row, config, Path(job["folder"]))
            except MemoryError:
                answer = {"verdict": asdict(Verdict(False, "decoder_memory", None, config.max_memory_mb, detail="MiB"))}
            signal.setitimer(signal.ITIMER_PROF, 0)
            answers.write(json.dumps(answer) + "\n")
            answers.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
