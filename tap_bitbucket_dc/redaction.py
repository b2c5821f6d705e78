"""Removes secrets from whatever is logged, printed or raised.

A secret is registered where it enters the tap. From then on ``hidden`` removes it, even if it is
percent-encoded, escaped as in JSON or HTML, in another case, or truncated.
"""

from __future__ import annotations

import base64
import functools
import logging
import re
import sys
import traceback
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType

MASK = "***"
MOST_GROUPS = 16  # groups of secrets registered together, such as those of one configuration
LONGEST_TEXT = 100_000  # characters; what follows them is cut off
SHORT = 6  # characters; a shorter secret is removed only where it is a whole word
FRAGMENT = 12  # characters at either end of a secret that are removed even without the rest
OUR_WORDS = frozenset({"token", "password", "username"})
"""Names of settings: printed even if somebody uses one of them as a secret."""

_URL_LOGIN = re.compile(r"(?:[^/@]{0,64}//)?([^\n]*)@")
_PIECES = re.compile(r"[\s#?/\\@:&=%]+")
_PEM_LINE = re.compile(r"[A-Za-z0-9+/=]{16,}")
_groups: dict[tuple[str, ...], re.Pattern[str]] = {}


def hide(*secrets: object) -> None:
    """Register secrets: text, or lists and objects in which every text is secret."""
    found = {form for secret in secrets for text in texts(secret) for form in _forms(text)}
    group = tuple(sorted(found - OUR_WORDS, key=lambda form: (-len(form), form)))
    if not group:
        return
    known = _groups.pop(group, None)
    _groups[group] = known or _pattern(group)  # the newest is the last
    if len(_groups) > MOST_GROUPS:
        del _groups[next(iter(_groups))]


def basic(username: str, password: str) -> str:
    """Return the form in which Basic authentication sends a login."""
    return base64.b64encode(f"{username}:{password}".encode()).decode("ascii")


def hide_login(username: str, password: str) -> None:
    """Register a password, as it is and as Basic authentication sends it."""
    sent = basic(username, password)
    hide(password, sent, sent.rstrip("="))


def hide_url(url: str) -> None:
    """Register the password in a URL, however malformed, and parts that a parser may split off."""
    if not (found := _URL_LOGIN.match(url.strip())):
        return
    username, _, password = found[1].partition(":")
    for name, text in {(username, password), (unquote(username), unquote(password))}:
        hide_login(name, text)
    hide([piece for piece in _PIECES.split(password) if len(piece) > 2])  # noqa: PLR2004 shorter ones reveal little


def forget() -> None:
    """Forget all secrets, for example between two tests."""
    _groups.clear()


def hidden(text: str) -> str:
    """Return a text without the secrets."""
    if len(text) > LONGEST_TEXT:
        text = f"{text[:LONGEST_TEXT]}…"
    for pattern in list(_groups.values()):
        text = pattern.sub(MASK, text)
    return text


def texts(value: object) -> Iterator[str]:
    """Yield the texts and numbers in a JSON value, those in lists and objects included."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from texts(item)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def install() -> None:
    """Pass each log record and each traceback of this process through ``hidden``."""
    make = logging.getLogRecordFactory()
    if not (isinstance(make, functools.partial) and make.func is _record):
        logging.setLogRecordFactory(functools.partial(_record, make))
    sys.excepthook = _print_traceback


def _record(
    make: Callable[..., logging.LogRecord], /, *args: object, **kwargs: object
) -> logging.LogRecord:
    """Return a log record without secrets, for any logger and handler."""
    record = make(*args, **kwargs)
    message = record.getMessage()
    if (shown := hidden(message)) != message:
        record.msg, record.args = shown, ()
    if record.exc_info and record.exc_info[0] is not None:
        # A structured formatter would read the exception itself.
        lines = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
        if (shown := hidden(lines)) != lines:
            record.exc_info, record.exc_text = None, shown
    return record


def _print_traceback(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    sys.stderr.write(hidden("".join(traceback.format_exception(kind, error, trace))))


def _forms(secret: str) -> Iterator[str]:
    """Yield the forms in which a secret may be printed; of a PEM text, each line."""
    secret = secret.strip()
    if "-----BEGIN" in secret or "\n" in secret:
        yield from _PEM_LINE.findall(secret.replace("\\n", "\n"))
    elif secret:
        yield secret
        if not secret.isascii():  # as http.client decodes headers
            yield secret.encode("utf-8", "replace").decode("latin-1")


def _pattern(secrets: Iterable[str]) -> re.Pattern[str]:
    alternatives = []
    for secret in secrets:
        exact = "".join(map(_character, secret))
        alternatives.append(exact if len(secret) >= SHORT else rf"(?<!\w){exact}(?!\w)")
        if len(secret) >= FRAGMENT + 4:
            start = "".join(map(_character, secret[:FRAGMENT]))
            alternatives += [rf"{start}[\w+/=.~-]*", "".join(map(_character, secret[-FRAGMENT:]))]
    return re.compile("|".join(alternatives), re.IGNORECASE)


@functools.cache
def _character(character: str) -> str:
    """Return a pattern for a character: itself, percent-encoded, or escaped as in JSON or HTML."""
    code = ord(character)
    percent = "".join(f"%(?:25){{0,3}}{byte:02x}" for byte in character.encode("utf-8", "replace"))
    units = character.encode("utf-16-be", "surrogatepass")
    json_ = "".join(rf"\\{{1,8}}u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))
    literal = r"\\{1,16}" if character == "\\" else rf"\\{{0,8}}{re.escape(character)}"
    return f"(?:{literal}|{percent}|{json_}|&#(?:x0{{0,4}}{code:x}|0{{0,4}}{code});)"
