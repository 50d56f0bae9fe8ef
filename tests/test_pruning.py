"""Retention, carried out by real hands in real folders."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from retouchd.call import Call
from retouchd.config import Lane, parse
from retouchd.errors import RootLost
from retouchd.hands import Hands
from retouchd.job import FileStat, Place, Role, State
from retouchd.ledger import Ledger, NewDrop, RootRow
from retouchd.pruning import ROOTS, Pruning
from retouchd.retention import ORDER, Volume
from retouchd.roots import MARKER, establish

pytestmark = pytest.mark.timeout(60)  # each starts processes, maybe on a busy machine

NOW = 1_000_000_000.0
DAY = 86400.0


@dataclass
class House:
    """A lane with folders, its ledger, and its retention."""

    folder: Path
    ledger: Ledger
    pruning: Pruning

    def lane(self, *sets: str) -> Lane:
        text = f"lanes: [{{name: a, task: matte, root: {self.folder}}}]"
        return parse(text, "x", [f"lanes.a.retention.{item}" for item in sets]).lanes[0]

    def keep(self, role: str, path: str, days: float, size: int = 10) -> Path:
        """A finished job's file of that age."""
        file = self.folder / ROOTS[role] / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x" * size)
        found = file.stat()
        job = self.ledger.add(
            lane="a",
            task="inpaint",
            source="mask",
            state=State.WAITING,
            drops=[NewDrop(Role.IMAGE, path, None)],
            now=1.0,
        )
        for state in (State.READY, State.RUNNING, State.PUBLISHED, State.DONE):
            self.ledger.change(job, state, now=1.0)
        place = Place(role) if role in ("archive", "failed") else Place.GONE
        self.ledger.moved(job, place, path)
        stat = FileStat(found.st_size, found.st_mtime_ns, found.st_ino)
        self.ledger.keep(job=job, lane="a", role=role, path=path, stat=stat, completed_at=NOW)
        with self.ledger.transaction() as db:
            aged = "UPDATE kept SET completed_at = ? WHERE job = ?"
            db.execute(aged, (NOW - days * DAY, job))
        return file


@pytest.fixture
def house(tmp_path: Path, hands: Hands) -> Iterator[House]:
    ledger = Ledger(tmp_path / "ledger.sqlite3")
    for role in ("inbox", "outbox", "review", "archive", "failed"):
        ref = establish("a", role, str(tmp_path / role))
        ledger.set_root(RootRow("a", role, ref.path, ref.marker))
    ledger.set_clock("a", NOW - 10)
    yield House(tmp_path, ledger, Pruning(ledger, hands, 8.0))
    ledger.close()


@pytest.mark.parametrize("role", list(ROOTS))
def test_what_is_too_old_goes_and_what_is_not_stays(house: House, role: str) -> None:
    old = house.keep(role, "2026-01-01/album/old.png", 91)
    new = house.keep(role, "2026-11-01/new.png", 89)
    pruned = house.pruning.prune(house.lane(), NOW)
    assert (pruned.deleted, pruned.freed, pruned.skipped) == (1, 10, 0)
    assert not old.exists()
    assert new.exists()
    assert sorted(os.listdir(house.folder / ROOTS[role])) == [MARKER, "2026-11-01"]
    assert [file.path for file in house.ledger.kept("a")] == ["2026-11-01/new.png"]


def test_the_dry_run_lists_exactly_what_is_deleted_and_deletes_nothing(house: House) -> None:
    files = [house.keep(role, f"d/{age}.png", age) for role in ROOTS for age in (10, 80, 100, 120)]
    lane = house.lane("archive.max_age=50d", "outputs.max_size=25B")
    doomed = house.pruning.decide(lane, NOW).delete
    assert all(file.exists() for file in files)
    pruned = house.pruning.prune(lane, NOW)
    listed = {house.folder / ROOTS[d.file.role] / d.file.path for d in doomed}
    assert listed == {file for file in files if not file.exists()}
    assert pruned.deleted == len(doomed) == 11


