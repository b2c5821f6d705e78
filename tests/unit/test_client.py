"""What each answer means to the client, and what it asks for again; nothing is sent."""

from __future__ import annotations

import email.utils
import io
import json
import ssl
import time
from typing import Any

import pytest
import requests
import urllib3
from requests.adapters import BaseAdapter

from tap_bitbucket_dc.bitbucket import (
    Branch,
    Client,
    ClosedError,
    Commit,
    Options,
    Page,
    Person,
    Project,
    Repository,
    Throttle,
    errors,
)
from tap_bitbucket_dc.bitbucket.paging import MOST_EQUAL_PAGES

URL = "http://127.0.0.1:7990/bitbucket"
API = f"{URL}/rest/api/1.0"
HEAD, OLD = "a" * 40, "b" * 40
COMMITS = {"values": [], "isLastPage": True}
PROJECT = Project(1, "PAY")
LEDGER = Repository(7, "ledger", project=PROJECT)
PERSONAL = Project(2, "~ADA", owner=Person(slug="ada"))


def answer(
    status: int = 200,
    body: Any = None,
    *,
    content_type: str | None = "application/json;charset=UTF-8",
    user: str | None = "ada",
    **headers: str,
) -> requests.Response:
    """Return an answer as it comes from the adapter; a body of bytes is sent as it is."""
    raw = body if isinstance(body, bytes) else json.dumps({} if body is None else body).encode()
    found = {
        **({"X-AUSERNAME": user} if user else {}),
        **({"Content-Type": content_type} if content_type else {}),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    response = requests.Response()
    response.status_code = status
    response.headers.update(found)
    response.raw = urllib3.HTTPResponse(io.BytesIO(raw), found, status, preload_content=False)
    return response


def refusal(status: int, exception: str | None, message: str = "No.") -> requests.Response:
    """Return one of Bitbucket's refusals."""
    name = f"com.atlassian.bitbucket.{exception}" if exception else None
    return answer(
        status, {"errors": [{"context": None, "message": message, "exceptionName": name}]}
    )


class Edge(BaseAdapter):
    """Stands where the network begins: gives answers, or raises; keeps what was sent."""

    def __init__(self, *answers: requests.Response | Exception) -> None:
        super().__init__()
        self.answers = list(answers)
        self.sent: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.options: list[dict[str, Any]] = []

    def send(self, request: requests.PreparedRequest, *_: Any, **options: Any) -> requests.Response:
        assert request.method == "GET"
        assert request.url is not None
        self.sent.append(request.url)
        self.headers.append(dict(request.headers))
        self.options.append(options)
        found = self.answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    def close(self) -> None:
        """Have nothing to close."""


class Patient(Throttle):
    """Notes the pauses of all threads, and does not wait."""

    def __init__(self, sleeps: list[float]) -> None:
        super().__init__(8, sleep=sleeps.append)
        self.pauses: list[float] = []

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)


class Asking:
    """A client whose answers the test gives, and which notes its waits."""

    def __init__(self, *answers: requests.Response | Exception, **options: Any) -> None:
        self.sleeps: list[float] = []
        self.throttle = Patient(self.sleeps)
        self.edge = Edge(*answers)
        self.client = Client(
            Options(**{"base_url": URL, "token": "secret", **options}),
            throttle=self.throttle,
            adapter=self.edge,
        )

    @property
    def pauses(self) -> list[float]:
        return self.throttle.pauses

    @property
    def sent(self) -> list[str]:
        return [url.removeprefix(API) for url in self.edge.sent]

    def fails(self, error: type[errors.BitbucketError]) -> errors.BitbucketError:
        """Ask for commits; return the error, of exactly that kind."""
        with pytest.raises(errors.BitbucketError) as found:
            self.commits()
        assert type(found.value) is error
        return found.value

    def commits(self) -> list[Page[Commit]]:
        return list(self.client.commits(LEDGER, until=HEAD))


# What is sent.


SINGLE = {"project", "repository", "default_branch", "application_properties"}
RANGE = {"until": HEAD, "since": OLD, "start": 7}


