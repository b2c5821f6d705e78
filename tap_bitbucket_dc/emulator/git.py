"""What is true: the refs and commits of one git repository on disk.

Ranges, order, names and packed objects are git's own answers. Starting git takes some
milliseconds though, and a server asks the same few things all day. So what git keeps in one small
file of its own is read straight from there: HEAD, a loose ref, a loose commit.

Ranges between two commits and the commits themselves never change, and are remembered. Whether
they are still in the repository is looked up each time.

Knows nothing of projects, permissions or HTTP.

Source: https://git-scm.com/docs/gitrepository-layout
"""

from __future__ import annotations

import os
import re
import subprocess
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tap_bitbucket_dc.emulator.recent import Recent

_ID = re.compile(r"[0-9a-f]{40}")
# What may be the name of a branch or tag, and is no expression: HEAD~2, main@{u}, a..b
_NAME = re.compile(r"(?!-)(?:(?!@\{|\.\.)[^\0-\x20\x7f~^:?*\[\\])+")
_FOUND = re.compile(rb"([0-9a-f]{40}) commit \d+")
_LINE = 41  # bytes of an id and its newline in what rev-list prints
MERGES = {"include": (), "exclude": ("--no-merges",), "only": ("--merges",)}
# Whoever starts the emulator may have a configuration, a locale, or be a git hook: none of it
# may show in an answer. An explicit --git-dir makes safe.directory a non-issue.
_SETTINGS = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "LC_ALL": "C.UTF-8",
}


class NoSuchCommitError(LookupError):
    """A commit is not in the repository, or not any more."""


class GitError(RuntimeError):
    """Git failed, in its own words."""


def run(*command: str, asked: str = "") -> bytes:
    """Return what git prints, given what it is asked on its input.

    Raises:
        GitError: It failed.
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
    """Who wrote or committed, and when, in seconds since 1970: any number git may hold."""

    name: str
    email: str
    time: int


@dataclass(frozen=True)
class Commit:
    """A commit as git has it; the message without the newlines at its end."""

    id: str
    parents: tuple[str, ...]
    author: Person
    committer: Person
    message: str


class CommitRange:
    """The ids of a range, newest first; a page of 100,000 of them costs no more than of 100."""

    def __init__(self, lines: bytes) -> None:
        self._lines = lines

    def __len__(self) -> int:
        """Return how many commits the range has."""
        return len(self._lines) // _LINE

    def ids(self, start: int, stop: int) -> list[str]:
        """Return the ids from ``start`` up to, and without, ``stop``."""
        return self._lines[_LINE * start : _LINE * stop].decode().split()


class Git:
    """One repository, bare or not.

    Args:
        directory: The one that holds HEAD and objects.
        recent: Shared by all repositories, so that its bound holds for them together.
    """

    def __init__(self, directory: str, recent: Recent) -> None:
        self.directory = directory
        self._recent = recent

    def head(self) -> str | None:
        """Return the ref HEAD names, whether it exists or not; None where HEAD is detached."""
        kind, _, ref = self._file("HEAD").partition(" ")
        return ref if kind == "ref:" else None

    def tip(self, ref: str) -> str | None:
        """Return the id of the commit a full ref name leads to, None without such a ref."""
        try:
            content = self._file(ref)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            content = ""  # packed, or not there
        return content if _ID.fullmatch(content) else self.resolve(ref)[0]

    def is_empty(self) -> bool:
        """Tell whether there is no ref at all."""
        return not self._run("for-each-ref", "--count=1")

    def branches(self, *, by_name: bool = False) -> list[tuple[str, str]]:
        """Return (ref, id of its commit); the last changed first, or ``by_name``."""
        order = "refname" if by_name else "-committerdate"
        template = "--format=%(objectname) %(refname)"
        lines = self._run("for-each-ref", f"--sort={order}", template, "refs/heads").splitlines()
        rows = (line.decode("utf-8", "surrogateescape").partition(" ") for line in lines)
        return [(ref, tip) for tip, _, ref in rows]

    def resolve(self, *names: str) -> list[str | None]:
        """Return the ids of commits named by id, beginning of an id, branch or tag.

        None stands for each that names no commit of this repository.
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
            until: An id that ``resolve`` has just answered.
            since: Another one, or None to go back to the first commit.
            merges: A key of ``MERGES``.

        Raises:
            NoSuchCommitError: One of the two has just been collected.
            GitError: The history has a hole: commits in it are gone.
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
            NoSuchCommitError: One of them is not there.
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
        """Return a commit's content if it lies in a file of its own."""
        try:
            file = Path(self.directory, "objects", id_[:2], id_[2:]).read_bytes()
        except FileNotFoundError:
            return None
        kind, _, content = zlib.decompress(file).partition(b"\0")
        return content if kind.startswith(b"commit ") else None

    def _packed(self, ids: list[str]) -> dict[str, bytes]:
        """Return the contents of those commits that git has, wherever: in packs, in alternates."""
        if not ids:
            return {}
        output = self._run("cat-file", "--batch", "--buffer", asked="\n".join(ids) + "\n")
        contents = {}
        at = 0
        for (
            id_
        ) in ids:  # in the order asked: "<id> commit <size>\n<content>\n", or "<id> missing\n"
            start = output.index(b"\n", at) + 1
            size = output[at:start].split()[2:]
            at = start
            if size:
                at = start + int(size[0])
                contents[id_] = output[start:at]
                at += 1
        return contents

    def _run(self, *command: str, asked: str = "") -> bytes:
        return run(f"--git-dir={self.directory}", *command, asked=asked)


def _commit(id_: str, content: bytes) -> Commit:
    """Read a commit object.

    ::

        tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904
        parent 76c728b9…          (none, one or more)
        author Ada Lovelace <ada@example.com> 1700137400 +0100
        committer …
        encoding ISO-8859-1       (seldom)

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
        # To git a message ends at a NUL.
        message=_text(message.partition(b"\0")[0], encoding).rstrip("\n"),
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
    except LookupError:  # a name of an encoding that is none
        return content.decode("utf-8", "replace")