def test_a_file_that_a_person_replaced_or_edited_survives_and_is_no_longer_ours(
    house: House,
) -> None:
    replaced = house.keep("outputs", "d/replaced.png", 100)
    edited = house.keep("outputs", "d/edited.png", 100)
    gone = house.keep("outputs", "d/gone.png", 100)
    replaced.write_bytes(b"mine now, do not delete")
    os.utime(edited, ns=(1, 1))
    gone.unlink()
    pruned = house.pruning.prune(house.lane(), NOW)
    assert (pruned.deleted, pruned.freed, pruned.skipped) == (0, 0, 3)
    assert replaced.exists()
    assert edited.exists()
    assert house.ledger.kept("a") == []


def test_what_people_took_away_takes_no_space_and_is_not_listed(house: House) -> None:
    """Outputs are there to be taken: the limit is for what is left."""
    taken = [house.keep("outputs", f"d/taken{age}.png", age) for age in (10, 30)]
    left = [house.keep("outputs", f"d/left{age}.png", age) for age in (20, 40)]
    for file in taken:
        file.unlink()
    lane = house.lane("outputs.max_size=15B")
    doomed = house.pruning.decide(lane, NOW).delete
    assert [dead.file.path for dead in doomed] == ["d/left40.png"]
    pruned = house.pruning.prune(lane, NOW)
    assert (pruned.deleted, pruned.skipped) == (1, 2)
    assert [file.exists() for file in left] == [True, False]


def test_a_folder_that_people_emptied_goes_with_what_was_due_in_it(house: House) -> None:
    """As a prune does that was killed before it came to the folder."""
    house.keep("outputs", "d/photo.png", 100).unlink()
    house.keep("outputs", "e/photo.png", 100)
    (house.folder / "outbox" / "e" / "mine.png").touch()
    pruned = house.pruning.prune(house.lane(), NOW)
    assert (pruned.deleted, pruned.skipped) == (1, 1)
    assert sorted(os.listdir(house.folder / "outbox")) == [MARKER, "e"]
    assert os.listdir(house.folder / "outbox" / "e") == ["mine.png"]


def test_a_lost_lane_leaves_the_others_to_decide_without_it(house: House) -> None:
    house.keep("archive", "d/photo.png", 100)
    lost = house.lane("min_free=1B").model_copy(update={"name": "b"})
    first, second = house.pruning.plan([lost, house.lane()], NOW)
    assert isinstance(first.trouble, RootLost)
    assert second.trouble is None
    assert len(second.decision.delete) == 1


