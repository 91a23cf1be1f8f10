"""Copies among images: the banded look-up of ``image_dataset`` against comparing each hash with all, as image-hash lists do.

    python benchmarks/image_copies.py [--images 320000] [--distance 2]

Difference hashes of pictures that the demo's site draws, a fifth of them flipped in one to three bits, as a copy in another
format or size is. Both sides do the same job in the same order: drop a hash that is within the distance of one that was kept,
and name the nearest. The peer is vectorised (numpy, one exclusive-or and bit count over all kept hashes a question); their
answers must be equal. The input is doubled three times, and the slope of log seconds over log images says how each grows.
"""

import argparse
import math
import random
import time
from collections.abc import Callable, Sequence

import numpy as np
from _results import record, table, versions

from llm_assets.core.recipe.images import ImageDatasetConfig
from llm_assets.stages.crawl.site.images import image
from llm_assets.stages.images.copies import BITS, NearHashes, difference_hash
from llm_assets.stages.images.decode import decode

DRAWN = 600  # pictures drawn; their hashes' bits are recombined, so that bands are as crowded as real ones are


def hashes(count: int) -> list[int]:
    chance = random.Random(11)
    drawn = []
    for number in range(DRAWN):
        picture, _ = decode(image("benchmark", f"{number}.img")[0], ImageDatasetConfig())
        if picture is not None:
            drawn.append(difference_hash(picture.image))
    found: list[int] = []
    while len(found) < count:
        rows = [chance.choice(drawn) >> 8 * row & 0xFF for row in range(8)]  # a row of cells from one picture each
        value = sum(byte << 8 * row for row, byte in enumerate(rows))
        if found and chance.random() < 0.2:
            value = chance.choice(found) ^ sum(1 << bit for bit in chance.sample(range(BITS), chance.randint(1, 3)))
        found.append(value)
    return found


def ours(values: Sequence[int], distance: int) -> list[int]:
    index, twins, kept = NearHashes(distance), [], []
    for number, value in enumerate(values):
        near = index.near(value)
        twins.append(kept[near[0][1]] if near else -1)
        if not near:
            index.add(value)
            kept.append(number)
    return twins


def theirs(values: Sequence[int], distance: int) -> list[int]:
    kept, numbers, twins = np.zeros(len(values), np.uint64), [], []
    for number, value in enumerate(values):
        distances = np.bitwise_count(kept[: len(numbers)] ^ np.uint64(value))
        nearest = int(distances.argmin()) if len(numbers) else -1
        if nearest >= 0 and distances[nearest] <= distance:
            twins.append(numbers[nearest])
        else:
            twins.append(-1)
            kept[len(numbers)] = value
            numbers.append(number)
    return twins


def timed(work: Callable[[Sequence[int], int], list[int]], values: Sequence[int], distance: int) -> tuple[float, list[int]]:
    start = time.perf_counter()
    found = work(values, distance)
    return time.perf_counter() - start, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=320_000)
    parser.add_argument("--distance", type=int, default=2)
    given = parser.parse_args()
    values = hashes(given.images)
    lines: list[dict[str, object]] = []
    for count in (given.images // 8, given.images // 4, given.images // 2, given.images):
        mine, found = timed(ours, values[:count], given.distance)
        peer, expected = timed(theirs, values[:count], given.distance)
        assert found == expected, "the look-up and the comparison with all disagree"
        copies = sum(twin >= 0 for twin in found)
        lines.append({"images": count, "copies": copies, "banded s": mine, "with all s": peer, "ratio": peer / mine})
        print(
            "  ".join(
                f"{key} {value:.3f}" if isinstance(value, float) else f"{key} {value:,}" for key, value in lines[-1].items()
            )
        )
    grown = math.log(8)
    slopes = {
        key: math.log(float(str(lines[-1][key])) / float(str(lines[0][key]))) / grown for key in ("banded s", "with all s")
    }
    said = (
        f"ratio {float(str(lines[-1]['ratio'])):.0f} at {given.images:,} images, the same answers; "
        f"log-log slope {slopes['banded s']:.2f} against {slopes['with all s']:.2f}"
    )
    print(said)
    record(
        __file__, f"64-bit hashes within {given.distance} bits ({versions('numpy', 'pillow')}).\n\n{table(lines)}\n\n{said}."
    )


if __name__ == "__main__":
    main()
