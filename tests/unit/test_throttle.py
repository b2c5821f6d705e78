"""The throttle of requests: bounds, speed, pauses, retries first, closing."""

from __future__ import annotations

import functools
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tap_bitbucket_dc.bitbucket.throttle import ClosedError, Throttle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WAIT = 5.0  # seconds after which something will not happen any more


class Clock:
    """Seconds as the test says."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Threads:
    """Threads that ask for a turn each, and what they came to."""

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []
        self.log: list[str] = []

    def start(self, throttle: Throttle, name: str, *, again: bool = False) -> threading.Event:
        """Let a thread take a turn and hold it until the event is set."""
        leave = threading.Event()

        def run() -> None:
            try:
                with throttle.turn(again=again):
                    self.log.append(name)
                    assert leave.wait(WAIT)
            except ClosedError:
                self.log.append(f"{name} is turned away")

        self.threads.append(threading.Thread(target=run, name=name))
        self.threads[-1].start()
        return leave

    def comes_to(self, *names: str) -> bool:
        """Wait until exactly these took their turn, in this order."""
        end = time.monotonic() + WAIT
        while self.log != list(names) and time.monotonic() < end:
            time.sleep(0.001)
        time.sleep(0.01)  # for one more that should not
        return self.log == list(names)


@pytest.fixture
def threads() -> Iterator[Threads]:
    started = Threads()
    yield started
    for thread in started.threads:
        thread.join(WAIT)
        assert not thread.is_alive()


def take_turn(throttle: Throttle) -> None:
    """Send a request that takes no time."""
    with throttle.turn():
        pass


def test_no_more_requests_are_under_way_than_allowed(threads: Threads) -> None:
    throttle = Throttle(2)
    first, second = threads.start(throttle, "1"), threads.start(throttle, "2")
    assert threads.comes_to("1", "2")
    third = threads.start(throttle, "3")
    assert threads.comes_to("1", "2")
    first.set()
    assert threads.comes_to("1", "2", "3")
    second.set()
    third.set()


def test_a_turn_that_fails_is_given_back() -> None:
    throttle = Throttle(1)
    with pytest.raises(ZeroDivisionError), throttle.turn():
        1 / 0  # noqa: B018
    take_turn(throttle)  # would wait for ever


def seconds_of(*actions: Callable[[], object]) -> float:
    """Return the seconds that actions take, one after the other."""
    began = time.monotonic()
    for action in actions:
        action()
    return time.monotonic() - began


def test_requests_follow_each_other_no_faster_than_the_limit_says() -> None:
    throttle = Throttle(8, per_second=20)
    turns = [functools.partial(take_turn, throttle)] * 4
    assert 3 / 20 <= seconds_of(*turns) < WAIT


def test_time_without_requests_is_not_saved_up_for_later() -> None:
    throttle = Throttle(8, per_second=10)
    turn = functools.partial(take_turn, throttle)
    turn()
    time.sleep(0.25)
    assert 1 / 10 <= seconds_of(turn, turn) < WAIT


def test_a_pause_holds_for_everyone() -> None:
    throttle = Throttle(8)
    assert 0.1 <= seconds_of(lambda: throttle.pause(0.1), lambda: take_turn(throttle)) < WAIT


def test_a_shorter_pause_does_not_cut_a_longer_one() -> None:
    throttle = Throttle(8)
    pauses = [functools.partial(throttle.pause, 0.1), functools.partial(throttle.pause, 0)]
    assert 0.1 <= seconds_of(*pauses, lambda: take_turn(throttle)) < WAIT


def test_a_pause_is_measured_by_the_clock() -> None:
    clock = Clock()
    throttle = Throttle(8, clock=clock)
    throttle.pause(1000)
    clock.now += 1000
    take_turn(throttle)  # would wait for a quarter of an hour


def test_after_a_pause_requests_begin_again_one_by_one(threads: Threads) -> None:
    throttle = Throttle(8)
    throttle.pause(0)
    first = threads.start(throttle, "1")
    assert threads.comes_to("1")
    second, third = threads.start(throttle, "2"), threads.start(throttle, "3")
    assert threads.comes_to("1")
    throttle.answered()
    assert len(threads.log) <= 2
    end = time.monotonic() + WAIT
    while len(threads.log) < 2 and time.monotonic() < end:
        time.sleep(0.001)
    time.sleep(0.01)
    assert len(threads.log) == 2
    for leave in (first, second, third):
        leave.set()


def test_answers_never_let_more_through_than_may_be_at_once(threads: Threads) -> None:
    throttle = Throttle(2)
    throttle.pause(0)
    for _ in range(9):
        throttle.answered()
    first, second = threads.start(throttle, "1"), threads.start(throttle, "2")
    assert threads.comes_to("1", "2")
    third = threads.start(throttle, "3")
    assert threads.comes_to("1", "2")
    for leave in (first, second, third):
        leave.set()


def test_as_many_go_on_together_after_a_pause_as_may_be_at_once(threads: Threads) -> None:
    throttle = Throttle(2)
    throttle.pause(0.1)
    first = threads.start(throttle, "1")
    time.sleep(0.02)
    second = threads.start(throttle, "2")
    time.sleep(0.02)
    for _ in range(9):
        throttle.answered()
    assert threads.comes_to("1", "2")
    first.set()
    second.set()


def test_requests_pass_in_order_of_arrival(threads: Threads) -> None:
    clock = Clock()
    throttle = Throttle(2, clock=clock)
    throttle.pause(1000)
    first = threads.start(throttle, "1")
    time.sleep(0.02)
    clock.now += 1000  # the first does not know yet
    second = threads.start(throttle, "2")
    time.sleep(0.02)
    throttle.answered()
    assert threads.comes_to("1", "2")
    first.set()
    second.set()


def test_a_retry_goes_before_those_that_waited_longer(threads: Threads) -> None:
    throttle = Throttle(1)
    first = threads.start(throttle, "1")
    assert threads.comes_to("1")
    new = threads.start(throttle, "new")
    time.sleep(0.02)
    retry = threads.start(throttle, "retry", again=True)
    time.sleep(0.02)
    first.set()
    assert threads.comes_to("1", "retry")
    retry.set()
    assert threads.comes_to("1", "retry", "new")
    new.set()


def test_waiting_threads_are_turned_away_when_it_closes(threads: Threads) -> None:
    throttle = Throttle(1)
    first = threads.start(throttle, "1")
    assert threads.comes_to("1")
    threads.start(throttle, "2")
    time.sleep(0.01)
    throttle.close()
    assert threads.comes_to("1", "2 is turned away")
    first.set()
    with pytest.raises(ClosedError):
        take_turn(throttle)


def test_a_retry_that_is_turned_away_blocks_nobody(threads: Threads) -> None:
    throttle = Throttle(1)
    first = threads.start(throttle, "1")
    assert threads.comes_to("1")
    threads.start(throttle, "retry", again=True)
    time.sleep(0.01)
    throttle.close()
    assert threads.comes_to("1", "retry is turned away")
    first.set()


def test_sleep_lasts_as_long_as_said() -> None:
    assert 0.05 <= seconds_of(lambda: Throttle(1).sleep(0.05)) < WAIT


def test_sleep_ends_when_it_is_closed() -> None:
    throttle = Throttle(1)
    threading.Timer(0.02, throttle.close).start()
    began = time.monotonic()
    throttle.sleep(60)
    assert time.monotonic() - began < WAIT


def test_a_sleep_of_the_caller_takes_the_place_of_sleeping() -> None:
    slept: list[float] = []
    throttle = Throttle(1, sleep=slept.append)
    throttle.sleep(60)
    assert slept == [60]
