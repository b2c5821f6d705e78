"""Stands in for the command ``meltano`` in tests in which it must fail, hang or run many times.

It keeps states as files, named by state id, in the directory of ``MELTANO_STATE_BACKEND_URI`` or
else below ``MELTANO_SYS_DIR_ROOT``. In its own directory, it appends each call to the file
``calls``, and these files change what it does:

* ``fail``: a call that contains the text of the file fails before it does anything; if the text is
  a number, the call with this number does.
* ``hang``: ``run`` starts a program, appends its process id to ``started``, and waits for it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def installed(directory: Path) -> dict[str, str]:
    """Install the stand-in in a directory, with an empty ``meltano.yml``.

    Returns:
        Environment variables for a process that is to find it as ``meltano``.
    """
    program = directory / "bin" / "meltano"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S -E "{__file__}" "$@"\n', "utf-8")
    program.chmod(0o755)
    (directory / "meltano.yml").touch()
    inherited = {name: text for name, text in os.environ.items() if "MELTANO" not in name}
    path = os.pathsep.join([str(program.parent), os.environ.get("PATH", os.defpath)])
    return inherited | {"PATH": path, "STAND_IN": str(directory)}


class Meltano:
    """One call of the command."""

    def __init__(self) -> None:
        self.place = Path(os.environ["STAND_IN"])
        self.root = Path(os.environ.get("MELTANO_SYS_DIR_ROOT", ".meltano")).resolve()
        self.states = os.environ.get("MELTANO_STATE_BACKEND_URI", "systemdb")

    def main(self, *arguments: str) -> str:
        """Log the call, fail if it has to, or carry it out and return what to print."""
        call = " ".join(arguments)
        self.note("calls", call)
        number = len((self.place / "calls").read_text("utf-8").splitlines())
        if (self.place / "fail").exists():
            text = (self.place / "fail").read_text("utf-8")
            if number == int(text) if text.isdigit() else text in call:
                sys.exit(1)
        return self.obey(*arguments)

    def obey(self, *arguments: str) -> str:
        match arguments:
            case "config", "print", "meltano":
                database = f"sqlite:///{self.root / 'meltano.db'}"
                settings = {"default_environment": "dev", "state_backend": {"uri": self.states}}
                return json.dumps({**settings, "database_uri": database})
            case "state", "list", _:
                return "\n".join(path.name for path in self.state().iterdir())
            case "state", "get", name:
                return self.state(name).read_text("utf-8") if self.state(name).exists() else "{}"
            case "state", "set", "--force", *source, name:
                file = source[-1].removeprefix("--input-file=")
                self.state(name).write_text(Path(file).read_text("utf-8"), "utf-8")
            case "state", "clear", "--force", name:
                self.state(name).unlink(missing_ok=True)
            case "run", *_ if (self.place / "hang").exists():
                import subprocess  # noqa: PLC0415 slow

                with subprocess.Popen(("sleep", "infinity")) as process:
                    self.note("started", str(process.pid))
        return ""

    def state(self, name: str = "") -> Path:
        system = self.states == "systemdb"
        place = self.root / "system" if system else Path(self.states.removeprefix("file://"))
        place.mkdir(parents=True, exist_ok=True)
        return place / name

    def note(self, name: str, line: str) -> None:
        with (self.place / name).open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")


if __name__ == "__main__":
    print(Meltano().main(*sys.argv[1:]))  # noqa: T201 as Meltano does
