"""A Meltano project made of the checkout's ``meltano.yml``, in a directory of its own.

The checkout stays as it is: no ``.meltano`` in it, no ``.env`` read.
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
# Without bytecode every start takes two to three times as long.
SLOW = {"PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"}


class MeltanoError(Exception):
    """Meltano did not end with 0; the message is its log."""


class MeltanoProject:
    """Runs Meltano in ``directory``.

    Args:
        directory: Is made if it is not there. The log of the last run is ``meltano.log`` in it.
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
            MeltanoError: it did not end with 0.
        """
        with self.start("run", *arguments) as process:
            if process.wait() != 0:
                raise MeltanoError(self.log)
        return self.log

    @contextmanager
    def start(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """Start Meltano; what it started and is still there at the end is killed."""
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
        """What the last run said."""
        return self._log.read_text("utf-8", "replace")


def _environment() -> dict[str, str]:
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in SLOW and not name.startswith(FOREIGN)
    }
    # The tap and target-postgres are those beside this Python, whether or not it is on the PATH.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return inherited | {
        "PATH": path,
        "NO_COLOR": "1",
        "NO_PROXY": ",".join(filter(None, [os.environ.get("NO_PROXY"), "127.0.0.1"])),
        "MELTANO_CLI_DISABLE_VERSION_CHECK": "1",
    }
