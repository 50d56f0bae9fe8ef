"""What was decided about an inbox, told to the ledger."""

from __future__ import annotations

import pytest

from retouchd.config import parse
from retouchd.errors import Ambiguous
from retouchd.job import FileStat, Job, Place, Role, State
from retouchd.lanes import LaneState
from retouchd.ledger import Ledger
from retouchd.presence import Presence
from retouchd.reconcile import Action, Assign, Cancel
from retouchd.recording import intend, quarantine, record
from retouchd.ways import folder_of_day

STAT, MASK_STAT = FileStat(10, 1, 7), FileStat(5, 2, 8)
PHOTO, MASK = (Role.IMAGE, "p.png"), (Role.MASK, "p_mask.png")
NOW = 1_000_000.0
LANE = LaneState(parse("lanes: [{name: a, root: /srv/a}]", "x").lanes[0])


@pytest.fixture
def presence() -> Presence:
    made = Presence()
    made.trust("p.png", STAT, 100)
    made.trust("p_mask.png", MASK_STAT, 50)
    return made


def apply(ledger: Ledger, presence: Presence, *actions: Action) -> None:
    with ledger.transaction():
        record(ledger, LANE, actions, presence, NOW)


def the(ledger: Ledger, number: int = 1) -> Job:
    job = ledger.job(number)
    assert job is not None
    return job


def test_a_new_pair_is_recorded_as_it_settled(ledger: Ledger, presence: Presence) -> None:
    apply(ledger, presence, Assign(None, State.READY, "mask", (PHOTO, MASK)))
    job = the(ledger)
    assert (job.state, job.name, job.decoded) == (State.READY, "p.png", 150)
    assert [drop.stat for drop in job.drops] == [STAT, MASK_STAT]


def test_a_photo_that_waited_gets_its_mask(ledger: Ledger, presence: Presence) -> None:
    apply(ledger, presence, Assign(None, State.WAITING, "mask", (PHOTO,)))
    apply(ledger, presence, Assign(1, State.READY, "mask", (PHOTO, MASK)))
    assert the(ledger).state is State.READY
    assert the(ledger).mask is not None


def test_an_absorbed_job_ends_and_gives_its_drop_up(ledger: Ledger, presence: Presence) -> None:
    apply(ledger, presence, Assign(None, State.WAITING, "mask", (MASK,)))
    apply(ledger, presence, Assign(None, State.WAITING, "mask", (PHOTO,)))
    apply(ledger, presence, Assign(2, State.READY, "mask", (PHOTO, MASK), absorbed=(1,)))
    assert the(ledger, 1).state is State.CANCELLED
    assert the(ledger, 1).drops == ()
    assert len(the(ledger, 2).drops) == 2


def test_a_mask_that_came_first_names_its_job_only_until_the_photo_comes(
    ledger: Ledger, presence: Presence
) -> None:
    apply(ledger, presence, Assign(None, State.WAITING, "mask", (MASK,)))
    assert the(ledger).name == "p_mask.png"
    apply(ledger, presence, Assign(1, State.READY, "mask", (PHOTO, MASK)))
    assert the(ledger).name == "p.png"


def test_a_file_that_settled_in_another_version_is_recorded_so(
    ledger: Ledger, presence: Presence
) -> None:
    apply(ledger, presence, Assign(None, State.READY, "mask", (PHOTO, MASK)))
    apply(ledger, presence, Assign(1, State.WAITING, "mask", (PHOTO, MASK), "its files changed"))
    presence.trust("p.png", FileStat(11, 3, 9), 200)
    apply(ledger, presence, Assign(1, State.READY, "mask", (PHOTO, MASK)))
    image = the(ledger).image
    assert image is not None
    assert (image.stat, image.decoded) == (FileStat(11, 3, 9), 200)


def failed(ledger: Ledger) -> None:
    """Job 1 went wrong again and again, and rests until its next try."""
    ledger.change(1, State.RUNNING, now=NOW)
    ledger.change(
        1, State.FAILED, now=NOW, attempts=4, crashes=1, interrupted=2, error="x", remedy="y"
    )


def counts(ledger: Ledger) -> tuple[int, int, int, str | None]:
    job = the(ledger)
    return job.attempts, job.crashes, job.interrupted, job.error


def test_a_failed_file_that_a_person_replaced_is_new_work(
    ledger: Ledger, presence: Presence
) -> None:
    """What befell the old file is not held against the new one."""
    apply(ledger, presence, Assign(None, State.READY, "mask", (PHOTO, MASK)))
    failed(ledger)
    presence.forget("p_mask.png")
    apply(ledger, presence, Assign(1, State.WAITING, "mask", (PHOTO, MASK), "its files changed"))
    assert counts(ledger) == (4, 1, 2, "x")
    presence.trust("p_mask.png", FileStat(11, 3, 9), 200)
    apply(ledger, presence, Assign(1, State.READY, "mask", (PHOTO, MASK)))
    assert the(ledger).state is State.READY
    assert counts(ledger) == (0, 0, 0, None)


