"""GET requests over HTTP: login, retries, time-outs, redirects, JSON.

Knows nothing of what Bitbucket's answers mean, but which of them to ask for again.
Safe to use from many threads.
"""

from __future__ import annotations

import base64
import contextlib
import email.utils
import json
import random
import re
import time
from importlib import metadata
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from urllib.parse import urljoin

import requests
import urllib3.exceptions
from msgspec.json import Decoder
from requests.structures import CaseInsensitiveDict

from tap_bitbucket_dc import errors
from tap_bitbucket_dc.connection import Connection, trouble
from tap_bitbucket_dc.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CONNECT_TIMEOUT = 10.0  # seconds
FIRST_BACKOFF = 0.5  # seconds; each next one is twice as long
LONGEST_BACKOFF = 30.0  # seconds
LARGEST_BODY = 256 * 1024 * 1024  # bytes; 1,000 commits are about one million
MOST_REDIRECTS = 3
RETRIED = frozenset({429, 500, 502, 503, 504})
REDIRECTS = frozenset({301, 302, 303, 307, 308})

ANY: Decoder[Any] = Decoder()
NOT_BITBUCKET = "Set `base_url` to what you open in the browser to see Bitbucket."


class Answer(NamedTuple):
    """What came back: status, headers (in any case), body as sent, and its JSON."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    value: Any = None
    """The JSON of a 200."""

    @property
    def is_json(self) -> bool:
        """Whether it says that it is JSON: pages of proxies and logins do not."""
        return "json" in self.headers.get("Content-Type", "").lower()


class Transport:
    """Sends GET requests to one server, never more than ``concurrency`` at once."""

    def __init__(
        self, config: Mapping[str, Any], sleep: Callable[[float], None] | None = None
    ) -> None:
        """Check the settings; send nothing yet.

        Args:
            config: The tap's settings with their defaults.
            sleep: What to do instead of sleeping before a retry.

        Raises:
            ConfigError: A setting is wrong.
        """
        self._connection = Connection(config)
        self.base_url = self._connection.base_url
        self._pace = Pace(config["concurrency"], config.get("requests_per_second"))
        self._sleep = sleep or self._pace.sleep
        self._timeout = float(config["request_timeout"])
        self._max_retries: int = config["max_retries"]
        self._max_wait: float = config["max_wait"]
        self._headers = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            "User-Agent": f"tap-bitbucket-dc/{metadata.version('tap-bitbucket-dc')}",
            "Authorization": _authorization(config),
        }
        self._adapter = self._connection.adapter(config["concurrency"])
        self.requests = 0
        """Requests sent so far, retries included."""
        self.throttled = 0
        """Answers so far that asked for fewer requests (429)."""

    def get(self, url: str, decoder: Decoder[Any] = ANY) -> Answer:
        """Return the answer, whatever its status, once it need not be tried again.

        JSON that does not fit the types of the decoder is returned without them.

        Tried again are 429, 500, 502, 503, 504, trouble with the connection, and JSON
        that is cut off. Never 401 and 403: after some of them Bitbucket locks the
        login behind a captcha.

        Raises:
            UnavailableError: No answer after all retries.
            FatalError: The certificate is not trusted.
            RedirectError: It redirects elsewhere.
            BitbucketError: It says that it is JSON, but is none.
        """
        for attempt in range(self._max_retries + 1):
            last = attempt == self._max_retries
            try:
                with self._pace.turn(again=attempt > 0):
                    answer = self._follow(url)
                if answer.status not in RETRIED:
                    self._pace.answered()
                    return _with_value(answer, decoder)
                if last or not self._hold(answer, attempt):
                    return answer
            except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
                found = trouble(url, error)
                if last or isinstance(found, errors.FatalError):
                    raise found from None
                self._sleep(_backoff(attempt))
            except json.JSONDecodeError as error:
                if last:
                    what = f"The answer of {url} is no JSON: {error}."
                    raise errors.BitbucketError(what) from None
                self._sleep(_backoff(attempt))
        raise AssertionError  # the last attempt returns or raises

    def close(self) -> None:
        """Send nothing more; threads that wait for their turn get ClosedError."""
        self._pace.close()
        self._adapter.close()

    def _hold(self, answer: Answer, attempt: int) -> bool:
        """Wait as a 429 or 5xx asks for, all threads if it says for how long.

        Returns:
            False if it asks for too long.
        """
        asked = _retry_after(answer.headers)
        self.throttled += answer.status == 429  # noqa: PLR2004
        if asked is not None and asked > self._max_wait:
            return False
        if answer.status == 429 or asked:  # noqa: PLR2004
            self._pace.pause(asked or _backoff(attempt))
        else:
            self._sleep(_backoff(attempt))
        return True

    def _follow(self, url: str) -> Answer:
        """Return the answer; follow redirects within this server's REST API only."""
        for _ in range(MOST_REDIRECTS + 1):
            answer = self._send(url)
            if answer.status not in REDIRECTS:
                return answer
            location = answer.headers.get("Location", "")
            url = _joined(url, location)
            if not url.startswith(f"{self.base_url}/rest/"):
                break
        where = re.sub(r"//[^/]*@", "//", re.split(r"[?#]", location)[0])
        what = f"{answer.url} redirects to {where or 'nowhere'}, which was not followed."
        raise errors.RedirectError(what, code="not_bitbucket", remedy=NOT_BITBUCKET)

    def _send(self, url: str) -> Answer:
        self.requests += 1
        request = requests.PreparedRequest()
        request.method, request.url = "GET", url
        request.headers = CaseInsensitiveDict(self._headers)
        # The adapter without the session around it: no cookies, no .netrc, no
        # redirects, and less of the processor's time.
        response = self._adapter.send(
            request,
            stream=True,
            timeout=(min(CONNECT_TIMEOUT, self._timeout), self._timeout),
            **self._connection.options,
        )
        with contextlib.closing(response):
            return Answer(url, response.status_code, response.headers, self._body(response))

    def _body(self, response: requests.Response) -> bytes:
        """Return the body, if it comes in time: a drip of bytes resets a time-out."""
        end = time.monotonic() + self._timeout
        body = bytearray()
        while chunk := response.raw.read1(1024 * 1024, decode_content=True):
            body += chunk
            if time.monotonic() > end:
                raise requests.ReadTimeout(f"body not complete after {self._timeout:g} s")
            if len(body) > LARGEST_BODY:
                what = f"The answer of {response.url} has more than {LARGEST_BODY} bytes."
                raise errors.BitbucketError(what)
        return bytes(body)


