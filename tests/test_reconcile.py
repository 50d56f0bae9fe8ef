"""From the inbox's view to the ledger's: a photo keeps its job, and two looks agree."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from retouchd.config import Pairing
from retouchd.errors import Ambiguous, NotAnImage, Orphaned, PermanentError, Truncated
from retouchd.job import LEGAL, Drop, FileStat, Job, Place, Role, State
from retouchd.pairing import (
    Candidate,
    Conflict,
    NotImage,
    Pair,
    Pending,
    Verdict,
    Waiting,
    WaitingMask,
    decide,
)
from retouchd.reconcile import Action, Assign, Cancel, reconcile

DAY = 86400.0
NOW = 1_000_000.0
STAT = FileStat(1, 1, 1)
PAIR = Pair("p.png", "p_mask.png", None, "mask")


def job(
    number: int, state: State, *members: tuple[Role, str], since: float = NOW, source: str = "mask"
) -> Job:
    drops = tuple(
        Drop(number * 10 + n, number, role, path, Place.INBOX, path, STAT)
        for n, (role, path) in enumerate(members)
    )
    return Job(
        number, "a", "inpaint", state, source, members[0][1], since, updated_at=since, drops=drops
    )


def image(number: int = 1, state: State = State.WAITING, **more: object) -> Job:
    return job(number, state, (Role.IMAGE, "p.png"), **more)  # type: ignore[arg-type]


def pair(number: int = 1, state: State = State.READY, **more: object) -> Job:
    members = (Role.IMAGE, "p.png"), (Role.MASK, "p_mask.png")
    return job(number, state, *members, **more)  # type: ignore[arg-type]


def step(
    verdicts: list[Verdict],
    jobs: list[Job],
    bad: dict[str, PermanentError] | None = None,
    now: float = NOW,
) -> list[Action]:
    return reconcile(verdicts, jobs, bad or {}, now, DAY)


def only(actions: list[Action]) -> Assign:
    [action] = actions
    assert isinstance(action, Assign)
    return action


def test_a_pair_becomes_a_job_that_is_ready() -> None:
    action = only(step([PAIR], []))
    assert (action.job, action.state, action.source) == (None, State.READY, "mask")
    assert action.members == ((Role.IMAGE, "p.png"), (Role.MASK, "p_mask.png"))


def test_a_photo_alone_waits_and_is_told_once() -> None:
    assert only(step([Waiting("p.png")], [])).state is State.WAITING
    assert step([Waiting("p.png")], [image()]) == []


def test_a_photo_keeps_its_job_when_its_mask_comes() -> None:
    action = only(step([PAIR], [image(7)]))
    assert (action.job, action.state, action.absorbed) == (7, State.READY, ())


def test_a_mask_may_come_first_and_its_job_then_takes_the_photo() -> None:
    alone = job(3, State.WAITING, (Role.MASK, "p_mask.png"))
    assert only(step([WaitingMask("p_mask.png")], [])).state is State.WAITING
    action = only(step([PAIR], [alone]))
    assert (action.job, action.state) == (3, State.READY)


def test_where_both_waited_apart_the_photos_job_goes_on_and_the_masks_ends() -> None:
    alone = job(3, State.WAITING, (Role.MASK, "p_mask.png"))
    action = only(step([PAIR], [alone, image(5)]))
    assert (action.job, action.absorbed) == (5, (3,))


def test_a_job_that_agrees_is_left_alone_whether_it_is_ready_or_will_be_tried_again() -> None:
    assert step([PAIR], [pair()]) == []
    assert step([PAIR], [pair(state=State.FAILED)]) == []


def test_a_mask_taken_away_makes_the_photo_wait_again() -> None:
    action = only(step([Waiting("p.png")], [pair(4)]))
    assert (action.job, action.state, action.members) == (
        4,
        State.WAITING,
        ((Role.IMAGE, "p.png"),),
    )


def test_a_photo_that_lay_ready_for_long_has_not_waited_for_its_mask() -> None:
    """A lane was paused for days; then the mask is taken away: the wait begins only now."""
    action = only(step([Waiting("p.png")], [pair(4, since=NOW - 3 * DAY)]))
    assert action.state is State.WAITING


def test_files_taken_away_cancel_their_job() -> None:
    [action] = step([], [pair(4)])
    assert action == Cancel(4, "its files were taken out of the inbox")


def test_files_that_move_hold_their_job_and_nothing_is_begun_with_them() -> None:
    pending = Pending(("p.png", "p_mask.png"))
    action = only(step([pending], [pair(4)]))
    assert (action.job, action.state, len(action.members)) == (4, State.WAITING, 2)
    assert step([pending], [pair(4, State.WAITING)]) == []
    assert step([pending], []) == []


def test_a_conflict_sets_everything_aside_that_takes_part() -> None:
    conflict = Conflict(("p.png", "p_mask.png", "p-mask.png"), "the photo p.png has 2 masks")
    action = only(step([conflict], [pair(4)]))
    assert (action.job, action.state) == (4, State.QUARANTINED)
    assert isinstance(action.error, Ambiguous)
    assert {path for _, path in action.members} == set(conflict.members)


def test_a_file_that_is_no_picture_is_set_aside_with_the_reason() -> None:
    action = only(step([NotImage("notes.txt")], []))
    assert isinstance(action.error, NotAnImage)
    assert action.state is State.QUARANTINED


def test_bad_content_sets_its_job_aside_but_not_while_something_moves() -> None:
    bad: dict[str, PermanentError] = {"p_mask.png": Truncated(path="p_mask.png", cause="cut")}
    assert only(step([PAIR], [image()], bad)).error is bad["p_mask.png"]
    assert step([Pending(("p.png", "p_mask.png"))], [], bad) == []


def test_a_photo_without_a_mask_is_set_aside_after_its_time() -> None:
    assert step([Waiting("p.png")], [image(since=NOW - DAY + 1)]) == []
    action = only(step([Waiting("p.png")], [image(since=NOW - DAY)]))
    assert isinstance(action.error, Orphaned)
    assert action.error.message == "No mask came for p.png."
    assert "photo_mask.png" in action.error.advice


def test_a_mask_without_a_photo_is_set_aside_after_its_time() -> None:
    alone = job(3, State.WAITING, (Role.MASK, "p_mask.png"), since=0.0)
    action = only(step([WaitingMask("p_mask.png")], [alone]))
    assert action.error is not None
    assert action.error.message == "No photo came for p_mask.png."
    assert "If this is a photo itself, rename it" in action.error.advice
    assert "photo.jpg.mask.png" in action.error.advice


def test_a_folders_mask_serves_many_jobs_and_belongs_to_none() -> None:
    verdicts: list[Verdict] = [
        Pair("a.png", None, "_mask.png", "folder_mask"),
        Pair("b.png", None, "_mask.png", "folder_mask"),
    ]
    shared = (Role.SHARED_MASK, "_mask.png")
    jobs = [
        job(1, State.READY, (Role.IMAGE, "a.png"), shared, source="folder_mask"),
        job(2, State.READY, (Role.IMAGE, "b.png"), shared, source="folder_mask"),
    ]
    assert step(verdicts, jobs) == []
    assert [a.job for a in step(verdicts, []) if isinstance(a, Assign)] == [None, None]
    assert step(verdicts, [*jobs, job(3, State.READY, (Role.IMAGE, "c.png"), shared)]) == [
        Cancel(3, "its files were taken out of the inbox")
    ]


def test_another_source_of_the_hole_is_told_though_the_files_are_the_same() -> None:
    by_alpha = image(4, State.READY, source="alpha")
    action = only(step([Pair("p.png", None, None, "rectangles")], [by_alpha]))
    assert (action.job, action.source) == (4, "rectangles")


def test_jobs_under_way_or_over_are_none_of_its_business() -> None:
    for state in set(State) - {State.WAITING, State.READY, State.FAILED}:
        assert step([], [pair(4, state)]) == []


# Whatever lies in the inbox, and whatever the ledger thought of it.

NAMES = ["a.png", "a_mask.png", "a-mask.png", "b.jpg", "b.png", "b_mask.png", "_mask.png", "x.txt"]
FILES = st.dictionaries(st.sampled_from(NAMES), st.booleans())
RULES = st.builds(Pairing, folder_mask=st.booleans(), alpha_holes=st.booleans())


def _applied(actions: list[Action], jobs: list[Job], now: float) -> list[Job]:
    """What ``recording`` makes of the actions, without a ledger."""
    left = {j.id: j for j in jobs}
    for action in actions:
        if isinstance(action, Cancel):
            assert State.CANCELLED in LEGAL[left.pop(action.job).state]
            continue
        for absorbed in action.absorbed:
            assert State.CANCELLED in LEGAL[left.pop(absorbed).state]
        number = action.job or max(left, default=0) + 1000
        before = left.get(number)
        if before is not None and before.state is not action.state:
            assert action.state in LEGAL[before.state]
        after = job(number, action.state, *action.members, since=now, source=action.source)
        left[number] = replace(after, state=action.state)
    return [j for j in left.values() if j.state is not State.QUARANTINED]


@given(st.lists(st.tuples(FILES, RULES), min_size=1, max_size=4), st.sampled_from([0.0, 2 * DAY]))
def test_a_second_look_finds_nothing_more_to_tell(
    looks: list[tuple[dict[str, bool], Pairing]], pause: float
) -> None:
    """After each look the ledger agrees with the inbox: no action is left, every step was legal,
    and every file is in at most one job."""
    jobs: list[Job] = []
    now, aside = NOW, set()
    for files, rules in looks:
        now += pause
        there = [Candidate(name, whole) for name, whole in files.items() if name not in aside]
        verdicts = decide(there, rules)
        actions = reconcile(verdicts, jobs, {}, now, DAY)
        for action in actions:
            if isinstance(action, Assign) and action.state is State.QUARANTINED:
                aside |= {path for role, path in action.members if role is not Role.SHARED_MASK}
        jobs = _applied(actions, jobs, now)
        own = [d.path for j in jobs for d in j.drops if d.role is not Role.SHARED_MASK]
        assert len(own) == len(set(own))
        still = [v for v in verdicts if not aside.intersection(v.members)]
        assert reconcile(still, jobs, {}, now, DAY) == []
        for verdict in still:
            if isinstance(verdict, Pair):
                assert verdict.image in own


def aside(state: State, mask: FileStat | None) -> Job:
    """A job whose photo lies in quarantine, and the mask of its folder in the inbox."""
    members = (Role.IMAGE, "wm/p.png"), (Role.SHARED_MASK, "wm/_mask.png")
    made = job(1, state, *members, source="folder_mask")
    photo, shared = made.drops
    photo = replace(photo, place=Place.FAILED, where="d/wm/p.png")
    return replace(made, drops=(photo, replace(shared, stat=mask)))


def test_a_folders_mask_settles_for_a_photo_that_is_tried_again_in_quarantine() -> None:
    """Nobody else would ever look at it: the photo is not in the inbox."""
    members = (Role.IMAGE, "wm/p.png"), (Role.SHARED_MASK, "wm/_mask.png")
    ready = Assign(1, State.READY, "folder_mask", members)
    held = Assign(1, State.WAITING, "folder_mask", members, "its files changed")
    for state, mask, whole, steps in [
        (State.READY, None, True, [ready]),
        (State.FAILED, None, True, [ready]),
        (State.WAITING, None, True, [ready]),
        (State.READY, STAT, True, []),
        (State.FAILED, STAT, True, []),
        (State.READY, None, False, [held]),
        (State.WAITING, None, False, []),
        # One that is gone is for the attempt to tell of.
        (State.READY, None, None, []),
        (State.WAITING, None, None, [ready]),
    ]:
        there = {} if whole is None else {"wm/_mask.png": whole}
        told = reconcile([], [aside(state, mask)], {}, NOW, DAY, settled=there)
        assert told == steps, (state, mask, whole)
