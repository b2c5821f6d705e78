"""Reads one path of the REST API: as a typed object or pages of them, or raises an error.

Sends requests with ``transport``, interprets answers with ``refusals``, and parses them with
``models`` and ``lenient``. Does not know which resources exist.
"""

from __future__ import annotations

import functools
import logging
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode

from msgspec.json import Decoder

from tap_bitbucket_dc.bitbucket import refusals
from tap_bitbucket_dc.bitbucket.answers import ANY
from tap_bitbucket_dc.bitbucket.errors import NOT_BITBUCKET, SkippableError, printable
from tap_bitbucket_dc.bitbucket.lenient import lenient
from tap_bitbucket_dc.bitbucket.models import Model
from tap_bitbucket_dc.bitbucket.paging import PageBody, page_of, pages
from tap_bitbucket_dc.bitbucket.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from requests.adapters import BaseAdapter

    from tap_bitbucket_dc.bitbucket.options import Options
    from tap_bitbucket_dc.bitbucket.paging import Ahead, Page
    from tap_bitbucket_dc.bitbucket.throttle import Throttle

    OnBadRow = Callable[[dict[str, Any], SkippableError], object]
    Query = Mapping[str, str | int]

API = "/rest/api/1.0"

Object = TypeVar("Object", bound=Model)

NO_QUERY: Query = MappingProxyType({})

logger = logging.getLogger("tap-bitbucket-dc")

_decoder = functools.cache(Decoder)


class Reader:
    """Reads paths below ``/rest/api/1.0`` of one server."""

    def __init__(
        self, options: Options, throttle: Throttle | None, adapter: BaseAdapter | None
    ) -> None:
        """Check the options; see ``Client``."""
        self.transport = Transport(options, throttle, adapter)
        self.login = refusals.Login(is_basic=not options.token)
        self._page_size = options.page_size
        self._has_warned_of_dates = False

    def pages(  # noqa: PLR0913 what a listing is
        self,
        kind: type[Object],
        path: str,
        query: Query = NO_QUERY,
        start: int = 0,
        ahead: Ahead | None = None,
        *,
        most: int,
        on_bad_row: OnBadRow | None = None,
    ) -> Iterator[Page[Object]]:
        """Yield the pages of a listing in order; see ``paging.pages``.

        Args:
            query: Without ``start`` and ``limit``.
            on_bad_row: Called with each row that lacks its id or key, and with the error; the
                row is left out. If None, the error is raised.
        """
        decoder = _decoder(PageBody[kind])  # type: ignore[valid-type] # at run time it is one

        def ask(start: int) -> Page[Object]:
            url = self.url(path, {**query, "start": start, "limit": self._page_size})

            def row(found: dict[str, Any]) -> Object | None:
                try:
                    return self.model(kind, url, found)
                except SkippableError as error:
                    if on_bad_row is None:
                        raise
                    on_bad_row(found, error)
                    return None

            return page_of(self.get(url, decoder), start, url, row, most=self._page_size)

        return pages(ask, start, url=self.url(path), ahead=ahead, most=most)

    def url(self, path: str, query: Query = NO_QUERY) -> str:
        """Return the URL of a path."""
        asked = f"?{urlencode(query)}" if query else ""
        return f"{self.transport.base_url}{API}/{path}{asked}"

    def get(self, url: str, decoder: Decoder[Any] = ANY) -> Any:  # noqa: ANN401 any JSON
        """Return the JSON of a 200, None for 204 (no content); raise an error for all others."""
        answer = self.transport.get(url, decoder)
        self.login.saw(answer)
        if answer.status == HTTPStatus.NO_CONTENT:
            return None
        if answer.status != HTTPStatus.OK:
            raise refusals.refusal(answer, self.login)
        if not answer.is_json:  # such as a login or maintenance page
            kind = answer.headers.get("Content-Type") or "a response without a Content-Type"
            what = f"{answer.url} returned {kind} instead of JSON."
            raise answer.error(
                SkippableError, code="not_bitbucket", remedy=NOT_BITBUCKET, what=what
            )
        if answer.value is None:
            raise _no_object(url)
        return answer.value

    def read(self, kind: type[Object], path: str) -> Object:
        """Return the object at a path."""
        url = self.url(path)
        if (found := self.read_if_any(kind, url)) is None:
            raise _no_object(url)
        return found

    def read_if_any(self, kind: type[Object], url: str) -> Object | None:
        """Return an object, None for 204 (no content)."""
        found = self.get(url, _decoder(kind))
        return None if found is None else self.model(kind, url, found)

    def read_plain(self, url: str) -> dict[str, Any]:
        """Return an object as plain JSON."""
        found = self.get(url)
        if not isinstance(found, dict):
            raise _no_object(url)
        return found

    def model(self, kind: type[Object], url: str, found: object) -> Object:
        """Return an object from an answer, with the fields that fit."""
        if isinstance(found, kind):
            return found
        try:
            return lenient(kind, found, self._warn_of_date)
        except SkippableError as error:
            what = f"The response from {url} cannot be used: {error.args[0]}"
            raise SkippableError(what, url=url, status=HTTPStatus.OK) from None

    def _warn_of_date(self, value: object) -> None:
        if not self._has_warned_of_dates:
            self._has_warned_of_dates = True
            shown = printable(repr(value))
            logger.warning("Bitbucket sent %s as a date: dates like this become null", shown)


def _no_object(url: str) -> SkippableError:
    what = f"The response from {url} is not an object."
    return SkippableError(what, url=url, status=HTTPStatus.OK)
