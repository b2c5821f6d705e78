"""The commands that are measured: the tap, its alternatives, and bare loops as the limit."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.benchmarks.measure import Entrant

PEERS = Path(__file__).parent / "peers"
PROJECT = Path(__file__).parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
ENVIRONMENTS = CACHE / "tap-bitbucket-dc-benchmarks"
STREAMS = ("projects", "repositories", "default_branches", "commits")
TOKEN = "secret"


class Tool(NamedTuple):
    """Something that reads Bitbucket."""

    name: str
    command: Callable[[str, Path, Entrant], list[str]]
    """Makes the command from the server's URL, a directory for its files, and the entrant."""
    version: str = ""


def ours() -> Tool:
    """Return the tap, by its real command."""
    named = f"tap-bitbucket-dc {version(sys.executable, 'tap-bitbucket-dc')}"
    return Tool("tap-bitbucket-dc", _ours, named)


def naive() -> Tool:
    """Return a tap as singer-sdk's template makes it."""
    named = f"singer-sdk {version(sys.executable, 'singer-sdk')}"
    return Tool("singer-sdk template", _naive, named)


def limit() -> list[Tool]:
    """Return the bare loops: with the standard library's JSON parser, and with the fastest."""
    requests = f"requests {version(sys.executable, 'requests')}"
    msgspec = f"msgspec {version(sys.executable, 'msgspec')}"
    return [
        Tool("bare loop: requests + json", functools.partial(_bare, "json"), requests),
        Tool("bare loop: requests + msgspec", functools.partial(_bare, "msgspec"), msgspec),
    ]


def dlt() -> list[Tool]:
    """Return dlt's ``rest_api``, reading only and loading into files; [] if not installable."""
    python = environment("dlt[postgres]")
    if python is None:
        return []
    named = f"dlt {version(str(python), 'dlt')}"
    return [
        Tool("dlt, extract", functools.partial(_dlt, python, "extract"), named),
        Tool("dlt, into files", functools.partial(_dlt, python, "files"), named),
    ]


def airbyte() -> list[Tool]:
    """Return airbyte-cdk's declarative source; [] if it cannot be installed."""
    python = environment("airbyte-cdk")
    if python is None:
        return []
    named = f"airbyte-cdk {version(str(python), 'airbyte-cdk')}"
    return [Tool("airbyte-cdk, read", functools.partial(_airbyte, python), named)]


def _ours(url: str, directory: Path, entrant: Entrant) -> list[str]:
    config = {"base_url": url, "token": TOKEN, "concurrency": entrant.concurrency}
    script = Path(sysconfig.get_path("scripts"), "tap-bitbucket-dc")
    state = ["--state", str(entrant.state)] if entrant.state else []
    return [str(script), "--config", _write(directory / "config.json", config), *state]


def _naive(url: str, directory: Path, _: Entrant) -> list[str]:
    config = _write(directory / "config.json", {"base_url": url, "token": TOKEN})
    return [sys.executable, str(PEERS / "naive.py"), "--config", config]


def _bare(parser: str, url: str, _: Path, __: Entrant) -> list[str]:
    return [sys.executable, str(PEERS / "bare_loop.py"), url, parser]


def _dlt(python: Path, how: str, url: str, directory: Path, _: Entrant) -> list[str]:
    files = directory / "dlt"
    shutil.rmtree(files, ignore_errors=True)
    return [str(python), str(PEERS / "dlt_rest_api.py"), url, how, str(files)]


def _airbyte(python: Path, url: str, directory: Path, _: Entrant) -> list[str]:
    config = _write(directory / "config.json", {"base_url": url, "token": TOKEN})
    streams = [
        {
            "stream": {"name": name, "json_schema": {}, "supported_sync_modes": ["full_refresh"]},
            "sync_mode": "full_refresh",
            "destination_sync_mode": "append",
        }
        for name in STREAMS
    ]
    catalog = _write(directory / "catalog.json", {"streams": streams})
    script = str(python.with_name("source-declarative-manifest"))
    manifest = str(PEERS / "airbyte.yaml")
    files = ["--config", config, "--catalog", catalog, "--manifest-path", manifest]
    return [script, "read", *files]


def _write(path: Path, value: object) -> str:
    path.write_text(json.dumps(value))
    return str(path)


def environment(package: str) -> Path | None:
    """Return the Python of an environment with the package, None if it cannot be installed.

    uv runs in the project's directory, where it reads the setting ``exclude-newer``.
    """
    uv = os.environ.get("UV") or shutil.which("uv")
    name = package.partition("[")[0]
    python = ENVIRONMENTS / f"{name}-{sysconfig.get_python_version()}" / "bin" / "python"
    commands = [
        [uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, python.parents[1]],
        [uv, "pip", "install", "--quiet", "--python", python, package],
    ]
    try:
        for command in commands:
            subprocess.run(command, check=True, cwd=PROJECT, capture_output=True, text=True)  # type: ignore[arg-type]
    except (OSError, TypeError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", None) or error
        print(f"{package} is left out: {reason}", file=sys.stderr)  # noqa: T201 progress
        return None
    return python


def version(python: str, package: str) -> str:
    """Return the version of a package in an environment."""
    code = f"from importlib.metadata import version; print(version({package!r}))"
    done = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True)
    return done.stdout.strip()
