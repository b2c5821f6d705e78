"""A Meltano project with a copy of the checkout's ``meltano.yml``, in a directory of its own.

So Meltano creates no ``.meltano`` in the checkout, and does not read its ``.env``.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MELTANO_YML = Path(__file__).parents[2] / "meltano.yml"
FOREIGN = ("MELTANO_", "TAP_BITBUCKET_DC_", "TARGET_POSTGRES_", "TARGET_JSONL_")
# These keep Python from caching bytecode, without which each start takes two to three times as
# long, or from buffering its output.
SLOW = {"PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"}


class MeltanoError(Exception):
    """Meltano failed; the message is its log."""


class MeltanoProject:
    """Runs Meltano in ``directory``.

    Args:
        directory: Created if it does not exist. It contains the last run's log, ``meltano.log``.
        settings: Environment variables as Meltano names them: ``TAP_BITBUCKET_DC_TOKEN``.
    """

    def __init__(self, directory: Path, settings: dict[str, str]) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        shutil.copy(MELTANO_YML, directory)
        self.directory = directory
        self._log = directory / "meltano.log"
        self.environment = _environment() | settings

    def run(self, *arguments: str) -> str:
        """Run ``meltano run`` with these arguments to its end and return the log.

        Raises:
            MeltanoError: The exit code was not 0.
        """
        with self.start("run", *arguments) as process:
            if process.wait() != 0:
                raise MeltanoError(self.log)
        return self.log

    @contextmanager
    def start(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """Start Meltano; at the end, kill it and what it started, if still running."""
        with (
            self._log.open("wb") as log,
            subprocess.Popen(
                (Path(sys.executable).with_name("meltano"), *arguments),
                cwd=self.directory,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            ) as process,
        ):
            try:
                yield process
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

    @property
    def log(self) -> str:
        """The log of the last run."""
        return self._log.read_text("utf-8", "replace")


def _environment() -> dict[str, str]:
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in SLOW and not name.startswith(FOREIGN)
    }
    # Use the tap and target-postgres that are installed with this Python, even if not on the PATH.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return inherited | {
        "PATH": path,
        "NO_COLOR": "1",
        "NO_PROXY": ",".join(filter(None, [os.environ.get("NO_PROXY"), "127.0.0.1"])),
        "MELTANO_CLI_DISABLE_VERSION_CHECK": "1",
    }
