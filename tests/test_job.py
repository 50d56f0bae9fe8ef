"""The states of a job."""

from __future__ import annotations

from retouchd.job import (
    CANCELLABLE,
    LEGAL,
    LIVE,
    RETRYABLE,
    Drop,
    Job,
    Place,
    Role,
    State,
    is_legal,
)


def _reachable(start: State) -> set[State]:
    found, pending = {start}, [start]
    while pending:
        for after in LEGAL[pending.pop()] - found:
            found.add(after)
            pending.append(after)
    return found


def test_every_state_can_be_reached_and_done_is_left_for_another_try_only() -> None:
    assert set(LEGAL) == set(State)
    assert _reachable(State.WAITING) == set(State)
    assert LEGAL[State.DONE] == {State.READY}


def test_every_job_can_still_be_done_unless_it_is() -> None:
    for state in State:
        assert State.DONE in _reachable(state)


def test_an_output_is_never_made_twice() -> None:
    """What is published goes on to done, whatever happens."""
    assert LEGAL[State.PUBLISHED] == {State.DONE}
    assert [s for s in State if is_legal(s, State.PUBLISHED)] == [State.RUNNING]


def test_no_job_changes_into_the_state_that_it_has() -> None:
    assert not [s for s in State if is_legal(s, s)]


def test_what_a_person_may_wish_is_legal() -> None:
    assert all(is_legal(state, State.CANCELLED) for state in CANCELLABLE)
    assert all(is_legal(state, State.READY) for state in RETRYABLE)
    assert LIVE.isdisjoint({State.DONE, State.QUARANTINED, State.CANCELLED})


def test_a_job_finds_its_photo_and_its_mask_and_adds_up_their_size() -> None:
    def drop(number: int, role: Role) -> Drop:
        return Drop(number, 1, role, role, Place.INBOX, role, None, decoded=number)

    drops = (drop(1, Role.MASK), drop(2, Role.IMAGE))
    job = Job(1, "a", "inpaint", State.READY, "mask", "x", 0.0, 0.0, drops=drops)
    assert (job.image, job.mask, job.decoded) == (drops[1], drops[0], 3)
    shared = Job(
        1, "a", "inpaint", State.READY, "mask", "x", 0, 0, drops=(drop(1, Role.SHARED_MASK),)
    )
    assert shared.mask is not None
    assert shared.image is None
