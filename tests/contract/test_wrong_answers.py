"""A server that answers 200 and lies: no commit is lost, and none is marked wrongly."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from tap_bitbucket_dc.emulator import (
    EMPTY_PAGE,
    LAST_TOO_EARLY,
    START_IGNORED,
    START_IGNORED_AND_LAST,
    WITHOUT_FIRST_ROW,
    WITHOUT_LAST_ROW,
    WITHOUT_MIDDLE_ROW,
    WITHOUT_PARENTS,
    Fault,
    commits_of,
)
from tests.contract.target import Target, flags, partitions

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_bitbucket_dc.emulator import Bitbucket
    from tests import singer
    from tests.conftest import Sync
    from tests.git_repository import GitRepository

FIRST_PAGE, SECOND_PAGE = "ledger/commits.*start=0", "ledger/commits.*start=3"
NO_SUCH_COMMIT = Fault(
    status=404,
    content_type="application/json",
    body=b'{"errors":[{"message":"Commit does not exist","exceptionName":'
    b'"com.atlassian.bitbucket.commit.NoSuchCommitException"}]}',
)
LIES = {
    "nothing": EMPTY_PAGE.on(FIRST_PAGE),
    "nothing on page 2": EMPTY_PAGE.on(SECOND_PAGE),
    "page 1 is the last": LAST_TOO_EARLY.on(FIRST_PAGE),
    "page 2 is the last": LAST_TOO_EARLY.on(SECOND_PAGE),
    "page 1 without the head": WITHOUT_FIRST_ROW.on(FIRST_PAGE),
    "page 1 without a row": WITHOUT_MIDDLE_ROW.on(FIRST_PAGE),
    "page 2 without its first row": WITHOUT_FIRST_ROW.on(SECOND_PAGE),
    "page 2 without a row": WITHOUT_MIDDLE_ROW.on(SECOND_PAGE),
    "page 2 without its last row": WITHOUT_LAST_ROW.on(SECOND_PAGE),
    "page 1 again, as the last": START_IGNORED_AND_LAST.on(SECOND_PAGE),
    "a row without parents": WITHOUT_PARENTS.on(FIRST_PAGE),
}


@pytest.fixture
def ledger(repository: Callable[[str], GitRepository], bitbucket: Bitbucket) -> GitRepository:
    bitbucket.page_caps["commits"] = 3
    made = repository("PAY/ledger").facts(id=12)
    made.commits(11)
    return made


@pytest.fixture
def api(repository: Callable[[str], GitRepository]) -> GitRepository:
    made = repository("PAY/api").facts(id=13)
    made.commits(4)
    return made


@pytest.fixture
def wages(repository: Callable[[str], GitRepository], ledger: GitRepository) -> None:
    """A repository with other commits than ledger, but as many, so that the counts agree."""
    made = repository("PAY/wages").facts(id=14)
    for n in range(len(ledger.rev_list())):
        made.commit(f"Wages {n}")


def merge_a_side_branch(ledger: GitRepository) -> None:
    """Add eight commits to the default branch, and merge a branch of three into it."""
    base = ledger.rev_list()[4]
    ledger.commits(8)
    side = base
    for n in range(3):
        side = ledger.commit(f"Side {n}", parents=[side], branch="side")
    ledger.merge(str(ledger.branch_tip()), side)


def amend(ledger: GitRepository) -> None:
    """Replace the last five commits by seven others."""
    ledger.point("main", ledger.rev_list()[5])
    ledger.commits(7)


def failing_once(
    sync: Sync, target: Target, ledger: GitRepository, bitbucket: Bitbucket
) -> singer.Output:
    """Return the output of a run, which must fail; a second run without faults must succeed."""
    output = sync(target.state, concurrency=1)
    assert output.code == "unexpected_answer"
    target.take(output.messages)
    bitbucket.faults.clear()
    target.read()
    assert target.holds(ledger)
    return output


# A wrong answer that is sent once.


@pytest.mark.parametrize("lie", LIES)
def test_a_first_read_loses_nothing_to_a_lie(
    target: Target, ledger: GitRepository, bitbucket: Bitbucket, lie: str
) -> None:
    bitbucket.faults.append(LIES[lie])
    output = target.read()
    assert set(flags(output)) == {(commit, True) for commit in ledger.rev_list()}
    assert flags(target.read()) == []


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("change", [merge_a_side_branch, amend])
def test_an_incremental_read_loses_nothing_to_a_lie(
    target: Target,
    ledger: GitRepository,
    bitbucket: Bitbucket,
    change: Callable[[GitRepository], None],
    lie: str,
) -> None:
    target.read()
    change(ledger)
    bitbucket.faults.append(LIES[lie])
    output = target.read()
    assert target.holds(ledger)
    assert "dates out of order" not in output.log
    assert flags(target.read()) == []


@pytest.mark.parametrize("lie", LIES)
def test_removed_commits_are_all_marked_despite_a_lie(
    target: Target, ledger: GitRepository, bitbucket: Bitbucket, lie: str
) -> None:
    target.read()
    ledger.point("main", ledger.rev_list()[8])
    fault = LIES[lie]
    opposite = f"until={partitions(target.state)[12]['head']}.*since.*{str(fault.match)[-7:]}"
    bitbucket.faults.append(fault.on(opposite))
    target.read()
    assert target.holds(ledger)
    assert flags(target.read()) == []


@pytest.mark.parametrize("parents", [None, [{}]])
@pytest.mark.parametrize("is_first_read", [True, False])
def test_an_answer_that_ends_with_a_commit_without_parents_is_not_believed(
    target: Target,
    ledger: GitRepository,
    bitbucket: Bitbucket,
    parents: object,
    *,
    is_first_read: bool,
) -> None:
    def cut(body: singer.Json) -> singer.Json:
        row = {**body["values"][0], "parents": parents}
        return {**body, "values": [row], "isLastPage": True}

    if not is_first_read:
        target.read()
        amend(ledger)
    bitbucket.faults.append(Fault(FIRST_PAGE, kind="replace", replace=cut))
    target.read()
    assert target.holds(ledger)
    assert all(row["parent_ids"] is not None for row in target.commits.values())


@pytest.mark.parametrize("parents", [None, []])
def test_removed_commits_behind_one_without_parents_are_marked(
    target: Target, ledger: GitRepository, bitbucket: Bitbucket, parents: object
) -> None:
    def cut(body: singer.Json) -> singer.Json:
        row = {**body["values"][0], "parents": parents}
        return {**body, "values": [row], "isLastPage": True}

    target.read()
    ledger.point("side", ledger.rev_list()[0])
    ledger.point("main", None)
    bitbucket.faults.append(Fault(FIRST_PAGE, kind="replace", replace=cut))
    target.read()
    assert target.on_default_branch(12) == set()


def test_an_incremental_answer_that_ends_with_an_empty_list_of_parents_is_not_believed(
    target: Target, ledger: GitRepository, bitbucket: Bitbucket
) -> None:
    bitbucket.page_caps["commits"] = 100
    target.read()
    side = ledger.commits(1)[0]
    ledger.point("main", ledger.rev_list()[1])
    for n in range(3):
        side = ledger.commit(f"Side {n}", parents=[side], branch="side")
    ledger.merge(str(ledger.branch_tip()), side)

    def cut(body: singer.Json) -> singer.Json:
        rows = [*body["values"][:1], {**body["values"][1], "parents": []}]
        return {**body, "values": rows, "isLastPage": True}

    bitbucket.faults.append(Fault(FIRST_PAGE, kind="replace", replace=cut))
    target.read()
    assert target.holds(ledger)


def test_parents_that_an_interrupted_first_read_lacks_are_corrected(
    sync: Sync, target: Target, ledger: GitRepository, bitbucket: Bitbucket
) -> None:
    bitbucket.page_caps["commits"] = 1
    bitbucket.faults += [WITHOUT_PARENTS.on(FIRST_PAGE), Fault("start=1", status=500)]
    target.take(sync(target.state, max_retries=0).messages)
    target.read()
    assert target.holds(ledger)
    assert sum(not record["parent_ids"] for record in target.commits.values()) == 1


def test_a_commit_that_came_without_its_parents_is_corrected(
    target: Target, ledger: GitRepository, bitbucket: Bitbucket
) -> None:
    bitbucket.page_caps["commits"] = 1
    bitbucket.faults.append(WITHOUT_PARENTS.on(SECOND_PAGE))
    target.read(concurrency=1)
    ids = ledger.rev_list()
    found = {id_: record["parent_ids"] for (_, id_), record in target.commits.items()}
    assert found == {one: [*ids[n + 1 : n + 2]] for n, one in enumerate(ids)}


def test_both_directions_empty_are_not_believed(
    target: Target, ledger: GitRepository, bitbucket: Bitbucket
) -> None:
    target.read()
    ledger.commits(2)
    bitbucket.faults.append(EMPTY_PAGE.on("ledger/commits.*since=", times=2))
    target.read()
    assert target.holds(ledger)


@pytest.mark.usefixtures("wages")
@pytest.mark.parametrize("is_first_read", [True, False])
def test_commits_of_another_repository_do_not_go_out_under_this_one(
    sync: Sync,
    target: Target,
    ledger: GitRepository,
    bitbucket: Bitbucket,
    *,
    is_first_read: bool,
) -> None:
    if not is_first_read:
        target.read()
        merge_a_side_branch(ledger)
    bitbucket.faults.append(commits_of("PAY/wages").on(FIRST_PAGE))
    target.take(sync(target.state).messages)
    assert {id_ for repo, id_ in target.commits if repo == 12} <= set(ledger.rev_list())
    target.read()
    assert target.holds(ledger)


def test_one_wrong_word_about_the_default_branch_marks_nothing_as_removed(
    target: Target, ledger: GitRepository, bitbucket: Bitbucket
) -> None:
    target.read()
    bitbucket.faults.append(Fault("ledger/branches/default", status=204))
    assert flags(target.read()) == []
    assert target.holds(ledger)


@pytest.mark.usefixtures("wages")
@pytest.mark.parametrize("times", [1, None])
def test_commits_of_another_repository_are_not_sent_as_removed(
    sync: Sync,
    target: Target,
    ledger: GitRepository,
    bitbucket: Bitbucket,
    times: int | None,
) -> None:
    target.read()
    known = {*ledger.rev_list()}
    ledger.point("side", ledger.rev_list()[0])
    ledger.point("main", None)
    bitbucket.faults.append(commits_of("PAY/wages").on(FIRST_PAGE, times=times))
    output = sync(target.state)
    assert output.code == ("unexpected_answer" if times is None else "")
    target.take(output.messages)
    bitbucket.faults.clear()
    target.read()
    assert {id_ for repo, id_ in target.commits if repo == 12} == known
    assert target.on_default_branch(12) == set()


def test_one_wrong_head_repeats_nothing(
    target: Target, ledger: GitRepository, bitbucket: Bitbucket
) -> None:
    target.read()
    ledger.commit()
    wrong = Fault(
        "ledger/branches/default",
        kind="replace",
        replace=lambda body: {**body, "latestCommit": "b" * 40},
    )
    bitbucket.faults.append(wrong)
    output = target.read()
    assert flags(output) == [(ledger.rev_list()[0], True)]
    assert "may still be marked" not in output.log


def test_a_repository_that_is_listed_in_another_project_is_not_read_by_that_name(
    sync: Sync,
    target: Target,
    api: GitRepository,
    repository: Callable[[str], GitRepository],
    bitbucket: Bitbucket,
) -> None:
    docs, other = repository("OPS/docs").facts(id=21), repository("PAY/docs").facts(id=22)
    docs.commit("In OPS")
    other.commit("In PAY")
    listed = [
        {"id": 21, "slug": "docs", "project": {"id": 999, "key": "OPS"}},
        {"id": 13, "slug": "api"},
    ]
    bitbucket.faults.append(
        Fault(
            "/projects/PAY/repos",
            kind="replace",
            replace=lambda body: {**body, "values": listed},
        )
    )
    output = sync(projects=["PAY"])
    assert output.code == "unexpected_answer"
    assert "OPS/docs" in output.last_line
    target.take(output.messages)
    assert target.holds(api, 13)
    assert target.on_default_branch(21) == set()


def test_a_head_that_the_server_denies_once_is_not_taken_for_collected(
    sync: Sync, target: Target, ledger: GitRepository, bitbucket: Bitbucket
) -> None:
    target.read()
    amend(ledger)
    bitbucket.faults.append(NO_SUCH_COMMIT.on("ledger/commits.*since="))
    assert sync(target.state).code == "unexpected_answer"
    target.read()
    assert target.holds(ledger)


@pytest.mark.parametrize("lie", [EMPTY_PAGE, LAST_TOO_EARLY], ids=["nothing", "the last page"])
def test_a_full_table_run_after_a_rewrite_is_complete_despite_a_lie(
    target: Target, ledger: GitRepository, bitbucket: Bitbucket, lie: Fault
) -> None:
    target.read()
    amend(ledger)
    bitbucket.faults.append(lie.on(FIRST_PAGE))
    full = target.read_full_table()
    assert {commit for commit, flag in flags(full) if flag} == set(ledger.rev_list())
    assert target.holds(ledger)


# A first read that another run continues.


@pytest.mark.usefixtures("small_writes")
def test_a_lie_before_a_run_was_killed_is_found_by_the_next_one(
    sync: Sync, target: Target, ledger: GitRepository, bitbucket: Bitbucket
) -> None:
    bitbucket.faults += [WITHOUT_LAST_ROW.on(FIRST_PAGE), Fault(SECOND_PAGE, status=500)]
    target.take(sync(target.state, max_retries=0).messages)
    assert partitions(target.state)[12]["reading"]["start"] == 3
    output = target.read()
    assert "Reading PAY/ledger again" in output.log
    assert target.holds(ledger)


@pytest.mark.usefixtures("small_writes")
def test_a_first_read_is_not_continued_with_its_first_page(
    sync: Sync, target: Target, repository: Callable[[str], GitRepository], bitbucket: Bitbucket
) -> None:
    bitbucket.page_caps["commits"] = 3
    ledger = repository("PAY/ledger").facts(id=12)
    ledger.commits(6)
    bitbucket.faults.append(Fault(SECOND_PAGE, status=500))
    target.take(sync(target.state, max_retries=0).messages)
    assert partitions(target.state)[12]["reading"]["start"] == 3
    bitbucket.faults.append(START_IGNORED_AND_LAST.on(SECOND_PAGE))
    target.read()
    assert target.holds(ledger)


@pytest.mark.usefixtures("wages")
@pytest.mark.usefixtures("small_writes")
def test_a_first_read_is_not_continued_with_commits_of_another_repository(
    sync: Sync,
    target: Target,
    ledger: GitRepository,
    bitbucket: Bitbucket,
) -> None:
    bitbucket.faults.append(Fault("ledger/commits.*start=9", status=500))
    target.take(sync(target.state, max_retries=0).messages)
    assert partitions(target.state)[12]["reading"]["start"] == 9
    bitbucket.faults.append(commits_of("PAY/wages").on("ledger/commits.*start=9"))
    target.read()
    assert {id_ for repo, id_ in target.commits if repo == 12} == set(ledger.rev_list())
    assert target.holds(ledger)


@pytest.mark.usefixtures("small_writes")
def test_a_first_read_whose_branch_is_deleted_is_not_given_up_for_one_denial(
    sync: Sync, target: Target, ledger: GitRepository, bitbucket: Bitbucket
) -> None:
    bitbucket.faults.append(Fault(SECOND_PAGE, status=500))
    target.take(sync(target.state, max_retries=0).messages)
    ledger.point("side", ledger.rev_list()[0])
    ledger.point("main", None)
    bitbucket.faults.append(NO_SUCH_COMMIT.on("ledger/commits"))
    assert sync(target.state).code == "unexpected_answer"
    target.read()
    assert target.on_default_branch(12) == set()


@pytest.mark.usefixtures("small_writes")
def test_a_first_read_that_was_killed_repeats_only_what_was_under_way(
    target: Target, ledger: GitRepository, bitbucket: Bitbucket
) -> None:
    target.read_until(6)
    assert partitions(target.state)[12]["reading"]["start"] == 3
    bitbucket.requests.clear()
    assert len(flags(target.read(concurrency=1))) == 8
    assert requests(bitbucket) == 1 + 3
    assert target.holds(ledger)


@pytest.fixture
def parallel(ledger: GitRepository) -> list[str]:
    """The ids of commits on two parallel lines; each page but the last ends within both."""
    tip = ledger.rev_list()[0]
    one = other = tip
    for n in range(5):
        one = ledger.commit(f"One {n}", parents=[one], branch="one")
        other = ledger.commit(f"Other {n}", parents=[other], branch="other")
    ledger.merge(one, other)
    return ledger.rev_list()


@pytest.mark.usefixtures("small_writes")
def test_a_first_read_of_parallel_lines_that_was_killed_is_compared_and_not_repeated(
    sync: Sync, target: Target, ledger: GitRepository, bitbucket: Bitbucket, parallel: list[str]
) -> None:
    bitbucket.faults.append(Fault("ledger/commits.*start=6", status=500))
    target.take(sync(target.state, max_retries=0).messages)
    assert "checksum" in partitions(target.state)[12]["reading"]
    assert {commit for commit, _ in flags(target.read())} == set(parallel[6:])
    assert target.holds(ledger)


@pytest.mark.parametrize("lie", ["page 2 without its first row", "page 2 without a row"])
@pytest.mark.usefixtures("small_writes")
def test_a_row_that_an_interrupted_first_read_lacks_is_not_lost(
    sync: Sync,
    target: Target,
    ledger: GitRepository,
    bitbucket: Bitbucket,
    parallel: list[str],
    lie: str,
) -> None:
    bitbucket.faults += [LIES[lie], Fault("ledger/commits.*start=6", status=500)]
    target.take(sync(target.state, max_retries=0).messages)
    target.read()
    assert target.holds(ledger)
    assert target.on_default_branch(12) == set(parallel)


# A wrong answer that is sent every time.


STUBBORN = {
    "nothing": EMPTY_PAGE,
    "the first row is missing": WITHOUT_FIRST_ROW,
    "the start is ignored": START_IGNORED,
}


@pytest.mark.parametrize("lie", STUBBORN)
@pytest.mark.parametrize("is_first_read", [True, False])
def test_a_lie_that_stays_fails_the_repository_alone(
    sync: Sync,
    target: Target,
    ledger: GitRepository,
    api: GitRepository,
    bitbucket: Bitbucket,
    lie: str,
    *,
    is_first_read: bool,
) -> None:
    if not is_first_read:
        target.read()
        amend(ledger)
        api.commit()
    bitbucket.faults.append(STUBBORN[lie].on("ledger/commits", times=None))
    before = partitions(target.state)
    output = sync(target.state)
    assert output.code == "unexpected_answer"
    assert "PAY/ledger" in output.last_line
    target.take(output.messages)
    assert target.holds(api, 13)
    assert partitions(target.state)[12].get("head") == before.get(12, {}).get("head")
    bitbucket.faults.clear()
    target.read()
    assert target.holds(ledger)
    assert flags(target.read()) == []


def with_parents(commit: str, parents: object) -> Fault:
    """Return the fault that always gives a commit other parents."""

    def changed(row: dict[str, object]) -> dict[str, object]:
        return {**row, "parents": parents} if row["id"] == commit else row

    return Fault(
        "ledger/commits",
        kind="replace",
        replace=lambda body: {**body, "values": [changed(row) for row in body.get("values", [])]},
        times=None,
    )


def without(commit: str) -> Fault:
    """Return the fault that always removes one commit from the pages of commits."""
    return Fault(
        "ledger/commits",
        kind="replace",
        replace=lambda body: {
            **body,
            "values": [row for row in body.get("values", []) if row["id"] != commit],
        },
        times=None,
    )


@pytest.mark.parametrize("place", [0, 1], ids=["the head", "its parent"])
@pytest.mark.parametrize("change", [merge_a_side_branch, amend])
def test_a_commit_that_no_answer_shows_keeps_the_head_from_moving(
    sync: Sync,
    target: Target,
    ledger: GitRepository,
    bitbucket: Bitbucket,
    change: Callable[[GitRepository], None],
    place: int,
) -> None:
    bitbucket.page_caps["commits"] = 100
    target.read()
    change(ledger)
    bitbucket.faults.append(without(ledger.rev_list()[place]))
    failing_once(sync, target, ledger, bitbucket)


def test_a_side_branch_of_one_commit_that_no_answer_shows_is_not_lost(
    sync: Sync, target: Target, ledger: GitRepository, bitbucket: Bitbucket
) -> None:
    bitbucket.page_caps["commits"] = 100
    target.read()
    hidden = ledger.commit("Hidden", parents=[ledger.rev_list()[3]], branch="side")
    ledger.merge(str(ledger.branch_tip()), hidden)
    bitbucket.faults.append(without(hidden))
    output = failing_once(sync, target, ledger, bitbucket)
    assert hidden in output.last_line


def test_a_new_range_that_stays_empty_is_no_reset_unless_the_old_head_leads_to_the_new(
    sync: Sync, target: Target, ledger: GitRepository, bitbucket: Bitbucket
) -> None:
    target.read()
    amend(ledger)
    bitbucket.faults.append(EMPTY_PAGE.on(f"until={ledger.rev_list()[0]}", times=None))
    output = failing_once(sync, target, ledger, bitbucket)
    assert ledger.rev_list()[0] in output.last_line


@pytest.mark.parametrize("counts", [True, False])
@pytest.mark.parametrize("parents", [None, 5, [], [{"id": 5}]])
def test_a_commit_whose_parents_are_never_sent_hides_nothing(
    target: Target, ledger: GitRepository, bitbucket: Bitbucket, parents: object, *, counts: bool
) -> None:
    bitbucket.counts = counts
    bitbucket.faults.append(with_parents(ledger.rev_list()[4], parents))
    target.read()
    assert target.holds(ledger)
    ledger.commits(3)
    bitbucket.faults[:] = [with_parents(ledger.rev_list()[1], parents)]
    target.read()
    assert target.holds(ledger)


def test_what_was_confirmed_without_parents_has_to_arrive(
    sync: Sync, target: Target, ledger: GitRepository, bitbucket: Bitbucket
) -> None:
    listings = itertools.count(1)

    def without_parents(body: singer.Json) -> singer.Json:
        rows = [{**row, "parents": None} for row in body["values"]]
        # Twice nothing leads to the second row, the third time all is compared with the count.
        is_cut = body["start"] == 0 and len(rows) > 1 and next(listings) == 4
        return {**body, "values": rows, "isLastPage": body["isLastPage"] or is_cut}

    bitbucket.faults.append(
        Fault("ledger/commits", kind="replace", replace=without_parents, times=None)
    )
    output = failing_once(sync, target, ledger, bitbucket)
    assert (
        f"Bitbucket sent only 3 of {len(ledger.rev_list())} commits of PAY/ledger"
        in output.last_line
    )


def test_commits_that_nothing_leads_to_are_not_believed_if_bitbucket_counts_more(
    sync: Sync, target: Target, ledger: GitRepository, bitbucket: Bitbucket
) -> None:
    ids = ledger.rev_list()

    def cut_in_two(body: singer.Json) -> singer.Json:
        rows = [row for row in body["values"] if row["id"] != ids[5]]
        rows[4]["parents"] = []
        return {**body, "values": rows}

    bitbucket.faults.append(Fault(FIRST_PAGE, kind="replace", replace=cut_in_two, times=None))
    bitbucket.page_caps["commits"] = 100
    output = failing_once(sync, target, ledger, bitbucket)
    assert ids[6] in output.last_line


def test_the_error_names_what_is_missing(
    sync: Sync, ledger: GitRepository, bitbucket: Bitbucket
) -> None:
    bitbucket.faults.append(EMPTY_PAGE.on(f"until={ledger.rev_list()[0]}", times=None))
    output = sync()
    assert ledger.rev_list()[0] in output.last_line


# What the tap requests from a healthy server.


def requests(bitbucket: Bitbucket) -> int:
    return sum("/ledger/" in request.path for request in bitbucket.requests)


def test_a_first_read_and_a_linear_range_need_no_further_request(
    target: Target, ledger: GitRepository, bitbucket: Bitbucket
) -> None:
    target.read(concurrency=1)
    assert requests(bitbucket) == 1 + 4
    ledger.commits(2)
    bitbucket.requests.clear()
    target.read()
    assert requests(bitbucket) == 1 + 1


def test_each_branch_point_but_the_old_head_needs_one_request(
    target: Target, ledger: GitRepository, bitbucket: Bitbucket
) -> None:
    target.read()
    merge_a_side_branch(ledger)
    bitbucket.requests.clear()
    target.read()
    assert requests(bitbucket) == 1 + 4 + 1


def test_a_rewritten_branch_needs_no_further_request(
    target: Target, ledger: GitRepository, bitbucket: Bitbucket
) -> None:
    target.read()
    amend(ledger)
    bitbucket.requests.clear()
    target.read()
    assert requests(bitbucket) == 1 + 3 + 2
