"""However history is rewritten, the commits on the default branch are those of ``git rev-list``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tap_bitbucket_dc import writer
from tap_bitbucket_dc.emulator import Fault
from tap_bitbucket_dc.extract import history
from tests.contract.target import Target, flags, partitions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tap_bitbucket_dc.emulator import Bitbucket, Request
    from tests.conftest import Sync
    from tests.git_repository import GitRepository

COMMITS = "/ledger/commits"
NO_DEFAULT_BRANCH = Fault(
    status=404,
    content_type="application/json",
    body=b'{"errors":[{"message":"No default branch is defined","exceptionName":'
    b'"com.atlassian.bitbucket.repository.NoDefaultBranchException"}]}',
)


@pytest.fixture
def ledger(repository: Callable[[str], GitRepository]) -> GitRepository:
    return repository("PAY/ledger").facts(id=12)


def commits_asked(bitbucket: Bitbucket) -> list[dict[str, str]]:
    """Return the queries of the requests for commits, without start and limit."""
    return [
        {name: value for name, value in request.query.items() if name in {"until", "since"}}
        for request in bitbucket.requests
        if request.path.endswith(COMMITS)
    ]


def amend(ledger: GitRepository, base: str, count: int = 1) -> list[str]:
    """Force push other commits on top of a commit; return them, oldest first."""
    ledger.point("main", base)
    return [ledger.commit(f"Amended {n}") for n in range(count)]


def between_pages(bitbucket: Bitbucket, start: int, act: Callable[[], object]) -> None:
    """Call a function once, before the page of commits with this ``start`` is answered."""

    def hook(request: Request) -> None:
        if request.path.endswith(COMMITS) and request.query.get("start") == str(start):
            bitbucket.on_request.remove(hook)
            act()

    bitbucket.on_request.append(hook)


# Rewritten between two runs


def test_a_rewrite_marks_what_was_removed(
    target: Target, ledger: GitRepository, bitbucket: Bitbucket
) -> None:
    old = ledger.commits(5)
    target.read()
    bitbucket.requests.clear()
    new = amend(ledger, old[2], 2)
    output = target.read()
    assert flags(output) == [(new[1], True), (new[0], True), (old[4], False), (old[3], False)]
    assert commits_asked(bitbucket) == [
        {"until": new[1], "since": old[4]},
        {"until": old[4], "since": new[1]},
    ]
    assert target.holds(ledger)


def test_a_head_that_moves_back_removes_and_adds_nothing(
    target: Target, ledger: GitRepository
) -> None:
    old = ledger.commits(5)
    target.read()
    ledger.point("main", old[2])
    assert flags(target.read()) == [(old[4], False), (old[3], False)]
    assert target.holds(ledger)


def test_removed_commits_that_return_are_on_the_default_branch_again(
    target: Target, ledger: GitRepository
) -> None:
    old = ledger.commits(5)
    target.read()
    ledger.point("main", old[2])
    target.read()
    ledger.point("main", old[4])
    assert flags(target.read()) == [(old[4], True), (old[3], True)]
    assert target.holds(ledger)


def test_an_unrelated_history_takes_the_place_of_the_former(
    target: Target, ledger: GitRepository
) -> None:
    old = ledger.commits(3)
    target.read()
    new = ledger.commit("Another root", parents=[])
    assert flags(target.read()) == [(new, True), *((commit, False) for commit in reversed(old))]
    assert target.holds(ledger)


def test_an_idle_run_after_a_rewrite_says_nothing(target: Target, ledger: GitRepository) -> None:
    amend(ledger, ledger.commits(3)[0])
    target.read()
    assert flags(target.read()) == []


def test_a_removed_history_of_many_pages_is_marked_to_its_end(
    target: Target, ledger: GitRepository, bitbucket: Bitbucket
) -> None:
    bitbucket.page_caps["commits"] = 2
    old = ledger.commits(12)
    target.read()
    new = amend(ledger, old[0], 7)
    found = flags(target.read())
    assert {commit for commit, flag in found if flag} == set(new)
    assert {commit for commit, flag in found if not flag} == set(old[1:])
    assert len(found) == 18
    assert target.holds(ledger)


# The former head was collected


def test_a_collected_head_means_reading_all_with_a_warning(
    target: Target, ledger: GitRepository
) -> None:
    old = ledger.commits(5)
    target.read()
    new = amend(ledger, old[2], 2)
    ledger.gc()
    output = target.read()
    assert flags(output) == [(commit, True) for commit in (*new[::-1], *old[2::-1])]
    assert "PAY/ledger was rewritten and its former commits were garbage-collected" in output.log
    assert target.on_default_branch(12) - set(ledger.rev_list()) == set(old[3:])
    assert flags(target.read()) == []


def test_a_collected_head_of_a_branch_that_is_gone_keeps_its_flags_with_a_warning(
    target: Target, ledger: GitRepository
) -> None:
    old = ledger.commits(2)
    target.read()
    ledger.point("main", None)
    ledger.gc()
    output = target.read()
    assert flags(output) == []
    assert "PAY/ledger was rewritten and its former commits were garbage-collected" in output.log
    assert target.on_default_branch(12) == set(old)
    assert partitions(target.state) == {}


def test_a_merge_of_the_collected_history_is_on_the_default_branch(
    target: Target, ledger: GitRepository
) -> None:
    old = ledger.commits(4)
    target.read()
    side = ledger.commit("Another root", parents=[], branch="side")
    ledger.merge(old[2], side)
    ledger.point("side", None)
    ledger.gc()
    target.read()
    assert target.on_default_branch(12) - set(ledger.rev_list()) == {old[3]}


# Branches that are deleted and created again


@pytest.mark.parametrize("version", ["9.4.0", "5.5.0"])
def test_an_emptied_repository_has_no_commit_on_its_default_branch(
    target: Target, ledger: GitRepository, bitbucket: Bitbucket, version: str
) -> None:
    bitbucket.version = version
    old = ledger.commits(3)
    target.read()
    ledger.point("main", None)
    output = target.read()
    assert flags(output) == [(commit, False) for commit in reversed(old)]
    assert partitions(target.state) == {}
    assert flags(target.read()) == []
    ledger.point("main", old[1])
    assert flags(target.read()) == [(old[1], True), (old[0], True)]
    assert target.holds(ledger)


def test_a_deleted_default_branch_leaves_commits_on_other_branches_alone(
    target: Target, ledger: GitRepository
) -> None:
    old = ledger.commits(3)
    ledger.point("release", old[1])
    target.read()
    ledger.point("main", None)
    output = target.read()
    assert output.records("default_branches")[0]["status"] == "missing"
    assert target.on_default_branch(12) == set()


def test_a_first_push_is_read_when_it_comes(target: Target, ledger: GitRepository) -> None:
    assert target.read().records("default_branches")[0]["status"] == "empty"
    ledger.commits(2)
    assert len(flags(target.read())) == 2
    assert target.holds(ledger)


def test_a_renamed_default_branch_repeats_nothing_and_the_name_follows(
    target: Target, ledger: GitRepository, bitbucket: Bitbucket
) -> None:
    head = ledger.commits(3)[-1]
    target.read()
    ledger.point("trunk", head)
    ledger.default_branch = "trunk"
    bitbucket.requests.clear()
    output = target.read()
    assert flags(output) == []
    assert commits_asked(bitbucket) == []
    assert output.records("default_branches")[0]["display_id"] == "trunk"
    new = ledger.commit()
    (record,) = target.read().records("commits")
    assert (record["id"], record["branch"]) == (new, "trunk")


def test_another_default_branch_adds_its_own_and_removes_the_others(
    target: Target, ledger: GitRepository
) -> None:
    old = ledger.commits(3)
    target.read()
    new = ledger.commit("On trunk", parents=[old[0]], branch="trunk")
    ledger.default_branch = "trunk"
    assert flags(target.read()) == [(new, True), (old[2], False), (old[1], False)]
    assert target.holds(ledger)


@pytest.mark.usefixtures("small_writes")
def test_a_server_that_knows_no_commit_of_an_emptied_repository_is_no_failure(
    target: Target, ledger: GitRepository, bitbucket: Bitbucket
) -> None:
    bitbucket.page_caps["commits"] = 2
    ledger.commits(3)
    target.read()
    ledger.commits(4)
    target.read_until(2)
    ledger.point("main", None)
    bitbucket.faults.append(NO_DEFAULT_BRANCH.on(COMMITS, times=None))
    output = target.read()
    assert "PAY/ledger was rewritten and its former commits were garbage-collected" in output.log
    assert partitions(target.state) == {}


# Repositories that are moved, deleted and created again


@pytest.mark.parametrize("path", ["PAY/journal", "OPS/ledger"])
def test_a_repository_that_moves_repeats_nothing(
    target: Target, ledger: GitRepository, root: Path, path: str
) -> None:
    ledger.commits(3)
    target.read()
    ledger.rename(root / path)
    assert flags(target.read()) == []
    new = ledger.commit()
    (record,) = target.read().records("commits")
    where = f"{record['project_key']}/{record['repository_slug']}"
    assert (record["id"], record["repository_id"], where) == (new, 12, path)
    assert partitions(target.state)[12]["repository"] == path


def test_another_repository_under_the_same_name_is_read_in_full(
    target: Target, ledger: GitRepository, repository: Callable[[str], GitRepository]
) -> None:
    ledger.commits(3)
    target.read()
    ledger.delete()
    other = repository("PAY/ledger").facts(id=13)
    other.commits(3)  # the same dates, so the same ids
    assert len(flags(target.read())) == 3
    assert target.holds(other, 13)


def test_a_repository_that_left_its_name_to_another_keeps_its_place(
    target: Target,
    ledger: GitRepository,
    repository: Callable[[str], GitRepository],
    root: Path,
) -> None:
    ledger.commits(3)
    target.read(projects=["PAY"])
    ledger.rename(root / "OPS/ledger")
    repository("PAY/ledger").facts(id=13).commits(2)
    target.read(projects=["PAY"])
    assert sorted(partitions(target.state)) == [12, 13]
    target.read()
    assert target.holds(ledger)
    assert flags(target.read()) == []


@pytest.mark.parametrize("is_known", [True, False], ids=["known", "interrupted"])
@pytest.mark.parametrize("is_empty", [True, False])
def test_a_repository_whose_name_is_taken_between_listing_and_reading_fails(
    sync: Sync,
    target: Target,
    ledger: GitRepository,
    repository: Callable[[str], GitRepository],
    bitbucket: Bitbucket,
    root: Path,
    *,
    is_empty: bool,
    is_known: bool,
) -> None:
    ledger.commits(3)
    if not is_known:
        bitbucket.page_caps["commits"] = 1
        bitbucket.faults.append(Fault("ledger/commits.*start=1", status=500))
    target.take(sync(target.state, max_retries=0).messages)
    assert ("reading" in partitions(target.state)[12]) is not is_known

    def take_over(request: Request) -> None:
        if request.path.endswith("/ledger/branches/default"):
            bitbucket.on_request.clear()
            ledger.rename(root / "PAY/journal")
            other = repository("PAY/ledger").facts(id=13)
            if not is_empty:
                other.commit("Of another repository")

    bitbucket.on_request.append(take_over)
    output = sync(target.state)
    assert output.code == "unexpected_answer"
    assert "had the id 12 when it was listed, but now has the id 13" in output.last_line
    assert flags(output) == []
    target.take(output.messages)
    target.read()
    assert target.holds(ledger)
    assert flags(target.read()) == []


def test_two_repositories_that_change_names_are_told_apart(
    target: Target, ledger: GitRepository, repository: Callable[[str], GitRepository], root: Path
) -> None:
    ledger.commits(3)
    journal = repository("PAY/journal").facts(id=13)
    journal.commit("Another")
    target.read()
    ledger.rename(root / "PAY" / "aside")
    journal.rename(root / "PAY" / "ledger")
    ledger.rename(root / "PAY" / "journal")
    assert flags(target.read()) == []
    assert sorted(partitions(target.state)) == [12, 13]


def test_a_fork_has_commits_of_its_own_with_the_same_ids(
    target: Target, ledger: GitRepository, root: Path
) -> None:
    old = ledger.commits(3)
    target.read()
    fork = ledger.fork(root / "OPS" / "ledger").facts(id=13, origin="PAY/ledger")
    assert len(flags(target.read())) == 3
    fork.point("main", old[0])
    target.read()
    assert target.holds(ledger, 12)
    assert target.holds(fork, 13)


# Rewritten while it is read


def test_a_push_between_two_pages_changes_none_of_them(
    target: Target, ledger: GitRepository, bitbucket: Bitbucket
) -> None:
    bitbucket.page_caps["commits"] = 2
    old = ledger.commits(6)
    between_pages(bitbucket, 2, lambda: ledger.commits(3))
    assert {commit for commit, _ in flags(target.read(concurrency=1))} == set(old)
    assert len(flags(target.read())) == 3
    assert target.holds(ledger)


def test_a_rewrite_between_two_pages_changes_none_of_them(
    target: Target, ledger: GitRepository, bitbucket: Bitbucket
) -> None:
    bitbucket.page_caps["commits"] = 2
    old = ledger.commits(6)
    between_pages(bitbucket, 2, lambda: amend(ledger, old[1]))
    assert {commit for commit, _ in flags(target.read(concurrency=1))} == set(old)
    target.read()
    assert target.holds(ledger)


def test_a_first_read_whose_end_is_collected_starts_over_with_a_warning(
    target: Target, ledger: GitRepository, bitbucket: Bitbucket
) -> None:
    bitbucket.page_caps["commits"] = 2
    old = ledger.commits(6)

    def rewrite() -> None:
        amend(ledger, old[3])
        ledger.gc()

    between_pages(bitbucket, 2, rewrite)
    output = target.read(concurrency=1)
    assert "The responses about PAY/ledger are no longer consistent: starting over" in output.log
    assert "may still be marked" in output.log
    assert set(ledger.rev_list()) <= target.on_default_branch(12)
    assert target.on_default_branch(12) - set(ledger.rev_list()) <= set(old[4:])


def test_a_range_whose_end_is_collected_starts_over_from_the_head_in_state(
    target: Target, ledger: GitRepository, bitbucket: Bitbucket
) -> None:
    bitbucket.page_caps["commits"] = 2
    old = ledger.commits(3)
    target.read()
    lost = ledger.commits(5)

    def rewrite() -> None:
        ledger.point("release", old[2])
        amend(ledger, old[1])
        ledger.gc()

    between_pages(bitbucket, 2, rewrite)
    output = target.read(concurrency=1)
    assert "starting over" in output.log
    assert partitions(target.state)[12]["head"] == ledger.branch_tip()
    assert target.on_default_branch(12) - set(lost) == set(ledger.rev_list())
    assert flags(target.read()) == []


def test_a_range_whose_end_is_collected_is_forgotten_though_the_branch_came_back(
    target: Target, ledger: GitRepository, bitbucket: Bitbucket
) -> None:
    bitbucket.page_caps["commits"] = 2
    old = ledger.commits(3)
    target.read()
    ledger.commits(5)

    def come_back() -> None:
        ledger.point("main", old[2])
        ledger.gc()

    between_pages(bitbucket, 2, come_back)
    assert "may still be marked" in target.read(concurrency=1).log
    partition = partitions(target.state)[12]
    assert partition["head"] == old[2]
    assert "reading" not in partition
    assert "may still be marked" not in target.read().log


def test_a_branch_that_names_no_commit_of_its_repository_fails_alone(
    sync: Sync,
    ledger: GitRepository,
    repository: Callable[[str], GitRepository],
    bitbucket: Bitbucket,
) -> None:
    ledger.commits(2)
    journal = repository("PAY/journal").facts(id=13)
    journal.commit()

    def lie(body: dict[str, object]) -> dict[str, object]:
        return {**body, "latestCommit": "1" * 40}

    bitbucket.faults.append(
        Fault("ledger/branches/default", kind="replace", replace=lie, times=None)
    )
    output = sync()
    assert output.exit_code == 1
    assert "PAY/ledger" in output.last_line
    assert list(partitions(output.state)) == [13]
    assert [commit for commit, _ in flags(output)] == journal.rev_list()


# Killed, and then rewritten


@pytest.mark.usefixtures("small_writes")
@pytest.mark.parametrize("then", ["nothing", "back", "replaced", "emptied", "forward"])
@pytest.mark.parametrize("first", [True, False])
def test_a_run_killed_anywhere_and_then_a_force_push_leaves_right_flags(
    target: Target, ledger: GitRepository, bitbucket: Bitbucket, then: str, *, first: bool
) -> None:
    bitbucket.page_caps["commits"] = 2
    base = ledger.commits(4)
    if not first:
        target.read()
    side = ledger.commit("Side", parents=[base[1]], branch="side")
    amend(ledger, base[2], 3)
    tip = ledger.merge(str(ledger.branch_tip()), side)
    whole = len(flags(target.copy().read()))
    assert whole >= 6
    moved = {
        "nothing": tip,
        "back": base[3],
        "replaced": ledger.commit("Another root", parents=[], branch="side"),
        "emptied": None,
        "forward": ledger.commit("Next", parents=[tip], branch="side"),
    }
    for commits in range(whole + 1):
        ledger.point("main", tip)
        killed = target.copy()
        killed.read_until(commits)
        ledger.point("main", moved[then])
        killed.read()
        assert killed.holds(ledger), f"killed after {commits} commits"


@pytest.mark.usefixtures("small_writes")
def test_a_run_killed_while_it_finishes_the_range_of_another_is_finished(
    target: Target, ledger: GitRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = ledger.commits(4)
    target.read()
    amend(ledger, base[2], 5)
    target.read_until(2, page_size=2)
    amend(ledger, base[1], 5)
    monkeypatch.setattr(writer, "LEAST_BYTES", 100_000)  # both ranges are written together
    for commits in range(len(flags(target.copy().read())) + 1):
        killed = target.copy()
        killed.read_until(commits)
        killed.read()
        assert killed.holds(ledger), f"killed after {commits} commits"


@pytest.mark.usefixtures("small_writes")
@pytest.mark.parametrize("back", [True, False])
def test_a_run_killed_among_the_commits_of_an_emptied_repository_is_finished(
    target: Target, ledger: GitRepository, bitbucket: Bitbucket, *, back: bool
) -> None:
    bitbucket.page_caps["commits"] = 2
    old = ledger.commits(6)
    target.read()
    for commits in range(7):
        killed = target.copy()
        ledger.point("main", None)
        killed.read_until(commits)
        ledger.point("main", old[3] if back else None)
        killed.read()
        assert killed.holds(ledger), f"killed after {commits} commits"


@pytest.mark.usefixtures("small_writes")
@pytest.mark.parametrize("in_one_run", [True, False])
def test_commits_out_as_removed_return_though_the_head_that_removed_them_is_collected(
    target: Target, ledger: GitRepository, bitbucket: Bitbucket, *, in_one_run: bool
) -> None:
    bitbucket.page_caps["commits"] = 2
    old = ledger.commits(8)
    target.read()
    amend(ledger, old[1])

    def come_back() -> None:
        ledger.point("main", old[7])
        ledger.commit("On top")
        ledger.gc()

    if in_one_run:
        between_pages(bitbucket, 4, come_back)
    else:
        target.read_until(1 + 4)
        come_back()
    output = target.read(concurrency=1)
    assert "may still be marked" in output.log
    assert set(ledger.rev_list()) <= target.on_default_branch(12)
    assert len(target.on_default_branch(12)) == 8 + 1 + 1, "the amended one may stay"
    assert flags(target.read()) == []


# FULL_TABLE in between


@pytest.mark.parametrize("is_kept", [True, False])
def test_commits_that_only_a_full_table_run_saw_are_marked_when_they_are_removed(
    target: Target, ledger: GitRepository, *, is_kept: bool
) -> None:
    old = ledger.commits(4)
    target.read()
    amend(ledger, old[1], 3)
    full = target.read_full_table()
    assert set(ledger.rev_list()) == {commit for commit, flag in flags(full) if flag}
    assert {commit for commit, flag in flags(full) if not flag} == set(old[2:])
    if not is_kept:
        amend(ledger, old[0])
    target.read()
    assert target.holds(ledger)
    assert flags(target.read()) == []


# Clocks that were wrong


SEVENTIES = range(100, 108)  # seconds since 1970; git does not look beyond so many old commits


def merge_what_began_before_the_seventies(ledger: GitRepository) -> tuple[str, str]:
    """Merge a branch that starts before eight commits with wrong dates.

    Returns:
        The first parent of the merge, and the merge, which is the head.
    """
    base = ledger.commits(3)[1]
    for date in SEVENTIES:
        first = ledger.commit("A clock that starts at 1970", date=date)
    side = ledger.commit("Side", parents=[base], branch="side")
    side = ledger.commit("More", parents=[side], branch="side")
    return first, ledger.merge(first, side)


@pytest.mark.parametrize("is_amended", [False, True])
def test_live_commits_keep_their_flag_though_git_calls_them_removed(
    target: Target, ledger: GitRepository, *, is_amended: bool
) -> None:
    first, merge = merge_what_began_before_the_seventies(ledger)
    target.read()
    ledger.point("main", first)
    if is_amended:
        ledger.commit("Instead of the merge", date=110)
    claimed = set(ledger.rev_list(merge, "^main"))
    assert claimed & set(ledger.rev_list()), "git is right: then this test shows nothing"
    target.read()
    assert target.holds(ledger)
    assert flags(target.read()) == []


@pytest.mark.usefixtures("small_writes")
def test_live_commits_keep_their_flag_after_a_range_that_was_interrupted(
    target: Target, ledger: GitRepository, bitbucket: Bitbucket
) -> None:
    bitbucket.page_caps["commits"] = 2
    first, _ = merge_what_began_before_the_seventies(ledger)
    target.read()
    ledger.point("main", first)
    for date in range(110, 115):
        ledger.commit("Instead of the merge", date=date)
    target.read_until(3)
    target.read()
    assert target.holds(ledger)
    assert flags(target.read()) == []


def test_a_long_list_of_removed_commits_is_read_again_rather_than_kept(
    target: Target, ledger: GitRepository, monkeypatch: pytest.MonkeyPatch, bitbucket: Bitbucket
) -> None:
    monkeypatch.setattr(history, "MOST_KEPT", 4)
    bitbucket.page_caps["commits"] = 3
    old = ledger.commits(12)
    target.read()
    ledger.point("main", old[2])
    assert len(flags(target.read())) == 9
    assert target.holds(ledger)


def test_commits_that_git_calls_removed_because_clocks_were_wrong_keep_their_flags(
    target: Target, ledger: GitRepository
) -> None:
    ledger.commits(3)
    fork = ledger.commit("The last with a good clock")
    ledger.commit("Former", date=200)
    target.read()
    ledger.point("main", fork)
    for day in range(10):  # a clock that starts at 1970 each time
        ledger.commit("Amended", date=100 + day)
    removed = ledger.rev_list(str(partitions(target.state)[12]["head"]), "^main")
    assert fork in removed, "git is right: then this test shows nothing"
    output = target.read()
    assert (
        "PAY/ledger has commit dates out of order: reading its full history to compare"
        in output.log
    )
    assert target.holds(ledger)
    assert flags(target.read()) == []