@pytest.mark.parametrize(
    ("ask", "arguments", "options", "sent"),
    [
        ("projects", [], {}, "/projects?start=0&limit=1000"),
        ("all_repositories", [], {}, "/repos?archived=ALL&start=0&limit=1000"),
        ("repositories", [PROJECT], {}, "/projects/PAY/repos?start=0&limit=1000"),
        ("repositories", [PERSONAL], {}, "/projects/~ada/repos?start=0&limit=1000"),
        ("project", ["~a.b"], {}, "/projects/~a.b"),
        ("repository", ["PAY", "a b/#?é"], {}, "/projects/PAY/repos/a%20b%2F%23%3F%C3%A9"),
        (
            "default_branch",
            [Repository(1, "x", project=PERSONAL)],
            {},
            "/projects/~ada/repos/x/branches/default",
        ),
        ("application_properties", [], {}, "/application-properties"),
        (
            "commits",
            [LEDGER],
            {"until": HEAD},
            f"/projects/PAY/repos/ledger/commits?until={HEAD}&start=0&limit=1000",
        ),
        (
            "commits",
            [LEDGER],
            RANGE,
            f"/projects/PAY/repos/ledger/commits?until={HEAD}&since={OLD}&start=7&limit=1000",
        ),
    ],
)
def test_each_question_has_its_address(
    ask: str, arguments: list[str], options: dict[str, Any], sent: str
) -> None:
    keys = {"id": 1, "key": "PAY", "slug": "x", "latestCommit": HEAD}
    asking = Asking(answer(body=keys if ask in SINGLE else COMMITS))
    found = getattr(asking.client, ask)(*arguments, **options)
    if ask not in SINGLE:
        list(found)
    assert asking.sent == [sent]


def test_a_token_is_sent_as_bearer_and_a_password_as_basic() -> None:
    asking = Asking(answer(body=COMMITS))
    asking.commits()
    assert asking.edge.headers[0]["Authorization"] == "Bearer secret"
    asking = Asking(answer(body=COMMITS), token=None, username="ada", password="ü:x")
    asking.commits()
    assert asking.edge.headers[0]["Authorization"] == "Basic YWRhOsO8Ong="


def test_page_size_and_time_out_are_those_of_the_settings() -> None:
    asking = Asking(answer(body=COMMITS), page_size=7, request_timeout=3)
    asking.commits()
    assert asking.sent[0].endswith("&limit=7")
    assert asking.edge.options[0]["timeout"] == (3, 3)


# Pages.


def project(id_: int) -> dict[str, Any]:
    return {"id": id_, "key": f"K{id_}"}


@pytest.mark.parametrize("last", [{}, {"nextPageStart": None}])
def test_the_last_page_says_so_with_or_without_a_null(last: dict[str, None]) -> None:
    [page] = Asking(answer(body={"values": [], "isLastPage": True, **last})).commits()
    assert (page.values, page.start, page.next_start) == ([], 0, None)


def test_the_next_page_starts_where_the_server_says() -> None:
    first = {"values": [project(1)], "size": 1, "isLastPage": False, "nextPageStart": 9}
    last = {"values": [project(2)], "isLastPage": True, "nextPageStart": 5}
    asking = Asking(answer(body=first), answer(body=last))
    assert [found.id for found in asking.client.projects()] == [1, 2]
    assert asking.sent == ["/projects?start=0&limit=1000", "/projects?start=9&limit=1000"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        None,
        {"values": {}},
        {"values": None, "isLastPage": True},
        {"values": [1], "isLastPage": True},
        {"values": []},
        {"values": [], "isLastPage": False},
        {"values": [], "isLastPage": False, "nextPageStart": None},
        {"values": [], "isLastPage": False, "nextPageStart": 0},
        {"values": [], "isLastPage": False, "nextPageStart": "25"},
        {"values": [], "isLastPage": "true"},
    ],
)
@pytest.mark.parametrize("of", ["projects", "commits"])
def test_a_page_of_another_shape_is_unexpected(of: str, body: object) -> None:
    asking = Asking(answer(body=json.dumps(body).encode()))
    with pytest.raises(errors.BitbucketError) as found:
        list(asking.client.projects()) if of == "projects" else asking.commits()
    assert found.value.code == "unexpected_answer"
    assert len(asking.sent) == 1


def test_pages_without_rows_are_not_the_end() -> None:
    empty = [
        answer(body={"values": [], "isLastPage": False, "nextPageStart": n}) for n in range(1, 50)
    ]
    asking = Asking(*empty, answer(body={"values": [project(1)], "isLastPage": True}))
    assert list(asking.client.projects()) == [Project(1, "K1")]