def _authorization(config: Mapping[str, Any]) -> str:
    if token := config.get("token"):
        return f"Bearer {token}"
    login = f"{config['username']}:{config['password']}".encode()
    return f"Basic {base64.b64encode(login).decode('ascii')}"


def _backoff(attempt: int) -> float:
    """Return seconds to wait after the n-th failure (from 0), with jitter."""
    return min(FIRST_BACKOFF * 2.0**attempt, LONGEST_BACKOFF) * random.uniform(0.5, 1)  # noqa: S311


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of Retry-After: a number, or a date by the server's clock."""
    value = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d+(\.\d+)?", value):
        return float(value)
    until = _http_date(value)
    if until is None:
        return None
    now = _http_date(headers.get("Date", "")) or time.time()
    return max(until - now, 0.0)


def _joined(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError:
        return ""


def _http_date(value: str) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError):
        return None


def _with_value(answer: Answer, decoder: Decoder[Any]) -> Answer:
    if answer.status != 200 or not answer.is_json:  # noqa: PLR2004
        return answer
    return answer._replace(value=_decode(answer.body, decoder))


def _decode(body: bytes, decoder: Decoder[Any]) -> Any:  # noqa: ANN401 any JSON
    r"""Return the JSON of a body; raises JSONDecodeError.

    What no JSON writer or database takes becomes U+FFFD: lone surrogates in
    ``\ud800`` escapes, bytes that are no UTF-8, and NUL.
    """
    if rb"\u0000" not in body:
        with contextlib.suppress(ValueError, RecursionError):
            return decoder.decode(body)
    try:  # the standard library can read it, or says what is wrong
        return _clean(json.loads(body.decode("utf-8", "replace")))
    except json.JSONDecodeError:
        raise
    except (ValueError, RecursionError) as error:  # a number too long, nested too deep
        raise json.JSONDecodeError(str(error), "", 0) from None


def _clean(value: Any) -> Any:  # noqa: ANN401 any JSON
    if isinstance(value, str):
        text = value.replace("\0", "\ufffd")
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if isinstance(value, dict):
        return {cast("str", _clean(key)): _clean(item) for key, item in value.items()}
    return value
