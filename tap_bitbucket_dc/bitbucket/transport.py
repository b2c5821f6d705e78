"""GET requests over HTTP: login, retries, time-outs, redirects.

Does not know what Bitbucket's answers mean, except which requests are worth repeating. Safe to
use from many threads.
"""

from __future__ import annotations

import contextlib
import email.utils
import json
import random
import re
import time
from http import HTTPStatus
from importlib import metadata
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urljoin, urlsplit

import requests
import urllib3.exceptions
from requests.models import REDIRECT_STATI
from requests.structures import CaseInsensitiveDict

from tap_bitbucket_dc.bitbucket import errors
from tap_bitbucket_dc.bitbucket.answers import ANY, Answer, TooManyValuesError, decode, read_body
from tap_bitbucket_dc.bitbucket.connection import Connection, trouble
from tap_bitbucket_dc.bitbucket.deadline import Deadline
from tap_bitbucket_dc.bitbucket.throttle import Throttle
from tap_bitbucket_dc.bitbucket.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from msgspec.json import Decoder
    from requests.adapters import BaseAdapter

    from tap_bitbucket_dc.bitbucket.options import Options

CONNECT_TIMEOUT = 10.0  # seconds
FIRST_BACKOFF = 0.5  # seconds; each next one is twice as long
LONGEST_BACKOFF = 30.0  # seconds
LARGEST_ROW = 4 * 1024  # bytes, on average over a page; most commits have less than 1,000
LEAST_ROWS = 1000  # rows for which any answer has room
LONGEST_DATE = 100  # characters
MOST_REDIRECTS = 3
LONGEST_PLACE = 1000  # characters of a redirect's Location that are shown
MOST_ESCAPES = 4  # levels of percent-encoding that are resolved in a redirect
RETRIED = frozenset({429, 500, 502, 503, 504})  # in addition to network errors and invalid JSON