def test_a_listing_of_empty_pages_without_end_is_unexpected() -> None:
    asking = Asking(
        *(
            answer(body={"values": [], "isLastPage": False, "nextPageStart": n})
            for n in range(1, MOST_EQUAL_PAGES + 9)
        )
    )
    with pytest.raises(errors.BitbucketError, match="empty pages"):
        list(asking.client.projects())


# Objects.


def test_repositories_have_the_project_they_were_asked_for() -> None:
    row = {"id": 7, "slug": "ledger", "project": {"id": 1, "key": "OLD"}}
    asking = Asking(answer(body={"values": [row], "isLastPage": True}))
    assert list(asking.client.repositories(PROJECT)) == [LEDGER]


def test_all_repositories_have_their_own_project() -> None:
    row = {"id": 7, "slug": "ledger", "project": {"id": 1, "key": "PAY"}}
    asking = Asking(answer(body={"values": [row], "isLastPage": True}))
    assert list(asking.client.all_repositories()) == [LEDGER]


def test_a_repository_without_a_project_is_not_asked_about() -> None:
    asking = Asking()
    with pytest.raises(errors.SkippableError, match="without its project"):
        asking.client.default_branch(Repository(7, "ledger"))
    assert asking.sent == []


def test_the_default_branch_is_read() -> None:
    body = {"id": "refs/heads/main", "displayId": "main", "type": "BRANCH", "latestCommit": HEAD}
    found = Asking(answer(body=body)).client.default_branch(LEDGER)
    assert found == Branch(HEAD, "refs/heads/main", "main", "BRANCH")


@pytest.mark.parametrize("head", [None, 5, "", "main", HEAD[1:], f"{HEAD}\n"])
def test_a_default_branch_without_a_commit_id_is_unexpected(head: object) -> None:
    asking = Asking(answer(body={"id": "refs/heads/main", "latestCommit": head}))
    with pytest.raises(errors.SkippableError) as found:
        asking.client.default_branch(LEDGER)
    assert found.value.code == "unexpected_answer"


@pytest.mark.parametrize(
    ("body", "count"), [({"totalCount": 12}, 12), ({"totalCount": "12"}, None), ({}, None)]
)
def test_commits_are_counted_if_the_server_tells(body: dict[str, Any], count: int | None) -> None:
    asking = Asking(answer(body=body))
    assert asking.client.count_commits(LEDGER, until=HEAD, since=OLD) == count
    path = "/projects/PAY/repos/ledger/commits"
    assert asking.sent == [f"{path}?until={HEAD}&since={OLD}&limit=1&withCounts=true"]


def test_a_date_that_cannot_be_read_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    values = [{"id": HEAD, "authorTimestamp": "soon", "committerTimestamp": "2024-01-31"}] * 3
    asking = Asking(answer(body={"values": values, "isLastPage": True}))
    [page] = asking.commits()
    assert {(c.author_timestamp, c.committer_timestamp) for c in page.values} == {
        (None, 1706659200000)
    }
    assert len(caplog.records) == 1


def test_a_commit_without_an_id_is_unexpected() -> None:
    asking = Asking(answer(body={"values": [{"id": None}], "isLastPage": True}))
    found = asking.fails(errors.SkippableError)
    assert "Commit whose 'id' is None" in str(found)
    assert found.url == asking.edge.sent[0]


def test_a_client_is_closed_at_the_end_of_its_block() -> None:
    asking = Asking(answer(body=COMMITS))
    with asking.client:
        asking.commits()
    with pytest.raises(ClosedError):
        asking.commits()


def test_options_are_taken_from_settings_and_keep_secrets_to_themselves() -> None:
    config = {"base_url": URL, "token": "secret", "projects": ["PAY"], "password": None}
    options = Options.of({**config, "page_size": 7})
    assert options == Options(URL, token="secret", page_size=7)
    assert "secret" not in repr(options)


def test_a_proxy_gets_a_login_unencrypted_only_if_that_is_allowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("http_proxy", "http://proxy.example.com:3128")
    with pytest.raises(errors.ConfigError) as found:
        Client(Options(URL, token="secret"))
    assert found.value.code == "insecure_url"
    Client(Options(URL, token="secret", allow_http=True)).close()