def test_another_mask_under_another_name_is_new_work(ledger: Ledger, presence: Presence) -> None:
    apply(ledger, presence, Assign(None, State.READY, "mask", (PHOTO, MASK)))
    failed(ledger)
    presence.trust("p.mask.png", MASK_STAT, 50)
    other = (Role.MASK, "p.mask.png")
    apply(ledger, presence, Assign(1, State.READY, "mask", (PHOTO, other)))
    assert counts(ledger) == (0, 0, 0, None)


def test_a_file_that_was_only_touched_is_the_same_work(ledger: Ledger, presence: Presence) -> None:
    """Else a photo that kills its process could be made to go on for ever by whoever opens it."""
    apply(ledger, presence, Assign(None, State.READY, "mask", (PHOTO, MASK)))
    failed(ledger)
    apply(ledger, presence, Assign(1, State.WAITING, "mask", (PHOTO, MASK), "its files changed"))
    apply(ledger, presence, Assign(1, State.READY, "mask", (PHOTO, MASK)))
    assert counts(ledger) == (4, 1, 2, "x")


@pytest.mark.parametrize(
    ("now", "counted"), [(MASK_STAT, (4, 1, 2, "x")), (FileStat(5, 3, 8), (0, 0, 0, None))]
)
def test_what_settles_anew_counts_from_the_beginning_only_if_it_is_another_file(
    ledger: Ledger, presence: Presence, now: FileStat, counted: tuple[int, int, int, str | None]
) -> None:
    """Else a share that never tells the same twice would have a job tried for ever."""
    apply(ledger, presence, Assign(None, State.READY, "mask", (PHOTO, MASK)))
    failed(ledger)
    ledger.unsettle(1)
    ledger.change(1, State.WAITING, now=NOW)
    presence.forget("p_mask.png")
    presence.trust("p_mask.png", now, 50)
    apply(ledger, presence, Assign(1, State.READY, "mask", (PHOTO, MASK)))
    assert [drop.stat for drop in the(ledger).drops] == [STAT, now]
    assert counts(ledger) == counted


def test_files_that_were_taken_away_are_gone(ledger: Ledger, presence: Presence) -> None:
    apply(ledger, presence, Assign(None, State.WAITING, "mask", (PHOTO,)))
    apply(ledger, presence, Cancel(1, "its files were taken out of the inbox"))
    assert the(ledger).state is State.CANCELLED
    assert [drop.place for drop in the(ledger).drops] == [Place.GONE]
    assert ledger.live("a") == []


def test_what_is_set_aside_knows_where_it_goes_before_it_goes(
    ledger: Ledger, presence: Presence
) -> None:
    error = Ambiguous(cause="two masks")
    members = ((Role.OTHER, "p.png"), (Role.OTHER, "p_mask.png"))
    apply(ledger, presence, Assign(None, State.READY, "mask", (PHOTO, MASK)))
    apply(ledger, presence, Assign(1, State.QUARANTINED, "mask", members, error=error))
    job = the(ledger)
    assert (job.state, job.error, job.remedy) == (State.QUARANTINED, error.message, error.advice)
    day = folder_of_day(NOW)
    moves = {(d.path, d.next_place, d.next_where, d.stat is not None) for d in job.drops}
    assert moves == {(p, Place.FAILED, f"{day}/{p}", True) for p in ("p.png", "p_mask.png")}


def test_a_bad_file_that_a_person_overwrites_in_time_settles_anew(
    ledger: Ledger, presence: Presence
) -> None:
    """Moving it then says `replaced` and leaves it: believing the old verdict of the same inode
    would set it aside again and again, in a new job each time."""
    error = Ambiguous(cause="x")
    presence.bad["p.png"] = error
    apply(ledger, presence, Assign(None, State.QUARANTINED, "mask", (PHOTO,), error=error))
    assert "p.png" not in presence.whole
    assert presence.bad == {}


def test_a_folders_mask_and_what_is_there_already_stay(ledger: Ledger, presence: Presence) -> None:
    shared = (Role.SHARED_MASK, "_mask.png")
    apply(ledger, presence, Assign(None, State.READY, "folder_mask", (PHOTO, shared)))
    intend(ledger, the(ledger), Place.ARCHIVE, "2026-11-21")
    assert [d.next_where for d in the(ledger).drops] == ["2026-11-21/p.png", None]
    ledger.moved(the(ledger).drops[0].id, Place.FAILED, "2026-11-20/p.png")
    quarantine(ledger, 1, Ambiguous(cause="x"), NOW)
    assert the(ledger).drops[0].next_place is None


def test_each_change_is_told_with_its_file_and_reason(ledger: Ledger, presence: Presence) -> None:
    error = Ambiguous(cause="two masks")
    [said] = record(
        ledger,
        LANE,
        [Assign(None, State.QUARANTINED, "mask", (PHOTO,), error=error)],
        presence,
        NOW,
    )
    assert said["event"] == "quarantined"
    assert said["level"] == "warning"
    assert (said["job"], said["lane"], said["file"], said["why"]) == (
        1,
        "a",
        "p.png",
        error.message,
    )
