"""The command of the warehouse takes its options from the arguments, or as a Meltano plugin."""

from __future__ import annotations

import pytest

from tap_bitbucket_dc.warehouse.__main__ import MELTANO, main


@pytest.fixture(autouse=True)
def _outside_meltano(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in MELTANO.values():
        monkeypatch.delenv(name, raising=False)


def test_without_a_subcommand_it_says_how_it_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main([])
    assert raised.value.code == 2
    assert "tap-bitbucket-dc-warehouse" in capsys.readouterr().err


def test_the_settings_of_the_plugin_are_defaults_of_the_options(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BITBUCKET_REPORT_DEFAULT_TARGET_SCHEMA", "of_meltano")
    monkeypatch.setenv("BITBUCKET_REPORT_OUTPUT", "report.html")
    main(["views", "--print"])
    assert "search_path to of_meltano;" in capsys.readouterr().out.replace('"', "")
    main(["views", "--print", "--schema", "given"])
    assert "search_path to given;" in capsys.readouterr().out.replace('"', "")


def test_without_a_subcommand_the_plugin_writes_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITBUCKET_REPORT_SQLALCHEMY_URL", "postgresql+psycopg://:geheim@/?host=/no")
    monkeypatch.setenv("BITBUCKET_REPORT_OUTPUT", "report.html")
    with pytest.raises(SystemExit, match="OperationalError") as raised:
        main([])
    assert "geheim" not in str(raised.value)


def test_help_is_help_in_meltano_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BITBUCKET_REPORT_OUTPUT", "report.html")
    with pytest.raises(SystemExit) as raised:
        main(["--help"])
    assert raised.value.code == 0
    assert "verify" in capsys.readouterr().out