@pytest.mark.parametrize("login", [{}, {"username": "ada"}, {"password": "x"}])
def test_a_login_is_needed(login: dict[str, str]) -> None:
    with pytest.raises(errors.ConfigError):
        Client(Options(URL, **login))  # type: ignore[arg-type] # names of options


# What statuses mean.


def test_no_content_is_an_empty_repository() -> None:
    asking = Asking(answer(204, b"", content_type=None))
    assert asking.client.default_branch(LEDGER) is None


@pytest.mark.parametrize(
    ("status", "exception", "error"),
    [
        (404, "commit.NoSuchCommitException", errors.NoSuchCommitError),
        (400, "commit.NoSuchCommitException", errors.NoSuchCommitError),
        (400, None, errors.NoSuchCommitError),
        (404, "repository.NoDefaultBranchException", errors.NoDefaultBranchError),
        (404, "repository.NoSuchRepositoryException", errors.InaccessibleError),
        (404, "project.NoSuchProjectException", errors.InaccessibleError),
        (401, "AuthorisationException", errors.InaccessibleError),
        (403, "AuthorisationException", errors.InaccessibleError),
        (403, None, errors.InaccessibleError),
        (404, "hook.OtherException", errors.SkippableError),
        (405, None, errors.SkippableError),
        (409, "IllegalEntityStateException", errors.SkippableError),
        (410, None, errors.SkippableError),
        (415, None, errors.SkippableError),
    ],
)
def test_a_refusal_means_what_its_exception_says_and_is_not_asked_again(
    status: int, exception: str | None, error: type[errors.BitbucketError]
) -> None:
    asking = Asking(refusal(status, exception))
    found = asking.fails(error)
    assert f"answers {status}: No." in str(found)
    assert len(asking.sent) == 1
    assert asking.sleeps == asking.pauses == []


def test_an_error_of_old_servers_is_known_by_the_end_of_its_name() -> None:
    name = "com.atlassian.stash.exception.NoSuchCommitException"
    Asking(answer(404, {"errors": [{"exceptionName": name}]})).fails(errors.NoSuchCommitError)


def test_a_400_is_about_a_commit_only_where_commits_are_asked_for() -> None:
    asking = Asking(refusal(400, None))
    with pytest.raises(errors.BitbucketError) as found:
        asking.client.default_branch(LEDGER)
    assert type(found.value) is errors.SkippableError


@pytest.mark.parametrize(
    ("found", "settings", "code"),
    [
        (refusal(401, "auth.IncorrectPasswordAuthenticationException"), {}, "invalid_credentials"),
        (refusal(401, "auth.NoAccessAuthenticationException"), {}, "invalid_permissions"),
        (refusal(403, "auth.CaptchaRequiredAuthenticationException"), {}, "captcha_required"),
        (refusal(401, "auth.CaptchaRequiredAuthenticationException"), {}, "captcha_required"),
        (
            answer(403, X_Authentication_Denied_Reason="CAPTCHA_CHALLENGE; login-url=x"),
            {},
            "captcha_required",
        ),
        (
            refusal(403, None, "Basic Authentication has been disabled on this instance."),
            {"token": None, "username": "ada", "password": "x"},
            "basic_auth_disabled",
        ),
    ],
)
def test_what_concerns_the_login_or_the_server_ends_the_run_at_once(
    found: requests.Response, settings: dict[str, Any], code: str
) -> None:
    asking = Asking(found, **settings)
    assert asking.fails(errors.FatalError).code == code
    assert len(asking.sent) == 1


@pytest.mark.parametrize(
    "found",
    [
        answer(200, b"<html>Log in</html>", content_type="text/html"),
        answer(200, b"<html>Log in</html>", content_type=None),
        answer(404, b"<html>Not found</html>", content_type="text/html"),
    ],
)
def test_html_is_not_data(found: requests.Response) -> None:
    asking = Asking(found)
    kind = errors.NoSuchResourceError if found.status_code == 404 else errors.SkippableError
    assert asking.fails(kind).code == "not_bitbucket"
    assert len(asking.sent) == 1


@pytest.mark.parametrize(
    "errors_found", [None, [], {}, "x", [None], [1], [{}], [{"message": None}]]
)
def test_a_refusal_may_lack_everything(errors_found: object) -> None:
    Asking(answer(401, {"errors": errors_found})).fails(errors.InaccessibleError)


