"""Repositories that tests write without git are what git would have written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.git_repository import EMPTY_TREE, FIRST_DATE, MANY, GitRepository

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def repository(tmp_path: Path) -> GitRepository:
    return GitRepository(tmp_path / "PAY" / "ledger")


def test_git_finds_no_fault_with_it(repository: GitRepository) -> None:
    first, *_, last = repository.commits(5)
    late = repository.commit("Läte", parents=[first], branch="release/1.x#é", date=FIRST_DATE - 9)
    merge = repository.merge(last, late, repository.commit("Root", parents=[], branch="other"))
    repository.tag("v1", merge)
    assert repository.git("fsck", "--strict") == ""
    assert repository.git("rev-parse", "HEAD", "refs/heads/release/1.x#é", "v1").split() == [
        merge,
        late,
        merge,
    ]


@pytest.mark.parametrize("count", [1, MANY - 1, MANY, 3000])
def test_many_commits_in_a_row_are_a_pack_and_few_are_not(
    repository: GitRepository, count: int
) -> None:
    commits = repository.commits(count)
    assert repository.rev_list() == commits[::-1]
    assert repository.git("fsck", "--strict") == ""
    packs = list((repository.path / "objects" / "pack").glob("*.pack"))
    assert len(packs) == (count >= MANY)
    last = f"tree {EMPTY_TREE}\n"
    assert repository.git("cat-file", "-p", commits[-1]).startswith(last)
    assert repository.git("log", "-1", "--format=%s %ct") == (
        f"Commit {count} {FIRST_DATE + 60 * (count - 1)}\n"
    )


def test_equal_worlds_have_equal_ids(tmp_path: Path) -> None:
    one, other = (GitRepository(tmp_path / name) for name in ("one", "other"))
    assert one.commits(3) == other.commits(3)


def test_a_commit_says_what_it_was_told_to(repository: GitRepository) -> None:
    repository.commit(
        "Subject\n\nBody",
        author="A <a@example.com>",
        committer="C <c@example.com>",
        author_date=1_500_000_000,
        date=1_600_000_000,
    )
    said = repository.git("log", "--format=%an|%ae|%at|%cn|%ce|%ct|%B")
    assert said == ("A|a@example.com|1500000000|C|c@example.com|1600000000|Subject\n\nBody\n\n")


def test_an_empty_repository_has_a_default_branch_and_no_commits(
    repository: GitRepository,
) -> None:
    assert (repository.default_branch, repository.branch_tip(), repository.rev_list()) == (
        "main",
        None,
        [],
    )


def test_another_default_branch_is_what_head_says(repository: GitRepository) -> None:
    repository.default_branch = "trunk"
    commit = repository.commit()
    assert repository.git("symbolic-ref", "HEAD") == "refs/heads/trunk\n"
    assert repository.branch_tip("trunk") == commit


@pytest.mark.parametrize("packed", [False, True])
def test_a_branch_is_moved_and_deleted_loose_or_packed(
    repository: GitRepository, *, packed: bool
) -> None:
    first, second = repository.commits(2)
    if packed:
        repository.gc()
    assert repository.branch_tip() == second
    repository.point("main", first)
    assert repository.rev_list() == [first]
    repository.point("main", None)
    assert repository.branch_tip() is None
    assert repository.git("for-each-ref") == ""


def test_gc_drops_what_no_branch_leads_to(repository: GitRepository) -> None:
    first, second = repository.commits(2)
    repository.point("main", first)
    assert repository.git("cat-file", "-t", second) == "commit\n"
    repository.gc()
    assert repository.git("rev-list", "--all", "--objects").split()[0] == first
    assert second not in repository.git("cat-file", "--batch-check", "--batch-all-objects")


def test_facts_are_configuration_that_git_reads(repository: GitRepository) -> None:
    repository.facts(id=7, name="old").facts(id=8, archived=True, description='a "b" \\ #c\nd')
    listed = repository.git("config", "--file", str(repository.path / "config"), "--list", "-z")
    assert listed.split("\0")[2:] == [
        "bitbucket.id\n8",
        "bitbucket.archived\ntrue",
        'bitbucket.description\na "b" \\ #c\nd',
        "",
    ]


def test_it_can_be_renamed_forked_and_deleted(repository: GitRepository, tmp_path: Path) -> None:
    commits = repository.commits(2)
    old = repository.path
    repository.rename(tmp_path / "NEW" / "book.git")
    fork = repository.fork(tmp_path / "~ada" / "book")
    assert not old.exists()
    assert fork.rev_list() == repository.rev_list() == commits[::-1]
    assert fork.git("config", "--file", str(fork.path / "config"), "bitbucket.origin") == (
        "NEW/book\n"
    )
    assert fork.commit() == repository.commit()  # its dates continue from the original's
    repository.delete()
    assert not repository.path.exists()


def test_what_is_there_already_is_opened(repository: GitRepository) -> None:
    commits = repository.commits(2)
    assert GitRepository(repository.path).rev_list() == commits[::-1]
