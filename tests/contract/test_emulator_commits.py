"""The emulator's commits are git's: the same ones, in the same order, with the same content."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tap_bitbucket_dc.emulator import Bitbucket, Request, User
from tap_bitbucket_dc.emulator import git as emulator_git
from tap_bitbucket_dc.emulator.git import Recent
from tests.contract.api import body, error, get, ids, pages
from tests.git_repository import ADA, EMPTY_TREE, GitRepository

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LEDGER = "/projects/PAY/repos/ledger"
COMMITS = f"{LEDGER}/commits"


@pytest.fixture
def ledger(tmp_path: Path) -> GitRepository:
    return GitRepository(tmp_path / "PAY" / "ledger")


@pytest.fixture
def bitbucket(ledger: GitRepository) -> Iterator[Bitbucket]:
    with Bitbucket(ledger.path.parents[1]) as bitbucket:
        yield bitbucket


@pytest.fixture
def git_runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The git commands that the emulator runs from now on."""
    runs: list[str] = []
    run = emulator_git.run

    def noted(*command: str, asked: str = "") -> bytes:
        runs.append(command[1])
        return run(*command, asked=asked)

    monkeypatch.setattr(emulator_git, "run", noted)
    return runs


def only(bitbucket: Bitbucket) -> dict[str, Any]:
    """Return the only commit."""
    (commit,) = body(bitbucket, COMMITS)["values"]
    found: dict[str, Any] = commit
    return found


# Which commits


def test_all_commits_come_in_the_order_of_git(bitbucket: Bitbucket, ledger: GitRepository) -> None:
    first = ledger.commit()
    for n, date in enumerate((9, 3, 3, 2**31, 7, 7)):
        ledger.commit(f"Side {n}", parents=[first], branch=f"side-{n % 3}", date=date)
        ledger.commit(f"Main {n}", date=10 - n)
    sides = [ledger.branch_tip(f"side-{n}") or "" for n in range(3)]
    ledger.merge(ledger.branch_tip() or "", *sides, message="Octopus")
    ledger.merge(ledger.branch_tip() or "", ledger.commit("Root", parents=[], branch="root"))
    assert ids(bitbucket, COMMITS, limit=4) == ledger.rev_list()
    assert len(ledger.rev_list()) == 13


def test_since_excludes_by_ancestry_not_by_date(
    bitbucket: Bitbucket, ledger: GitRepository
) -> None:
    first, _, old = ledger.commits(3)
    late = ledger.commit("Late", parents=[first], branch="late", date=1)
    merge = ledger.merge(old, late)
    assert ids(bitbucket, COMMITS, until=merge, since=old) == [merge, late]
    assert ids(bitbucket, COMMITS, until=old, since=merge) == []
    assert ids(bitbucket, COMMITS, until=late, since=old) == [late]


def test_both_ends_may_be_branches_tags_or_beginnings_of_ids(
    bitbucket: Bitbucket, ledger: GitRepository
) -> None:
    commits = ledger.commits(4)
    ledger.point("release/1.x#é", commits[2])
    ledger.tag("v1", commits[0])
    ledger.git("-c", f"user.name={ADA}", "-c", "user.email=x", "tag", "-am", "2", "v2", commits[1])
    for until in ("release/1.x#é", "refs/heads/release/1.x#é", commits[2][:9], commits[2]):
        for since in ("v1", "refs/tags/v1", commits[0][:7]):
            assert ids(bitbucket, COMMITS, until=until, since=since) == commits[2:0:-1]
    assert ids(bitbucket, COMMITS, since="v2") == commits[:1:-1]


def test_the_id_of_a_tag_means_its_commit_and_that_of_a_file_means_none(
    bitbucket: Bitbucket, ledger: GitRepository
) -> None:
    commits = ledger.commits(2)
    ledger.git("-c", "user.name=A", "-c", "user.email=x", "tag", "-am", "1", "v1", commits[0])
    tag = ledger.git("rev-parse", "v1").strip()
    assert tag != commits[0]
    assert ids(bitbucket, COMMITS, until=tag) == commits[:1]
    assert ids(bitbucket, COMMITS, since=tag) == commits[1:]
    file = ledger.git("hash-object", "-w", str(ledger.path / "config")).strip()
    for id_ in (file, file[:9]):
        assert error(get(bitbucket, COMMITS, until=id_))[1] == "NoSuchCommitException"


