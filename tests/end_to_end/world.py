"""Git repositories for an emulated Bitbucket, and the commits that git lists in them.

They are either created here or copied from directories ``ROOT/PROJECT/repository``. Pushes change
only the copies.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, TypeAlias

from tests.git_repository import GitRepository

if TYPE_CHECKING:
    from pathlib import Path

    from tests.end_to_end.warehouse import Warehouse

MARY = "Mary Shelley <mary@example.com>"
LUKASZ = "Łukasz Żółć <lukasz@example.com>"
# {"PAY/ledger": {"76c728b9…": True}}: whether the commit is reachable from the default branch
Commits: TypeAlias = dict[str, dict[str, bool]]
LOADED = """\
select r.project_key || '/' || r.slug, c.id, c.on_default_branch
  from bitbucket.repositories r left join bitbucket.commits c on c.repository_id = r.id"""
START = 1_730_000_000  # 2024-10-27T03:33:20Z
WEEK = 7 * 24 * 60 * 60  # seconds
NOT_COPIED = ("objects", "hooks", "index", "logs", "modules", "worktrees")


class World:
    """The repositories below ``root``, by ``PROJECT/slug``."""

    def __init__(self, root: Path) -> None:
        self.repositories = {
            f"{head.parent.parent.name}/{head.parent.name.removesuffix('.git')}": GitRepository(
                head.parent
            )
            for head in sorted(root.glob("*/*/HEAD"))
        }

    def commits(self, before: Commits | None = None) -> Commits:
        """Return what the tables should contain: the commits that ``git rev-list HEAD`` lists.

        Args:
            before: What this method returned before the last push. These commits are expected, too,
                but off the default branch unless git still lists them.
        """
        return {
            name: dict.fromkeys((before or {}).get(name, ()), False)
            | dict.fromkeys(git.rev_list(), True)
            for name, git in self.repositories.items()
        }

    def with_history(self) -> list[str]:
        """Return the repositories whose default branch has a commit with a parent."""
        return [name for name, git in self.repositories.items() if len(git.rev_list()) > 1]

    def empty(self) -> list[str]:
        """Return the repositories without any ref."""
        return [name for name, git in self.repositories.items() if not git.git("for-each-ref")]

    def push_late_merge(self, name: str) -> None:
        """Merge a new commit that is dated right after the first one."""
        git = self.repositories[name]
        tip, *_, first = git.rev_list()
        late = git.commit(
            "Written long ago, pushed today",
            parents=[first],
            date=_committed(git, first) + 1,
            author=MARY,
            branch="demo/late",
        )
        git.commit("Merge branch 'demo/late'", parents=[tip, late], date=_committed(git, tip) + 60)

    def rewrite(self, name: str) -> None:
        """Replace the newest commit of the default branch by another one: a force push."""
        git = self.repositories[name]
        tip = git.rev_list()[0]
        parent = git.rev_list(f"{tip}^")[0]
        git.commit("The same, said better", parents=[parent], date=_committed(git, tip) + 60)

    def push_first_commit(self, name: str) -> None:
        self.repositories[name].commit("Begin")


def loaded(database: Warehouse) -> Commits:
    """Return what the tables contain."""
    commits: Commits = {}
    for name, commit, on_default_branch in database.query(LOADED):
        commits.setdefault(name, {})
        if commit is not None:
            commits[name][commit] = on_default_branch
    return commits


def made(root: Path) -> World:
    """Make six repositories in three projects: merges, a fork, an archived and an empty one."""
    ledger = GitRepository(root / "PAY" / "ledger").facts(description="Who owes whom")
    first, *_, newest = _weekly(ledger, 12)
    branch = "rounding"
    fix = "PAY-7 Round half to even"
    ledger.commit(fix, parents=[first], author=MARY, branch=branch, date=START + 3 * WEEK)
    tests = ledger.commit("PAY-7 Tests", author=MARY, branch=branch, date=START + 10 * WEEK)
    ledger.commit("Merge branch 'rounding'", parents=[newest, tests], date=START + 12 * WEEK)
    fork = ledger.fork(root / "LAB" / "ledger")
    fork.commit("PAY-9 Try decimals", author=LUKASZ, date=START + 13 * WEEK)
    api = GitRepository(root / "PAY" / "api", "release/1.x")
    _weekly(api, 5)
    api.commit("Größe prüfen ✓ Проверено", author=LUKASZ, date=START + 6 * WEEK)
    _weekly(GitRepository(root / "OPS" / "runbooks").facts(archived=True), 4)
    _weekly(GitRepository(root / "LAB" / "notes"), 8)
    GitRepository(root / "OPS" / "new")
    return World(root)


def _weekly(git: GitRepository, count: int) -> list[str]:
    return [git.commit(f"Week {n + 1}", date=START + n * WEEK) for n in range(count)]


def copied(directories: list[Path], root: Path) -> World:
    """Copy the refs of each ``PROJECT/repository``, bare or not; the copy uses its objects."""
    for directory in directories:
        for name in ("HEAD", ".git/HEAD"):
            for head in directory.resolve().glob(f"*/*/{name}"):
                repository = head.parent.parent if head.parent.name == ".git" else head.parent
                _copy(head.parent, root / repository.relative_to(directory.resolve()))
        for facts in (*directory.glob("users.json"), *directory.glob("*/project.json")):
            shutil.copy(facts, root / facts.relative_to(directory))
    return World(root)


def _copy(source: Path, copy: Path) -> None:
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns(*NOT_COPIED))
    alternates = copy / "objects" / "info" / "alternates"
    alternates.parent.mkdir(parents=True)
    alternates.write_text(f"{source / 'objects'}\n", "utf-8")


def _committed(git: GitRepository, commit: str) -> int:
    return int(git.git("show", "--no-patch", "--format=%ct", commit))
