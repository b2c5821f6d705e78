"""Real git repositories, written without git: a commit costs one small file.

    repository = GitRepository(root / "PAY" / "ledger").facts(id=12)
    old = repository.commits(3)
    late = repository.commit("late", parents=[old[0]], branch="late", date=1_600_000_000)
    repository.merge(repository.branch_tip(), late)
    assert repository.rev_list()[0] == repository.branch_tip()

Objects and refs have git's own format: ``git fsck --strict`` reports no errors, and ``rev_list``
runs the real ``git rev-list``. In each repository, dates start at a fixed moment and advance by a
minute per commit, so that the same calls always produce the same ids.

Source: https://git-scm.com/docs/gitrepository-layout, https://git-scm.com/docs/gitformat-pack
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Self

FIRST_DATE = 1_700_000_000  # 2023-11-14T22:13:20Z
ADA = "Ada Lovelace <ada@example.com>"
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
MANY = 100  # from this number on, commits are written as one pack
CONFIG = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n"


class GitRepository:
    """A bare repository at ``path``, created with its parent directories if it does not exist."""

    def __init__(self, path: str | Path, default_branch: str = "main") -> None:
        self.path = Path(path)
        self._date = FIRST_DATE - 60
        if not (self.path / "HEAD").exists():
            for part in ("objects/pack", "refs/heads", "refs/tags"):
                (self.path / part).mkdir(parents=True)
            _replace(self.path / "config", CONFIG.encode())
            self.default_branch = default_branch
            self._write(b"tree", b"")

    @property
    def default_branch(self) -> str:
        """The branch that HEAD names, even if it does not exist."""
        return (self.path / "HEAD").read_text("utf-8").strip().removeprefix("ref: refs/heads/")

    @default_branch.setter
    def default_branch(self, branch: str) -> None:
        _replace(self.path / "HEAD", f"ref: refs/heads/{branch}\n".encode())

    def commit(
        self,
        message: str | bytes = "A commit",
        *,
        parents: Sequence[str] | None = None,
        date: int | None = None,
        author_date: int | None = None,
        author: str | bytes = ADA,
        committer: str | bytes | None = None,
        branch: str | None = None,
    ) -> str:
        """Write a commit, move the branch to it and return its id.

        Args:
            message: Bytes if it is not to be valid UTF-8.
            parents: The branch's tip by default; empty for a root.
            date: The committer's, in seconds since 1970; a minute after the last by default.
            author_date: The same as ``date`` by default.
            author: ``Name <e-mail>``.
            committer: The author by default.
            branch: The default branch by default.
        """
        branch = branch or self.default_branch
        if parents is None:
            tip = self.branch_tip(branch)
            parents = [tip] if tip else []
        date = self._next_date() if date is None else date
        author_date = date if author_date is None else author_date
        committer = author if committer is None else committer
        content = _commit(parents, (author, author_date), (committer, date), message)
        commit = self._write(b"commit", content)
        self.point(branch, commit)
        return commit

    def merge(self, *parents: str, message: str = "Merge", branch: str | None = None) -> str:
        """Write a commit with these parents, move the branch to it and return its id."""
        return self.commit(message, parents=parents, branch=branch)

    def commits(
        self, count: int, *, branch: str | None = None, message: str = "Commit"
    ) -> list[str]:
        """Write a chain of commits, ``Commit 1`` to ``Commit n``; return ids, oldest first."""
        branch = branch or self.default_branch
        tip = self.branch_tip(branch)
        contents: dict[str, bytes] = {}
        for n in range(1, count + 1):
            who = (ADA, self._next_date())
            content = _commit([tip] if tip else [], who, who, f"{message} {n}")
            tip = _id(b"commit", content)
            contents[tip] = content
        if count < MANY:
            for content in contents.values():
                self._write(b"commit", content)
        else:
            self._pack(contents.values())
        self.point(branch, tip)
        return list(contents)

    def point(self, branch: str, commit: str | None) -> None:
        """Move, create or, with None, delete a branch, as a force push does."""
        ref = self.path / "refs" / "heads" / branch
        if commit is not None:
            ref.parent.mkdir(parents=True, exist_ok=True)
            _replace(ref, f"{commit}\n".encode())
        elif self.branch_tip(branch):
            self.git("update-ref", "-d", f"refs/heads/{branch}")

    def tag(self, name: str, commit: str) -> None:
        """Make a lightweight tag."""
        ref = self.path / "refs" / "tags" / name
        ref.parent.mkdir(parents=True, exist_ok=True)
        _replace(ref, f"{commit}\n".encode())

    def gc(self) -> None:
        """Pack everything, and immediately delete what is not reachable from a ref."""
        self.git("reflog", "expire", "--expire=now", "--all")
        self.git("gc", "--quiet", "--prune=now")

    def rev_list(self, *revisions: str) -> list[str]:
        """Return the ids that ``git rev-list`` prints, by default for HEAD ([] without commits)."""
        if not revisions and not self.branch_tip():
            return []
        return self.git("rev-list", *(revisions or ["HEAD"])).split()

    def branch_tip(self, branch: str | None = None) -> str | None:
        """Return the id of a branch's latest commit; None if the branch does not exist."""
        branch = branch or self.default_branch
        try:
            return (self.path / "refs" / "heads" / branch).read_text("ascii").strip()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            if not (self.path / "packed-refs").exists():
                return None
        refs = self.git("for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}")
        return refs.strip() or None

    def facts(self, **facts: object) -> Self:
        """Write facts that git does not know into the configuration; return the repository.

        Args:
            facts: id, name, description, public, archived, state, origin (``KEY/slug``).
        """
        config = (self.path / "config").read_text("utf-8")
        kept = config.partition("[bitbucket]\n")[0]
        lines = "".join(f"\t{name} = {_quoted(value)}\n" for name, value in facts.items())
        _replace(self.path / "config", f"{kept}[bitbucket]\n{lines}".encode())
        return self

    def rename(self, path: str | Path) -> Self:
        """Move the repository's directory; return the repository."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        self.path = self.path.rename(path)
        return self

    def delete(self) -> None:
        """Remove the repository from the disk."""
        shutil.rmtree(self.path)

    def fork(self, path: str | Path) -> GitRepository:
        """Copy the repository to another path. ``origin`` is the only fact that the copy has."""
        shutil.copytree(self.path, path)
        fork = GitRepository(path)
        fork._date = self._date
        return fork.facts(origin=f"{self.path.parent.name}/{self.path.name.removesuffix('.git')}")

    def git(self, *command: str) -> str:
        """Run a real git command in the repository and return what it prints."""
        inherited = {name: value for name, value in os.environ.items() if name[:4] != "GIT_"}
        settings = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        done = subprocess.run(
            ["git", f"--git-dir={self.path}", *command],
            env=inherited | settings,
            capture_output=True,
            check=True,
        )
        return done.stdout.decode("utf-8", "replace")

    def _next_date(self) -> int:
        self._date += 60
        return self._date

    def _write(self, kind: bytes, content: bytes) -> str:
        name = _id(kind, content)
        file = self.path / "objects" / name[:2] / name[2:]
        if not file.exists():
            file.parent.mkdir(exist_ok=True)  # nothing refers to it yet: no need to be atomic
            file.write_bytes(zlib.compress(b"%s %d\0%s" % (kind, len(content), content), 1))
        return name

    def _pack(self, commits: Iterable[bytes]) -> None:
        entries = [_entry(content) for content in commits]
        pack = b"PACK" + (2).to_bytes(4, "big") + len(entries).to_bytes(4, "big")
        pack += b"".join(entries)
        checksum = hashlib.sha1(pack, usedforsecurity=False)
        file = self.path / "objects" / "pack" / f"pack-{checksum.hexdigest()}.pack"
        _replace(file, pack + checksum.digest())
        self.git("index-pack", str(file))


def _commit(
    parents: Iterable[str],
    author: tuple[str | bytes, int],
    committer: tuple[str | bytes, int],
    message: str | bytes,
) -> bytes:
    lines = [f"tree {EMPTY_TREE}".encode(), *(f"parent {parent}".encode() for parent in parents)]
    lines += [b"author %s %d +0100" % (_bytes(author[0]), author[1])]
    lines += [b"committer %s %d +0100" % (_bytes(committer[0]), committer[1])]
    return b"\n".join([*lines, b"", _bytes(message), b""])


def _id(kind: bytes, content: bytes) -> str:
    whole = b"%s %d\0%s" % (kind, len(content), content)
    return hashlib.sha1(whole, usedforsecurity=False).hexdigest()


def _entry(commit: bytes) -> bytes:
    """Return a commit as packs store it: type 1 and size in 4 + 7 + 7… bits, then zlib."""
    size = len(commit) >> 4
    header = bytearray([(1 << 4) | (len(commit) & 0b1111)])
    while size:
        header[-1] |= 0b1000_0000
        header.append(size & 0b0111_1111)
        size >>= 7
    return bytes(header) + zlib.compress(commit, 1)


def _bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


def _quoted(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _replace(file: Path, content: bytes) -> None:
    """Replace a file atomically, because a server may be reading it."""
    new = file.with_name(f"{file.name}.new")
    new.write_bytes(content)
    new.replace(file)
