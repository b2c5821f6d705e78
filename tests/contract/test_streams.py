"""What the rows of each stream say, on every kind of server and repository."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tap_bitbucket_dc.emulator import Bitbucket, Fault, User
from tests import singer
from tests.git_repository import GitRepository

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import Sync

COLUMNS = {
    "projects": "id key name description public type owner_username owner_user_id url",
    "repositories": "id project_id project_key slug name description hierarchy_id scm_id state "
    "status_message forkable public archived origin_id origin_project_key origin_slug url "
    "clone_url_http clone_url_ssh",
    "default_branches": "repository_id project_key repository_slug status id display_id type "
    "latest_commit",
    "commits": "repository_id project_key repository_slug branch on_default_branch id display_id "
    "message author_name author_email author_username author_user_id author_type "
    "author_timestamp committer_name committer_email committer_username committer_user_id "
    "committer_type committer_timestamp co_authors parent_ids is_merge issue_keys url",
}
KEYS = {
    "projects": ["id"],
    "repositories": ["id"],
    "default_branches": ["repository_id"],
    "commits": ["repository_id", "id"],
}
VERSIONS = ["5.2.0", "5.16.0", "6.10.0", "7.21.0", "8.19.0", "9.4.0", "10.2.0"]
ADA = User(7, "ada.l", slug="ada", email="ada@example.com", display_name="Ada Lovelace")


def only(output: singer.Output, stream: str) -> dict[str, Any]:
    """Return the one record of a stream."""
    assert output.exit_code == 0, output.log
    [record] = output.records(stream)
    return record


def by_slug(output: singer.Output, stream: str) -> dict[str, dict[str, Any]]:
    """Return the records of a stream by slug."""
    name = "slug" if stream == "repositories" else "repository_slug"
    return {record[name]: record for record in output.records(stream)}


@pytest.fixture(params=["/bitbucket", ""], ids=["with a context path", "without"])
def server(root: Path, request: pytest.FixtureRequest) -> Iterator[Bitbucket]:
    with Bitbucket(root, context_path=request.param, users=[ADA]) as bitbucket:
        bitbucket.tokens["token"] = "ada"
        yield bitbucket


@pytest.fixture(params=VERSIONS)
def versions(root: Path, request: pytest.FixtureRequest) -> Iterator[Bitbucket]:
    with Bitbucket(root, version=request.param) as bitbucket:
        yield bitbucket


def read(bitbucket: Bitbucket, **settings: Any) -> singer.Output:
    return singer.sync({"base_url": bitbucket.url, "token": "token", **settings})


# All columns.


@pytest.mark.parametrize("stream", COLUMNS)
def test_a_stream_has_the_columns_and_keys_that_are_promised(
    stream: str, sync: Sync, repository: Callable[[str], GitRepository]
) -> None:
    repository("PAY/ledger").commit()
    output = sync()
    schema = next(m for m in output.messages if m["type"] == "SCHEMA" and m["stream"] == stream)
    assert list(schema["schema"]["properties"]) == COLUMNS[stream].split()
    assert schema["key_properties"] == KEYS[stream]
    assert list(only(output, stream)) == COLUMNS[stream].split()


def test_a_project_is_a_row(server: Bitbucket, root: Path) -> None:
    GitRepository(root / "PAY" / "ledger").commit()
    facts = '{"id": 3, "name": "Payments", "description": "Money", "public": true}'
    (root / "PAY" / "project.json").write_text(facts)
    assert only(read(server), "projects") == {
        "id": 3,
        "key": "PAY",
        "name": "Payments",
        "description": "Money",
        "public": True,
        "type": "NORMAL",
        "owner_username": None,
        "owner_user_id": None,
        "url": f"{server.url}/projects/PAY",
    }


def test_a_repository_is_a_row(server: Bitbucket, root: Path) -> None:
    ledger = GitRepository(root / "PAY" / "ledger")
    ledger.facts(id=12, name="The Ledger", description="Books", public=True)
    (root / "PAY" / "project.json").write_text('{"id": 3}')
    record = only(read(server), "repositories")
    host = server.url.removeprefix("http://")
    assert record.pop("hierarchy_id")
    assert record == {
        "id": 12,
        "project_id": 3,
        "project_key": "PAY",
        "slug": "ledger",
        "name": "The Ledger",
        "description": "Books",
        "scm_id": "git",
        "state": "AVAILABLE",
        "status_message": "Available",
        "forkable": True,
        "public": True,
        "archived": False,
        "origin_id": None,
        "origin_project_key": None,
        "origin_slug": None,
        "url": f"{server.url}/projects/PAY/repos/ledger/browse",
        "clone_url_http": f"http://{host}/scm/pay/ledger.git",
        "clone_url_ssh": "ssh://git@127.0.0.1:7999/pay/ledger.git",
    }


def test_a_default_branch_is_a_row(server: Bitbucket, root: Path) -> None:
    ledger = GitRepository(root / "PAY" / "ledger").facts(id=12)
    head = ledger.commit()
    assert only(read(server), "default_branches") == {
        "repository_id": 12,
        "project_key": "PAY",
        "repository_slug": "ledger",
        "status": "ok",
        "id": "refs/heads/main",
        "display_id": "main",
        "type": "BRANCH",
        "latest_commit": head,
    }


def test_a_commit_is_a_row(server: Bitbucket, root: Path) -> None:
    ledger = GitRepository(root / "PAY" / "ledger").facts(id=12)
    base = ledger.commit()
    message = "PAY-7 Add a line\n\nAnd PAY-8."
    head = ledger.commit(
        message,
        date=1_700_137_400,
        author_date=1_600_000_000,
        author="A. L. <ADA@example.com>",
        committer="Git Server <>",
    )
    output = read(server)
    assert {r["id"] for r in output.records("commits")} == {base, head}
    assert output.records("commits")[0] == {
        "repository_id": 12,
        "project_key": "PAY",
        "repository_slug": "ledger",
        "branch": "main",
        "on_default_branch": True,
        "id": head,
        "display_id": head[:11],
        "message": message,
        "author_name": "Ada Lovelace",
        "author_email": "ada@example.com",
        "author_username": "ada.l",
        "author_user_id": 7,
        "author_type": "NORMAL",
        "author_timestamp": "2020-09-13T12:26:40Z",
        "committer_name": "Git Server",
        "committer_email": "",
        "committer_username": None,
        "committer_user_id": None,
        "committer_type": None,
        "committer_timestamp": "2023-11-16T12:23:20Z",
        "co_authors": [],
        "parent_ids": [base],
        "is_merge": False,
        "issue_keys": ["PAY-7", "PAY-8"],
        "url": f"{server.url}/projects/PAY/repos/ledger/commits/{head}",
    }


def test_a_bot_is_told_from_people_and_from_those_without_an_account(
    server: Bitbucket, root: Path
) -> None:
    server.users.append(User(9, "renovate", type="SERVICE"))
    ledger = GitRepository(root / "PAY" / "ledger")
    ledger.commit(author="Renovate <renovate@example.com>", committer="Ada <ada@example.com>")
    ledger.commit(author="Renovate <elsewhere@example.com>", committer="r <renovate@example.com>")
    records = read(server).records("commits")
    assert [(r["author_type"], r["committer_type"]) for r in records] == [
        (None, "SERVICE"),
        ("SERVICE", "NORMAL"),
    ]


MESSAGES = [
    "Co-authored-by: Only a title <title@example.com>",
    "Title\n\nCo-authored-by: Ada <ada@example.com>",
    "Title\n\nText\n\nco-AUTHORED-by:Ada <ada@example.com>\nReviewed-by: Bob <b@example.com>",
    "Title\n\nCo-authored-by: B <b@a.b>\nCo-authored-by: A <a@a.b>\nCo-authored-by: B <b@a.b>",
    "Title\n\nCo-authored-by: Not <at-the@example.com>\n\nThe end.",
    "Title\n\nIn the middle\nCo-authored-by: Of <a-text@example.com>",
    "Title\n\nText\nSigned-off-by: A <a@example.com>\nCo-authored-by: B <b@example.com>",
    "Title\n\nCo-authored-by: Goes on\n  <next@example.com>\n\n\n",
    "#7 Title\r\n\r\nCo-authored-by: Windows <w@example.com>\r\n",
    "Title\n\nCo-authored-by:\nCo-authored-by: Łukasz Żółć <lukasz@example.com>\n# a comment",
    "Title\n\n- Co-authored-by: A list <l@example.com>",
]


def test_co_authors_are_the_trailers_that_git_sees(
    sync: Sync, repository: Callable[[str], GitRepository]
) -> None:
    ledger = repository("PAY/ledger")
    expected = {}
    for message in MESSAGES:
        id_ = ledger.commit(message)
        form = "--format=%(trailers:key=Co-authored-by,valueonly,unfold)"
        values = [value.strip() for value in ledger.git("show", form, id_).split("\n")]
        expected[id_] = list(dict.fromkeys(filter(None, values)))
    found = {record["id"]: record["co_authors"] for record in sync().records("commits")}
    assert found == expected
    assert sum(map(len, found.values())) == 8


def test_a_merge_names_all_its_parents_in_order(
    sync: Sync, repository: Callable[[str], GitRepository]
) -> None:
    ledger = repository("PAY/ledger")
    base = ledger.commit()
    sides = [ledger.commit(f"side {n}", parents=[base], branch=f"side{n}") for n in range(3)]
    octopus = ledger.merge(base, *sides)
    rows = {record["id"]: record for record in sync().records("commits")}
    assert set(rows) == set(ledger.rev_list())
    assert rows[octopus]["parent_ids"] == [base, *sides]
    assert rows[octopus]["is_merge"] is True
    assert rows[base]["parent_ids"] == []
    assert rows[sides[0]]["is_merge"] is False


# Kinds of repositories.


def test_a_personal_project_is_a_row_with_its_owner(server: Bitbucket, root: Path) -> None:
    GitRepository(root / "~ada" / "dot.files").facts(id=12).commit()
    output = read(server, personal_projects=True)
    project = only(output, "projects")
    assert {
        name: project[name]
        for name in ("key", "name", "type", "owner_username", "owner_user_id", "public")
    } == {
        "key": "~ADA",
        "name": "Ada Lovelace",
        "type": "PERSONAL",
        "owner_username": "ada.l",
        "owner_user_id": 7,
        "public": None,
    }
    assert project["url"] == f"{server.url}/users/ada"
    repository, commit = only(output, "repositories"), only(output, "commits")
    assert repository["project_key"] == commit["project_key"] == "~ADA"
    assert repository["slug"] == commit["repository_slug"] == "dot.files"
    assert commit["url"] == f"{server.url}/users/ada/repos/dot.files/commits/{commit['id']}"


def test_a_fork_names_where_it_comes_from(
    sync: Sync, repository: Callable[[str], GitRepository], root: Path
) -> None:
    ledger = repository("PAY/ledger").facts(id=12)
    ledger.commits(3)
    ledger.fork(root / "OPS" / "book").facts(id=13, origin="PAY/ledger")
    output = sync()
    rows = by_slug(output, "repositories")
    names = ("origin_id", "origin_project_key", "origin_slug")
    assert [rows["book"][name] for name in names] == [12, "PAY", "ledger"]
    assert [rows["ledger"][name] for name in names] == [None] * 3
    assert rows["book"]["hierarchy_id"] == rows["ledger"]["hierarchy_id"]


def test_a_fork_of_a_hidden_repository_has_no_origin(
    sync: Sync, repository: Callable[[str], GitRepository], bitbucket: Bitbucket, root: Path
) -> None:
    repository("PAY/ledger").commit()
    repository("OPS/book").facts(origin="PAY/ledger").commit()
    bitbucket.hidden = {"PAY/ledger"}
    assert only(sync(), "repositories")["origin_id"] is None
    assert (root / "PAY" / "ledger").is_dir()


@pytest.mark.parametrize("state", ["INITIALISING", "INITIALISATION_FAILED", "OFFLINE"])
def test_the_state_of_a_repository_is_in_its_row(
    sync: Sync, repository: Callable[[str], GitRepository], state: str
) -> None:
    repository("PAY/ledger").facts(state=state).commit()
    assert only(sync(), "repositories")["state"] == state


def test_a_repository_without_links_has_no_urls(
    sync: Sync, repository: Callable[[str], GitRepository], bitbucket: Bitbucket
) -> None:
    repository("PAY/ledger").commit()

    def without_links(body: singer.Json) -> singer.Json:
        rows = [{k: v for k, v in row.items() if k != "links"} for row in body["values"]]
        return {**body, "values": rows}

    bitbucket.faults.append(Fault("/repos[?]", kind="replace", replace=without_links))
    output = sync()
    record = only(output, "repositories")
    assert [record[name] for name in ("url", "clone_url_http", "clone_url_ssh")] == [None] * 3
    assert only(output, "commits")["url"] is None


# Default branches that do not exist.


def test_an_empty_repository_has_a_row_without_a_branch(
    sync: Sync, repository: Callable[[str], GitRepository], bitbucket: Bitbucket
) -> None:
    repository("PAY/ledger").facts(id=12)
    output = sync()
    row = only(output, "default_branches")
    assert row["status"] == "empty"
    assert [row[name] for name in ("id", "display_id", "type", "latest_commit")] == [None] * 4
    assert output.records("commits") == []
    assert not [request for request in bitbucket.requests if "/commits" in request.path]


@pytest.mark.parametrize("version", ["5.2.0", "9.4.0"])
def test_a_branch_that_was_never_pushed_is_missing(root: Path, version: str) -> None:
    ledger = GitRepository(root / "PAY" / "ledger")
    ledger.commit(branch="develop")
    with Bitbucket(root, version=version) as bitbucket:
        output = read(bitbucket)
    assert only(output, "default_branches")["status"] == "missing"
    assert output.records("commits") == []


def test_before_5_6_an_empty_repository_looks_like_a_missing_branch(root: Path) -> None:
    GitRepository(root / "PAY" / "ledger")
    with Bitbucket(root, version="5.5.0") as bitbucket:
        assert only(read(bitbucket), "default_branches")["status"] == "missing"


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_repository_that_may_not_be_read_is_inaccessible(
    sync: Sync, repository: Callable[[str], GitRepository], bitbucket: Bitbucket, status: int
) -> None:
    for name in ("first", "second", "third"):
        repository(f"PAY/{name}").commits(2)
    bitbucket.denied = {"PAY/second": status}
    output = sync()
    assert output.exit_code == 0
    rows = by_slug(output, "default_branches")
    assert {slug: row["status"] for slug, row in rows.items()} == {
        "first": "ok",
        "second": "inaccessible",
        "third": "ok",
    }
    assert rows["second"]["latest_commit"] is None
    assert {r["repository_slug"] for r in output.records("commits")} == {"first", "third"}
    assert "PAY/second is inaccessible" in output.log


# Odd names, dates, messages.


@pytest.mark.parametrize("branch", ["release/1.x#é", "日本語", "feature/%2e", "a+b&c=d", "HEAD"])
def test_a_default_branch_may_have_any_name(
    sync: Sync, repository: Callable[[str], GitRepository], branch: str
) -> None:
    ledger = repository("PAY/ledger")
    ledger.default_branch = branch
    ledger.commits(3)
    output = sync()
    row = only(output, "default_branches")
    assert (row["id"], row["display_id"]) == (f"refs/heads/{branch}", branch)
    assert {record["id"] for record in output.records("commits")} == set(ledger.rev_list())
    assert {record["branch"] for record in output.records("commits")} == {branch}


def test_a_project_and_a_slug_may_have_dots_and_more(
    sync: Sync, repository: Callable[[str], GitRepository]
) -> None:
    repository("PAY_2/my.repo-x+y_z").commits(2)
    output = sync()
    assert only(output, "repositories")["slug"] == "my.repo-x+y_z"
    assert len(output.records("commits")) == 2


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (-1, "1969-12-31T23:59:59Z"),
        (-62_135_596_801, None),  # year 0
        (4_102_444_800, "2100-01-01T00:00:00Z"),
        (253_402_300_800, None),  # year 10000
        (2**53, None),
    ],
)
def test_any_date_that_git_allows_is_a_time_or_null(
    sync: Sync, repository: Callable[[str], GitRepository], seconds: int, expected: str | None
) -> None:
    ledger = repository("PAY/ledger")
    before = ledger.commit()
    odd = ledger.commit(date=seconds)
    after = ledger.commit()
    output = sync()
    rows = {record["id"]: record for record in output.records("commits")}
    assert set(rows) == {before, odd, after}
    assert rows[odd]["committer_timestamp"] == rows[odd]["author_timestamp"] == expected
    assert sync(output.state).records("commits") == []


def test_a_message_comes_whole(sync: Sync, repository: Callable[[str], GitRepository]) -> None:
    message = "Subject\n\n" + 'Body with \u2028, \u0085, é, 😀, \t and "quotes" \\ \n' * 500
    repository("PAY/ledger").commit(message)
    assert only(sync(), "commits")["message"] == message.rstrip("\n")


def test_bytes_that_are_no_text_are_replaced(
    sync: Sync, repository: Callable[[str], GitRepository]
) -> None:
    repository("PAY/ledger").commit(b"caf\xe9", author=b"Ren\xe9 <rene@example.com>")
    record = only(sync(), "commits")
    assert record["message"] == "caf\ufffd"
    assert record["author_name"] == "Ren\ufffd"


def test_a_person_without_a_name_or_an_address_is_a_person(
    sync: Sync, repository: Callable[[str], GitRepository]
) -> None:
    repository("PAY/ledger").commit(author=" <>")
    record = only(sync(), "commits")
    assert (record["author_name"], record["author_email"]) == ("", "")


def test_a_person_who_gets_an_account_keeps_the_name(
    sync: Sync, repository: Callable[[str], GitRepository], bitbucket: Bitbucket
) -> None:
    ledger = repository("PAY/ledger")
    ledger.commit()
    first = sync()
    bitbucket.users = [*bitbucket.users, ADA]
    ledger.commit()
    second = sync(first.state)
    names = [only(output, "commits")["author_name"] for output in (first, second)]
    logins = [only(output, "commits")["author_username"] for output in (first, second)]
    assert names == ["Ada Lovelace"] * 2
    assert logins == [None, "ada.l"]


def test_unknown_fields_are_ignored_and_missing_ones_null(
    sync: Sync, repository: Callable[[str], GitRepository], bitbucket: Bitbucket
) -> None:
    ledger = repository("PAY/ledger")
    ledger.commits(2)
    kept = {"id", "key", "slug", "project"}

    def bare(body: singer.Json) -> singer.Json:
        rows = [{k: v for k, v in row.items() if k in kept} for row in body["values"]]
        return {**body, "values": [{**row, "new": {"x": [1]}} for row in rows], "more": 1}

    bitbucket.faults.append(Fault("[?]", kind="replace", replace=bare, times=None))
    output = sync()
    assert output.exit_code == 0
    assert {record["id"] for record in output.records("commits")} == set(ledger.rev_list())
    for stream, columns in COLUMNS.items():
        for record in output.records(stream):
            assert list(record) == columns.split()
    assert only(output, "projects")["name"] is None
    assert output.records("commits")[0]["message"] is None
    assert output.records("commits")[0]["parent_ids"] is None


# Servers.


def test_every_version_gives_everything(versions: Bitbucket, root: Path) -> None:
    ledger = GitRepository(root / "PAY" / "ledger").facts(id=12)
    ledger.commits(250)
    GitRepository(root / "PAY" / "old").facts(id=13, archived=True).commits(2)
    GitRepository(root / "OPS" / "empty").facts(id=14)
    GitRepository(root / "~ada" / "notes").facts(id=15).commits(1)
    output = read(versions, personal_projects=True)
    assert output.exit_code == 0, output.log
    assert {r["id"] for r in output.records("repositories")} == {12, 13, 14, 15}
    table = singer.Table()
    table.take(output.messages)
    assert table.on_default_branch(12) == set(ledger.rev_list())
    assert len(output.records("commits")) == 253
    archived = by_slug(output, "repositories")["old"]["archived"]
    assert archived is (True if versions.numbers >= (8, 0) else None)
    hierarchy = by_slug(output, "repositories")["old"]["hierarchy_id"]
    assert (hierarchy is not None) == (versions.numbers >= (7, 0))
    again = singer.sync(
        {"base_url": versions.url, "token": "token", "personal_projects": True}, output.state
    )
    assert again.records("commits") == []


@pytest.mark.parametrize("last_page", ["absent", "null"])
def test_the_last_page_may_have_a_null_or_nothing(
    sync: Sync,
    repository: Callable[[str], GitRepository],
    bitbucket: Bitbucket,
    last_page: Any,
) -> None:
    ledger = repository("PAY/ledger")
    ledger.commits(25)
    bitbucket.last_page = last_page
    bitbucket.page_caps["commits"] = 10
    assert {r["id"] for r in sync().records("commits")} == set(ledger.rev_list())


@pytest.mark.parametrize("stride", [1, 7])
@pytest.mark.parametrize("concurrency", [1, 8])
def test_pages_may_be_numbered_with_gaps(
    sync: Sync,
    repository: Callable[[str], GitRepository],
    bitbucket: Bitbucket,
    stride: int,
    concurrency: int,
) -> None:
    ledger = repository("PAY/ledger")
    ledger.commits(73)
    for n in range(7):
        repository(f"PAY/other{n}").commit()
        repository(f"P{n}/x").commit()
    bitbucket.stride = stride
    bitbucket.page_caps = {"commits": 10, "projects": 2, "repositories": 3, "branches": 5}
    output = sync(concurrency=concurrency)
    assert output.exit_code == 0
    assert len(output.records("repositories")) == 15
    found = [r["id"] for r in output.records("commits") if r["repository_slug"] == "ledger"]
    assert sorted(found) == sorted(ledger.rev_list())


def test_hidden_rows_that_count_in_pages_lose_no_visible_row(
    sync: Sync, repository: Callable[[str], GitRepository], bitbucket: Bitbucket
) -> None:
    visible = set()
    for n in range(12):
        repository(f"P{n:02}/r").commit()
        repository(f"PAY/r{n:02}").commit()
    bitbucket.hidden = {"P00", "P03", "P04", "P05", "P11", "PAY/r00", "PAY/r07", "PAY/r11"}
    visible = {f"P{n:02}/r" for n in range(12)} | {f"PAY/r{n:02}" for n in range(12)}
    visible -= {f"{name}/r" if "/" not in name else name for name in bitbucket.hidden}
    bitbucket.page_caps |= {"projects": 2, "repositories": 2}
    rows = sync().records("repositories")
    assert {f"{row['project_key']}/{row['slug']}" for row in rows} == visible
