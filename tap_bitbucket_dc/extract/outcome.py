"""What went wrong during a run, and the error that the run ends with.

A repository's trouble does not stop the others: it is noted here, and the run ends with an
error that names it. Knows the errors and their remedies. Sends no requests, except
by the ``probe`` it is given.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from tap_bitbucket_dc.bitbucket import errors

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_IN_A_ROW = 500  # repositories that fail in a row because the server is unavailable
MOST_NAMED = 5  # repositories in a sentence

GRANT = "Have an administrator grant the user (or token) read permission."

logger = logging.getLogger("tap-bitbucket-dc")


class Outcome:
    """The failures and refusals of one run."""

    def __init__(self, probe: Callable[[], object]) -> None:
        """Start without any failures or refusals.

        Args:
            probe: Asks the server something that needs no permission. It raises
                UnavailableError if the server does not answer at all.
        """
        self.consequence = "All others are complete; the next run reads what is missing."
        """What follows from the failures of some repositories."""
        self._probe = probe
        self._failures: dict[str, errors.SkippableError] = {}
        self._failed_in_a_row = 0
        self._refusals: dict[str, errors.InaccessibleError] = {}
        self._read = 0
        self._visited = False

    @property
    def failures(self) -> int:
        """How many repositories and projects could not be read so far."""
        return len(self._failures)

    def failed(self, name: str, error: errors.SkippableError) -> None:
        """Note that a repository or project could not be read; the run goes on.

        Raises:
            FatalError: The server is down. Otherwise thousands of repositories would each use up
                all retries.
        """
        logger.warning("%s was not read: %s", name, error)
        self._failures[name] = error
        if not isinstance(error, errors.UnavailableError):
            return
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= MOST_IN_A_ROW:
            raise _down(
                f"{MOST_IN_A_ROW} repositories or projects failed in a row: {error.args[0]}", error
            )
        try:
            self._probe()
        except errors.UnavailableError as down:
            raise _down(str(down.args[0]), down) from None
        except errors.SkippableError:
            pass  # any other answer shows that the server is up

    def unread(self, name: str, error: errors.SkippableError) -> None:
        """Note that something could not be read, because of missing access or another error."""
        if isinstance(error, errors.InaccessibleError):
            self.refused(name, error)
        else:
            self.failed(name, error)

    def refused(self, name: str, error: errors.InaccessibleError) -> None:
        """Note that a repository or project is inaccessible: not a failure, unless all are."""
        logger.warning("%s is inaccessible: %s", name, error.args[0])
        self._refusals[name] = error

    def visited(self, name: str, refusal: errors.InaccessibleError | None) -> None:
        """Note that a repository was visited; ``refusal`` is the error if it is inaccessible."""
        self._failed_in_a_row = 0
        self._visited = True
        if refusal:
            self.refused(name, refusal)
        else:
            self._read += 1

    def finish(self, base_url: str, *, listed: int, others: int, unmatched: list[str]) -> None:
        """Raise what went wrong, now that everything else has been written.

        Args:
            base_url: Of the server.
            listed: Number of repositories of this shard that pass the filters.
            others: Number of repositories of other shards that do.
            unmatched: Patterns of the filters that matched nothing.

        Raises:
            BitbucketError: Some repositories failed, or nothing could be read, or a
                pattern matched nothing.
        """
        if self._failures:
            raise self._incomplete()
        # If a run visits no repository, those that are listed count as accessible.
        accessible = self._read or others or (listed and not self._visited)
        if self._refusals and not accessible:
            raise self._no_access()
        if not (listed or others):
            raise _nothing(base_url, unmatched)
        if unmatched:
            raise _mistyped(unmatched)

    def _incomplete(self) -> errors.BitbucketError:
        first = next(iter(self._failures.values()))
        names = list(self._failures)
        error = "Error" if len(names) == 1 else "First error"
        return errors.BitbucketError(
            f"{_were(names)} not read: {_enumerated(names)}. {error}: {first.args[0]} "
            f"{self.consequence}",
            code=first.code,
            remedy=first.remedy,
            url=first.url,
            status=first.status,
        )

    def _no_access(self) -> errors.FatalError:
        first = next(iter(self._refusals.values()))
        names = _enumerated(list(self._refusals))
        what = f"No access to {names}, and nothing else is visible: see {first.url}."
        code = "invalid_permissions"
        return errors.FatalError(what, code=code, remedy=GRANT, url=first.url, status=first.status)


def counted(number: int, noun: str) -> str:
    """Return a number and its noun, such as ``1 repository`` or ``2 repositories``."""
    if number != 1:
        noun = f"{noun.removesuffix('y')}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number:,} {noun}"


def _were(names: list[str]) -> str:
    """Return how many projects and repositories these are; only a repository has a slash."""
    projects = sum("/" not in name for name in names)
    numbers = {"project": projects, "repository": len(names) - projects}
    kinds = " and ".join(counted(number, noun) for noun, number in numbers.items() if number)
    return f"{kinds} {'was' if len(names) == 1 else 'were'}"


def _enumerated(names: list[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _down(what: str, error: errors.UnavailableError) -> errors.FatalError:
    return errors.FatalError(
        what, code=error.code, remedy=error.remedy, url=error.url, status=error.status
    )


def _nothing(base_url: str, unmatched: list[str]) -> errors.FatalError:
    what = f"The login is valid, but {base_url} shows no repository that passes the filters"
    what += f": nothing matches {_enumerated(unmatched)}." if unmatched else "."
    remedy = "Grant the user (or token) read permission, or change the filters."
    return errors.FatalError(what, code="no_resources", remedy=remedy)


def _mistyped(unmatched: list[str]) -> errors.ConfigError:
    what = f"Nothing visible matches {_enumerated(unmatched)}."
    remedy = "Correct the filter, or grant the user (or token) read permission."
    return errors.ConfigError(what, remedy=remedy)
