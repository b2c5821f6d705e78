"""The emulator answers as Atlassian's OpenAPI document says, and as recorded servers did.

The document and the recordings are not part of the project; they are in ``../shared``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

from tap_bitbucket_dc.emulator import Bitbucket, User
from tests.contract.api import TOKEN, body, get, rows
from tests.git_repository import GitRepository

if TYPE_CHECKING:
    from collections.abc import Iterator

SHARED = Path(__file__).parents[3] / "shared"
DOCUMENT = SHARED / "openapi" / "bitbucket-9.4-tap-subset.json"
RECORDED = SHARED / "recorded"
LEDGER = "/projects/PAY/repos/ledger"
# What real servers send in addition to, or instead of, what the document says
NULLABLE = {"context", "exceptionName", "nextPageStart"}
ACCOUNT = {"id", "displayName", "active", "slug", "type", "links"}
PARENT = {"author", "authorTimestamp", "committer", "committerTimestamp", "message", "parents"}
FORGOTTEN = {"isDefault", "owner", "properties", "authorCount", "totalCount"}

needs_document = pytest.mark.skipif(not DOCUMENT.exists(), reason=f"{DOCUMENT} is not here")
needs_recordings = pytest.mark.skipif(not RECORDED.exists(), reason=f"{RECORDED} is not here")


@pytest.fixture
def bitbucket(tmp_path: Path) -> Iterator[Bitbucket]:
    bob = "Bob <bob@example.com>"
    ledger = GitRepository(tmp_path / "PAY" / "ledger")
    ledger.commit("A root", author=bob)
    ledger.commit("PAY-1", author=bob)
    ledger.merge(ledger.branch_tip() or "", ledger.commit("By Ada", parents=[], branch="other"))
    ledger.commit("By Bob", author=bob)
    ledger.commit("By Ada, on Bob's")
    GitRepository(tmp_path / "PAY" / "empty")
    GitRepository(tmp_path / "WEB" / "described").facts(description="Old", archived=True)
    missing = GitRepository(tmp_path / "WEB" / "missing")
    missing.commit(branch="other")
    missing.fork(tmp_path / "~alovelace" / "missing")
    GitRepository(tmp_path / "~alovelace" / "notes")
    facts = {"name": "Web", "description": "Sites", "public": True}
    (tmp_path / "WEB" / "project.json").write_text(json.dumps(facts))
    with Bitbucket(tmp_path) as bitbucket:
        ada = User(7, "alovelace", email="ada@example.com", display_name="Ada Lovelace")
        bitbucket.users.append(ada)
        yield bitbucket


# The document


def corrected(node: Any) -> Any:
    """Return a part of the document, corrected by what real servers send, without unknown keys."""
    if isinstance(node, list):
        return [corrected(each) for each in node]
    if not isinstance(node, dict):
        return node
    node = {key: corrected(value) for key, value in node.items()}
    known = node.get("properties")
    if not isinstance(known, dict) or not known:
        return node
    extra = ACCOUNT if "emailAddress" in known else FORGOTTEN
    extra = extra | PARENT if "displayId" in known else extra
    for name in NULLABLE & set(known):
        known[name] = {"anyOf": [known[name], {"type": "null"}]}
    known |= dict.fromkeys(extra - set(known), True)
    return node | {"properties": known, "additionalProperties": False}


def document() -> dict[str, Any]:
    with DOCUMENT.open(encoding="utf-8") as file:
        found: dict[str, Any] = corrected(json.load(file))
    return found


def validate(path: str, status: int, answer: dict[str, Any]) -> None:
    """Raise ValidationError if an answer is not what the document says about the path."""
    whole = document()
    responses = whole["paths"][f"/rest/api/1.0{path}"]["get"]["responses"]
    (content,) = responses[str(status)]["content"].values()
    schema = {**content["schema"], "components": whole["components"]}
    Draft202012Validator(schema).validate(answer)


PROJECT = "/projects/{projectKey}"
REPOSITORY = f"{PROJECT}/repos/{{repositorySlug}}"


CASES = [
    ("/application-properties", "/application-properties", 200),
    ("/projects", "/projects", 200),
    ("/projects", "/projects?limit=1", 200),
    ("/projects", "/projects?limit=x", 400),
    (PROJECT, "/projects/WEB", 200),
    (PROJECT, "/projects/~alovelace", 200),
    (PROJECT, "/projects/HIDDEN", 401),
    (PROJECT, "/projects/NONE", 404),
    (f"{PROJECT}/repos", "/projects/PAY/repos", 200),
    (f"{PROJECT}/repos", "/projects/HIDDEN/repos", 401),
    (f"{PROJECT}/repos", "/projects/NONE/repos", 404),
    ("/repos", "/repos?archived=ALL", 200),
    ("/repos", "/repos?archived=SOME", 400),
    (REPOSITORY, LEDGER, 200),
    (REPOSITORY, "/projects/~alovelace/repos/missing", 200),
    (REPOSITORY, "/projects/HIDDEN/repos/secret", 401),
    (REPOSITORY, "/projects/PAY/repos/none", 404),
    (f"{REPOSITORY}/branches", f"{LEDGER}/branches", 200),
    (f"{REPOSITORY}/branches", "/projects/HIDDEN/repos/secret/branches", 401),
    (f"{REPOSITORY}/branches", "/projects/PAY/repos/none/branches", 404),
    (f"{REPOSITORY}/branches/default", f"{LEDGER}/branches/default", 200),
    (f"{REPOSITORY}/branches/default", "/projects/HIDDEN/repos/secret/branches/default", 401),
    (f"{REPOSITORY}/branches/default", "/projects/WEB/repos/missing/branches/default", 404),
    (f"{REPOSITORY}/default-branch", "/projects/PAY/repos/empty/default-branch", 200),
    (f"{REPOSITORY}/default-branch", "/projects/PAY/repos/none/default-branch", 404),
    (f"{REPOSITORY}/commits", f"{LEDGER}/commits", 200),
    (f"{REPOSITORY}/commits", f"{LEDGER}/commits?limit=1&withCounts=true", 200),
    (f"{REPOSITORY}/commits", f"{LEDGER}/commits?merges=maybe", 400),
    (f"{REPOSITORY}/commits", "/projects/HIDDEN/repos/secret/commits", 401),
    (f"{REPOSITORY}/commits", f"{LEDGER}/commits?until=none", 404),
    (f"{REPOSITORY}/commits", "/projects/PAY/repos/empty/commits", 404),
    (f"{REPOSITORY}/commits/{{commitId}}", f"{LEDGER}/commits/{{tip}}", 200),
    (f"{REPOSITORY}/commits/{{commitId}}", f"{LEDGER}/commits/none", 404),
]


@needs_document
@pytest.mark.parametrize(("path", "asked", "status"), CASES)
def test_every_answer_is_what_the_document_says(
    bitbucket: Bitbucket, tmp_path: Path, path: str, asked: str, status: int
) -> None:
    GitRepository(tmp_path / "HIDDEN" / "secret")
    bitbucket.hidden = {"HIDDEN"}
    if "{tip}" in asked:
        tip = body(bitbucket, f"{LEDGER}/branches/default")["latestCommit"]
        asked = asked.format(tip=tip)
    response = get(bitbucket, asked)
    assert response.status_code == status
    validate(path, status, response.json())


@needs_document
def test_the_document_has_no_resource_that_is_not_tried_here() -> None:
    tried = {f"/rest/api/1.0{path}" for path, _, _ in CASES}
    assert {path for path in document()["paths"] if "/1.0/" in path} == tried


@needs_document
@pytest.mark.parametrize(
    "wrong",
    [
        {"values": [{"id": 1}]},
        {"values": [{"parents": [{"sha": "x"}]}]},
        {"values": [{"author": {"login": "ada"}}]},
        {"isLastPage": "yes"},
        {"next": 25},
    ],
)
def test_an_answer_of_another_shape_would_be_noticed(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        validate(f"{REPOSITORY}/commits", 200, wrong)


# The recordings


def recording(name: str) -> tuple[int, dict[str, Any]]:
    """Return status and body as they were recorded."""
    with (RECORDED / name).open(encoding="utf-8") as file:
        recorded = json.load(file)
    answer = recorded.get("response", recorded)
    return answer.get("status", 200), answer["body"]


def shape(value: object) -> object:
    """Return the keys and types of JSON, without its values."""
    if isinstance(value, dict):
        return frozenset((key, shape(each)) for key, each in value.items() if key != "avatarUrl")
    if isinstance(value, list):
        return frozenset(shape(each) for each in value)
    return type(value).__name__


def everything(bitbucket: Bitbucket) -> set[object]:
    """Return the shapes of the emulator's answers of all kinds."""
    tip = body(bitbucket, f"{LEDGER}/branches/default")
    repositories = rows(bitbucket, "/repos", archived="ALL")
    found = [
        tip,
        body(bitbucket, "/application-properties"),
        body(bitbucket, f"{LEDGER}/commits/{tip['latestCommit']}"),
        *rows(bitbucket, "/projects"),
        *repositories,
        *rows(bitbucket, f"{LEDGER}/commits"),
    ]
    return {shape(each) for each in found}


