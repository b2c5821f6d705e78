"""An answer as it came back, and its JSON. Does not know what it means."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import msgspec
from msgspec.json import Decoder

if TYPE_CHECKING:
    from collections.abc import Mapping

ANY: Decoder[Any] = Decoder()


class Answer(NamedTuple):
    """What came back for a request."""

    url: str
    status: int
    headers: Mapping[str, str]
    """Names in any case."""
    body: bytes
    value: Any = None
    """The JSON of a 200."""

    @property
    def is_json(self) -> bool:
        """Whether it says that it is JSON: the pages of proxies and logins do not."""
        return "json" in self.headers.get("Content-Type", "").lower()

    @property
    def first_error(self) -> tuple[str, str]:
        """The Java class and the message of the first error, "" for what is missing.

        ``{"errors": [{"context": null, "message": "…", "exceptionName":
        "com.atlassian.bitbucket.commit.NoSuchCommitException"}]}``

        Source: https://developer.atlassian.com/server/bitbucket/rest/v906/intro/ ("Errors
        & Validation"); that fields may be null: recorded by cdancy/bitbucket-rest.
        """
        try:
            first = msgspec.json.decode(self.body)["errors"][0]
            name, message = first.get("exceptionName"), first.get("message")
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return "", ""
        return str(name or ""), str(message or "")

    @property
    def sentence(self) -> str:
        """URL, status and the server's own words, for an error message."""
        name, message = self.first_error
        words = message or name
        wait = self.headers.get("Retry-After")
        asks = f" (Retry-After: {wait})" if wait else ""
        words = f": {words.rstrip('.')}" if words else ""
        return f"{self.url} answers {self.status}{asks}{words}."


def decode(body: bytes, decoder: Decoder[Any]) -> Any:  # noqa: ANN401 any JSON
    r"""Return the JSON of a body: as the decoder's type if it fits, else plain.

    What other JSON parsers and databases refuse becomes U+FFFD: lone surrogates in
    ``\ud800`` escapes, bytes that are not UTF-8, and NUL. Git allows all of them in a commit.

    Raises:
        JSONDecodeError: The body is not JSON.
    """
    if rb"\u0000" not in body:
        with contextlib.suppress(ValueError, RecursionError):
            return decoder.decode(body)
    try:  # the standard library is more tolerant, and says what is wrong
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
