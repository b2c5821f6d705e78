"""Emulate a Bitbucket Data Center server. The first line of output is its base URL."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path

from tap_bitbucket_dc.emulator import Bitbucket, SameIdError
from tap_bitbucket_dc.emulator.git import GitError


def main() -> None:
    """Run the emulator over a directory of git repositories."""
    parser = argparse.ArgumentParser(
        prog="python -m tap_bitbucket_dc.emulator", description=__doc__
    )
    parser.add_argument("root", help="directory that contains PROJECT/repository")
    parser.add_argument("--port", type=int, default=0, help="default: any free port")
    parser.add_argument("--context-path", default="/bitbucket", help="default: /bitbucket")
    parser.add_argument("--version", default="9.4.0", help="Bitbucket version to imitate")
    parser.add_argument(
        "--token", default="token", help="HTTP access token of the user admin; default: token"
    )
    parser.add_argument(
        "--seconds", type=float, default=3600, help="stop after this many seconds; default: 3600"
    )
    options = parser.parse_args()
    if not Path(options.root).is_dir():
        parser.error(f"there is no directory {options.root}")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    bitbucket = Bitbucket(
        options.root,
        context_path=options.context_path,
        version=options.version,
        port=options.port,
        tokens={options.token: "admin"},
    )
    try:
        with bitbucket:
            print(bitbucket.url, flush=True)  # noqa: T201 - the caller reads it
            stop.wait(options.seconds)
    except (OSError, SameIdError, GitError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