@pytest.mark.parametrize("end", ["until", "since"])
@pytest.mark.parametrize(
    "name",
    ["nope", "0" * 40, "f" * 40, EMPTY_TREE, "--all", "a\nb", "HEAD~1", "main@{u}", "a b", "\0"],
)
def test_an_end_that_is_no_commit_is_refused(
    bitbucket: Bitbucket, ledger: GitRepository, end: str, name: str
) -> None:
    ledger.commits(2)
    assert error(get(bitbucket, COMMITS, **{end: name})) == (
        404,
        "NoSuchCommitException",
        f"Commit '{name}' does not exist in repository 'ledger'.",
    )


def test_a_missing_end_can_be_ignored(bitbucket: Bitbucket, ledger: GitRepository) -> None:
    commits = ledger.commits(2)
    assert ids(bitbucket, COMMITS, since="f" * 40, ignoreMissing="true") == commits[::-1]
    assert ids(bitbucket, COMMITS, until="f" * 40, ignoreMissing="true") == []


@pytest.mark.parametrize("count", [3, 2000])
def test_a_commit_removed_by_a_force_push_answers_until_it_is_collected(
    bitbucket: Bitbucket, ledger: GitRepository, count: int
) -> None:
    *_, kept, gone = ledger.commits(count)
    asked = {"until": kept, "since": gone}
    assert ids(bitbucket, COMMITS, until=gone, since=kept) == [gone]
    ledger.point("main", kept)
    assert ids(bitbucket, COMMITS, until=gone, since=kept) == [gone]
    assert ids(bitbucket, COMMITS, **asked) == []
    ledger.gc()
    for query in (asked, {"until": gone}, {"until": gone, "since": kept}):
        assert error(get(bitbucket, COMMITS, **query))[1] == "NoSuchCommitException"
    assert error(get(bitbucket, f"{COMMITS}/{gone}"))[1] == "NoSuchCommitException"
    assert body(bitbucket, COMMITS)["values"][0]["id"] == kept


@pytest.mark.parametrize("command", ["rev-list", "cat-file"])
def test_a_commit_that_is_collected_while_it_is_read_is_missing(
    bitbucket: Bitbucket,
    ledger: GitRepository,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
) -> None:
    *_, kept, gone = ledger.commits(2000)
    ledger.point("main", kept)
    run = emulator_git.run

    def collected_before(*words: str, asked: str = "") -> bytes:
        if words[1:] != ("cat-file", "--batch-check") and words[1] == command:
            ledger.gc()
        return run(*words, asked=asked)

    monkeypatch.setattr(emulator_git, "run", collected_before)
    assert error(get(bitbucket, COMMITS, until=gone))[::2] == (
        404,
        f"Commit '{gone}' does not exist in repository 'ledger'.",
    )


def test_merges_can_be_excluded_or_be_the_only_commits(
    bitbucket: Bitbucket, ledger: GitRepository
) -> None:
    one, other = ledger.commit(), ledger.commit(parents=[], branch="other")
    merge = ledger.merge(one, other)
    assert ids(bitbucket, COMMITS, merges="only") == [merge]
    assert ids(bitbucket, COMMITS, merges="exclude") == [other, one]
    assert ids(bitbucket, COMMITS, merges="include") == [merge, other, one]
    assert get(bitbucket, COMMITS, merges="maybe").status_code == 400


def test_counts_are_of_the_whole_range_and_only_on_demand(
    bitbucket: Bitbucket, ledger: GitRepository
) -> None:
    first, *_ = ledger.commits(4)
    ledger.commit(author="Bob <bob@example.com>")
    page = body(bitbucket, COMMITS, withCounts="true", limit=2, since=first)
    assert (page["size"], page["totalCount"], page["authorCount"]) == (2, 4, 2)
    assert "totalCount" not in body(bitbucket, COMMITS)


def test_a_server_may_not_count_at_all(bitbucket: Bitbucket, ledger: GitRepository) -> None:
    ledger.commits(3)
    counted = body(bitbucket, COMMITS, withCounts="true")
    bitbucket.counts = False
    uncounted = body(bitbucket, COMMITS, withCounts="true")
    assert counted == {**uncounted, "totalCount": 3, "authorCount": 1}


def test_a_push_between_two_pages_shifts_those_of_a_branch_but_not_of_a_commit(
    bitbucket: Bitbucket, ledger: GitRepository
) -> None:
    commits = ledger.commits(6)

    def push(request: Request) -> None:
        if request.query.get("start") == "2":
            ledger.commit("Pushed")

    bitbucket.on_request.append(push)
    assert ids(bitbucket, COMMITS, until=commits[-1], limit=2) == commits[::-1]
    moved = ids(bitbucket, COMMITS, until="main", limit=2)
    assert len(moved) == len(set(moved)) + 1