@needs_recordings
@pytest.mark.parametrize(
    ("version", "name"),
    [
        ("5.2.0", "projects/recorded_2017_5.x_projects.json"),
        ("7.17.0", "projects/recorded_2022_avatarUrl.json"),
        ("7.11.2", "sourcegraph/projects_limit100.json"),
        ("5.2.0", "repos/recorded_2017_5.x_project_repos.json"),
        ("5.2.0", "repos/recorded_2017_5.x_personal_repos_~vivek.json"),
        ("6.8.0", "sourcegraph/repo_lowercase_project_key_2019_no_hierarchyId_no_ssh.json"),
        ("7.11.2", "sourcegraph/project_repos_limit1000.json"),
        ("7.17.0", "sourcegraph/project_repos_SGDEMO_2022.json"),
        ("7.17.0", "repos/recorded_2022_hierarchyId_description.json"),
        ("9.4.0", "repos/recorded_2025_webhook_repo_archived_hierarchyId.json"),
        ("9.4.0", "repos/recorded_2025_webhook_PERSONAL_fork_with_origin.json"),
        ("5.2.0", "default_branch/recorded_2017_5.x_branches-default_200.json"),
        ("5.2.0", "other/recorded_2017_5.x_application-properties_ANONYMOUS.json"),
        ("7.11.2", "sourcegraph/application-properties_7.11.2.json"),
        ("8.14.0", "commits/recorded_2023-12_commits_until_main.json"),
        ("8.14.0", "commits/recorded_2023-12_commits_until_develop.json"),
        ("8.14.0", "commits/recorded_2023-12_commits_until_feat_loading-screen.json"),
        ("7.17.0", "commits/recorded_2022_avatarSize_matched_user_merge_squash.json"),
        ("9.4.0", "commits/semi_recorded_2025_commits_since_until_streamed_envelope.json"),
        ("9.4.0", "commits/recorded_2025_webhook_push_commits.json"),
    ],
)
def test_every_recording_has_a_counterpart_here(
    bitbucket: Bitbucket, version: str, name: str
) -> None:
    bitbucket.version = version
    _, recorded = recording(name)
    if "toCommit" in recorded:
        recorded = {"values": [recorded["toCommit"], *recorded["commits"]]}
    here = everything(bitbucket)
    for row in recorded.get("values", [recorded]):
        assert shape(row) in here, row


