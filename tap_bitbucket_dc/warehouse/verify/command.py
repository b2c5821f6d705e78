"""The command line of `verify`: exit code 0 if all is equal, else 1."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from tap_bitbucket_dc.bitbucket import errors
from tap_bitbucket_dc.tap import TapBitbucketDC
from tap_bitbucket_dc.warehouse.verify.compare import Verification
from tap_bitbucket_dc.warehouse.verify.loaded import Rows, RowsError, Tables

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping

    from tap_bitbucket_dc.warehouse.verify.differences import Difference
    from tap_bitbucket_dc.warehouse.verify.loaded import Loaded

FORMAT = "%(asctime)s | %(levelname)-8s | %(message)s"

logger = logging.getLogger("tap-bitbucket-dc")


def run(options: argparse.Namespace) -> int:
    """Compare, print what differs, and return the exit code."""
    logging.basicConfig(level=logging.INFO, format=FORMAT, stream=sys.stderr, force=True)
    try:
        config = _config(options.config or ["ENV"])
        with _stopping_at_once(), _loaded(options) as loaded:
            return _verify(config, loaded, options)
    except errors.BitbucketError as error:
        logger.error("%s", error)  # noqa: TRY400 no traceback
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for its last flush
        logger.error("Standard output was closed")  # noqa: TRY400
    return 1


def _verify(config: Mapping[str, Any], loaded: Loaded, options: argparse.Namespace) -> int:
    def tell(difference: Difference) -> None:
        if not options.json:
            print(difference.text, flush=True)  # noqa: T201 its output

    verification = Verification(
        config,
        loaded,
        every_id=options.every_id,
        allow_gone=options.allow_gone,
        on_difference=tell,
    )
    result = verification.result
    try:
        verification.run()
    finally:
        if result.repositories or result.failed or result.is_complete:
            print(json.dumps(result.facts) if options.json else result.text, flush=True)  # noqa: T201
    return 0 if result.is_equal else 1


def _config(files: list[str]) -> Mapping[str, Any]:
    """Return the settings as the tap reads them.

    Raises:
        ConfigError: A file cannot be read, or a setting is wrong.
    """
    logging.disable(logging.INFO)  # the SDK logs where it looks for settings
    try:
        given = TapBitbucketDC.cb_config(None, None, tuple(files))
        return TapBitbucketDC(config=given.config, parse_env_config=given.parse_env).config
    except ValueError:  # from the SDK, for a variable; its message contains the value
        msg = "One of the TAP_BITBUCKET_DC_* environment variables has a value of the wrong type."
        raise errors.ConfigError(msg) from None
    finally:
        logging.disable(logging.NOTSET)


@contextlib.contextmanager
def _stopping_at_once() -> Iterator[None]:
    """End the process at a signal without waiting for requests, which is safe: it only reads."""

    def stop(number: int, _: object) -> None:
        logger.error("Stopped by %s", signal.Signals(number).name)
        os._exit(128 + number)

    former = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _loaded(options: argparse.Namespace) -> Iterator[Loaded]:
    if options.rows:
        yield _rows(options.rows, options.default_branches)
        return
    if options.default_branches:
        remedy = "`tap-bitbucket-dc-warehouse verify --help` describes the options."
        raise errors.ConfigError("`--default-branches` needs `--rows`.", remedy=remedy)
    with _tables(options.dsn, options.schema) as tables:
        yield tables


@contextlib.contextmanager
def _tables(dsn: str, schema: str) -> Iterator[Tables]:
    """Yield the content of the tables.

    Raises:
        FatalError: The database cannot be reached (code ``unreachable``).
        ConfigError: A table is missing, or the connection string is wrong.
    """
    import psycopg  # noqa: PLC0415 not needed for rows

    from tap_bitbucket_dc.warehouse.database import connected, described  # noqa: PLC0415

    try:
        with connected(dsn, schema) as connection:
            yield Tables(connection)
    except psycopg.OperationalError as error:
        what, remedy = described(error, dsn), "Check `--dsn`, and that PostgreSQL is running there."
        raise errors.FatalError(f"{what}.", code="unreachable", remedy=remedy) from None
    except psycopg.Error as error:
        remedy = "Check `--dsn` and `--schema`; the tap and a loader create the tables."
        raise errors.ConfigError(f"{described(error, dsn)}.", remedy=remedy) from None


def _rows(commits: str, branches: str | None) -> Rows:
    """Return the rows in files.

    Raises:
        ConfigError: A file cannot be read, or a line is not a valid row.
    """
    try:
        with contextlib.ExitStack() as files:
            heads = files.enter_context(_opened(branches)) if branches else None
            return Rows(files.enter_context(_opened(commits)), heads)
    except (OSError, RowsError, UnicodeDecodeError) as error:
        name = "--rows, --default-branches" if branches else "--rows"
        remedy = "`verify --help` describes the rows."
        raise errors.ConfigError(f"`{name}`: {error}.", remedy=remedy) from None


def _opened(name: str) -> contextlib.AbstractContextManager[TextIO]:
    # Standard input stays open: another process may share it.
    file = sys.stdin.fileno() if name == "-" else Path(name)
    return open(file, encoding="utf-8-sig", newline="", closefd=name != "-")
