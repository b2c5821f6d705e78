"""Bitbucket Data Center's REST API: its resources, its pages, its errors.

Knows what Bitbucket answers. Knows nothing of Singer, nor of what is done with the
answers. Safe to use from many threads.

Source: https://developer.atlassian.com/server/bitbucket/rest/v906/intro/
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from tap_bitbucket_dc import errors, payload
from tap_bitbucket_dc.connection import CHECK_NETWORK
from tap_bitbucket_dc.transport import ANY, NOT_BITBUCKET, Transport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from msgspec.json import Decoder

    from tap_bitbucket_dc.payload import Commit
    from tap_bitbucket_dc.transport import Answer

Json = dict[str, Any]
NONE: Mapping[str, str | int] = MappingProxyType({})

API = "/rest/api/1.0"
MOST_EMPTY_PAGES = 1000  # in a row, or such as say the same
ENDLESS = "goes on for ever, with empty pages or the same rows"
REFUSED = frozenset({401, 403})

USE_A_TOKEN = "Create an HTTP access token in Bitbucket and set `token`."  # noqa: S105
RATE_LIMITED = "Set a lower `requests_per_second`, or ask for an exemption; run again."
CAPTCHA = "Log in once in the browser as this user and solve the captcha."


Row = TypeVar("Row")


@dataclass(frozen=True)
class Page(Generic[Row]):
    """One page of a listing."""

    values: list[Row]
    start: int
    next_start: int | None
    """Where the next page starts, None on the last. Not always start + size."""


class Advance:
    """Whether the pages of a listing lead anywhere."""

    def __init__(self) -> None:
        """Begin before the first page."""
        self._values: list[Any] = []
        self._equal = 0

    def by(self, page: Page[Any]) -> bool:
        """Take the next page; return False once too many in a row say the same."""
        self._equal = self._equal + 1 if page.values == self._values else 0
        self._values = page.values
        return self._equal <= MOST_EMPTY_PAGES


class Client:
    """Asks Bitbucket, and gives its answer or one of the errors in ``errors``."""

    def __init__(
        self, config: Mapping[str, Any], sleep: Callable[[float], None] | None = None
    ) -> None:
        """Check the settings, as ``Transport`` does; send nothing yet."""
        self._transport = Transport(config, sleep)
        self._page_size: int = config["page_size"]
        self._is_basic = not config.get("token")
        self.base_url = self._transport.base_url
        self.user: str | None = None
        """Login that the server named in its last answer, None before."""
        self.unsure = False
        """Whether an answer came that does not name us: the login may have ended."""

    @property
    def requests(self) -> int:
        """Requests sent so far, retries included."""
        return self._transport.requests

    @property
    def throttled(self) -> int:
        """Answers so far that asked for fewer requests (429)."""
        return self._transport.throttled

    def close(self) -> None:
        """Send nothing more; threads that wait for their turn get ClosedError."""
        self._transport.close()

    def application_properties(self) -> Json:
        """Return the version and such: ``{"version": "9.4.0", …}``; needs no login."""
        return self._object("application-properties")

    def projects(self) -> Iterator[Json]:
        """Yield the projects one may see; personal ones are not among them."""
        return self._listing("projects")

    def project(self, key: str) -> Json:
        """Return one project; for a personal one the key is ``~slug``."""
        return self._object(f"projects/{_segment(key)}")

    def all_repositories(self) -> Iterator[Json]:
        """Yield every repository one may see, personal and archived ones too."""
        return self._listing("repos", archived="ALL")  # unknown before 8.0, and ignored

    def repositories(self, project_key: str) -> Iterator[Json]:
        """Yield the repositories of a project, archived ones too."""
        return self._listing(f"projects/{_segment(project_key)}/repos")

    def repository(self, project_key: str, slug: str) -> Json:
        """Return one repository."""
        return self._object(_repository(project_key, slug))

    def default_branch(self, project_key: str, slug: str) -> Json | None:
        """Return ``{"id", "displayId", "latestCommit", …}``, None if it is empty.

        Raises:
            NoDefaultBranchError: The branch does not exist. Servers before 5.6 say
                so of empty repositories, too.
        """
        path = f"{_repository(project_key, slug)}/branches/default"
        branch = self._get(path)
        if branch is not None and not isinstance(branch, dict):
            raise self._unexpected(path, "is no object")
        return branch

    def commits(
        self,
        project_key: str,
        slug: str,
        *,
        until: str,
        since: str | None = None,
        start: int = 0,
    ) -> Page[Commit]:
        """Return a page of the commits reachable from ``until``, not from ``since``.

        Args:
            project_key: Of the repository; ``~slug`` for a personal project.
            slug: Of the repository.
            until: A commit id. A branch could move between two pages, and its
                pages with it.
            since: A commit id, None to go back to the first commit.
            start: Where the page starts, as the page before it said.

        Raises:
            NoSuchCommitError: One of them is not in the repository (any more).
        """
        path = f"{_repository(project_key, slug)}/commits"
        params: dict[str, str | int] = {"until": until, **({"since": since} if since else {})}
        answer = self._get_page(path, start, params, payload.COMMIT_PAGE)
        if not isinstance(answer, payload.CommitPage):  # a part has another type
            page = self._page(path, start, answer)
            commits = [payload.lenient(found) for found in page.values]
            return Page(commits, page.start, page.next_start)
        if answer.is_last_page:
            return Page(answer.values, start, None)
        return Page(answer.values, start, self._next_start(path, start, answer.next_page_start))

    def count_commits(self, project_key: str, slug: str, until: str) -> int | None:
        """Return how many commits lead to ``until``, None where the server does not tell.

        It counts them one by one: not a request for every repository.
        """
        path = f"{_repository(project_key, slug)}/commits"
        answer = self._get(path, {"until": until, "limit": 1, "withCounts": "true"})
        total = answer.get("totalCount") if isinstance(answer, dict) else None
        return total if type(total) is int else None

    def url_of(self, name: str) -> str:
        """Return the URL that is asked for a project ``KEY`` or repository ``KEY/slug``."""
        key, _, slug = name.partition("/")
        return self._url(_repository(key, slug) if slug else f"projects/{_segment(key)}")

    def confirm_login(self) -> None:
        """Make sure that the server knows us, and does not treat us as anonymous.

        Raises:
            FatalError: It does not: ``invalid_credentials``.
        """
        try:
            self._get("profile/recent/repos", {"limit": 1})
        except (errors.FatalError, errors.RedirectError, errors.UnavailableError):
            raise
        except errors.InaccessibleError as error:
            if error.status == 401:  # noqa: PLR2004
                raise self.bad_login(str(error.args[0])) from None
        except errors.BitbucketError:
            return  # unknown there, as for a token of a project: no proof against us

    def bad_login(self, what: str) -> errors.FatalError:
        """Return the error for a login that is not known."""
        remedy = "Check `username` and `password`." if self._is_basic else "Check `token`."
        return errors.FatalError(what, code="invalid_credentials", remedy=remedy)

    # Pages and objects.

    def _listing(self, path: str, **params: str | int) -> Iterator[Json]:
        start: int | None = 0
        advance = Advance()
        while start is not None:
            page = self._page(path, start, self._get_page(path, start, params))
            if not advance.by(page):
                raise self._unexpected(path, ENDLESS)
            yield from page.values
            start = page.next_start

    def _get_page(
        self,
        path: str,
        start: int,
        params: Mapping[str, str | int] = NONE,
        decoder: Decoder[Any] = ANY,
    ) -> Any:  # noqa: ANN401 any JSON
        return self._get(path, {**params, "start": start, "limit": self._page_size}, decoder)

    def _page(self, path: str, start: int, answer: Any) -> Page[Json]:  # noqa: ANN401 any JSON
        values = answer.get("values") if isinstance(answer, dict) else None
        if not isinstance(values, list) or not all(isinstance(v, dict) for v in values):
            raise self._unexpected(path, "has no list `values` of objects")
        if answer.get("isLastPage") is True:
            return Page(values, start, None)
        return Page(values, start, self._next_start(path, start, answer.get("nextPageStart")))

    def _next_start(self, path: str, start: int, next_start: object) -> int:
        if type(next_start) is not int or next_start <= start:
            what = f"is not the last page, but goes on at {next_start} after {start}"
            raise self._unexpected(path, what)
        return next_start

    def _object(self, path: str) -> Json:
        answer = self._get(path)
        if not isinstance(answer, dict):
            raise self._unexpected(path, "is no object")
        return answer

    def _unexpected(self, path: str, what: str) -> errors.BitbucketError:
        return errors.BitbucketError(f"The answer of {self._url(path)} {what}.")

    def _url(self, path: str, params: Mapping[str, str | int] = NONE) -> str:
        query = f"?{urlencode(params)}" if params else ""
        return f"{self.base_url}{API}/{path}{query}"

    # What an answer means.

    def _get(
        self, path: str, params: Mapping[str, str | int] = NONE, decoder: Decoder[Any] = ANY
    ) -> Any:  # noqa: ANN401 any JSON
        """Return the JSON of an answer, None for 204 (no content)."""
        answer = self._transport.get(self._url(path, params), decoder)
        if user := answer.headers.get("X-AUSERNAME"):
            self.user = user
        elif self.user and answer.status in {200, 204}:
            self.unsure = True
        if answer.status == 204:  # noqa: PLR2004
            return None
        if answer.status != 200:  # noqa: PLR2004
            raise self._refusal(answer)
        if not answer.is_json:
            kind = answer.headers.get("Content-Type") or "no Content-Type"
            what = f"{answer.url} answers {kind}, not JSON."
            raise errors.BitbucketError(what, code="not_bitbucket", remedy=NOT_BITBUCKET)
        return answer.value

    def _refusal(self, answer: Answer) -> errors.BitbucketError:
        """Return the error that says what a status other than 200 and 204 means."""
        name, words = _first_error(answer)
        what = _sentence(answer, words or name)
        if answer.status == 429:  # noqa: PLR2004
            return errors.FatalError(what, code="rate_limited", remedy=RATE_LIMITED)
        if answer.status >= 500:  # noqa: PLR2004
            return errors.UnavailableError(what)
        if answer.status in REFUSED:
            return self._no_access(answer, name, what)
        if answer.status == 407:  # noqa: PLR2004 a proxy wants a login
            return errors.FatalError(what, code="unreachable", remedy=CHECK_NETWORK)
        return _not_found(answer, name, what)

    def _no_access(self, answer: Answer, name: str, what: str) -> errors.BitbucketError:
        denied = answer.headers.get("X-Authentication-Denied-Reason", "")
        if "captcha" in f"{denied} {name}".lower():
            return errors.FatalError(what, code="captcha_required", remedy=CAPTCHA)
        if self._is_basic and re.search(rb"(?i)basic.{0,40}(disabled|not )", answer.body):
            code = "basic_auth_disabled"
            return errors.FatalError(what, code=code, remedy=USE_A_TOKEN)
        if ".auth." in name and answer.status == 401:  # noqa: PLR2004
            return self.bad_login(what)
        if "X-AUSERNAME" not in answer.headers:
            self.unsure = True
        return errors.InaccessibleError(what, answer.status)


def _not_found(answer: Answer, name: str, what: str) -> errors.BitbucketError:
    # A 400 is documented for an id that is no commit's.
    if "NoSuchCommit" in name or (answer.status == 400 and "/commits?" in answer.url):  # noqa: PLR2004
        return errors.NoSuchCommitError(what)
    if "NoDefaultBranch" in name:
        return errors.NoDefaultBranchError(what)
    if "NoSuchRepository" in name or "NoSuchProject" in name:
        return errors.InaccessibleError(what, answer.status)
    if not any(_first_error(answer)):  # no error as Bitbucket words them
        return errors.BitbucketError(what, code="not_bitbucket", remedy=NOT_BITBUCKET)
    return errors.BitbucketError(what)


def _first_error(answer: Answer) -> tuple[str, str]:
    """Return Bitbucket's name of an error and its own words, "" where there are none."""
    try:
        first = msgspec.json.decode(answer.body)["errors"][0]
        name, message = first.get("exceptionName"), first.get("message")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return "", ""
    return str(name or ""), str(message or "")


def _sentence(answer: Answer, words: str) -> str:
    wait = answer.headers.get("Retry-After")
    asks = f" (Retry-After: {wait})" if wait else ""
    words = f": {words.rstrip('.')}" if words else ""
    return f"{answer.url} answers {answer.status}{asks}{words}."


def _segment(text: str) -> str:
    return quote(text, safe="~")


def _repository(project_key: str, slug: str) -> str:
    return f"projects/{_segment(project_key)}/repos/{_segment(slug)}"