@needs_recordings
@pytest.mark.parametrize(
    ("version", "asked", "name"),
    [
        ("5.2.0", "/projects", "projects/recorded_2017_5.x_projects.json"),
        (
            "7.11.2",
            "/projects?limit=1",
            "sourcegraph/projects_limit1_page1_NEXTPAGESTART_IS_2.json",
        ),
        ("7.11.2", "/projects?start=8", "sourcegraph/projects_limit1_start8_last.json"),
        (
            "9.4.0",
            f"{LEDGER}/commits",
            "commits/semi_recorded_2025_commits_since_until_streamed_envelope.json",
        ),
        (
            "5.2.0",
            f"{LEDGER}/commits?withCounts=true",
            "commits/semi_recorded_2018_page_authorCount_totalCount.json",
        ),
    ],
)
def test_pages_are_like_recorded_ones(
    bitbucket: Bitbucket, version: str, asked: str, name: str
) -> None:
    bitbucket.version = version
    _, recorded = recording(name)
    assert shape(recorded | {"values": []}) == shape(body(bitbucket, asked) | {"values": []})


@needs_recordings
@pytest.mark.parametrize(
    ("name", "asked", "token"),
    [
        ("401_bad_credentials", "/projects", "wrong"),
        ("401_not_permitted", "/projects/HIDDEN", TOKEN),
        ("401_not_permitted", "/projects", None),
        ("404_NoSuchProject", "/projects/HelloWorld", TOKEN),
        ("404_NoSuchRepository", "/projects/sour/repos/invalidslug/commits", TOKEN),
        ("404_NoSuchCommit", "/projects/SOUR/repos/rep_1/commits?until=doesnotexist", TOKEN),
        (
            "404_NoDefaultBranch_branch_missing",
            "/projects/SOUR/repos/rep_1/branches/default",
            TOKEN,
        ),
        ("404_NoDefaultBranch_not_defined", "/projects/SOUR/repos/rep_1/commits", TOKEN),
    ],
)
def test_refusals_are_word_for_word_what_was_recorded(
    bitbucket: Bitbucket, tmp_path: Path, name: str, asked: str, token: str | None
) -> None:
    GitRepository(tmp_path / "SOUR" / "rep_1", default_branch="master")
    GitRepository(tmp_path / "HIDDEN" / "secret")
    bitbucket.hidden, bitbucket.version = {"HIDDEN"}, "5.2.0"
    response = get(bitbucket, asked, token=token)
    assert (response.status_code, response.json()) == recording(f"errors/{name}.json")
