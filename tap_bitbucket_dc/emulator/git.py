"""The refs and commits of one git repository on disk.

Git itself computes and orders ranges, resolves names, and reads packed objects. Starting git takes
some milliseconds, so HEAD, loose refs and loose commits, each of which is a small file, are read
directly.

Commits, and ranges between two commits, never change, so they are cached. Whether a commit is
still in the repository is looked up each time.

Knows nothing of projects, permissions or HTTP.

Source: https://git-scm.com/docs/gitrepository-layout
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import threading
import zlib
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_ID = re.compile(r"[0-9a-f]{40}")
# Matches the name of a branch or tag, but no expression such as HEAD~2, main@{u} or a..b.
_NAME = re.compile(r"(?!-)(?:(?!@\{|\.\.)[^\0-\x20\x7f~^:?*\[\\])+")
_FOUND = re.compile(rb"([0-9a-f]{40}) commit \d+")
_LINE = 41  # bytes of an id and its newline in the output of rev-list
MERGES = {"include": (), "exclude": ("--no-merges",), "only": ("--merges",)}
# The caller's git configuration, locale and GIT_* variables must not change an answer.
# An explicit --git-dir makes safe.directory irrelevant.
_SETTINGS = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "LC_ALL": "C.UTF-8",
}


class NoSuchCommitError(LookupError):
    """A commit is not, or no longer, in the repository."""


class GitError(RuntimeError):
    """Git failed; the message is what git printed."""


def run(*command: str, asked: str = "") -> bytes:
    """Run git with ``asked`` as its input and return what it prints.

    Raises:
        GitError: Git failed.
    """
    inherited = {name: value for name, value in os.environ.items() if name[:4] != "GIT_"}
    done = subprocess.run(
        ["git", *command],
        env=inherited | _SETTINGS,
        input=asked.encode("utf-8", "surrogateescape"),
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise GitError(done.stderr.decode("utf-8", "replace").strip())
    return done.stdout


@dataclass(frozen=True)
class Person:
    """An author or committer. ``time`` is in seconds since 1970, and may be any integer."""

    name: str
    email: str
    time: int


@dataclass(frozen=True)
class Commit:
    """A commit as git stores it, without the newlines at the end of the message."""

    id: str
    parents: tuple[str, ...]
    author: Person
    committer: Person
    message: str


class CommitRange:
    """The ids of a range of commits, newest first. Slicing costs the same at any length."""

    def __init__(self, lines: bytes) -> None:
        self._lines = lines

    def __len__(self) -> int:
        """Return how many commits the range has."""
        return len(self._lines) // _LINE

    def ids(self, start: int, stop: int) -> list[str]:
        """Return the ids from ``start`` up to but not including ``stop``."""
        return self._lines[_LINE * start : _LINE * stop].decode().split()


class Recent:
    """A cache that evicts the least recently used values once it exceeds ``size`` bytes."""

    def __init__(self, size: int) -> None:
        self._values: OrderedDict[object, bytes] = OrderedDict()
        self._room = size
        self._lock = threading.Lock()

    def get(self, key: object) -> bytes | None:
        """Return the value of a key, None if there is none or it was evicted."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def put(self, key: object, value: bytes) -> None:
        """Store a value."""
        with self._lock:
            self._room += len(self._values.pop(key, b"")) - len(value)
            self._values[key] = value
            while self._room < 0 and len(self._values) > 1:
                self._room += len(self._values.popitem(last=False)[1])