def test_a_redirect_inside_the_api_is_followed() -> None:
    moved = answer(302, Location=f"{API}/projects/OPS/repos/x/commits")
    asking = Asking(moved, answer(body=COMMITS))
    asking.commits()
    assert asking.sent[1] == "/projects/OPS/repos/x/commits"


def test_redirects_without_end_are_not_followed_for_ever() -> None:
    moved = [answer(302, Location=f"{API}/projects/{n}") for n in range(9)]
    asking = Asking(*moved)
    assert asking.fails(errors.RedirectError).code == "not_bitbucket"
    assert len(asking.sent) < 6


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:7990/bitbucket/login",
        "https://evil.example.com/rest/api",
        "/bitbucket/rest/../login",
        "/bitbucket/rest/%2e%2E/login",
        "/bitbucket/rest/%252e%252e/login",
        "/bitbucket/rest/..%2flogin",
        "/bitbucket/rest/..%5clogin",
        "/bitbucket/rest/..;x=1/login",
    ],
)
def test_a_redirect_out_of_the_rest_api_is_not_followed(location: str) -> None:
    asking = Asking(answer(302, Location=location))
    assert asking.fails(errors.RedirectError).code == "not_bitbucket"
    assert len(asking.sent) == 1


# Who we are.


def test_the_login_that_the_server_names_is_known() -> None:
    asking = Asking(answer(body=COMMITS, user=None), answer(body=COMMITS, user="ada"))
    logins = []
    for _ in range(2):
        asking.commits()
        logins.append(asking.client.login.user)
    assert logins == [None, "ada"]
    assert not asking.client.login.in_doubt


@pytest.mark.parametrize(
    "found", [answer(body=COMMITS, user=None), answer(401, {"errors": []}, user=None)]
)
def test_an_answer_that_does_not_name_us_any_more_is_suspect(found: requests.Response) -> None:
    asking = Asking(answer(body=COMMITS), found)
    asking.commits()
    try:
        asking.commits()
    except errors.InaccessibleError:
        assert found.status_code == 401
    assert asking.client.login.in_doubt


def test_a_login_is_confirmed_where_only_users_are_answered() -> None:
    asking = Asking(answer(body=COMMITS), refusal(401, "AuthorisationException"))
    asking.client.confirm_login()
    assert asking.sent == ["/profile/recent/repos?limit=1"]
    with pytest.raises(errors.FatalError) as found:
        asking.client.confirm_login()
    assert found.value.code == "invalid_credentials"


@pytest.mark.parametrize("found", [refusal(403, None), refusal(404, None), refusal(409, None)])
def test_another_answer_is_no_proof_against_the_login(found: requests.Response) -> None:
    asking = Asking(found)
    asking.client.confirm_login()
    assert len(asking.sent) == 1


@pytest.mark.parametrize(
    ("earlier", "found", "code"),
    [
        (None, refusal(401, "AuthorisationException"), "invalid_credentials"),
        ("ada", refusal(401, "AuthorisationException"), "invalid_permissions"),
        (None, refusal(403, None), "invalid_permissions"),
    ],
)
def test_a_refusal_of_the_first_request_ends_the_run(
    earlier: str | None, found: requests.Response, code: str
) -> None:
    del found.headers["X-AUSERNAME"]
    asking = Asking(answer(body=COMMITS, user=earlier), found)
    asking.commits()
    error = asking.fails(errors.InaccessibleError)
    assert isinstance(error, errors.InaccessibleError)
    fatal = asking.client.login.refused_at_first(error)
    assert (fatal.code, fatal.url, fatal.status) == (code, error.url, error.status)


# What is asked for again.

BUSY = [429, 500, 502, 503, 504]


@pytest.mark.parametrize("status", BUSY)
def test_a_temporary_failure_is_retried(status: int) -> None:
    asking = Asking(answer(status), answer(status), answer(body=COMMITS))
    asking.commits()
    assert asking.sent == [asking.sent[0]] * 3
    assert len(asking.sleeps) + len(asking.pauses) == 2
    assert bool(asking.pauses) == (status == 429)  # all threads wait only for a 429


