"""Worlds: a server whose repositories change between runs and while they are read.

A world is drawn from a ``Random``: either that of hypothesis, which can make a failing world
smaller, or one with a seed. ``claims`` says what must hold after each run.
"""

from __future__ import annotations

import collections
import contextlib
import threading
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tap_bitbucket_dc import writer
from tap_bitbucket_dc.bitbucket import Throttle
from tap_bitbucket_dc.emulator import Bitbucket
from tap_bitbucket_dc.tap import TapBitbucketDC
from tests import singer
from tests.git_repository import GitRepository
from tests.property import histories
from tests.property.claims import COLLECTED, RESTARTED, Claims, was_read
from tests.property.faults import LASTING, LIES, PASSING, Nth, is_about, is_lie, later_lies
from tests.property.histories import History

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import Self

    from tap_bitbucket_dc.emulator import Fault, Request
    from tap_bitbucket_dc.sync import Sync

RETRIES = 5
VERSIONS = ("9.4.0", "7.21.0", "5.5.0")
MISLED = "commit dates out of order"


class QuickTap(TapBitbucketDC):
    """The tap, except that it does not sleep before a retry."""

    def open_run(self, **_: Any) -> AbstractContextManager[Sync]:
        throttle = Throttle(self.config["concurrency"], sleep=lambda _: None)
        return super().open_run(throttle=throttle)


class Plan(NamedTuple):
    """What happens in one run. It is drawn before the run, so that threads cannot influence it.

    Attributes:
        settings: Settings of the tap.
        flush_bytes: How many bytes of records the tap collects before it writes them.
        changes: The change of a repository, with a seed for it, by the repository's id and the
            number of the request about it.
        faults: What goes wrong.
        cut: How many percent of the messages reach the target before ``kill -9``; None for all.
        batch_size: The largest number of records in a BATCH file; None for RECORD messages.
    """

    settings: dict[str, Any]
    flush_bytes: int
    changes: dict[tuple[int, int], tuple[histories.Change, int]]
    faults: list[Fault]
    cut: int | None
    batch_size: int | None = None

    @property
    def may_fail(self) -> bool:
        """Whether the run may exit with 1 or leave out a repository."""
        lasting = any(fault.status in {401, 404} for fault in self.faults)
        return self.collects or self.lies or lasting

    @property
    def lies(self) -> bool:
        return any(map(is_lie, self.faults))

    @property
    def collects(self) -> bool:
        return any(change in histories.COLLECTIONS for change, _ in self.changes.values())