def test_a_long_history_is_walked_once_for_all_its_pages(
    bitbucket: Bitbucket, ledger: GitRepository, git_runs: list[str]
) -> None:
    commits = ledger.commits(10_000)
    bitbucket.page_caps["commits"] = 1000
    sizes = []
    for page in pages(bitbucket, COMMITS, until=commits[-1], limit=1000):
        sizes.append(page["size"])
        assert page["values"][0]["id"] == commits[-1 - page["start"]]
    assert sizes == [1000] * 10
    assert git_runs.count("rev-list") == 1


def test_loose_commits_start_git_only_once(
    bitbucket: Bitbucket, ledger: GitRepository, git_runs: list[str]
) -> None:
    commits = ledger.commits(30)
    assert body(bitbucket, f"{LEDGER}/branches/default")["latestCommit"] == commits[-1]
    assert ids(bitbucket, COMMITS, limit=10) == commits[::-1]
    assert ids(bitbucket, COMMITS, limit=10) == commits[::-1]
    assert git_runs == ["rev-list"]


def test_the_cache_evicts_the_least_recently_used() -> None:
    recent = Recent(10)
    for key in "ab":
        recent.put(key, b"1234")
    assert recent.get("a") == b"1234"
    recent.put("c", b"1234")
    assert [recent.get(key) for key in "abc"] == [b"1234", None, b"1234"]
    recent.put("c", b"123456")
    assert [recent.get(key) for key in "abc"] == [b"1234", None, b"123456"]


def test_commits_may_be_stored_in_another_repository(
    bitbucket: Bitbucket, ledger: GitRepository, tmp_path: Path
) -> None:
    commits = ledger.commits(1500)
    clone = ["git", "clone", "--quiet", "--shared", "--bare", str(ledger.path)]
    subprocess.run([*clone, str(tmp_path / "PAY" / "b")], check=True)
    path = "/projects/PAY/repos/b"
    head = body(bitbucket, f"{path}/branches/default")["latestCommit"]
    found = body(bitbucket, f"{path}/commits", until=head, since=commits[1400], limit=100)
    assert [commit["id"] for commit in found["values"]] == commits[:1400:-1]


