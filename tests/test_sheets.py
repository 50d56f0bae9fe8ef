"""`retouchd sheet`: a day's cut-outs, made small by real hands, on pages in real files."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

import retouchd
from retouchd import files
from retouchd.cli.app import app
from retouchd.config import Lane, load
from retouchd.contact_sheet import PER_PAGE, TILE, Cutout
from retouchd.errors import (
    CannotWrite,
    FileBusy,
    NotARegularFile,
    RetouchdError,
    RootLost,
    Unexpected,
    WrongRequest,
)
from retouchd.hands import Hands
from retouchd.job import FileStat, Role, State
from retouchd.ledger import Ledger, NewDrop, RootRow
from retouchd.roots import MARKER, Root, establish
from retouchd.shared import attach, put
from retouchd.sheets import Sheets, _picture
from retouchd.tasks import TASKS
from retouchd.tasks.values import Original

pytestmark = pytest.mark.timeout(60)  # each starts processes, maybe on a busy machine

NOON = datetime(2026, 11, 21, 12).astimezone().timestamp()
DAY = "2026-11-21"


def cutout(height: int = 90, width: int = 60, channels: int = 4) -> np.ndarray:
    """A disc, BGR with alpha for 4 channels."""
    picture = np.zeros((height, width, channels), np.uint8)
    cv2.circle(picture, (width // 2, height // 2), width // 3, (200, 120, 40, 255), -1)
    return picture


def encoded(picture: np.ndarray, ending: str = ".png") -> bytes:
    done, buffer = cv2.imencode(ending, picture)
    assert done
    return buffer.tobytes()


@dataclass
class House:
    """A matte lane with its folders and its ledger, as finished jobs leave them."""

    folder: Path
    ledger: Ledger

    @property
    def config(self) -> Path:
        return self.folder / "config.yaml"

    @property
    def lane(self) -> Lane:
        return load(self.config).lanes[0]

    def finish(
        self,
        name: str = "photo.png",
        data: bytes | None = None,
        role: str = "outbox",
        at: float = NOON,
        notes: tuple[str, ...] = (),
    ) -> Path:
        """A job that was finished at that time, and its output."""
        data = encoded(cutout()) if data is None else data
        file = self.folder / role / DAY / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        drops = [NewDrop(Role.IMAGE, name, FileStat(1, 1, 1), decoded=60 * 90 * 3)]
        job = self.ledger.add(
            lane="web", task="matte", source="photo", state=State.READY, drops=drops, now=at
        )
        for state in (State.RUNNING, State.PUBLISHED, State.DONE):
            self.ledger.change(job, state, now=at)
        self.ledger.note(
            job,
            now=at,
            output=f"{DAY}/{name}",
            output_sha256=hashlib.sha256(data).hexdigest(),
            output_size=len(data),
            output_role=role,
            completed_at=at,
            notes=list(notes),
        )
        return file

    def sheet(self, *words: str) -> Any:
        command = ["sheet", "--config", str(self.config), *words]
        return CliRunner().invoke(app, command)


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    folder = tmp_path / "srv"
    ledger = Ledger(tmp_path / "state" / "ledger.sqlite3")
    for role in ("inbox", "outbox", "review", "archive", "failed"):
        ref = establish("web", role, str(folder / role))
        ledger.set_root(RootRow("web", role, ref.path, ref.marker))
    made = House(folder, ledger)
    made.config.write_text(
        f"state: {tmp_path / 'state'}\nlanes:\n- {{name: web, task: matte, root: {folder}}}\n"
    )
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    # Hands start in that folder, too.
    monkeypatch.setenv("PYTHONPATH", str(Path(retouchd.__file__).parents[1]))
    yield made
    ledger.close()


@pytest.fixture
def look(house: House, hands: Hands) -> Callable[[], list[Cutout]]:
    """What a sheet of the day would show."""
    sheets = Sheets(house.ledger, hands, 8.0)
    return lambda: sheets.cutouts(house.lane, house.ledger.finished("web", NOON - 1, NOON + 1))


def wrong(result: Any) -> RetouchdError:
    assert isinstance(result.exception, RetouchdError), result.output
    return result.exception


# --- the hand's task ----------------------------------------------------------------------------


def small(root: Root, name: str) -> tuple[dict[str, Any], np.ndarray]:
    """Do the task as a hand does: values cross as JSON."""
    stat = files.stat(root, name) or FileStat(0, 0, 0)
    output = Original(root.ref, name, stat).to_wire()
    values = {"output": output, "side": 64, "max_pixels": 10**6, "max_bytes": 10**6}
    facts, arrays = TASKS["thumbnail"](json.loads(json.dumps(values)), [])
    (array,) = arrays
    pixels = np.array(attach(array))
    array.close()
    return facts, pixels


def test_an_output_of_16_bits_becomes_small_and_its_file_is_hashed(make_root) -> None:
    root = make_root("outbox")
    deep = np.full((300, 200, 4), (10 * 257, 20 * 257, 30 * 257, 65535), np.uint16)
    path = Path(root.ref.path, "a.png")
    path.write_bytes(encoded(deep))

    facts, pixels = small(root, "a.png")

    assert facts == {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    np.testing.assert_array_equal(pixels, np.full((64, 43, 4), (30, 20, 10, 255), np.uint8))


def test_a_link_in_place_of_an_output_is_not_followed(make_root, tmp_path) -> None:
    root = make_root("outbox")
    (tmp_path / "secret.png").write_bytes(encoded(cutout()))
    Path(root.ref.path, "a.png").symlink_to(tmp_path / "secret.png")
    os.link(tmp_path / "secret.png", Path(root.ref.path, "b.png"))

    with pytest.raises(NotARegularFile):
        small(root, "a.png")
    with pytest.raises(NotARegularFile):
        small(root, "b.png")


def test_an_output_that_was_replaced_since_it_was_looked_at_is_not_shown(make_root) -> None:
    root = make_root("outbox")
    Path(root.ref.path, "a.png").write_bytes(encoded(cutout()))
    values = Original(root.ref, "a.png", FileStat(1, 2, 3)).to_wire()

    with pytest.raises(FileBusy):
        TASKS["thumbnail"](
            {"output": values, "side": 64, "max_pixels": 10**6, "max_bytes": 10**6}, []
        )


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((TILE + 1, 5, 4), np.uint8),
        np.zeros((5, 5, 4), np.uint16),
        np.zeros((5, 5), np.uint8),
        np.zeros((5, 5, 2), np.uint8),
        np.zeros((0, 5, 4), np.uint8),
    ],
    ids=lambda array: f"{array.shape}-{array.dtype}",
)
def test_a_hand_that_was_taken_over_can_not_spoil_the_page(array) -> None:
    with pytest.raises(Unexpected):
        _picture([put(array)])


# --- what is shown ------------------------------------------------------------------------------


def test_a_cut_out_comes_with_name_number_and_confidence(house, look) -> None:
    house.finish("album/photo.png", notes=("confidence: 0.93", "device: cuda"))

    (found,) = look()

    assert found.name == f"{DAY}/album/photo.png  (job 1)"
    assert found.facts == "confidence 0.93"
    assert not found.odd
    assert found.picture is not None
    assert found.picture.shape == (90, 60, 4)
    assert found.picture[45, 30].tolist() == [40, 120, 200, 255]


def test_one_that_went_to_review_is_found_there_and_says_why(house, look) -> None:
    reason = "the subject has 3 separate parts"
    house.finish(role="review", notes=("confidence: 0.31", f"in review: {reason}"))

    (found,) = look()

    assert found.facts == f"to review · confidence 0.31 · {reason}"
    assert found.odd
    assert found.picture is not None


def test_a_composite_and_an_alpha_are_shown_as_they_are(house, look) -> None:
    house.finish("a.jpg", encoded(cutout(channels=3), ".jpg"))
    house.finish("b.png", encoded(cutout(channels=4)[..., 3]))

    composite, alpha = look()

    assert composite.picture is not None
    assert alpha.picture is not None
    assert composite.picture.shape == alpha.picture.shape == (90, 60, 3)
    assert not composite.odd


def test_what_happened_to_an_output_since_is_said_and_ends_nothing(house, look) -> None:
    house.finish("gone.png").unlink()
    house.finish("cut off.png").write_bytes(encoded(cutout())[:90])
    house.finish("text.png").write_bytes(b"no picture at all, and long enough to be looked at")
    house.finish("mine.png").write_bytes(encoded(cutout(50, 50)))
    replaced = house.finish("folder.png")
    replaced.unlink()
    replaced.mkdir()
    house.finish("fine.png")

    *odd, fine = look()

    assert [one.odd for one in odd] == [True] * 5
    assert [one.picture is not None for one in odd] == [False, False, False, True, False]
    assert odd[0].facts == "it is no longer there"
    assert all(odd[number].facts.startswith("it can't be shown: ") for number in (1, 2, 4))
    assert odd[3].facts == "somebody changed it since"
    assert (fine.facts, fine.odd) == ("", False)


def test_a_lost_folder_is_no_page_of_missing_cut_outs(house, look) -> None:
    house.finish()
    (house.folder / "outbox" / MARKER).unlink()

    with pytest.raises(RootLost):
        look()


# --- the command --------------------------------------------------------------------------------


def test_a_day_becomes_a_page_whose_path_is_printed(house) -> None:
    house.finish("one.png")
    house.finish("two.png", role="review")

    done = house.sheet("--date", DAY)

    assert done.exit_code == 0, done.exception
    path = Path(done.stdout.strip())
    assert path == Path.cwd() / f"web-{DAY}.png"
    page = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert page.shape[2] == 3
    assert (page == (200, 120, 40)).all(axis=2).sum() > 1000
    assert os.listdir(path.parent) == [path.name]


def test_many_become_pages_and_another_time_replaces_them(house) -> None:
    for number in range(PER_PAGE + 1):
        house.finish(f"{number}.png", encoded(cutout(12, 9)))
    target = house.folder / "sheets"
    target.mkdir()
    wanted = [target / "day-1.png", target / "day-2.png"]
    wanted[0].write_bytes(b"an earlier one")

    done = house.sheet("web", "-d", DAY, "-o", str(target / "day.png"))

    assert done.exit_code == 0, done.exception
    assert done.stdout.split() == [str(path) for path in wanted]
    assert sorted(target.iterdir()) == wanted
    first, second = (cv2.imread(str(path)) for path in wanted)
    assert first.shape[1] > 2 * second.shape[1]


@pytest.mark.parametrize("ending", [".jpg", ".webp"])
def test_the_ending_of_the_name_decides_the_format(house, ending) -> None:
    house.finish()

    assert house.sheet("--date", DAY, "-o", f"day{ending}").exit_code == 0

    head = Path(f"day{ending}").read_bytes()[:12]
    assert head.startswith({".jpg": b"\xff\xd8", ".webp": b"RIFF"}[ending])


def test_a_folder_takes_the_page_under_its_usual_name(house, tmp_path) -> None:
    house.finish()

    done = house.sheet("--date", DAY, "-o", str(tmp_path))

    assert done.stdout.strip() == str(tmp_path / f"web-{DAY}.png")


def test_of_two_jobs_with_one_output_the_later_one_is_shown(house) -> None:
    """A person took the first result away, so that its name was free again."""
    house.finish(at=NOON - 60)
    house.finish("other.png", at=NOON - 30)
    house.finish(at=NOON)

    done = house.sheet("--date", DAY)

    page = cv2.imread(done.stdout.strip())
    discs = (cutout()[..., 3] > 0).sum()
    assert (page == (200, 120, 40)).all(axis=2).sum() == 3 * 2 * discs


def test_a_day_without_work_says_so_and_writes_nothing(house) -> None:
    house.finish()

    done = house.sheet("--date", "2026-11-20")

    assert done.exit_code == 0
    assert done.stdout == "lane web: no cut-outs were made on 2026-11-20\n"
    assert os.listdir() == []


def test_before_the_first_start_there_is_nothing_to_show(tmp_path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(
        f"state: {tmp_path}/no\nlanes:\n- {{name: web, task: matte, root: {tmp_path}/r}}\n"
    )

    done = CliRunner().invoke(app, ["sheet", "-c", str(config), "-o", str(tmp_path)])

    assert done.exit_code == 0
    assert "no cut-outs" in done.stdout


def test_today_and_yesterday_are_the_days_of_the_wall_clock(house) -> None:
    house.finish("now.png", at=time.time())
    house.finish("before.png", at=time.time() - 86400)

    for word in ("today", "yesterday"):
        done = house.sheet("--date", word, "-o", f"{word}.png")
        assert done.stdout.strip().endswith(f"{word}.png"), done.exception
    assert house.sheet().stdout.strip().endswith(f"web-{datetime.now().astimezone():%Y-%m-%d}.png")


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("berlin")
def test_a_day_is_a_local_one_also_when_the_clocks_change(house) -> None:
    """25 October 2026 has 25 hours in Berlin, from 22:00 UTC the day before to 23:00 UTC."""
    begins, ends = 1_792_879_200.0, 1_792_969_200.0
    for name, at in (("a", begins - 1), ("b", begins), ("c", ends - 1), ("d", ends)):
        house.finish(f"{name}.png", at=at)

    done = house.sheet("--date", "2026-10-25")

    page = cv2.imread(done.stdout.strip())
    discs = (cutout()[..., 3] > 0).sum()
    assert (page == (200, 120, 40)).all(axis=2).sum() == 3 * 2 * discs


def test_a_lane_has_to_be_named_where_there_are_several(house, tmp_path) -> None:
    with house.config.open("a") as file:
        file.write(f"- {{name: shop, task: matte, root: {tmp_path}/shop}}\n")
        file.write(f"- {{name: fix, root: {tmp_path}/fix}}\n")

    error = wrong(house.sheet())
    assert "several matte lanes" in error.message
    assert error.advice == "Name one of these: web, shop."
    assert "no lane 'wep'" in wrong(house.sheet("wep")).message
    error = wrong(house.sheet("fix"))
    assert "sheets are for matte lanes" in error.message
    assert error.exit_code == 2


def test_without_a_matte_lane_it_says_how_to_have_one(tmp_path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(f"state: {tmp_path}/state\nlanes: [{{name: fix, root: {tmp_path}/fix}}]\n")

    error = wrong(CliRunner().invoke(app, ["sheet", "-c", str(config)]))

    assert "no matte lane" in error.message
    assert "task: matte" in error.advice


@pytest.mark.parametrize(
    "day", ["tomorrow", "21.11.2026", "2026-02-30", "0001-01-01", "9999-12-31"]
)
def test_what_is_no_day_is_refused_with_an_example(house, day) -> None:
    error = wrong(house.sheet("--date", day))

    assert isinstance(error, WrongRequest)
    assert "yesterday" in error.advice


@pytest.mark.parametrize("output", ["day", "day.gif", "day.txt"])
def test_a_name_without_the_ending_of_a_picture_is_refused(house, output) -> None:
    assert ".png" in wrong(house.sheet("-o", output)).advice


def test_a_sheet_in_an_inbox_would_be_worked_on(house) -> None:
    house.finish()
    (house.folder / "inbox" / "album").mkdir()

    for output in ("inbox", "inbox/album/day.png"):
        error = wrong(house.sheet("--date", DAY, "-o", str(house.folder / output)))
        assert "is an inbox" in error.message
    assert not list((house.folder / "inbox").rglob("*.png"))


def test_a_folder_that_is_not_there_is_named(house) -> None:
    house.finish()

    error = wrong(house.sheet("--date", DAY, "-o", "nowhere/day.png"))

    assert isinstance(error, CannotWrite)
    assert "nowhere/day.png" in error.message
    assert os.listdir() == []
