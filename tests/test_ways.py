"""What is in the way of every job is the lane's trouble; what is in the way of some, theirs."""

from __future__ import annotations

from datetime import datetime

import pytest

from retouchd.config import Lane, parse
from retouchd.errors import InTheWay
from retouchd.ways import blocks_all, folder_of_day, ways

NOON = datetime(2026, 11, 21, 12).astimezone().timestamp()


def lane(template: str = "{date:%Y-%m-%d}/{relative_dir}/{stem}{ext}") -> Lane:
    text = f"lanes: [{{name: web, root: /srv/a, task: matte, output: {{path: '{template}'}}}}]"
    return parse(text, "x").lanes[0]


@pytest.mark.parametrize(
    ("template", "folder"),
    [
        ("{date:%Y-%m-%d}/{relative_dir}/{stem}{ext}", "2026-11-21"),
        ("{date:%Y/%m}/{stem}{ext}", "2026/11"),
        ("sent/{lane}/{date:%Y}/{job}/{stem}{ext}", "sent/web/2026"),
        ("{relative_dir}/{date:%Y}/{stem}{ext}", ""),
        ("all {stem}/{date:%Y}/x{ext}", ""),
        ("{stem}{ext}", ""),
        ("con./{stem}{ext}", "_con"),
    ],
)
def test_outputs_and_cut_outs_for_review_share_what_the_template_makes_for_all(
    template: str, folder: str
) -> None:
    found = ways(lane(template), NOON)
    assert (found["outbox"], found["review"]) == (folder, folder)


def test_originals_go_into_the_folder_of_the_day() -> None:
    found = ways(lane(), NOON)
    assert found["archive"] == found["failed"] == folder_of_day(NOON) == "2026-11-21"


@pytest.mark.parametrize(
    ("role", "folder", "all_of_them"),
    [
        ("outbox", "2026-11-21", True),
        ("review", "2026-11-21", True),
        ("archive", "2026-11-21", True),
        ("failed", "2026-11-21", True),
        ("outbox", "2026-11-21/album", False),
        # Only what was under way at midnight still goes there.
        ("outbox", "2026-11-20", False),
        ("archive", "2026-11-2", False),
        ("inbox", "2026-11-21", False),
    ],
)
def test_the_day_is_everybodys_and_an_album_is_not(
    role: str, folder: str, all_of_them: bool
) -> None:
    error = InTheWay(path=f"/srv/a/{role}/{folder}", kind="a file", role=role, folder=folder)
    assert blocks_all(error, lane(), NOON) is all_of_them


def test_what_lies_above_the_folder_of_all_is_in_the_way_of_all() -> None:
    error = InTheWay(path="/srv/a/outbox/sent", kind="a file", role="outbox", folder="sent")
    assert blocks_all(error, lane("sent/{date:%Y}/{stem}{ext}"), NOON)
    assert not blocks_all(error, lane("{stem}/x{ext}"), NOON)
