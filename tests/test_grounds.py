"""A lane's folders: set up once, then known again, also by the lanes that share them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helpers.studio import file, product
from retouchd.clock import Clock
from retouchd.config import for_root, parse
from retouchd.errors import BackgroundMissing, InTheWay, RootLost
from retouchd.grounds import Grounds
from retouchd.lanes import LaneState
from retouchd.ledger import Ledger, lock_of
from retouchd.roots import MARKER
from retouchd.tasks import TASKS
from retouchd.tenancy import here
from retouchd.ways import folder_of_day

Lanes = Callable[[], tuple[Grounds, Grounds]]


def ask(task: str, subject: str, **values: Any) -> dict[str, Any]:
    """As hands do it, in this process."""
    return TASKS[task](values, [])[0]


@pytest.fixture
def lanes(tmp_path: Path, ledger: Ledger) -> Lanes:
    """The inpaint and the matte lane of ``--root``, which share outbox, archive and quarantine."""

    def make() -> tuple[Grounds, Grounds]:
        us = here(ledger.id, lock_of(ledger.path))
        inpaint, matte = map(LaneState, for_root(tmp_path / "root").lanes)
        return tuple(Grounds(one, ledger, ask, us, Clock()) for one in (inpaint, matte))

    return make


def test_lanes_that_share_a_folder_share_its_marker(tmp_path: Path, lanes: Lanes) -> None:
    for grounds in lanes():
        grounds.set_up()
        assert not grounds.disowned()
    for grounds in lanes():
        grounds.set_up()
    assert len(list((tmp_path / "root").rglob(MARKER))) == 6


def test_a_shared_folder_that_is_not_mounted_is_not_made_anew_by_a_second_lane(
    tmp_path: Path, lanes: Lanes
) -> None:
    """It may be a lane's very first start: that another one knows the folder is enough."""
    inpaint, matte = lanes()
    inpaint.set_up()
    outbox = tmp_path / "root" / "outbox"
    (outbox / MARKER).unlink()
    with pytest.raises(RootLost) as caught:
        matte.set_up()
    assert "retouchd adopt matte" in caught.value.advice
    assert list(outbox.iterdir()) == []


def adopted(ledger: Ledger, root: Path) -> None:
    """As after `retouchd adopt inpaint`."""
    ledger.forget_roots("inpaint", map(str, for_root(root).lanes[0].folders.values()))


def test_a_shared_folder_that_one_lane_adopts_is_adopted_for_both(
    tmp_path: Path, ledger: Ledger, lanes: Lanes
) -> None:
    inpaint, matte = lanes()
    inpaint.set_up()
    matte.set_up()
    (tmp_path / "root" / "outbox" / MARKER).unlink()
    adopted(ledger, tmp_path / "root")
    assert inpaint.disowned()
    assert matte.disowned()
    matte.set_up()
    inpaint.set_up()
    assert (tmp_path / "root" / "outbox" / MARKER).exists()


def test_what_another_lane_shares_does_not_excuse_a_lanes_own_folder(
    tmp_path: Path, ledger: Ledger, lanes: Lanes
) -> None:
    inpaint, matte = lanes()
    inpaint.set_up()
    matte.set_up()
    (tmp_path / "root" / "review" / MARKER).unlink()
    adopted(ledger, tmp_path / "root")
    inpaint.set_up()
    with pytest.raises(RootLost, match="review"):
        matte.set_up()


@pytest.mark.parametrize("role", ["outbox", "review", "archive", "failed"])
def test_what_is_in_the_way_of_all_jobs_is_seen_before_any_is_begun(
    tmp_path: Path, lanes: Lanes, role: str
) -> None:
    """At a start, and while nothing happens: else the work would be done in vain."""
    _, matte = lanes()
    matte.set_up()
    matte.glance()
    now = Clock().now()
    day = tmp_path / "root" / role / folder_of_day(now)
    day.touch()
    for look in (matte.set_up, matte.glance):
        with pytest.raises(InTheWay, match=str(day)):
            look()
    day.unlink()
    matte.glance()
    day.mkdir()
    matte.set_up()


def test_a_lane_whose_background_is_missing_stays_paused_until_it_is_there(
    tmp_path: Path, ledger: Ledger
) -> None:
    """Else it would have a job meet that again and again."""
    behind = tmp_path / "wall.png"
    text = f"lanes: [{{name: m, root: {tmp_path}/m, task: matte, matte: {{background: {behind}}}}}]"
    lane = LaneState(parse(text, "x").lanes[0])
    grounds = Grounds(lane, ledger, ask, here(ledger.id, lock_of(ledger.path)), Clock())
    grounds.set_up()
    missing = BackgroundMissing(
        path=str(behind), cause="No such file or directory", fix="Put one there."
    )
    lane.pause_for(missing, Clock().now())
    for content in (None, b"half a pic"):
        if content:
            behind.write_bytes(content)
        with pytest.raises(BackgroundMissing, match=str(behind)):
            grounds.probe()
    behind.write_bytes(file(product()))
    grounds.probe()
