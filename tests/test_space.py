"""What lanes give up together for a disk that they share."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from retouchd.config.sections import Keep, Retention
from retouchd.retention import ORDER, Decision, Kept, Role, Volume
from retouchd.space import Stock, decide_together

DAY = 86400.0
NOW = 1_800_000_000.0


def kept(number: int, days: float = 10, size: int = 10, role: Role = "outputs") -> Kept:
    return Kept(number, "a", role, f"{number}.jpg", size, NOW - days * DAY, number)


def stock(
    files: Sequence[Kept],
    min_free: int | None,
    *volumes: Volume,
    gone: Sequence[int] = (),
    seen: float = NOW,
) -> Stock:
    for_ever = Keep.model_construct(max_age=None, max_size=None)
    old = Keep.model_construct(max_age=90 * DAY, max_size=None)
    rules = Retention.model_construct(
        outputs=old, archive=for_ever, failed=for_ever, min_free=min_free, every=1.0, brake=0.5
    )
    return Stock(
        files,
        rules,
        volumes or (Volume(frozenset(ORDER), free=100),),
        lambda some: [file for file in some if file.file_id in gone],
        {"now": NOW, "last_seen_now": seen},
    )


def ids(decisions: Sequence[Decision]) -> list[list[int]]:
    return [[dead.file.file_id for dead in decision.delete] for decision in decisions]


def test_all_goes_where_it_is_just_enough_and_nothing_where_it_is_not() -> None:
    files = [kept(1, 20), kept(2)]
    assert ids(decide_together([stock(files, 120)])) == [[1, 2]]
    [decision] = decide_together([stock(files, 121)])
    assert decision.delete == ()
    assert decision.short == (
        "nothing is deleted for min_free: with all that may go from the disk of archive, failed, "
        "outputs, review (20 B) it would still lack 1 B of 121 B. Something else takes its space: "
        "free some there, or set a lower min_free",
    )


def test_what_is_too_old_goes_all_the_same() -> None:
    [decision] = decide_together([stock([kept(1, 100), kept(2)], 121)])
    assert ids([decision]) == [[1]]
    assert len(decision.short) == 1


def test_lanes_make_up_for_each_other_and_the_first_gives_first() -> None:
    lanes = [[kept(1)], [kept(2)], [kept(3)]]
    for min_free, gone in ((110, [[1], [], []]), (120, [[1], [2], []]), (130, [[1], [2], [3]])):
        assert ids(decide_together([stock(files, min_free) for files in lanes])) == gone
    short = decide_together([stock(files, 131) for files in lanes])
    assert ids(short) == [[], [], []]
    assert all(decision.short for decision in short)


def test_what_a_lane_without_the_goal_frees_counts() -> None:
    assert ids(decide_together([stock([kept(1, 100)], None), stock([kept(2)], 120)])) == [[1], [2]]


def test_a_goal_out_of_reach_does_not_keep_another_lane_from_its_own() -> None:
    """Nor does the one count on what the other would have given up."""
    first, second = decide_together([stock([kept(1)], 500), stock([kept(2)], 110)])
    assert ids([first, second]) == [[], [2]]
    assert first.short
    assert not second.short


def test_each_disk_is_judged_by_itself() -> None:
    disks = Volume(frozenset({"outputs"}), 0, 1), Volume(frozenset({"archive"}), 100, 2)
    files = [kept(1), kept(2, role="archive")]
    [decision] = decide_together([stock(files, 110, *disks)])
    assert ids([decision]) == [[2]]
    [why] = decision.short
    assert "the disk of outputs (10 B)" in why


def test_what_people_took_away_can_not_be_given_up() -> None:
    lanes = [stock([kept(1)], 120), stock([kept(2)], 120, gone=[2])]
    first, second = decide_together(lanes)
    assert ids([first, second]) == [[], []]
    assert [file.file_id for file in second.gone] == [2]  # nobody has to look again
    assert first.short
    assert second.short


def test_files_that_could_not_be_enough_are_not_looked_at() -> None:
    lane = stock([kept(1), kept(2)], 121)
    asked = list[Kept]()

    def look(some: Sequence[Kept]) -> list[Kept]:
        asked.extend(some)
        return []

    decide_together([Stock(lane.files, lane.rules, lane.volumes, look, lane.moment)])
    assert asked == []


@pytest.mark.parametrize("days", [4, 400])
def test_a_braked_lane_is_not_short(days: int) -> None:
    files = [kept(number, 91) for number in range(30)]
    [decision] = decide_together([stock(files, 10**6, seen=NOW - days * DAY)])
    assert decision.braked
    assert decision.short == ()
