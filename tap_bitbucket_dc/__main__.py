"""The command. Handles signals before the slow imports, so that none prints a traceback."""

from __future__ import annotations

from tap_bitbucket_dc.signals import obey_at_once


def main() -> None:
    """Run the tap."""
    obey_at_once()
    from tap_bitbucket_dc.tap import TapBitbucketDC  # noqa: PLC0415 takes 0.3 seconds

    TapBitbucketDC.cli()


if __name__ == "__main__":
    main()
