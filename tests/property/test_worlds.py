"""Whatever happens, the tap emits the commits of ``git rev-list``: a small sample of worlds.

``python -m tests.property --worlds 1000 --seed 1`` draws more.
"""

from __future__ import annotations

from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.property.worlds import World

WORLDS = 25
FAILED_ONCE = {
    1: "the end of a range was collected while it was read, and the run did not warn",
    37: "the same, and the branch came back to where it was: the range stayed in the state",
    20: "git lists as removed what the new head leads to, because clocks were wrong",
    74: "the same",
    50302: "git listed what lies behind the old head, though no date showed a wrong clock",
    50318: "a parent that had come with a merge was requested again, and came twice",
    210951: "the end of an interrupted first read was denied once, and believed to be collected",
    210969: "commits of another repository were sent as removed ones",
}


def live(random: Random) -> World:
    """Create a world, let it change during a few runs, and return it."""
    with TemporaryDirectory() as root, World(Path(root, "git"), random) as world:
        world.live(random.randint(2, 4))
    return world


@settings(
    max_examples=WORLDS,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.randoms(use_true_random=False))
def test_what_is_emitted_is_what_git_says(random: Random) -> None:
    live(random)


@pytest.mark.parametrize("seed", FAILED_ONCE)
def test_a_world_that_failed_once_holds(seed: int) -> None:
    world = live(Random(seed))  # noqa: S311 nothing secret
    assert world.counts["runs"]
