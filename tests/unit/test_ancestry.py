"""Which commits of a range are missing, by what the commits that arrived say."""

from __future__ import annotations

import pytest

from tap_bitbucket_dc.bitbucket import Commit, Parent
from tap_bitbucket_dc.extract.ancestry import Ancestry, UnrelatedError


def commits(*lines: str, dates: str = "") -> list[Commit]:
    """Return commits: ``"c ab"`` has the id c and the parents a and b; a digit each for dates."""
    return [
        Commit(
            id=line[0],
            parents=tuple(Parent(parent) for parent in line[2:]),
            committer_timestamp=int(dates[index]) if dates else None,
        )
        for index, line in enumerate(lines)
    ]


def arrived(seen: Ancestry, *lines: str) -> str:
    """Return the ids of those that are new."""
    return "".join(commit.id for commit in seen.take(commits(*lines)))


def test_the_requested_commit_has_to_arrive() -> None:
    assert Ancestry("c").wanted() == {"c"}


def test_a_whole_history_leaves_nothing_to_want() -> None:
    seen = Ancestry("c")
    seen.take(commits("c b", "b a"))
    assert seen.wanted() == {"a"}
    seen.take(commits("a"))
    assert seen.wanted() == set()
    assert len(seen) == 3


def test_a_row_that_is_left_out_is_wanted() -> None:
    seen = Ancestry("d")
    seen.take(commits("d c", "b a", "a"))
    assert seen.wanted() == {"c"}


def test_a_parent_on_an_earlier_page_is_not_wanted() -> None:
    seen = Ancestry("d")
    seen.take(commits("d cb", "b a"))
    seen.take(commits("a", "c b"))
    assert seen.wanted() == set()


def test_a_side_branch_that_ends_within_a_later_chain_is_not_wanted() -> None:
    seen = Ancestry("e")
    seen.take(commits("e db", "d c"))
    seen.take(commits("c b", "b a", "a"))
    assert seen.wanted() == set()


def test_what_lies_outside_is_not_wanted_but_known() -> None:
    seen = Ancestry("c")
    seen.outside.add("a")
    seen.take(commits("c b", "b a"))
    assert seen.wanted() == set()
    assert seen.names("a")
    assert not seen.names("x")


def test_rows_that_come_again_are_told_apart() -> None:
    seen = Ancestry("c")
    assert arrived(seen, "c b", "b a") == "cb"
    assert seen.wanted() == {"a"}
    assert arrived(seen, "c b", "b a", "a") == "a"
    assert len(seen) == 3


def test_parents_that_came_before_their_children_do_not_pile_up() -> None:
    seen = Ancestry("e")
    for page in ("a", "b a", "c b", "d c"):
        seen.take(commits(page))
        assert seen.wanted() == {"e"}
    seen.take(commits("e d"))
    assert seen.wanted() == set()


def test_a_parent_that_came_with_a_merge_is_not_wanted_again() -> None:
    seen = Ancestry("x")
    seen.take(commits("x yz", "y"))
    seen.take(commits("z y"))
    assert seen.wanted() == set()


@pytest.mark.parametrize("page", [["d c", "x y"], ["c b"], ["d", "c b"], ["d c", "b a", "c b"]])
def test_commits_that_nothing_leads_to_are_refused_and_not_noted(page: list[str]) -> None:
    seen = Ancestry("d")
    with pytest.raises(UnrelatedError):
        seen.take(commits(*page), strict=True)
    assert len(seen) == 0
    assert seen.wanted() == {"d"}


def test_a_root_that_comes_before_its_child_is_not_wanted_again() -> None:
    seen = Ancestry("m")
    seen.take(commits("m ab", "a", "b a"), strict=True)
    assert seen.wanted() == set()


def test_commits_that_a_page_before_leads_to_are_taken() -> None:
    seen = Ancestry("d")
    seen.take(commits("d cb", "b a"), strict=True)
    seen.take([], strict=True)
    seen.take(commits("c b", "a"), strict=True)
    assert seen.wanted() == set()


def test_a_page_that_is_shifted_by_one_counts_no_row_twice() -> None:
    seen = Ancestry("f")
    assert arrived(seen, "f e", "e d") == "fe"
    assert arrived(seen, "c b", "b a") == "cb"
    assert arrived(seen, "b a", "a") == "a"
    assert len(seen) == 5
    assert seen.wanted() == {"d"}


@pytest.mark.parametrize(("dates", "is_skewed"), [("321", False), ("331", False), ("312", True)])
def test_dates_that_rise_show_a_wrong_clock(dates: str, *, is_skewed: bool) -> None:
    seen = Ancestry("c")
    seen.take(commits("c b", "b a", "a", dates=dates))
    assert seen.is_skewed == is_skewed


def test_dates_start_anew_with_another_listing() -> None:
    seen = Ancestry("c")
    seen.take(commits("c b", dates="1"))
    seen.begin()
    seen.take(commits("b a", dates="9"))
    assert not seen.is_skewed
    seen.take(commits("a", dates="9"))
    assert not seen.is_skewed
    assert seen.has_root


def test_two_ranges_overlap_where_one_has_what_the_other_names() -> None:
    old, new = Ancestry("c"), Ancestry("d")
    old.take(commits("c b"))
    new.take(commits("d b"))
    assert not old.overlaps(new)
    old.take(commits("b a"))
    assert old.overlaps(new)
    new.take(commits("b a"))
    old.remove(new)
    assert "b" not in old
    assert len(old) == 1
