"""The page, against git, in a real browser."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from tap_bitbucket_dc.warehouse.__main__ import main
from tap_bitbucket_dc.warehouse.report import page as written
from tap_bitbucket_dc.warehouse.report import read
from tests.end_to_end.browser import Browser, browser
from tests.end_to_end.conftest import HOSTILE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.end_to_end.conftest import Loaded
    from tests.git_repository import GitRepository

PNG = b"\x89PNG"
NONE = "\N{EN DASH}"
FACTS = """\
return Object.fromEntries([...document.querySelectorAll("#%s div")].map(
    ({children: [name, ...dds]}) => [name.textContent, dds.map(dd => dd.textContent).join()]))"""
ROWS = """\
return [...document.querySelectorAll("#%s tbody tr")].map(
    row => [...row.cells].map(cell => cell.innerText.trim()))"""
MARKS = """\
return [...document.querySelectorAll("figure[aria-label='%s'] path[aria-label]")].filter(
    mark => mark.getClientRects().length).map(mark => mark.getAttribute("aria-label"))"""
MANY = """\
drop schema if exists many cascade; create schema many; set search_path to many;
create table projects as select n as id from generate_series(1, 100) n;
create table repositories as
select n as id, 'P' || n % 100 as project_key, 'repository-' || n as slug,
       'javascript:alert(1)' as url, false as archived from generate_series(1, 10000) n;
create table default_branches as
select n as repository_id, 'ok' as status, 'main' as display_id from generate_series(1, 10000) n;
create table commits as
select 1 + n % 10000 as repository_id, current_date - n % 300 as committer_timestamp,
       case when n < 200 then 'Same name' else 'Person ' || n % 3000 end as author_name,
       case when n < 200 then 'b' || n % 2 else 'p' || n % 3000 end || '@example.com'
           as author_email, case when n < 200 then 1 + n % 2 end as author_user_id,
       true as on_default_branch, n % 5 = 0 as is_merge
  from generate_series(1, 30000) n"""
EMPTY = "truncate projects, repositories, default_branches, commits"
TEAM = """\
update commits set author_type = 'SERVICE' where author_email = 'lukasz@example.com';
update commits set author_name = 'renovate[bot]', author_email = 'renovate@example.com'
 where message = 'Week 3';