@pytest.mark.parametrize(
    "trouble",
    [
        requests.ConnectionError("reset"),
        requests.ReadTimeout("slow"),
        requests.ConnectTimeout("slow"),
        urllib3.exceptions.ProtocolError("cut"),
        answer(200, b'{"values": [{"id": "'),
        answer(200, b""),
        answer(200, b"<html>", content_type="application/json"),
    ],
)
def test_a_network_failure_is_retried(trouble: requests.Response | Exception) -> None:
    asking = Asking(trouble, answer(body=COMMITS))
    asking.commits()
    assert len(asking.sent) == 2
    assert len(asking.sleeps) == 1


def test_waits_grow_up_to_a_limit() -> None:
    asking = Asking(*[answer(503)] * 13, max_retries=12)
    asking.fails(errors.UnavailableError)
    assert len(asking.sent) == 13
    assert len(asking.sleeps) == 12
    for attempt, seconds in enumerate(asking.sleeps):
        longest = min(0.5 * 2**attempt, 30)
        assert longest / 2 <= seconds <= longest


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        (429, errors.FatalError, "rate_limited"),
        (500, errors.UnavailableError, "unavailable"),
        (503, errors.UnavailableError, "unavailable"),
    ],
)
def test_a_lasting_failure_ends_after_max_retries(
    status: int, error: type[errors.BitbucketError], code: str
) -> None:
    asking = Asking(*[answer(status)] * 3, max_retries=2)
    assert asking.fails(error).code == code
    assert len(asking.sent) == 3


def test_no_connection_ends_after_max_retries() -> None:
    asking = Asking(*[requests.ConnectionError("refused")] * 3, max_retries=2)
    assert asking.fails(errors.UnavailableError).code == "unreachable"
    assert len(asking.sent) == 3


def test_a_body_that_stays_cut_off_is_unexpected_after_max_retries() -> None:
    asking = Asking(*[answer(200, b"{")] * 2, max_retries=1)
    assert asking.fails(errors.SkippableError).code == "unexpected_answer"


def test_a_certificate_that_is_not_trusted_is_not_asked_again() -> None:
    untrusted = requests.exceptions.SSLError(ssl.SSLCertVerificationError("self-signed"))
    asking = Asking(untrusted)
    assert asking.fails(errors.FatalError).code == "tls_error"


def later(seconds: float) -> str:
    """Return an HTTP date."""
    return email.utils.formatdate(time.time() + seconds, usegmt=True)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry_After": "7"}, 7),
        ({"Retry_After": "0.5"}, 0.5),
        ({"Retry_After": later(3607), "Date": later(3600)}, 7),  # the server's clock is wrong
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_obeyed_by_all_threads(
    status: int, headers: dict[str, str], seconds: float
) -> None:
    asking = Asking(answer(status, **headers), answer(body=COMMITS))
    asking.commits()
    assert asking.pauses == [pytest.approx(seconds, abs=1.1)]
    assert asking.sleeps == []


@pytest.mark.parametrize("value", ["", "soon", "-1", "0", "99999999999999999999 GMT"])
def test_without_a_sensible_retry_after_waits_are_ours(value: str) -> None:
    asking = Asking(answer(429, Retry_After=value), answer(body=COMMITS))
    asking.commits()
    assert len(asking.pauses) == 1
    assert 0 < asking.pauses[0] <= 0.5


@pytest.mark.parametrize("asked", ["301", "3600", later(3600)], ids=["301", "3600", "a date"])
@pytest.mark.parametrize(
    ("status", "error"), [(429, errors.FatalError), (503, errors.UnavailableError)]
)
def test_a_wait_longer_than_max_wait_ends_at_once(
    status: int, error: type[errors.BitbucketError], asked: str
) -> None:
    asking = Asking(answer(status, Retry_After=asked), max_wait=300)
    found = asking.fails(error)
    assert found.code == ("rate_limited" if status == 429 else "unavailable")
    assert asked in str(found)
    assert len(asking.sent) == 1
    assert asking.sleeps == asking.pauses == []


def test_an_error_knows_its_url_and_status() -> None:
    found = Asking(refusal(404, "repository.NoSuchRepositoryException")).fails(
        errors.InaccessibleError
    )
    url = f"{API}/projects/PAY/repos/ledger/commits?until={HEAD}&start=0&limit=1000"
    assert (found.url, found.status) == (url, 404)


def test_requests_are_counted_retries_included() -> None:
    asking = Asking(answer(503), answer(body=COMMITS))
    asking.commits()
    assert asking.client.requests == 2
