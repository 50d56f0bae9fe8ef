"""The text beside a quarantined original."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from retouchd.explaining import error_text
from retouchd.job import Drop, Job, Place, Role, State

WHEN = datetime(2026, 11, 21, 13, 5, tzinfo=UTC)
DROP = Drop(1, 7, Role.IMAGE, "album/p.png", Place.FAILED, "2026-11-21/album/p (1).png", None)
JOB = Job(
    7,
    "holiday",
    "inpaint",
    State.QUARANTINED,
    "mask",
    "album/p.png",
    0.0,
    0.0,
    attempts=1,
    error="album/p.png is not an image that can be read: its content is that of a text file.",
    remedy="Open it in a photo program and export it anew.",
    drops=(DROP,),
)
INBOX = Path("/srv/retouch/inbox")


def test_it_says_what_why_what_to_do_and_how_to_try_again() -> None:
    text = error_text(JOB, INBOX, WHEN)
    flat = " ".join(text.split())
    for words in (
        "album/p.png could not be retouched.",
        "Why: album/p.png is not an image",
        "What to do: Open it in a photo program",
        "drop the file into /srv/retouch/inbox once more.",
        "Untouched originals in this folder: p (1).png.",
        "It was tried 1 time. Job 7 of lane holiday, 2026-11-21 13:05 +0000.",
    ):
        assert words in flat


def test_a_retry_is_offered_only_where_it_could_help() -> None:
    """A photo without its mask can't be tried again as it is."""
    mask = replace(DROP, id=2, role=Role.MASK, path="album/p_mask.png")
    whole = error_text(replace(JOB, drops=(DROP, mask)), INBOX, WHEN)
    flat = " ".join(whole.split())
    assert "once more, or run retouchd retry 7 (with the service's --root or --config" in flat
    assert "retouchd retry" not in error_text(JOB, INBOX, WHEN)


def test_notepad_can_show_it() -> None:
    text = error_text(JOB, INBOX, WHEN)
    assert text.count("\n") == text.count("\r\n") > 5
    assert all(len(line) <= 78 for line in text.split("\r\n"))


def test_a_name_with_blanks_stands_on_one_line() -> None:
    name = "Kunde A/Rot Leder 38 Sommer Kollektion 2026 Seite vorn.jpg"
    drop = replace(DROP, path=name, where=f"2026-11-21/{name}")
    error = f"/srv/in box/{name} is incomplete: it ends too soon."
    job = replace(JOB, name=name, error=error, drops=(drop,))
    lines = error_text(job, Path("/srv/in box"), WHEN).splitlines()
    assert sum(name in line for line in lines) == 2
    assert any(f"/srv/in box/{name}" in line for line in lines)
    assert any(name.removeprefix("Kunde A/") in line for line in lines[-3:])


def test_names_of_any_bytes_can_be_written() -> None:
    name = os.fsdecode(b"caf\xe9\n.png")
    drop = replace(DROP, where=f"2026-11-21/{name}")
    text = error_text(replace(JOB, name=name, drops=(drop,)), INBOX, WHEN)
    assert rb"caf\udce9\n.png could not" in text.encode()


def test_a_job_without_a_reason_or_files_still_gets_a_text() -> None:
    text = error_text(replace(JOB, error=None, remedy=None, drops=(), attempts=0), INBOX, WHEN)
    assert "Why: unknown" in text
    assert "in this folder: none. It was tried 0 times." in " ".join(text.split())


def test_what_was_made_before_a_mask_was_refused_is_said_to_stand() -> None:
    again = replace(JOB, output="d/p.png", earlier={"output": "d/p.png"})
    flat = " ".join(error_text(again, INBOX, WHEN).split())
    assert "album/p.png could not be retouched again." in flat
    assert "What was made of it before stands: d/p.png" in flat
    assert "before" not in error_text(JOB, INBOX, WHEN)