update commits set co_authors = array['Ada <ada@example.com>']
 where message = 'Week 2' and repository_id in (
    select id from repositories where project_key = 'PAY')"""
READER = """\
create role reader login;
grant usage on schema bitbucket to reader;
grant select on all tables in schema bitbucket to reader"""
WEEKLY = ("Commits per week", "Authors per week")
CHARTS = (
    *WEEKLY,
    "Commits per week and repository",
    "Commits by author",
    "Repositories by age of their newest commit",
)
POSITIONS = """\
return [...document.querySelectorAll("figure[aria-label='%s'] path[aria-label]")].map(
    mark => [mark.getAttribute("aria-label"), mark.getBoundingClientRect()]).filter(
    ([_, box]) => box.width).map(([label, box]) => [label, box.left, box.right])"""
# What is beyond the edges of the window or of its chart, or has content beyond its own edges.
CUT = """\
const seen = "body :not(svg *), svg text:not([opacity='0']), svg path[aria-label]";
return [...document.querySelectorAll(seen)].filter(element => {
    const box = element.getBoundingClientRect();
    const overflows = element.clientWidth && element.scrollWidth > element.clientWidth + 1;
    const edge = (element.closest("svg") || document.body).getBoundingClientRect();
    return box.width && (box.left < edge.left - 1 || box.right > edge.right + 1
        || element instanceof HTMLElement && overflows);
}).map(element => element.outerHTML)"""
# Text without a contrast of 4.5 to 1, as https://www.w3.org/TR/WCAG22/#contrast-minimum asks for.
FAINT = """\
const channel = value => value <= 10 ? value / 3294 : ((value / 255 + 0.055) / 1.055) ** 2.4;
const light = color => {
    const [red, green, blue] = color.match(/[\\d.]+/g).map(Number).map(channel);
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05;
};
const behind = element => {
    const color = getComputedStyle(element).backgroundColor;
    return color === "rgba(0, 0, 0, 0)" ? behind(element.parentElement) : color;
};
return [...document.querySelectorAll("h1, h2, p, li, dt, dd, th, td, a, .note, svg text")].filter(
    element => {
        const style = getComputedStyle(element);
        const color = element.closest("svg") ? style.fill : style.color;
        const both = [light(color), light(behind(element))];
        return Math.max(...both) / Math.min(...both) < 4.5;
    }).map(element => element.outerHTML)"""


@pytest.fixture(scope="module")
def page(loaded: Loaded, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    main(["report", "--dsn", loaded.database.url, "--output", str(path)])
    return path


@pytest.fixture(scope="module")
def window() -> Iterator[Browser]:
    with browser() as window:
        yield window


@pytest.fixture
def shown(window: Browser, page: Path) -> Browser:
    window.console()
    window.requested()
    window.open(page)
    return window


def test_the_page_asks_for_nothing_but_itself_and_meets_no_error(
    shown: Browser, page: Path
) -> None:
    assert shown.run("return document.title") == "Bitbucket: default branches"
    assert shown.requested() == [page.as_uri()]
    assert shown.console() == []
    assert shown.screenshot().startswith(PNG)


def test_the_browser_would_tell_of_a_request_and_of_a_foreign_script(
    window: Browser, page: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.html"
    extra = "<script>document.title = 'obeyed'</script><img src='http://127.0.0.1:9/x.png'>"
    bad.write_text(page.read_text("utf-8").replace("</main>", f"{extra}</main>"), "utf-8")
    window.console()
    window.open(bad)
    assert len(window.console()) == 2
    assert window.run("return document.title") == "Bitbucket: default branches"
    bad.write_text(bad.read_text("utf-8").replace("Content-Security-Policy", "none"), "utf-8")
    window.requested()
    window.open(bad)
    assert "http://127.0.0.1:9/x.png" in window.requested()
    assert window.run("return document.title") == "obeyed"
    window.console()


def test_counts_are_git_s(shown: Browser, loaded: Loaded) -> None:
    commits = [commit for git in _readable(loaded).values() for commit in git.rev_list()]
    merges = [git.rev_list("HEAD", "--merges") for git in _readable(loaded).values()]
    facts = shown.run(FACTS % "totals")
    assert facts == {
        "Projects": "3",
        "Repositories": str(len(loaded.world.repositories)),
        "Commits": str(len(commits)),
        "Merges": str(sum(map(len, merges))),
        "Authors": "5",
        "Newest commit": max(map(_newest, _readable(loaded).values())),
    }


def test_every_repository_has_its_row(shown: Browser, loaded: Loaded) -> None:
    rows = {row[0].removesuffix(" archived"): row for row in shown.run(ROWS % "repositories")}
    assert rows.keys() == loaded.world.repositories.keys()
    for name, git in _readable(loaded).items():
        assert (rows[name][1], rows[name][4]) == (git.default_branch, str(len(git.rev_list())))
        assert rows[name][2] == _newest(git)
    assert rows["OPS/runbooks"][0].endswith(" archived")
    assert rows["OPS/new"][1:5] == ["empty", NONE, NONE, "0"]
    assert sorted(shown.run(ROWS % "unread")) == [
        ["OPS/moved", "missing", "0"],
        ["OPS/new", "empty", "0"],
        ["OPS/secret", "inaccessible", "0"],
    ]
    assert shown.run(ROWS % "rewritten") == [["PAY/api", "1", "1", "2024-12-08"]]


def test_marks_tell_what_they_show(shown: Browser, loaded: Loaded) -> None:
    weeks = shown.run(MARKS % "Commits per week")
    assert "Week of 2025-01-20; commits: 1" in weeks
    assert "OPS/runbooks, week of 2024-10-21; commits: 1" in shown.run(
        MARKS % "Commits per week and repository"
    )
    freshness = shown.run(MARKS % "Repositories by age of their newest commit")
    assert f"more than a year; repositories: {len(_readable(loaded))}" in freshness
    assert "inaccessible; repositories: 1" in freshness
    shown.point_at("figure path[aria-label]")
    assert shown.run("return document.getElementById('tip').innerText") == weeks[0]


def test_what_people_wrote_is_text(shown: Browser) -> None:
    assert HOSTILE in {row[1] for row in shown.run(ROWS % "repositories")}
    authors = shown.run(MARKS % "Commits by author")
    assert any(label.startswith(f"{HOSTILE}; ") for label in authors)
    assert shown.run("return document.scripts.length") == 1


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_a_phone_shows_all_of_the_page_and_the_newest_weeks_at_once(
    shown: Browser, color_scheme: str
) -> None:
    wide = [shown.run(MARKS % title) for title in CHARTS]
    shown.emulate(390, color_scheme)
    assert shown.run(CUT) == []
    assert [shown.run(MARKS % title) for title in CHARTS] == wide
    for title in WEEKLY:
        *_, (newest, left, right) = sorted(shown.run(POSITIONS % title))
        assert newest.startswith("Week of 2025-01-20")
        assert 195 < left < right <= 390
    assert shown.run(FAINT) == []
    shown.emulate(1100, "light")


def test_the_dark_page_is_dark(shown: Browser) -> None:
    color = "return getComputedStyle(document.body).backgroundColor"
    light = shown.run(color)
    shown.emulate(1100, "dark")
    assert (light, shown.run(color)) == ("rgb(255, 255, 255)", "rgb(21, 24, 28)")
    assert shown.run(FAINT) == []
    shown.emulate(1100, "light")
    assert shown.run(FAINT) == []


def test_ten_thousand_repositories_fit_one_page(
    loaded: Loaded, window: Browser, tmp_path: Path
) -> None:
    path = tmp_path / "report.html"
    loaded.database.execute(MANY)
    main(["report", "--dsn", loaded.database.url, "--schema", "many", "--output", str(path)])
    assert path.stat().st_size < 1_000_000
    window.open(path)
    assert len(window.run(ROWS % "repositories")) == 100
    assert "… and 9,900 more." in window.run("return document.body.innerText")
    assert window.run(CUT) == []
    fields = window.run(MARKS % "Commits per week and repository")
    assert any(field.startswith("9980 others, week of ") for field in fields)
    people = window.run(MARKS % "Commits by author")
    commits = {name: _commits(name) for name in people}  # there may be a mark for merges, too
    assert sum(commits.values()) == 30_000
    assert {name.partition(";")[0] for name in commits} >= {
        "Same name <b0@example.com>",
        "Same name <b1@example.com>",
        "2982 others",
    }
    assert window.run("return document.querySelectorAll('table a').length") == 0


def test_an_empty_warehouse_has_a_page_too(loaded: Loaded, window: Browser, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    loaded.database.copy("nothing", EMPTY)
    main(["report", "--dsn", loaded.database.url, "--schema", "nothing", "--output", str(path)])
    window.open(path)
    assert "No commits are loaded." in window.run("return document.body.innerText")
    assert window.run(FACTS % "totals")["Repositories"] == "0"


def test_bots_are_counted_apart_and_co_authored_commits_per_week(
    loaded: Loaded, tmp_path: Path
) -> None:
    path, url = tmp_path / "report.html", loaded.database.url
    loaded.database.copy("team", TEAM)
    main(["report", "--dsn", url, "--schema", "team", "--output", str(path)])
    before, facts = read(url, "bitbucket"), read(url, "team")
    assert (before["totals"]["bots"], facts["totals"]["bots"]) == (0, 2)
    assert facts["totals"]["people"] == before["totals"]["people"] - 1
    assert facts["totals"]["commits"] == before["totals"]["commits"]
    bots = {bot["name"]: bot["commits"] for bot in facts["bots"]}
    assert bots == {"renovate[bot]": 5, "Łukasz Żółć": 1}
    assert not bots.keys() & {person["name"] for person in facts["busy_people"]}
    assert sum(week["by_bots"] for week in facts["weeks"]) == facts["now"]["by_bots"] == 6
    assert sum(week["people"] for week in facts["weeks"]) < sum(
        week["people"] for week in before["weeks"]
    )
    assert {
        week["week"]: week["co_authored"] for week in facts["weeks"] if week["co_authored"]
    } == {"2024-10-28": 2}
    text = path.read_text("utf-8")
    assert "Week of 2024-10-28; co-authored commits: 2" in text
    assert "<dd>and 2 bots</dd>" in text
    assert "Co-authored commits" not in written(before)
    assert "Bots" not in written(before)


def test_who_may_only_read_can_make_the_page(loaded: Loaded, page: Path, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    loaded.database.execute(READER)
    dsn = f"{loaded.database.url}&options=-c%20default_transaction_read_only%3Don"
    main(["report", "--dsn", dsn.replace("postgres@", "reader@"), "--output", str(path)])
    assert _without_time(path) == _without_time(page)


def _without_time(path: Path) -> list[str]:
    lines = path.read_text("utf-8").splitlines()
    return [line for line in lines if " created " not in line]


def _readable(loaded: Loaded) -> dict[str, GitRepository]:
    """Return the repositories with a default branch that the tap may read."""
    repositories = loaded.world.repositories.items()
    return {name: git for name, git in repositories if git.branch_tip() and name != "OPS/secret"}


def _newest(git: GitRepository) -> str:
    """Return the day of the newest committer date, in UTC."""
    seconds = max(map(int, git.git("log", "--format=%ct", "HEAD").split()))
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()


def _commits(label: str) -> int:
    return int(
        label.rpartition("commits: ")[2].partition(";")[0].partition(", merges")[0].replace(",", "")
    )
