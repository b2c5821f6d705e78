"""What `--check` prints is true and says what to do, and takes few requests."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from typing import TYPE_CHECKING, NamedTuple

import pytest
from click.testing import CliRunner

from tap_bitbucket_dc.emulator import BUSY, LOGIN_PAGE, TOO_MANY, Fault
from tap_bitbucket_dc.tap import TapBitbucketDC
from tests import singer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tap_bitbucket_dc.emulator import Bitbucket
    from tests.conftest import Sync
    from tests.git_repository import GitRepository

    MakeRepository = Callable[[str], GitRepository]


class Told(NamedTuple):
    text: str
    exit_code: int

    def number(self, pattern: str) -> int:
        """Return the number that the group of a regular expression finds in the output."""
        found = re.search(pattern, self.text)
        assert found, self.text
        return int(found[1].replace(",", ""))


@pytest.fixture
def check(config: singer.Json, tmp_path: Path) -> Callable[..., Told]:
    """Runs the check in this process: what it prints, and its exit code."""

    def run(**settings: object) -> Told:
        path = tmp_path / "config.json"
        changed = {k: v for k, v in {**config, **settings}.items() if v is not None}
        path.write_text(json.dumps(changed))
        result = CliRunner().invoke(TapBitbucketDC.cli, ["--config", str(path), "--check"])
        assert isinstance(result.exception, SystemExit | None), result.exc_info
        return Told(result.stdout, result.exit_code)

    return run


@pytest.fixture
def company(bitbucket: Bitbucket, repository: MakeRepository) -> Bitbucket:
    """Two projects with eight repositories; one has a history of several pages."""
    for name in ("PAY/ledger", "PAY/web", "OPS/a", "OPS/b", "OPS/c", "OPS/d", "OPS/e"):
        repository(name).commits(7)
    repository("OPS/empty")
    return bitbucket


def test_the_command_prints_plain_text_and_no_singer_message(
    company: Bitbucket, config: singer.Json, tmp_path: Path
) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    done = singer.command("--config", path, "--check")
    assert done.returncode == 0, done.stderr
    assert "{" not in done.stdout
    assert len(done.stdout.splitlines()) <= 10
    assert done.stderr == ""
    assert done.stdout.endswith("A sync would work.\n")
    assert f"Server: Bitbucket 9.4.0 at {company.url}\nLogin: admin\n" in done.stdout
    assert "2 projects, 8 repositories" in done.stdout


def test_it_asks_for_the_listing_and_a_few_probes(
    company: Bitbucket, check: Callable[..., Told], repository: MakeRepository
) -> None:
    for i in range(40):
        repository(f"PAY/r{i:02}").commit()
    assert check().exit_code == 0
    listing = [r for r in company.requests if "commits" not in r.target and "bran" not in r.target]
    assert len(listing) == 4  # application-properties, projects, repositories of two projects
    assert len(company.requests) - len(listing) <= 15
    assert {r.method for r in company.requests} == {"GET"}


def test_its_costs_are_those_of_a_sync(
    company: Bitbucket, check: Callable[..., Told], sync: Sync, repository: MakeRepository
) -> None:
    told = check()
    company.requests.clear()
    first = sync()
    assert told.number(r"First sync: about ([\d,]+) req") == pytest.approx(
        len(company.requests), abs=2
    )
    company.requests.clear()
    sync(first.state)
    assert told.number(r"Idle sync: about ([\d,]+) req") == len(company.requests)
    company.page_caps["commits"] = 2
    repository("PAY/ledger").commits(33)
    told = check(projects=["PAY"])
    company.requests.clear()
    sync(projects=["PAY"])
    assert told.number(r"First sync: about ([\d,]+) req") == pytest.approx(
        len(company.requests), abs=16
    )  # pages requested ahead, of two histories at once


def test_its_time_follows_the_pace(company: Bitbucket, check: Callable[..., Told]) -> None:
    assert "less than 1 s" in check(concurrency=32).text
    told = check(requests_per_second=8)
    assert told.number(r"First sync: .* requests, about (\d+) s") >= 2
    company.latency = 0.1
    assert check(concurrency=1).number(r"Idle sync: .* requests, about (\d+) s") >= 1
    company.latency = 0
    company.faults.append(TOO_MANY.on("/commits"))
    told = check(projects=["PAY"])
    assert "slow down (429)" in told.text
    assert told.exit_code == 0


def test_inaccessible_repositories_are_reported_with_the_permission_they_need(
    company: Bitbucket, check: Callable[..., Told]
) -> None:
    company.denied["PAY/ledger"] = 401
    told = check(projects=["PAY"])
    assert told.exit_code == 0
    assert "Access: 1 of 2 probed repositories" in told.text
    assert "No access to PAY/ledger" in told.text
    assert "Repository read (Repository settings > Repository permissions)" in told.text


@pytest.mark.parametrize(
    ("settings", "code", "word"),
    [
        ({"token": "old"}, "invalid_credentials", "HTTP access tokens"),
        ({"projects": ["NO"]}, "no_resources", "Project read"),
        ({"repositories": ["OPS/e"]}, "invalid_permissions", "/projects/OPS/repos/e"),
        ({"projects": ["PAY", "NO"]}, "invalid_config", "NO"),
        ({"base_url": "http://b.invalid"}, "insecure_url", "`allow_http`"),
        ({"base_url": "nonsense"}, "invalid_config", "`base_url`"),
        ({"base_url": None}, "invalid_config", "base_url"),
        ({"token": None}, "invalid_config", "`token`"),
        ({"project": ["PAY"]}, "invalid_config", "Did you mean `projects`?"),
    ],
    ids=str,
)
def test_what_a_sync_would_end_with_is_reported_with_its_code(
    company: Bitbucket,
    check: Callable[..., Told],
    settings: dict[str, object],
    code: str,
    word: str,
) -> None:
    company.denied["OPS/e"] = 403
    told = check(**settings)
    assert told.exit_code == 1
    assert f"A sync would not work: {code}\n" in told.text
    assert word in told.text
    assert "A sync would work" not in told.text


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (LOGIN_PAGE, "not_bitbucket"),
        (BUSY, "unavailable"),
        (LOGIN_PAGE.on("/commits"), "not_bitbucket"),
        (BUSY.on("/branches"), "unavailable"),
        (Fault(kind="replace", replace=lambda _: {}, match="/repos\\?"), "unexpected_answer"),
    ],
    ids=["login page", "busy", "login page for commits", "busy for branches", "no page"],
)
def test_an_unhealthy_server_is_reported_as_such(
    company: Bitbucket, check: Callable[..., Told], fault: Fault, code: str
) -> None:
    company.faults.append(fault.on(fault.match, times=None))
    told = check(max_retries=0)
    assert told.exit_code == 1
    assert f"A sync would not work: {code}\n" in told.text


@pytest.fixture
def curl() -> None:
    """Skips the test if curl is not installed."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")


