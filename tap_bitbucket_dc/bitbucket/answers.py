"""The answer to a request: its body, decompressed up to a limit, and its JSON.

This module does not interpret the answer, except for the list of errors that Bitbucket's own
refusals contain.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import threading
import zlib
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec
import urllib3.exceptions
from msgspec.json import Decoder

from tap_bitbucket_dc.bitbucket.errors import Kind, SkippableError, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import requests

ANY: Decoder[Any] = Decoder()

CHUNK = 128 * 1024  # bytes; larger ones take fresh memory from the system each time
LARGEST_ERROR = 256 * 1024  # bytes that are read of an answer other than 200
GZIP_OR_ZLIB = zlib.MAX_WBITS + 32
SMALLER = "Set a smaller `page_size`, or look at what the server returns for this URL."

SMALL = 128 * 1024  # bytes of JSON
LARGE = 2 * 1024 * 1024  # bytes of JSON; a page of 1,000 commits has about one million
COMMON_VALUE = 32  # bytes of JSON per value (number, text, list, object) of a page of commits
LEAST_VALUE = 8  # bytes of JSON per value; on average, anything that Bitbucket sends has more

_ONE_AT_A_TIME = threading.Lock()
"""``json`` takes many times the memory of the text it parses, and is no faster in parallel."""


@dataclass(frozen=True)
class Answer:
    """The answer to a request."""

    url: str
    status: int
    headers: Mapping[str, str]
    """Their names are case-insensitive."""
    body: bytes
    value: Any = None
    """The JSON of a 200."""

    @property
    def is_json(self) -> bool:
        """Whether the Content-Type is JSON; that of a login page or of a proxy's page is not."""
        return "json" in self.headers.get("Content-Type", "").lower()

    @functools.cached_property
    def errors(self) -> tuple[tuple[str, str], ...]:
        """The Java class and the message of each error; either is "" if it is missing.

        ``{"errors": [{"context": null, "message": "…", "exceptionName":
        "com.atlassian.bitbucket.commit.NoSuchCommitException"}]}``

        Source: https://developer.atlassian.com/server/bitbucket/rest/v906/intro/ ("Errors
        & Validation"); that fields may be null: recorded by cdancy/bitbucket-rest.
        """
        found = self._body.get("errors")
        rows = [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []
        return tuple(
            (str(row.get("exceptionName") or ""), str(row.get("message") or "")) for row in rows
        )

    def names(self, *parts: str) -> bool:
        """Return whether the class name of any error contains one of these parts."""
        return any(part in name for part in parts for name, _ in self.errors)

    def error(self, kind: type[Kind], *, code: str = "", remedy: str = "", what: str = "") -> Kind:
        """Return an exception; ``what`` defaults to the status and the server's own words."""
        what = what or self._sentence()
        return kind(what, code=code, remedy=remedy, url=self.url, status=self.status)

    def _sentence(self) -> str:
        words = [message or name for name, message in self.errors]
        # The REST module sends this for unknown paths, other Atlassian products for any error.
        # Source: vriesdemichael/bitbucket-data-center-cli, OPENAPI-008.
        if not any(words) and isinstance(message := self._body.get("message"), str):
            words = [message]
        wait = self.headers.get("Retry-After")
        asks = f" (Retry-After: {wait})" if wait else ""
        said = "; ".join(dict.fromkeys(word.rstrip(".") for word in words if word.strip(".")))
        said = f": {said}" if said else ""
        return f"{self.url} returned {self.status}{asks}{said}."

    @functools.cached_property
    def _body(self) -> dict[str, Any]:
        try:
            found = msgspec.json.decode(self.body)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


def read_body(response: requests.Response, url: str, largest: int) -> bytes:
    """Return the body of an answer; if the status is not 200, only the beginning.

    200 kB of gzip can contain 200 MB. So the body is decompressed piece by piece, not by urllib3.

    Raises:
        SkippableError: A 200 has more than ``largest`` bytes, or an unsupported encoding.
        HTTPError: Of urllib3: the body was cut off, or cannot be decompressed.
    """
    status = response.status_code
    is_ok = status == HTTPStatus.OK
    most = largest if is_ok else LARGEST_ERROR
    pieces = iter(lambda: response.raw.read1(CHUNK, decode_content=False), b"")
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in {"", "identity"}:
        if encoding not in {"gzip", "x-gzip", "deflate"} and is_ok:
            shown = repr(printable(encoding))
            what = f"The response from {url} uses the unsupported content encoding {shown}."
            raise SkippableError(what, url=url, status=status)
        pieces = _unpacked(pieces)
    body = io.BytesIO()  # fifty times as fast as a bytearray, which is copied in the end
    for piece in pieces:
        body.write(piece)
        if body.tell() > most:
            if not is_ok:
                return body.getvalue()[:most]
            what = f"The response from {url} is larger than {most:,} bytes."
            raise SkippableError(what, url=url, status=status, remedy=SMALLER)
    return body.getvalue()


def _unpacked(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the content of gzip or zlib, at most ``CHUNK`` bytes at once."""
    stream = zlib.decompressobj(GZIP_OR_ZLIB)
    is_complete = True
    for piece in pieces:
        data = piece
        try:
            while data:
                yield stream.decompress(data, CHUNK)
                is_complete = stream.eof
                data = stream.unconsumed_tail
                if is_complete:  # gzip may continue with another member
                    data = stream.unused_data
                    stream = zlib.decompressobj(GZIP_OR_ZLIB)
        except zlib.error as error:
            if not is_complete:
                raise urllib3.exceptions.DecodeError(str(error)) from None
    if not is_complete:
        raise urllib3.exceptions.DecodeError("the compressed body is cut off")


class TooManyValuesError(json.JSONDecodeError):
    """Parsing the JSON would take many times the memory of its text."""


def decode(body: bytes, decoder: Decoder[Any]) -> Any:  # noqa: ANN401 any JSON
    r"""Return the JSON of a body: as the decoder's type if it fits, else plain.

    What other JSON parsers and databases refuse becomes U+FFFD: lone surrogates in
    ``\ud800`` escapes, bytes that are not UTF-8, and NUL. Git allows all of them in a commit.

    Raises:
        JSONDecodeError: The body is not JSON.
        TooManyValuesError: Parsing it would take too much memory.
    """
    if len(body) > LARGE:
        _require_few_values(body, LARGE // LEAST_VALUE + len(body) // COMMON_VALUE)
    if body.rfind(rb"\u0000") < 0:  # three times as fast as ``in``
        with contextlib.suppress(ValueError, RecursionError):
            return decoder.decode(body)
    if len(body) > SMALL:
        _require_few_values(body, len(body) // LEAST_VALUE)
    try:
        with _ONE_AT_A_TIME:
            # The standard library is more tolerant, and says what is wrong.
            return _clean(json.loads(body.decode("utf-8", "replace")))
    except json.JSONDecodeError:
        raise
    except (ValueError, RecursionError) as error:  # a number too long, nested too deep
        raise json.JSONDecodeError(str(error), "", 0) from None


def _require_few_values(body: bytes, most: int) -> None:
    # In memory, each value takes up to a hundred bytes, even if its JSON has only two.
    if sum(map(body.count, b",[{")) > most:
        raise TooManyValuesError("too many values", "", 0)


def _clean(value: Any) -> Any:  # noqa: ANN401 any JSON
    """Return a value with texts that can be encoded; lists and objects are changed in place."""
    if isinstance(value, str):
        text = value.replace("\0", "\ufffd")
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        value[:] = map(_clean, value)
    elif isinstance(value, dict):
        for key in list(value):
            value[_clean(key)] = _clean(value.pop(key))
    return value