class Git:
    """One repository, bare or not.

    Args:
        directory: The directory that holds HEAD and objects.
        recent: The cache, shared by all repositories so that its limit holds for all together.
    """

    def __init__(self, directory: str, recent: Recent) -> None:
        self.directory = directory
        self._recent = recent

    def head(self) -> str | None:
        """Return the ref that HEAD names, even if it does not exist; None if HEAD is detached."""
        kind, _, ref = self._file("HEAD").partition(" ")
        return ref if kind == "ref:" else None

    def tip(self, ref: str) -> str | None:
        """Return the id of the commit that a ref points to; None if there is no such ref."""
        try:
            content = self._file(ref)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            content = ""  # packed or missing
        return content if _ID.fullmatch(content) else self.resolve(ref)[0]

    def is_empty(self) -> bool:
        """Tell whether there is no ref at all."""
        return not self._run("for-each-ref", "--count=1")

    def branches(self, *, by_name: bool = False) -> list[tuple[str, str]]:
        """Return (ref, commit id) of all branches, the latest commit first, or ``by_name``."""
        order = "refname" if by_name else "-committerdate"
        template = "--format=%(objectname) %(refname)"
        lines = self._run("for-each-ref", f"--sort={order}", template, "refs/heads").splitlines()
        rows = (line.decode("utf-8", "surrogateescape").partition(" ") for line in lines)
        return [(ref, tip) for tip, _, ref in rows]

    def resolve(self, *names: str) -> list[str | None]:
        """Return the ids of commits named by an id, the beginning of an id, a branch or a tag.

        None stands for a name that matches no commit of this repository.
        """
        found = {name: name for name in names if _ID.fullmatch(name) and self._loose(name)}
        unsure = [name for name in names if name not in found and _NAME.fullmatch(name)]
        if unsure:
            asked = "".join(f"{name}^{{commit}}\n" for name in unsure)
            lines = self._run("cat-file", "--batch-check", asked=asked).splitlines()
            for name, line in zip(unsure, lines, strict=True):
                if match := _FOUND.fullmatch(line):
                    found[name] = match[1].decode()
        return [found.get(name) for name in names]

    def range(self, until: str, since: str | None = None, merges: str = "include") -> CommitRange:
        """Return the commits reachable from ``until`` but not from ``since``, in git's order.

        Args:
            until: An id that ``resolve`` has just returned.
            since: Another such id, or None to go back to the first commit.
            merges: A key of ``MERGES``.

        Raises:
            NoSuchCommitError: One of the two has just been garbage-collected.
            GitError: Commits are missing from the history.
        """
        key = (self.directory, until, since, merges)
        lines = self._recent.get(key)
        if lines is None:
            exclude = [f"^{since}"] if since else []
            try:
                lines = self._run("rev-list", *MERGES[merges], until, *exclude)
            except GitError:
                for name in filter(None, (until, since)):
                    if self.resolve(name) == [None]:
                        raise NoSuchCommitError(name) from None
                raise
            self._recent.put(key, lines)
        return CommitRange(lines)

    def commits(self, ids: Iterable[str]) -> list[Commit]:
        """Return the commits with these full ids, in their order.

        Raises:
            NoSuchCommitError: One of them is not in the repository.
        """
        contents = {id_: self._recent.get(id_) for id_ in ids}
        new = {id_: self._loose(id_) for id_, content in contents.items() if content is None}
        new.update(self._packed([id_ for id_, content in new.items() if content is None]))
        for id_, content in new.items():
            if content is None:
                raise NoSuchCommitError(id_)
            self._recent.put(id_, content)
        return [_commit(id_, content) for id_, content in (contents | new).items() if content]

    def _file(self, name: str) -> str:
        return Path(self.directory, name).read_text("utf-8", "surrogateescape").strip()

    def _loose(self, id_: str) -> bytes | None:
        """Return the content of a commit that is not packed, otherwise None."""
        try:
            file = Path(self.directory, "objects", id_[:2], id_[2:]).read_bytes()
        except FileNotFoundError:
            return None
        kind, _, content = zlib.decompress(file).partition(b"\0")
        return content if kind.startswith(b"commit ") else None

    def _packed(self, ids: list[str]) -> dict[str, bytes]:
        """Return the contents of the commits that git finds, in packs or in alternates."""
        if not ids:
            return {}
        asked = "".join(f"{id_}\n" for id_ in ids)
        output = io.BytesIO(self._run("cat-file", "--batch", "--buffer", asked=asked))
        contents = {}
        # Git prints, in the order of ids, "<id> commit <size>\n<content>\n" or "<id> missing\n".
        for id_ in ids:
            header = output.readline().split()
            if header[-1] != b"missing":
                contents[id_] = output.read(int(header[-1]))
                output.readline()
        return contents

    def _run(self, *command: str, asked: str = "") -> bytes:
        return run(f"--git-dir={self.directory}", *command, asked=asked)


def _commit(id_: str, content: bytes) -> Commit:
    """Parse a commit object.

    ::

        tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904
        parent 76c728b9…          (none, one or more)
        author Ada Lovelace <ada@example.com> 1700137400 +0100
        committer …
        encoding ISO-8859-1       (rarely)

        message
    """
    head, _, message = content.partition(b"\n\n")
    fields: dict[bytes, list[bytes]] = {}
    for line in head.split(b"\n"):
        name, _, value = line.partition(b" ")
        fields.setdefault(name, []).append(value)
    encoding = fields.get(b"encoding", [b"utf-8"])[0].decode("ascii", "replace")
    return Commit(
        id=id_,
        parents=tuple(parent.decode() for parent in fields.get(b"parent", [])),
        author=_person(fields[b"author"][0], encoding),
        committer=_person(fields[b"committer"][0], encoding),
        message=_text(message.partition(b"\0")[0], encoding).rstrip("\n"),  # git stops at a NUL
    )


def _person(line: bytes, encoding: str) -> Person:
    name, _, rest = line.partition(b"<")
    email, _, _ = rest.partition(b">")
    time = rest.rpartition(b">")[2].split()
    return Person(
        name=_text(name.strip(), encoding),
        email=_text(email.strip(), encoding),
        time=int(time[0]) if time else 0,
    )


def _text(content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding, "replace")
    except LookupError:  # no such encoding
        return content.decode("utf-8", "replace")
