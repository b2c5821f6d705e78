"""Runs the command ``meltano``; when it ends, everything that it has started is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

GRACE = 10.0  # seconds that Meltano has to end the tap and the loader

Json = dict[str, Any]


class MeltanoError(Exception):
    """Meltano cannot be run here, or failed."""


def settings(variables: Mapping[str, str]) -> Json:
    """Return Meltano's own settings; what is not set is an empty object."""
    printed: Json = json.loads(run("config", "print", "meltano", variables=variables))
    return printed


def run(
    *arguments: str, variables: Mapping[str, str], stdin: str = "", lock: int | None = None
) -> str:
    """Run Meltano to its end and return what it prints. Its log goes to standard error.

    Args:
        arguments: What follows ``meltano``.
        variables: Environment variables, in addition to those of this process.
        stdin: Its standard input.
        lock: A file descriptor that Meltano keeps open.

    Raises:
        MeltanoError: It is not installed, or did not end with 0.
    """
    try:
        process = subprocess.Popen(  # noqa: S603 the user's own settings
            ("meltano", *arguments),  # noqa: S607 the Meltano of the PATH
            env={**os.environ, **variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            start_new_session=True,
            pass_fds=() if lock is None else (lock,),
        )
    except FileNotFoundError:
        raise MeltanoError("`meltano` is not on the PATH") from None
    with process, _ended(process):
        output, _ = process.communicate(stdin)
    if process.returncode:
        command = f"`meltano {' '.join(arguments)}`"
        raise MeltanoError(f"{command} ended with exit code {process.returncode}")
    return output


@contextmanager
def _ended(process: subprocess.Popen[str]) -> Iterator[None]:
    """End Meltano and what it has started, whether we are interrupted or Meltano crashed."""
    try:
        yield
    finally:
        try:
            if process.poll() is None:
                process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(GRACE)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