def test_a_lane_whose_share_is_lost_while_it_decides_is_left_out(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.keep("archive", "d/photo.png", 100)
    (house.folder / "archive" / MARKER).unlink()
    other = house.lane().model_copy(update={"name": "b"})
    said = [list(pruned.said()) for pruned in house.pruning.prune_all([house.lane(), other], NOW)]
    assert [[line["event"] for line in lines] for lines in said] == [["prune trouble"], []]
    assert len(house.ledger.kept("a")) == 1


def test_what_something_else_filled_costs_no_file(house: House) -> None:
    """All that there is would not be enough."""
    files = [house.keep(role, "d/photo.png", 10) for role in ROOTS]
    old = house.keep("archive", "d/old.png", 100)
    pruned = house.pruning.prune(house.lane("min_free=9999TiB"), NOW)
    assert all(file.exists() for file in files)
    assert not old.exists()
    warning, deleted, summary = pruned.said()
    assert (warning["event"], warning["level"]) == ("prune short", "warning")
    assert "nothing is deleted for min_free" in warning["why"]
    assert deleted == {"event": "deleted", "lane": "a", "file": str(old), "why": "older than 90d"}
    assert (summary["event"], summary["files"], summary["bytes"]) == ("pruned", 1, 10)


def test_a_link_in_place_of_a_folder_leads_nowhere(house: House, tmp_path: Path) -> None:
    file = house.keep("outputs", "d/photo.png", 100)
    os.rename(file.parent, tmp_path / "elsewhere")
    file.parent.symlink_to(tmp_path / "elsewhere")
    house.pruning.prune(house.lane(), NOW)
    assert (tmp_path / "elsewhere" / "photo.png").exists()


def test_files_that_nobody_handed_over_are_never_touched(house: House) -> None:
    stranger = house.folder / "outbox" / "2020-01-01" / "stranger.png"
    stranger.parent.mkdir()
    stranger.touch()
    os.utime(stranger, (1, 1))
    waiting = house.folder / "inbox" / "photo.png"
    waiting.touch()
    os.utime(waiting, (1, 1))
    house.pruning.prune(house.lane("min_free=9999TB", "outputs.max_size=0B"), NOW)
    assert stranger.exists()
    assert waiting.exists()


def test_roles_on_one_disk_together_free_what_is_needed_and_no_more(house: House) -> None:
    """Each of them lies on the same file system: what one frees, the others need not."""
    volumes = house.pruning._volumes(house.lane("min_free=1B"))
    [roles] = [sorted(volume.roles) for volume in volumes]
    assert roles == ["archive", "failed", "outputs", "review"]
    assert volumes[0].free > 0


def test_too_little_free_space_lets_the_archive_go_first(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {role: house.keep(role, "d/photo.png", 10) for role in ROOTS}
    disk = Volume(frozenset(ORDER), free=100)
    monkeypatch.setattr(house.pruning, "_volumes", lambda lane: [disk])
    doomed = house.pruning.decide(house.lane("min_free=140B"), NOW).delete
    assert [d.file.role for d in doomed] == ["archive", "failed", "review", "outputs"]
    assert all(file.exists() for file in files.values())


def test_a_lost_folder_deletes_nothing(house: House) -> None:
    file = house.keep("outputs", "d/old.png", 100)
    (house.folder / "outbox" / MARKER).unlink()
    with pytest.raises(RootLost):
        house.pruning.prune(house.lane(), NOW)
    assert file.exists()
    assert len(house.ledger.kept("a")) == 1


def test_a_lane_that_was_never_set_up_is_a_lost_folder(house: House) -> None:
    house.keep("outputs", "d/old.png", 100)
    house.ledger.forget_roots("a")
    with pytest.raises(RootLost, match="never set up"):
        house.pruning.prune(house.lane(), NOW)


def test_a_clock_that_jumped_is_not_remembered_before_it_is_believed(house: House) -> None:
    for number in range(30):
        house.keep("outputs", f"d/{number}.png", 10)
    later = NOW + 365 * DAY
    for _ in range(2):
        pruned = house.pruning.prune(house.lane(), later)
        assert pruned.decision.braked
        assert pruned.deleted == 0
    assert house.ledger.clock_of("a") == NOW - 10
    assert house.pruning.prune(house.lane(), later, force=True).deleted == 30
    assert house.ledger.clock_of("a") == later


def test_a_clock_that_was_wrong_for_a_while_does_not_hide_the_next_jump(house: House) -> None:
    """It was believed once, because nothing would have gone."""
    house.pruning.prune(house.lane(), NOW + 400 * DAY)
    house.pruning.prune(house.lane(), NOW)
    for number in range(30):
        house.keep("outputs", f"d/{number}.png", 10)
    assert house.pruning.prune(house.lane(), NOW + 390 * DAY).decision.braked


def test_work_goes_on_while_the_clock_is_wrong_and_the_brake_holds(house: House) -> None:
    house.pruning.prune(house.lane(), NOW)
    for number in range(4):
        house.keep("outputs", f"d/{number}.png", 10)
    for number in range(9):
        house.keep("outputs", f"later/{number}.png", -400)
        pruned = house.pruning.prune(house.lane(), NOW + 400 * DAY)
        assert pruned.decision.braked
        assert pruned.deleted == 0


def test_what_is_finished_while_the_clock_stands_behind_is_not_old(house: House) -> None:
    file = house.keep("outputs", "d/photo.png", 0)
    stat = FileStat(file.stat().st_size, file.stat().st_mtime_ns, 0)
    behind = NOW - 400 * DAY
    house.ledger.keep(
        job=1, lane="a", role="outputs", path="d/photo.png", stat=stat, completed_at=behind
    )
    assert house.pruning.prune(house.lane(), NOW).deleted == 0
    assert house.pruning.prune(house.lane(), NOW + 91 * DAY, force=True).deleted == 1


def test_who_says_that_the_clock_is_right_lets_nothing_lie_in_the_future(house: House) -> None:
    house.pruning.prune(house.lane(), NOW + 400 * DAY)
    house.keep("outputs", "d/photo.png", -400)
    house.pruning.prune(house.lane(), NOW, force=True)
    assert house.ledger.newest_clock() == NOW
    assert [file.completed_at for file in house.ledger.kept("a")] == [NOW]


def test_a_lane_with_nothing_to_delete_does_not_answer_for_one_that_was_braked(
    house: House,
) -> None:
    """Lanes are pruned one after the other, and one of them may be paused for long."""
    for number in range(30):
        house.keep("outputs", f"d/{number}.png", 10)
    later = NOW + 365 * DAY
    other = house.lane().model_copy(update={"name": "b"})
    for lane in (other, house.lane(), other, house.lane()):
        pruned = house.pruning.prune(lane, later)
        assert pruned.deleted == 0
        assert bool(pruned.decision.braked) == (lane.name == "a")


def test_a_job_that_is_tried_again_meanwhile_keeps_its_files(house: House) -> None:
    """Between the decision and the deletion a person ran `retouchd retry`."""
    file = house.keep("failed", "d/photo.png", 100)
    decision = house.pruning.decide(house.lane(), NOW)
    assert len(decision.delete) == 1
    with house.ledger.transaction() as db:
        db.execute("UPDATE jobs SET state = 'ready'")
    assert house.pruning.carry_out(house.lane(), decision, NOW).deleted == 0
    assert file.exists()


def test_a_slow_share_is_pruned_in_small_steps(
    house: House, hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is recorded, so that none has to be done again."""
    for number in range(4):
        house.keep("outputs", f"d/{number}.png", 100 - number)
    left = []

    def slowly(call: Call) -> Any:
        if call.task == "prune":
            left.append(len(house.ledger.kept("a")))
        return Hands.call(hands, replace(call, arguments={**call.arguments, "seconds": 0}))

    monkeypatch.setattr(hands, "call", slowly)
    pruned = house.pruning.prune(house.lane(), NOW)
    assert (pruned.deleted, pruned.freed, left) == (4, 40, [4, 3, 2, 1])
    assert os.listdir(house.folder / "outbox") == [MARKER]


def test_what_goes_first_is_what_can_be_had_again(
    house: House, hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Should it be cut off, or the disk be full enough again."""
    for role in ROOTS:
        house.keep(role, "d/photo.png", 100)
    order = []

    def noted(call: Call) -> Any:
        if call.task == "prune":
            order.append(call.arguments["root"]["role"])
        return Hands.call(hands, call)

    monkeypatch.setattr(hands, "call", noted)
    house.pruning.prune(house.lane(), NOW)
    assert order == ["archive", "failed", "review", "outbox"]


def test_an_archived_original_that_was_pruned_is_gone_for_its_job(house: House) -> None:
    house.keep("archive", "d/photo.png", 100)
    house.pruning.prune(house.lane(), NOW)
    job = house.ledger.job(1)
    assert job is not None
    assert job.drops[0].place is Place.GONE
