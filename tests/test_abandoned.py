"""What may still be asked of a lane whose hands were lost to a share that hangs."""

from __future__ import annotations

import pytest

from retouchd import abandoned as module
from retouchd.abandoned import Abandoned, Verdict
from retouchd.call import Call


class Stuck:
    """A process that was killed; it dies when it is let go."""

    code: int | None = None

    def poll(self) -> int | None:
        return self.code

    def wait(self, timeout: float | None = None) -> int:
        return -9


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever was killed had the time to die."""
    monkeypatch.setattr(module, "_DYING", -1.0)


def look(subject: str = "/nas/inbox", lane: str = "ill") -> Call:
    return Call("scan", lane, subject, 1.0, looks=True)


def work(subject: str, lane: str = "ill") -> Call:
    return Call("prepare", lane, subject, 1.0, long=True)


def lost(*calls: Call) -> tuple[Abandoned, list[Stuck]]:
    abandoned, processes = Abandoned(), [Stuck() for _ in calls]
    for process, call in zip(processes, calls, strict=True):
        abandoned.doubt(call.lane)
        abandoned.add(process, call)
    return abandoned, processes


@pytest.mark.usefixtures("later")
class TestAHandIsHeld:
    def test_the_same_is_not_asked_again(self) -> None:
        abandoned, _ = lost(look())
        assert abandoned.verdict(look(), 8) is Verdict.ASKED

    def test_nor_is_the_same_folder_looked_at_in_another_way(self) -> None:
        abandoned, _ = lost(look())
        other = Call("occupy", "ill", "/nas/inbox", 1.0, looks=True)
        assert abandoned.verdict(other, 8) is Verdict.ASKED
        assert abandoned.verdict(look("/nas/outbox"), 8) is Verdict.ASK

    def test_only_looking_goes_on_in_its_lane(self) -> None:
        abandoned, _ = lost(work("a.png"))
        assert abandoned.verdict(look(), 8) is Verdict.ASK
        assert abandoned.verdict(work("b.png"), 8) is Verdict.DOUBTED

    def test_other_lanes_go_on(self) -> None:
        abandoned, _ = lost(look(), work("a.png"))
        assert abandoned.verdict(look(lane="well"), 2) is Verdict.ASK
        assert abandoned.verdict(work("a.png", lane="well"), 2) is Verdict.ASK

    def test_an_answer_ends_the_doubt_but_not_what_is_known_of_one_file(self) -> None:
        abandoned, _ = lost(work("a.png"))
        abandoned.trust("ill")
        assert abandoned.verdict(work("b.png"), 8) is Verdict.ASK
        assert abandoned.verdict(work("a.png"), 8) is Verdict.ASKED

    def test_no_more_are_risked_than_there_are_hands(self) -> None:
        abandoned, _ = lost(work("a.png"), work("b.png"))
        abandoned.trust("ill")
        assert abandoned.verdict(work("c.png"), 3) is Verdict.ASK
        assert abandoned.verdict(work("c.png"), 2) is Verdict.DOUBTED

    def test_looking_always_goes_on_or_a_few_such_files_would_end_a_lane_for_good(self) -> None:
        abandoned, _ = lost(work("a.png"), work("b.png"))
        assert abandoned.verdict(look(), 2) is Verdict.ASK

    def test_its_death_says_that_the_share_is_back(self) -> None:
        abandoned, [process] = lost(look())
        process.code = -9
        assert abandoned.verdict(look(), 8) is Verdict.ASK
        assert abandoned.verdict(work("a.png"), 8) is Verdict.ASK
        assert abandoned.processes() == []

    def test_another_mount_is_another_share(self) -> None:
        abandoned, [process] = lost(look())
        abandoned.forgive("ill")
        assert abandoned.verdict(look(), 1) is Verdict.ASK
        assert abandoned.verdict(work("a.png"), 1) is Verdict.ASK
        assert abandoned.processes() == [process]


def test_a_hand_that_was_killed_just_now_gets_the_time_to_die() -> None:
    abandoned, _ = lost(look())
    assert abandoned.verdict(look(), 1) is Verdict.ASK


def test_a_hand_that_crashed_or_was_idle_casts_no_doubt() -> None:
    abandoned = Abandoned()
    abandoned.add(Stuck(), work("a.png"))
    abandoned.add(Stuck(), None)
    assert abandoned.verdict(work("b.png"), 8) is Verdict.ASK
