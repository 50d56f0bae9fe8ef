"""What the intake remembers between two scans."""

from __future__ import annotations

import pytest

from retouchd.errors import NotAnImage, Truncated
from retouchd.job import FileStat
from retouchd.listing import Found
from retouchd.presence import Presence

ONE = FileStat(10, 1, 7)
TWO = FileStat(20, 2, 7)
NOBODY: frozenset[str] = frozenset()
CUT = Truncated(path="a", cause="cut off")


def found(inode: int = 7) -> list[Found]:
    return [Found("a", inode, True)]


def settled(presence: Presence, stat: FileStat = ONE, start: float = 0.0) -> None:
    assert presence.seen({"a": stat}, NOBODY, start, 2.0) == []
    assert presence.seen({"a": stat}, NOBODY, start + 2.0, 2.0) == ["a"]


@pytest.fixture
def presence() -> Presence:
    return Presence()


def test_a_file_that_is_still_is_checked_and_then_left_alone(presence: Presence) -> None:
    settled(presence)
    assert presence.unsettled(found()) == ["a"]
    presence.checked_whole("a", ONE, 99)
    assert presence.unsettled(found()) == []
    assert presence.whole["a"].decoded == 99
    assert presence.moving == 0
    assert presence.next_look(5.0, 2.0) is None


def test_whatever_size_a_header_claims_the_ledger_can_hold_the_number(presence: Presence) -> None:
    """Else one file would keep the intake from telling the ledger of all the others."""
    settled(presence)
    presence.checked_whole("a", ONE, 1 << 80)
    assert presence.whole["a"].decoded == 1 << 60


def test_a_file_that_grows_or_is_written_to_waits_anew(presence: Presence) -> None:
    presence.seen({"a": ONE}, NOBODY, 0.0, 2.0)
    assert presence.seen({"a": TWO}, NOBODY, 2.0, 2.0) == []
    assert presence.seen({"a": TWO}, frozenset("a"), 4.0, 2.0) == []
    assert presence.seen({"a": TWO}, NOBODY, 6.0, 2.0) == ["a"]


def test_the_next_look_is_when_the_first_file_may_have_settled(presence: Presence) -> None:
    presence.seen({"a": ONE}, NOBODY, 10.0, 2.0)
    presence.seen({"b": ONE}, NOBODY, 11.0, 2.0)
    assert presence.next_look(11.0, 2.0) == 12.0


def test_a_change_between_look_and_check_is_no_success(presence: Presence) -> None:
    settled(presence)
    presence.checked_whole("a", TWO, 99)
    assert presence.unsettled(found()) == ["a"]


def test_an_incomplete_file_is_checked_again_and_given_up_after_its_time(
    presence: Presence,
) -> None:
    settled(presence)
    presence.checked_incomplete("a", CUT, 2.0, 600.0)
    assert presence.seen({"a": ONE}, NOBODY, 2.5, 2.0) == []
    due = presence.next_look(2.5, 2.0)
    assert due is not None
    assert presence.seen({"a": ONE}, NOBODY, due, 2.0) == ["a"]
    presence.checked_incomplete("a", CUT, 600.0, 600.0)
    assert presence.bad == {"a": CUT}
    assert presence.unsettled(found()) == []


def test_a_change_of_an_incomplete_file_starts_its_checks_anew(presence: Presence) -> None:
    settled(presence)
    presence.checked_incomplete("a", CUT, 50.0, 600.0)
    assert presence.seen({"a": TWO}, NOBODY, 51.0, 2.0) == []
    assert presence.seen({"a": TWO}, NOBODY, 53.0, 2.0) == ["a"]


def test_another_inode_under_the_name_is_another_file(presence: Presence) -> None:
    presence.trust("a", ONE, 5)
    presence.keep_only(found(7))
    assert presence.unsettled(found(7)) == []
    presence.keep_only(found(8))
    assert presence.unsettled(found(8)) == ["a"]


def test_what_is_gone_is_forgotten_with_its_verdict(presence: Presence) -> None:
    settled(presence)
    presence.checked_bad("a", NotAnImage(path="a", cause="text"))
    presence.keep_only([])
    assert presence.bad == {}
    assert presence.whole == {}
    presence.seen({"b": ONE}, NOBODY, 0.0, 2.0)
    presence.keep_only([])
    assert presence.moving == 0


def test_time_in_which_nobody_could_look_is_not_stillness(presence: Presence) -> None:
    presence.seen({"a": ONE}, NOBODY, 0.0, 2.0)
    presence.forget_moving()
    assert presence.seen({"a": ONE}, NOBODY, 100.0, 2.0) == []
    assert presence.seen({"a": ONE}, NOBODY, 102.0, 2.0) == ["a"]