@pytest.mark.usefixtures("curl")
@pytest.mark.parametrize(
    ("login", "placeholders"),
    [
        ({"token": "old-geheim"}, {"YOUR_TOKEN": "old-geheim"}),
        (
            {"token": None, "username": "admin", "password": "geheim"},
            {"YOUR_USERNAME": "admin", "YOUR_PASSWORD": "geheim"},
        ),
    ],
    ids=["token", "password"],
)
def test_its_curl_line_shows_the_same_answer_and_no_secret(
    company: Bitbucket,
    check: Callable[..., Told],
    login: dict[str, object],
    placeholders: dict[str, str],
) -> None:
    told = check(**login)
    assert "geheim" not in told.text
    line = told.text.rstrip().splitlines()[-1].strip()
    for placeholder, secret in placeholders.items():
        assert placeholder in line
        line = line.replace(placeholder, secret)
    company.requests.clear()
    done = subprocess.run(shlex.split(line), capture_output=True, text=True, check=True, timeout=20)
    assert "Please check your credentials" in done.stdout
    assert company.requests[0].status == 401


def test_a_variable_that_did_not_reach_the_tap_is_an_error(
    company: Bitbucket, check: Callable[..., Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAP_BITBUCKET_DC_CA_BUNDLE", "geheim.pem")
    told = check()
    assert told.exit_code == 1
    assert "A sync would not work: invalid_config\n" in told.text
    assert "`ca_bundle` did not reach the tap, although `TAP_BITBUCKET_DC_CA_BUNDLE`" in told.text
    assert "To read environment variables, add `--config ENV`" in told.text
    assert "geheim" not in told.text
    assert company.requests == []


def test_it_gives_up_where_nobody_answers(company: Bitbucket, check: Callable[..., Told]) -> None:
    company.faults.append(Fault(kind="hang", times=None))
    told = check(request_timeout=0.5, max_retries=1)
    assert "unavailable" in told.text
    assert len(company.requests) == 2