def test_git_settings_of_the_caller_change_no_answer(
    ledger: GitRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = ledger.commits(3)
    ledger.git("replace", commits[1], commits[0])
    (tmp_path / ".gitconfig").write_text("This is no configuration.")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_DIR", str(tmp_path))
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    if os.getuid() == 0:
        os.chown(ledger.path, 12345, 12345)
    with Bitbucket(tmp_path) as bitbucket:
        assert ids(bitbucket, COMMITS) == commits[::-1]
        assert error(get(bitbucket, COMMITS, until="nope"))[1] == "NoSuchCommitException"
        assert [row["displayId"] for row in body(bitbucket, f"{LEDGER}/branches")["values"]] == [
            "main"
        ]


def test_a_history_with_a_missing_commit_is_a_server_error(
    bitbucket: Bitbucket, ledger: GitRepository
) -> None:
    first, _ = ledger.commits(2)
    (ledger.path / "objects" / first[:2] / first[2:]).unlink()
    status, exception, message = error(get(bitbucket, COMMITS))
    assert (status, exception) == (500, "CommandFailedException")
    assert first in message


# The content of a commit


def test_a_commit_has_the_fields_of_bitbucket(bitbucket: Bitbucket, ledger: GitRepository) -> None:
    first, second = ledger.commits(2)
    commit = ledger.commit(
        "Settle\n\nWith care",
        parents=[first, second],
        committer="Bob <bob@example.com>",
        author_date=1_600_000_000,
        date=1_800_000_000,
    )
    assert body(bitbucket, COMMITS)["values"][0] == {
        "id": commit,
        "displayId": commit[:11],
        "author": {"name": "Ada Lovelace", "emailAddress": "ada@example.com"},
        "authorTimestamp": 1_600_000_000_000,
        "committer": {"name": "Bob", "emailAddress": "bob@example.com"},
        "committerTimestamp": 1_800_000_000_000,
        "message": "Settle\n\nWith care",
        "parents": [
            {"id": first, "displayId": first[:11]},
            {"id": second, "displayId": second[:11]},
        ],
    }


def test_a_single_commit_shows_its_parents_as_commits(
    bitbucket: Bitbucket, ledger: GitRepository
) -> None:
    first, second, third = ledger.commits(3)
    commit = body(bitbucket, f"{COMMITS}/{third[:8]}")
    (parent,) = commit["parents"]
    assert (commit["id"], parent["id"], parent["message"]) == (third, second, "Commit 2")
    assert parent["parents"] == [{"id": first, "displayId": first[:11]}]
    for name in ("main", "nope", "f" * 40):
        assert error(get(bitbucket, f"{COMMITS}/{name}"))[1] == "NoSuchCommitException"


def test_an_author_with_an_account_is_shown_as_the_account(
    bitbucket: Bitbucket, ledger: GitRepository
) -> None:
    ledger.commit(author="Ada <ADA@Example.com>", committer="Bob <bob@example.com>")
    unmatched = only(bitbucket)
    bitbucket.users.append(User(7, "alovelace", email="ada@example.com", display_name="Ada L."))
    matched = only(bitbucket)
    assert unmatched["author"] == {"name": "Ada", "emailAddress": "ADA@Example.com"}
    assert matched["author"] == {
        "name": "alovelace",
        "emailAddress": "ada@example.com",
        "id": 7,
        "displayName": "Ada L.",
        "active": True,
        "slug": "alovelace",
        "type": "NORMAL",
        "links": {"self": [{"href": f"{bitbucket.url}/users/alovelace"}]},
    }
    assert matched["committer"] == unmatched["committer"]


def test_accounts_may_be_in_a_file(
    bitbucket: Bitbucket, ledger: GitRepository, tmp_path: Path
) -> None:
    ledger.commit()
    user = '[{"id": 7, "name": "ada", "emailAddress": "ada@example.com", "displayName": "Ada L."}]'
    (tmp_path / "users.json").write_text(user)
    assert only(bitbucket)["author"]["displayName"] == "Ada L."


def test_issue_keys_are_found_in_messages(bitbucket: Bitbucket, ledger: GitRepository) -> None:
    ledger.commit("PAY-12: x, (ABC_D-3) and PAY-12 again, not pay-1, XPAY-1a, x-PAY-4 or A-1")
    assert only(bitbucket)["properties"] == {"jira-key": ["PAY-12", "ABC_D-3"]}


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        (b"Subject\n\nBody\n\n\n", "Subject\n\nBody"),
        (b"\n  indented\tand \r\n", "\n  indented\tand \r"),
        (b"", ""),
        (b"caf\xe9 \xf0\x9f\x8e\x89", "caf\N{REPLACEMENT CHARACTER} \N{PARTY POPPER}"),
        (b"ends\0here", "ends"),
        (b'"quotes" \\ </script> \xe2\x80\xa8', '"quotes" \\ </script> \u2028'),
        (b"x" * 100_000, "x" * 100_000),
    ],
)
def test_a_message_is_shown_byte_for_byte_except_for_its_end(
    bitbucket: Bitbucket, ledger: GitRepository, message: bytes, shown: str
) -> None:
    ledger.commit(message)
    assert only(bitbucket)["message"] == shown


def test_a_commit_in_another_encoding_is_shown_in_unicode(
    bitbucket: Bitbucket, ledger: GitRepository
) -> None:
    who = b"J\xfcrg <j@example.com> 1700000000 +0000"
    content = b"tree %s\nauthor %s\ncommitter %s\nencoding ISO-8859-1\n\ncaf\xe9\n"
    command = ["git", f"--git-dir={ledger.path}", "hash-object", "-t", "commit", "-w", "--stdin"]
    written = subprocess.run(
        command, input=content % (EMPTY_TREE.encode(), who, who), capture_output=True, check=True
    )
    ledger.point("main", written.stdout.decode().strip())
    commit = only(bitbucket)
    assert (commit["message"], commit["author"]["name"]) == ("café", "Jürg")


@pytest.mark.parametrize(
    ("author", "name", "email"),
    [
        ("<>", "", ""),
        ("Ada <>", "Ada", ""),
        ("<ada@example.com>", "", "ada@example.com"),
        ("Ada, 'the <first', <a b>", "Ada, 'the", "first', <a b"),
        (b"J\xfcrg <j\xfc@example.com>", "J\N{REPLACEMENT CHARACTER}rg", "j\ufffd@example.com"),
    ],
)
def test_names_and_addresses_may_be_anything_that_git_accepts(
    bitbucket: Bitbucket, ledger: GitRepository, author: str | bytes, name: str, email: str
) -> None:
    ledger.commit(author=author)
    assert only(bitbucket)["author"] == {"name": name, "emailAddress": email}


@pytest.mark.parametrize("date", [-1, -(2**40), 0, 2**31, 253_402_300_800, 2**53])
def test_dates_may_be_any_number_that_git_accepts(
    bitbucket: Bitbucket, ledger: GitRepository, date: int
) -> None:
    ledger.commit(date=date)
    commit = only(bitbucket)
    assert (commit["authorTimestamp"], commit["committerTimestamp"]) == (date * 1000,) * 2
