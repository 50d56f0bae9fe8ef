"""What follows where a file changed under the work: it settles anew, wherever it is watched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from retouchd.clock import Clock
from retouchd.config import RetryPolicy, parse
from retouchd.errors import FileBusy
from retouchd.failing import Circumstances, Failing
from retouchd.job import FileStat, Job, Place, Role, State
from retouchd.lanes import LaneState
from retouchd.ledger import Ledger, NewDrop

STAT = FileStat(1, 1, 1)
LANE = LaneState(parse("lanes: [{name: a, root: /srv/a, task: matte}]", "x").lanes[0])


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger(tmp_path / "ledger.sqlite3")
    yield made
    made.close()


def at_work(ledger: Ledger, image: Place, mask: Place) -> Job:
    """A job with a photo and a mask that lie in those folders."""
    drops = [NewDrop(Role.IMAGE, "p.jpg", STAT), NewDrop(Role.MASK, "p_mask.png", STAT)]
    number = ledger.add(
        lane="a", task="matte", source="mask", state=State.READY, drops=drops, now=1.0
    )
    ledger.change(number, State.RUNNING, now=1.0, attempts=3)
    job = ledger.job(number)
    assert job is not None
    for drop, place in zip(job.drops, (image, mask), strict=True):
        ledger.moved(drop.id, place, drop.where)
    return job


@pytest.mark.parametrize(
    ("image", "mask", "state", "settles"),
    [
        (Place.INBOX, Place.INBOX, State.WAITING, ["p.jpg", "p_mask.png"]),
        # Done again with a mask from the inbox: nobody else would ever look at that one.
        (Place.ARCHIVE, Place.INBOX, State.WAITING, ["p_mask.png"]),
        (Place.FAILED, Place.FAILED, State.FAILED, []),
        (Place.ARCHIVE, Place.FAILED, State.FAILED, []),
    ],
)
def test_a_file_that_changed_settles_anew_where_the_intake_sees_it(
    ledger: Ledger, image: Place, mask: Place, state: State, settles: list[str]
) -> None:
    forgotten: list[tuple[str, list[str]]] = []
    filing: Any = None
    failing = Failing(
        ledger,
        filing,
        Clock(),
        RetryPolicy(),
        say=lambda *words, **facts: None,
        forget=lambda lane, paths: forgotten.append((lane, paths)),
    )
    job = at_work(ledger, image, mask)
    failing.failed(job, LANE, FileBusy(path="p_mask.png"), Circumstances())
    after = ledger.job(job.id)
    assert after is not None
    assert (after.state, after.attempts) == (state, 0)
    assert forgotten == ([("a", settles)] if settles else [])
    watched = {drop.path for drop in after.drops if drop.stat is None}
    assert watched >= set(settles)
