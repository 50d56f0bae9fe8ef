"""`explain` has an answer for every file, and it is the true one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from retouchd.config import for_root
from retouchd.explain import Facts, explain
from retouchd.job import Companion, Drop, FileStat, Job, Place, Role, State

LANE = for_root("/srv/retouch").lanes[0]
DROP = Drop(1, 7, Role.IMAGE, "cat.jpg", Place.INBOX, "cat.jpg", FileStat(1, 2, 3))
JOB = Job(7, "inpaint", "inpaint", State.WAITING, "mask", "cat.jpg", 0.0, 1000.0, drops=(DROP,))
FILE = Facts(LANE, "inbox", "cat.jpg", (), exists=True, running=True, paused=None, now=1000.0)


def says(facts: Facts) -> str:
    return " ".join(explain(facts).lines)


def test_an_ignored_file_is_told_by_its_rule():
    found = explain(replace(FILE, path="cat.jpg.part"))
    assert found.verdict == "ignored"
    assert "*.part" in found.lines[0]


def test_a_file_that_nobody_recorded_yet_is_settling_while_a_service_runs():
    assert explain(FILE).verdict == "settling"
    assert explain(replace(FILE, running=False)).verdict == "not_running"
    assert explain(replace(FILE, paused="disk full")).verdict == "paused"


def test_a_file_that_is_not_there_is_said_to_be_missing():
    assert explain(replace(FILE, exists=False)).verdict == "missing"


def test_the_mask_of_a_folder_is_no_job():
    assert explain(replace(FILE, path="set/_mask.png")).verdict == "shared_mask"


def test_a_photo_without_mask_is_told_what_to_drop_and_how_long_it_waits():
    text = says(replace(FILE, jobs=(JOB,)))
    assert "cat_mask.png" in text
    assert "1d" in text


def test_a_mask_without_photo_waits_for_its_photo():
    mask = replace(JOB, drops=(replace(DROP, role=Role.MASK, path="cat_mask.png"),))
    assert "waits for its photo" in says(replace(FILE, jobs=(mask,)))


def test_a_file_that_changed_is_waiting_to_be_still():
    moving = replace(JOB, drops=(replace(DROP, stat=None),))
    assert "until they are still" in says(replace(FILE, jobs=(moving,)))


@pytest.mark.parametrize("state", [State.RUNNING, State.PUBLISHED])
def test_a_job_that_can_not_go_on_is_told_with_the_reason_and_the_remedy(state):
    stuck = replace(JOB, state=state, output="o.png", attempts=2, next_attempt_at=5.0)
    assert "tried again" not in says(replace(FILE, jobs=(stuck,)))
    stuck = replace(stuck, error="A file is in the way.", remedy="Delete it.")
    text = says(replace(FILE, jobs=(stuck,)))
    assert "A file is in the way. Delete it. It will be tried again at 19" in text
    assert "is being worked on" not in text


@pytest.mark.parametrize("state", list(State))
def test_every_state_has_an_answer_that_names_the_job(state):
    job = replace(JOB, state=state, error="Why.", remedy="What to do.", output="d/cat.jpg")
    found = explain(replace(FILE, jobs=(job,)))
    assert found.verdict == state.value
    assert "Job 7" in found.lines[0]
    assert len(found.lines) >= 2


def test_a_quarantined_file_is_told_why_where_and_how_to_go_on():
    lies = replace(DROP, place=Place.FAILED, where="2026-11-21/cat.jpg")
    mask = replace(lies, id=2, role=Role.MASK, where="2026-11-21/cat_mask.png")
    job = replace(JOB, state=State.QUARANTINED, error="Why.", remedy="Do this.", drops=(lies, mask))
    text = says(replace(FILE, jobs=(job,)))
    assert "Why. Do this." in text
    assert "/srv/retouch/failed/2026-11-21/cat.jpg" in text
    assert "retouchd retry 7" in text


def test_commands_are_told_as_they_can_be_copied():
    facts = replace(FILE, running=False, command=lambda *words: f"{' '.join(words)} --root /r")
    set_aside = replace(JOB, state=State.QUARANTINED, error="Why.", source="rectangles")
    assert "`retry 7 --root /r` tries it again" in says(replace(facts, jobs=(set_aside,)))
    assert "start one with `run --root /r`" in says(replace(facts, jobs=(JOB,)))
    assert "Start one with `run --root /r`" in says(facts)


def test_a_quarantined_photo_without_its_mask_is_not_told_to_be_tried_again():
    lies = replace(DROP, place=Place.FAILED, where="2026-11-21/cat.jpg")
    job = replace(JOB, state=State.QUARANTINED, error="Why.", remedy="Do this.", drops=(lies,))
    assert "retouchd retry" not in says(replace(FILE, jobs=(job,)))


def test_a_cancelled_photo_is_told_how_to_take_it_up_again_while_it_is_there():
    off = replace(JOB, state=State.CANCELLED)
    assert "It was cancelled. " in says(replace(FILE, jobs=(off,)))
    assert "`retouchd retry 7` takes it up again" in says(replace(FILE, jobs=(off,)))
    taken = replace(off, drops=(replace(DROP, place=Place.GONE),))
    for facts in (replace(FILE, jobs=(taken,)), replace(FILE, jobs=(off,), exists=False)):
        assert "or its files were taken away" in says(facts)
        assert "retouchd retry" not in says(facts)


def test_a_paused_lane_is_mentioned_for_open_jobs_only():
    assert "paused" in says(replace(FILE, jobs=(JOB,), paused="disk full"))
    done = replace(JOB, state=State.DONE, output="d/cat.jpg")
    assert "paused" not in says(replace(FILE, jobs=(done,), paused="disk full"))


REVIEWED = replace(
    JOB,
    state=State.DONE,
    output="d/cat.png",
    output_role="review",
    companions=(
        Companion("alpha", "d/cat_alpha.png", "x", 1),
        Companion("reason", "d/cat.review.txt", "x", 1),
    ),
    notes=("confidence: 0.20", "in review: its edge is not clear"),
)


def test_what_lies_in_review_is_told_with_all_that_lies_beside_it():
    facts = replace(FILE, lane=for_root("/srv/retouch").lanes[1], jobs=(REVIEWED,))
    text = says(facts)
    assert "The output is /srv/retouch/review/d/cat.png." in text
    assert "It lies in review, because somebody should look at it" in text
    assert "Beside it: /srv/retouch/review/d/cat_alpha.png" in text
    assert "Beside it: /srv/retouch/review/d/cat.review.txt" in text
    assert "Note: in review: its edge is not clear." in text


def test_an_output_of_a_lane_that_has_no_review_any_more_is_still_told():
    assert "The output is" in says(replace(FILE, jobs=(REVIEWED,)))


def test_files_that_move_before_their_job_has_begun_lack_nothing():
    mask = replace(DROP, id=2, role=Role.MASK, path="cat_mask.png", where="cat_mask.png")
    held = replace(JOB, drops=(DROP, mask))
    assert "waits for its" not in says(replace(FILE, jobs=(held,)))
    assert "until they are still" in says(replace(FILE, jobs=(held,)))


def test_what_was_made_before_a_mask_was_refused_is_told_as_well():
    """The cut-out lies where it lay, and the mask is what has failed."""
    made = {"output": "d/cat.png", "completed_at": 1.0}
    job = replace(REVIEWED, state=State.QUARANTINED, error="So.", remedy="Do.", earlier=made)
    text = says(replace(FILE, lane=for_root("/srv/retouch").lanes[1], jobs=(job,)))
    assert "So." in text
    assert "What was made of it before stands." in text
    assert "The output is /srv/retouch/review/d/cat.png." in text


def test_a_result_that_was_done_again_names_the_one_that_takes_its_place():
    job = replace(REVIEWED, output="d/cat (1).png", output_role="outbox", companions=())
    lane = for_root("/srv/retouch").lanes[1]
    old = replace(FILE, lane=lane, role="outbox", path="d/cat.png", jobs=(job,))
    assert "of an earlier try; what a later one made supersedes it. The output is" in says(old)
    assert "/srv/retouch/outbox/d/cat (1).png." in says(old)
    for role, path in [("outbox", "d/cat (1).png"), ("archive", "d/cat.jpg")]:
        assert "supersedes" not in says(replace(old, role=role, path=path))


def test_what_keeps_the_ledger_from_being_written_is_told_of_every_file_that_waits():
    full = replace(FILE, stuck="The disk is full. Free some.")
    assert explain(full).verdict == "paused"
    assert "The disk is full. Free some." in says(full)
    assert "settling" not in says(full)
    assert "The disk is full." in says(replace(full, jobs=(JOB,)))
    done = replace(JOB, state=State.DONE, output="o.png")
    assert "The disk is full." not in says(replace(full, jobs=(done,)))


def test_an_output_that_is_no_more_is_said_to_be_gone():
    job = replace(JOB, state=State.DONE, output="d/cat.jpg", output_role="review")
    assert "The output is /srv/retouch/outbox/d/cat.jpg." in says(replace(FILE, jobs=(job,)))
    text = says(replace(FILE, jobs=(job,), gone=True))
    assert "The output was /srv/retouch/outbox/d/cat.jpg: deleted by retention, or taken" in text
    assert "lies in review" not in text