class World:
    """A server whose repositories change, a target, and the tap between them.

    Attributes:
        counts: How many runs, changes, faults and so on there were, by name.
    """

    def __init__(self, root: Path, random: Random) -> None:
        self._random = random
        self._root = root
        self.counts: collections.Counter[str] = collections.Counter()
        self._ids = iter(range(1, 1000))
        self.histories: list[History] = []
        self.claims = Claims(self.histories)
        for number in range(random.randint(1, 4)):
            self._add(f"P{random.randint(1, 2)}/r{number}")
        version, stride = random.choice(VERSIONS), random.choice([0, 0, 1, 3])
        self.bitbucket = Bitbucket(root, version=version, stride=stride)
        self.bitbucket.page_caps["commits"] = random.randint(1, 7)

    def __enter__(self) -> Self:
        self.bitbucket.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.bitbucket.__exit__(*error)

    def live(self, runs: int) -> None:
        """Let the world change and the tap run, in turn; then run the tap twice, undisturbed."""
        for _ in range(runs):
            self._go_on()
            self.run(self._plan())
        quiet = Plan({"concurrency": 2}, 256, {}, [], None)
        self.run(quiet)
        again = self.run(quiet)
        assert not again.records("commits"), "the idle run repeats commits"

    # What changes.

    def _add(self, path: str) -> None:
        git = GitRepository(self._root / path)
        history = History(git, next(self._ids), skewed=self._random.randrange(2) == 0)
        for _ in range(self._random.randint(0, 3)):
            history.change(self._random, histories.GROWTH)
        self.histories.append(history)

    def _go_on(self) -> None:
        for history in self.histories:
            for _ in range(self._random.choice([0, 1, 1, 2, 3])):
                self.counts[history.change(self._random)] += 1
        if self._random.randrange(5) == 0:
            self._rearrange(self._random.choice(self.histories))

    def _rearrange(self, history: History) -> None:
        """Move a repository, replace it by another one with its name, or fork it."""
        path, old = f"P{self._random.randint(1, 3)}/n{next(self._ids)}", history.name
        happens = self._random.choice(["move", "move and replace", "delete and replace", "fork"])
        self.counts[happens] += 1
        if happens == "fork":
            fork = history.git.fork(self._root / path)
            self.histories.append(history.fork(fork, next(self._ids)))
        elif happens.startswith("move"):
            history.git.rename(self._root / path)
        else:
            history.git.delete()
            self.histories.remove(history)
            self.claims.replaced.add(history.id)
        if happens.endswith("replace"):
            self._add(old)

    # One run.

    def _plan(self) -> Plan:
        random = self._random
        settings = {"concurrency": random.randint(1, 8), "page_size": random.randint(1, 7)}
        flush_bytes = random.choice([1, 500, 3000, 256 * 1024])
        changes = {}
        if random.randrange(3) == 0:
            for _ in range(random.randint(1, 3)):
                history = random.choice(self.histories)
                change = random.choice(histories.CHANGES)
                seed = random.randrange(1 << 16)
                changes[history.id, random.randint(1, 6)] = change, seed
        faults = self._faults() if random.randrange(3) == 0 else []
        cut = random.randint(0, 100) if random.randrange(3) == 0 else None
        # Derived, not drawn: a seed that failed before must still produce the same world.
        files = sum(settings.values()) % 3 == 0
        batch_size = (1, 3, 10, 1000)[settings["concurrency"] % 4] if files else None
        return Plan(settings, flush_bytes, changes, faults, cut, batch_size)

    def _faults(self) -> list[Fault]:
        random = self._random
        kinds = PASSING if random.randrange(2) else [*PASSING, *LASTING]
        drawn = [random.choice(kinds) for _ in range(random.randint(1, RETRIES))]
        if random.randrange(2):
            lie = random.choice(LIES)
            if len(drawn) >= RETRIES - 1:  # derived, not drawn, as above
                later = later_lies([history.name for history in self.histories])
                lie = later[sum(history.id for history in self.histories) % len(later)]
            drawn.append(lie)
        return [
            fault.on(Nth(random.choice(self.histories).name, random.randint(1, 6)))
            for fault in drawn
        ]

    def run(self, plan: Plan) -> singer.Output:
        """Run the tap, check what it writes, and let the target take it."""
        claims = self.claims
        claims.begin()
        output = self._sync(plan)
        self._count(plan, output)
        claims.check_messages(output)
        claims.note_limits(output)
        complete = all(was_read(history, output) for history in self.histories)
        assert plan.may_fail or (complete and not output.exit_code), output.log
        if not (plan.collects or plan.lies):
            claims.check_emitted(output)
        taken = len(output.messages) if plan.cut is None else len(output.messages) * plan.cut // 100
        claims.table.take(output.messages[:taken])
        if plan.cut is None and not output.exit_code:
            claims.check_table(output)
        return output

    def _sync(self, plan: Plan) -> singer.Output:
        config = {"base_url": self.bitbucket.url, "token": "token", "max_retries": RETRIES}
        if plan.batch_size:
            config["batch_config"] = {
                "encoding": {"format": "jsonl", "compression": "gzip"},
                "storage": {"root": f"{self._root}-files"},
                "batch_size": plan.batch_size,
            }
        hook = _Hook(self.histories, plan)
        self.bitbucket.on_request[:] = [hook]
        self.bitbucket.faults[:] = plan.faults
        with flushing(plan.flush_bytes):
            output = singer.sync({**config, **plan.settings}, self.claims.table.state, tap=QuickTap)
        output = output._replace(messages=[*singer.unpacked(output.messages)])
        hook.end()
        self.bitbucket.on_request.clear()
        self.counts["changes while it runs"] += hook.changed
        left = self.bitbucket.faults
        self.counts["faults"] += len(plan.faults) - len(left)
        self.counts["lies"] += plan.lies - any(map(is_lie, left))
        self.bitbucket.faults.clear()
        return output

    def _count(self, plan: Plan, output: singer.Output) -> None:
        self.counts["runs"] += 1
        self.counts["kills"] += plan.cut is not None
        self.counts["runs with BATCH messages"] += plan.batch_size is not None
        self.counts["failed runs"] += output.exit_code
        for words in (RESTARTED, MISLED, *COLLECTED):
            self.counts[f"warned: {words}"] += output.log.count(words)


class _Hook:
    """Lets the planned changes happen at the planned requests."""

    def __init__(self, histories_: list[History], plan: Plan) -> None:
        self._histories = histories_
        self._plan = plan
        self._requests: collections.Counter[int] = collections.Counter()
        self._lock = threading.Lock()
        self.changed = 0

    def __call__(self, request: Request) -> None:
        with self._lock:
            for history in self._histories:
                if is_about(request, history.name):
                    self._requests[history.id] += 1
                    self._change(history)

    def end(self) -> None:
        """Make no more changes: requests that were sent ahead may arrive after the run."""
        with self._lock:
            self._histories = []

    def _change(self, history: History) -> None:
        planned = self._plan.changes.get((history.id, self._requests[history.id]))
        if planned:
            change, seed = planned
            change(history, Random(seed))  # noqa: S311 nothing secret
            self.changed += 1


@contextlib.contextmanager
def flushing(size: int) -> Iterator[None]:
    """Make the tap write its records as soon as they are ``size`` bytes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, "LEAST_BYTES", size)
        patch.setattr(writer, "TIMES_STATE", 0)
        yield