class Transport:
    """Sends GET requests to one server."""

    def __init__(
        self, options: Options, throttle: Throttle | None = None, adapter: BaseAdapter | None = None
    ) -> None:
        """Check the options; see ``Client``."""
        connection = Connection(options)
        self.base_url = connection.base_url
        self._options = options
        self._throttle = throttle or Throttle(options.concurrency, options.requests_per_second)
        self._adapter = adapter or connection.adapter
        timeout = float(options.request_timeout)
        self._deadline = Deadline(timeout)
        self._send_options = {
            **connection.send_options,
            "stream": True,
            "timeout": (min(CONNECT_TIMEOUT, timeout), timeout),
        }
        self._largest = max(options.page_size, LEAST_ROWS) * LARGEST_ROW
        self._headers = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            "User-Agent": f"tap-bitbucket-dc/{metadata.version('tap-bitbucket-dc')}",
            "Authorization": connection.authorization,
        }
        self.usage = Usage()

    def get(self, url: str, decoder: Decoder[Any] = ANY) -> Answer:
        """Return the answer, whatever its status; repeat the request while that may help.

        A 401 or 403 is never retried: after a few of them, Bitbucket demands a captcha.

        Source: the retries of jenkinsci/atlassian-bitbucket-server-integration-plugin (429);
        Javadoc of CaptchaRequiredAuthenticationException.

        Args:
            decoder: For the JSON of a 200; JSON that does not fit its type is returned plain.

        Raises:
            BitbucketError: There was no usable answer after all retries.
        """
        for attempt in range(self._options.max_retries + 1):
            last = attempt == self._options.max_retries
            try:
                with self._throttle.turn(again=attempt > 0):
                    answer = self._follow(url)
                if answer.status not in RETRIED:
                    self._throttle.answered()
                    if answer.status != HTTPStatus.OK or not answer.is_json:
                        return answer
                    value = decode(answer.body, decoder)
                    return Answer(url, answer.status, answer.headers, answer.body, value)
                if last or not self._hold(answer, attempt):
                    return answer
                continue
            except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
                found = trouble(url, error)
                if last or isinstance(found, errors.FatalError):
                    raise found from None
            except json.JSONDecodeError as error:
                is_large = isinstance(error, TooManyValuesError)
                if last or is_large:
                    why = "has too many values" if is_large else f"is not JSON: {error}"
                    what = f"The response from {url} {why}."
                    raise errors.SkippableError(what, url=url) from None
            except ValueError as error:  # the address of a proxy cannot be parsed
                raise trouble(url, error) from None
            self._throttle.sleep(_backoff(attempt))
        raise AssertionError  # the last attempt returns or raises

    def close(self) -> None:
        """Send nothing more; threads that wait for their turn get ClosedError."""
        self._throttle.close()
        self._deadline.close()
        self._adapter.close()

    def _hold(self, answer: Answer, attempt: int) -> bool:
        """Delay the next request: of all threads after a 429 or Retry-After, else of this one only.

        Return False, without any delay, if Retry-After exceeds ``max_wait``.
        """
        asked = _retry_after(answer.headers)
        if asked is not None and asked > self._options.max_wait:
            return False
        if asked or answer.status == HTTPStatus.TOO_MANY_REQUESTS:
            self._throttle.pause(asked or _backoff(attempt))
        else:
            self._throttle.sleep(_backoff(attempt))
        return True

    def _follow(self, url: str) -> Answer:
        """Return the answer; follow redirects, but only within this server's REST API."""
        for _ in range(MOST_REDIRECTS + 1):
            answer = self._send(url)
            if answer.status not in REDIRECT_STATI:
                return answer
            location = answer.headers.get("Location", "")
            target = _inside(f"{self.base_url}/rest/api/", url, location)
            if target is None:
                where = re.sub(r"//[^/]*@", "//", re.split(r"[?#]", location[:LONGEST_PLACE])[0])
                what = f"{answer.url} redirects to {where}, outside of the REST API."
                raise answer.error(errors.RedirectError, what=what)
            url = target
        raise answer.error(errors.RedirectError, what=f"{answer.url} redirects too many times.")

    def _send(self, url: str) -> Answer:
        self.usage.sent()
        request = requests.PreparedRequest()
        request.method, request.url = "GET", url
        request.headers = CaseInsensitiveDict(self._headers)
        sent_at = time.perf_counter()
        # The adapter without a session around it: no cookies, no .netrc, no redirects, and
        # much less CPU time.
        with self._deadline.watch():
            response = self._adapter.send(request, **self._send_options)
            with contextlib.closing(response):
                body = read_body(response, url, self._largest)
        self.usage.answered(url, response.status_code, time.perf_counter() - sent_at)
        return Answer(url, response.status_code, response.headers, body)


def _backoff(attempt: int) -> float:
    """Return the seconds to wait after the n-th failure (from 0), with jitter."""
    return min(FIRST_BACKOFF * 2.0**attempt, LONGEST_BACKOFF) * random.uniform(0.5, 1)  # noqa: S311


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of Retry-After: a number, or a date by the server's clock.

    Source: RFC 9110, section 10.2.3.
    """
    value = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d+(\.\d+)?", value):
        return float(value)
    if (until := _http_date(value)) is None:
        return None
    return max(until - (_http_date(headers.get("Date", "")) or time.time()), 0.0)


def _http_date(value: str) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(value[:LONGEST_DATE]).timestamp()
    except (ValueError, OverflowError):
        return None


def _inside(api: str, url: str, location: str) -> str | None:
    """Return where a redirect leads, None if that may be outside of the REST API."""
    try:
        url = urljoin(url, location)
    except ValueError:
        return None
    path = urlsplit(url).path
    for _ in range(MOST_ESCAPES):
        path = unquote(path)
    # Tomcat cuts off what follows a semicolon.
    names = {part.split(";")[0] for part in re.split(r"[/\\]", path)}
    climbs = "%" in path or names & {".", ".."}
    return url if url.startswith(api) and not climbs else None
