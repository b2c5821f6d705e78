"""Draws worlds for as long as you like: ``python -m tests.property --worlds 1000 --seed 1``.

Prints how many worlds, runs, changes, faults and kills there were, and each failure with the seed
that reproduces it: ``python -m tests.property --worlds 1 --seed 17``.
"""

from __future__ import annotations

import argparse
import collections
import sys
import time
import traceback
from random import Random
from typing import TextIO

from tests.property.test_worlds import live


def main(out: TextIO = sys.stdout) -> int:
    """Draw worlds, and return how many failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.property", description=__doc__)
    parser.add_argument("--worlds", type=int, default=1000, help="how many, 1000 by default")
    parser.add_argument("--seed", type=int, default=0, help="of the first world; 0 by default")
    options = parser.parse_args()
    started = time.monotonic()
    counts: collections.Counter[str] = collections.Counter()
    failed: list[int] = []
    for seed in range(options.seed, options.seed + options.worlds):
        try:
            counts += live(Random(seed)).counts  # noqa: S311 nothing secret
        except AssertionError:
            failed.append(seed)
            print(f"seed {seed}:\n{traceback.format_exc()}", file=out, flush=True)
    seconds = time.monotonic() - started
    print(f"{options.worlds} worlds, {seconds:.0f} s, failed: {failed or 'none'}", file=out)
    for what, count in counts.most_common():
        print(f"{count:8} {what}", file=out)
    return len(failed)


if __name__ == "__main__":
    sys.exit(min(main(), 1))
