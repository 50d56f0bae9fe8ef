"""What people may drop, how, and what comes of it: the drop contract, in real folders."""

from __future__ import annotations

import io
import os
import signal
import time
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

COMPOSED = unicodedata.normalize("NFC", "café")
DECOMPOSED = unicodedata.normalize("NFD", "café")
LATIN1 = os.fsdecode(b"stra\xdfe")
PAIRS = {
    "underscore.jpg": "underscore_mask.png",
    "hyphen.png": "hyphen-mask.png",
    "dot.png": "dot.mask.png",
    "full.jpg": "full.jpg.mask.png",
    "folder.png": "masks/folder.png",
    "marked.png": "masks/marked_mask.png",
    "SHOUT.JPG": "shout_MASK.PNG",
    f"{DECOMPOSED}.png": f"{COMPOSED}_mask.png",
    f"{LATIN1}.png": f"{LATIN1}_mask.png",
    "two  blanks, and (brackets) 'quotes'.png": "two  blanks, and (brackets) 'quotes'_mask.png",
    "日本語 写真.webp": "日本語 写真_mask.png",
    "shoes_mask.png": "shoes_mask_mask.png",
    "2026/spring/deep.png": "2026/spring/deep_mask.png",
    "2026/beside.png": "2026/masks/beside.png",
    "jpeg-mask.png": "jpeg-mask_mask.jpg",
    "bmp-mask.png": "bmp-mask_mask.bmp",
    "tiff-mask.png": "tiff-mask_mask.tiff",
    "webp-mask.png": "webp-mask_mask.webp",
    "bilevel.png": "bilevel_mask.png",
    "palette.png": "palette_mask.png",
    "sixteen.png": "sixteen_mask.png",
    "colour.png": "colour_mask.png",
}
"""Photo → mask, as people and programs name them."""

IGNORED = (
    "copying.png.part",
    "download.crdownload",
    "upload.png.filepart",
    "~$document.png",
    "._photo.png",
    ".hidden.png",
    ".DS_Store",
    "Thumbs.db",
    "desktop.ini",
    ".syncthing.photo.png.tmp",
    "@eaDir/photo.png/thumb.png",
    "#recycle/gone.png",
    ".nfs000000000001",
    "notes/readme.txt",
)
HOLE = (slice(60, 90), slice(80, 120))
GROWN = (slice(48, 102), slice(68, 132))
"""The hole, and what may change at most: it is grown by 10 px."""


def png(pixels: np.ndarray | Image.Image, **options: Any) -> bytes:
    return encoded(pixels, "PNG", **options)


def encoded(pixels: np.ndarray | Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(stream, kind, **options)
    return stream.getvalue()


def printable(name: str) -> str:
    """As JSON and logs show a name that is not UTF-8."""
    return name.encode("utf-8", "backslashreplace").decode()


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def special_masks(blob: np.ndarray) -> dict[str, bytes]:
    """Masks in the formats in which programs save them."""
    bilevel = Image.fromarray(blob).convert("1")
    colours = np.zeros((*blob.shape, 3), np.uint8)
    colours[blob > 0] = (255, 240, 200)
    deep = np.where(blob > 0, 65535, 0).astype(np.uint16)
    return {
        "jpeg-mask_mask.jpg": encoded(blob, "JPEG", quality=60),
        "webp-mask_mask.webp": encoded(colours, "WEBP"),
        "bilevel_mask.png": png(bilevel),
        "palette_mask.png": png(Image.fromarray(blob).convert("P")),
        "sixteen_mask.png": png(deep),
        "colour_mask.png": png(colours),
    }


@dataclass
class Finished:
    """Lanes after a run, with what the ledger says."""

    lanes: dict[str, Any]
    process: Any
    jobs: list[dict[str, Any]]

    def job(self, lane: str, name: str) -> dict[str, Any]:
        found = [job for job in self.jobs if (job["lane"], job["name"]) == (lane, name)]
        assert len(found) == 1, found
        return found[0]


@pytest.fixture(scope="module")
def finished(make_lanes, pictures) -> Finished:
    """One run of `once` over inboxes full of everything."""
    lanes = make_lanes(scan={"incomplete_after": "1s"})
    names = lanes.lane("names", ignore=["notes/", "*.sidecar"])
    fill_names(names, pictures)
    watermark = lanes.lane("watermark", mask={"dilate": 3, "feather": 0})
    watermark.drop("_mask.png", pictures.blob())
    watermark.drop("a.png", pictures.texture(1))
    watermark.drop("b.jpg", pictures.texture(2))
    watermark.drop("own.png", pictures.texture(3))
    own = np.zeros_like(pictures.blob())
    own[5:15, 5:15] = 255
    watermark.drop("own_mask.png", own)
    watermark.drop("other/c.png", pictures.texture(4))
    stamp = lanes.lane("stamp", mask={"dilate": 2, "feather": 0})
    stamp.drop("stamped.png", pictures.texture(5))
    alpha = lanes.lane("alpha", pairing={"alpha_holes": True})
    alpha.drop("cut.png", cut_out(pictures))
    bad = lanes.lane("bad")
    bad.drop("two.jpg", pictures.texture(6))
    bad.drop("two_mask.png", pictures.blob())
    bad.drop("two.mask.png", pictures.blob())
    bad.drop("text.png", b"this is no picture")
    bad.drop("report.pdf", b"%PDF-1.7")
    bad.drop("readme.txt", b"a text that was dropped by mistake")
    (bad.inbox / "link.png").symlink_to("/etc/hostname")
    bad.drop("cut-off.png", png(pictures.texture(7))[:-30])
    shop = {"names": names, "watermark": watermark, "stamp": stamp, "alpha": alpha, "bad": bad}
    corner = "[{corner: bottom-right, x: 5, y: 5, width: 40, height: 20}]"
    done = lanes.once("--set", f"lanes.stamp.pairing.rectangles={corner}")
    return Finished(shop, done, lanes.jobs())


def fill_names(names: Any, pictures: Any) -> None:
    masks = special_masks(pictures.blob())
    for number, (photo, mask) in enumerate(PAIRS.items()):
        names.drop(photo, pictures.texture(number))
        names.drop(mask, masks.get(mask, pictures.blob()))
    for name in (*IGNORED, "photo.png.sidecar"):
        names.drop(name, b"not a drop")


def cut_out(pictures: Any) -> bytes:
    """A photo with a hole in its alpha."""
    alpha = 255 - pictures.blob()
    return png(np.dstack([pictures.texture(5)[..., ::-1], alpha]))


@pytest.mark.parametrize("photo", PAIRS)
def test_every_way_to_name_a_mask_makes_a_pair(finished, photo, pictures):
    names = finished.lanes["names"]
    assert finished.job("names", printable(photo))["state"] == "done"
    path = next(names.outbox.glob("2*")) / photo.replace(LATIN1, "stra_e")
    before = cv2.imdecode(np.frombuffer(original(names, photo), np.uint8), cv2.IMREAD_COLOR)
    after = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    assert after.shape == before.shape
    assert (after[HOLE] != before[HOLE]).any()
    if photo.endswith(".png"):
        outside = np.ones(before.shape[:2], bool)
        outside[GROWN] = False
        assert (after == before)[outside].all()


def original(spool: Any, name: str) -> bytes:
    return (next(spool.archive.glob("2*")) / name).read_bytes()


def test_originals_are_archived_as_they_were_and_sub_folders_are_mirrored(finished):
    names = finished.lanes["names"]
    wanted = {name for pair in PAIRS.items() for name in pair}
    assert names.digests(names.archive) == {
        name: digest for name, digest in names.dropped.items() if name in wanted
    }
    assert "2026/spring/deep.png" in names.undated(names.outbox)


def test_ignored_files_stay_untouched_and_unmentioned(finished):
    names = finished.lanes["names"]
    left = {*IGNORED, "photo.png.sidecar"}
    assert set(names.files(names.inbox)) == left
    assert all((names.inbox / name).read_bytes() == b"not a drop" for name in left)
    assert not any("sidecar" in job["name"] or job["name"] in left for job in finished.jobs)


def test_nothing_else_of_the_good_lanes_goes_anywhere(finished):
    for lane in ("names", "watermark", "stamp", "alpha"):
        spool = finished.lanes[lane]
        assert spool.files(spool.failed) == []
    assert len(finished.lanes["names"].files(finished.lanes["names"].outbox)) == len(PAIRS)


def test_a_folders_mask_serves_all_its_photos_and_stays(finished, pictures):
    spool = finished.lanes["watermark"]
    assert spool.undated(spool.outbox) == ["a.png", "b.jpg", "own.png"]
    assert spool.files(spool.inbox) == ["_mask.png", "other/c.png"]
    after = cv2.imread(str(next(spool.outbox.glob("*/a.png"))))
    changed = (after != pictures.texture(1)).any(axis=2)
    assert changed[HOLE].any()
    changed[57:93, 77:123] = False
    assert not changed.any()


def test_a_photos_own_mask_comes_before_its_folders(finished, pictures):
    spool = finished.lanes["watermark"]
    after = cv2.imread(str(next(spool.outbox.glob("*/own.png"))))
    changed = (after != pictures.texture(3)).any(axis=2)
    assert changed[5:15, 5:15].any()
    assert not changed[HOLE].any()


def test_a_folders_mask_does_not_serve_other_folders(finished):
    assert finished.job("watermark", "other/c.png")["state"] == "waiting"


def test_a_rectangle_is_measured_from_its_corner(finished, pictures):
    spool = finished.lanes["stamp"]
    after = cv2.imread(str(next(spool.outbox.glob("*/stamped.png"))))
    changed = (after != pictures.texture(5)).any(axis=2)
    rows, columns = np.nonzero(changed)
    # 160 x 220, 5 px from the corner, 40 x 20, grown by 2.
    assert (rows.min(), rows.max()) == (133, 156)
    assert (columns.min(), columns.max()) == (173, 216)


def test_a_hole_in_the_alpha_is_filled_and_becomes_visible(finished, pictures):
    spool = finished.lanes["alpha"]
    after = read(next(spool.outbox.glob("*/cut.png")))
    before = np.dstack([pictures.texture(5)[..., ::-1], 255 - pictures.blob()])
    assert after.shape == before.shape
    assert (after[..., 3] == 255).all()
    outside = np.ones(after.shape[:2], bool)
    outside[GROWN] = False
    assert (after == before)[outside].all()
    assert (after[HOLE][..., :3] != before[HOLE][..., :3]).any()


def test_two_masks_for_a_photo_are_never_a_guess(finished):
    spool = finished.lanes["bad"]
    job = finished.job("bad", "two.jpg")
    assert job["state"] == "quarantined"
    assert "two.mask.png" in job["error"]
    assert "two_mask.png" in job["error"]
    folder = next(spool.failed.glob("2*"))
    assert {"two.jpg", "two.mask.png", "two_mask.png"} <= {p.name for p in folder.iterdir()}
    text = (folder / "two.jpg.error.txt").read_text()
    assert "two.mask.png" in text
    assert "two_mask.png" in text
    assert "Keep one of them" in text


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("text.png", "not an image"),
        ("report.pdf", "it is a PDF file"),
        ("readme.txt", "not that of any known picture format"),
        ("link.png", "not a plain file"),
        ("cut-off.png", "incomplete"),
    ],
)
def test_what_can_not_be_used_is_set_aside_with_the_reason(finished, name, words):
    spool = finished.lanes["bad"]
    job = finished.job("bad", name)
    assert job["state"] == "quarantined"
    assert words in " ".join(job["error"].split())
    text = next(spool.failed.glob(f"*/{name}.error.txt")).read_bytes().decode()
    assert words in " ".join(text.split())
    assert "What to do: " in text
    if name in spool.dropped:
        assert spool.digests(spool.failed)[name] == spool.dropped[name]
    assert finished.process.returncode == 3


# --- while the service runs ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def live(make_lanes, start_all):
    """A running service with a lane that works, one that sleeps, and one that reuses."""
    lanes = make_lanes(scan={"local": "2s"})
    lanes.lane("main")
    lanes.lane("reuse", output={"duplicates": "reuse"})
    lanes.lane("short", pairing={"orphan_after": "1s"})
    lanes.lane("asleep", schedule={"active": in_some_hours()})
    running = start_all(lanes)
    running.wait_for("watching", len(lanes.lanes))
    return Live(lanes, running)


class Live:
    """A running service: drop, and wait for what it says."""

    def __init__(self, lanes: Any, running: Any) -> None:
        self.lanes, self.running = lanes, running

    def __getitem__(self, lane: str) -> Any:
        return self.lanes.lane(
            lane, **{k: v for k, v in self.lanes.lanes[lane].items() if k not in ("name", "root")}
        )

    def wait(self, state: str, lane: str, file: str, count: int = 1) -> dict[str, Any]:
        return self.running.wait_for(state, count, lane=lane, file=file)

    def said(self, lane: str, file: str) -> list[str]:
        return [
            line["event"]
            for line in self.running.lines
            if (line.get("lane"), line.get("file")) == (lane, file)
        ]


def in_some_hours() -> str:
    """A daily window that is not now."""
    start = datetime.now().astimezone() + timedelta(hours=10)
    return f"{start:%H:%M}-{start + timedelta(hours=1):%H:%M}"


def output_of(spool: Any, name: str) -> Path:
    return next(spool.outbox.glob(f"*/{name}"))


def is_repair_of(spool: Any, name: str, photo: np.ndarray) -> None:
    """The output shows this photo, whole, outside of its hole."""
    after = cv2.imread(str(output_of(spool, name)))
    outside = np.ones(photo.shape[:2], bool)
    outside[GROWN] = False
    assert after.shape == photo.shape
    assert (after == photo)[outside].all()


def test_a_mask_may_come_much_later(live, pictures):
    spool = live["main"]
    spool.drop("late.png", pictures.texture(1))
    live.wait("waiting", "main", "late.png")
    time.sleep(0.5)
    spool.drop("late_mask.png", pictures.blob())
    live.wait("done", "main", "late.png")
    is_repair_of(spool, "late.png", pictures.texture(1))


def test_a_mask_may_come_first_and_the_output_is_named_like_the_photo(live, pictures):
    spool = live["main"]
    spool.drop("early_mask.png", pictures.blob())
    live.wait("waiting", "main", "early_mask.png")
    spool.drop("early.png", pictures.texture(2))
    live.wait("done", "main", "early.png")
    is_repair_of(spool, "early.png", pictures.texture(2))
    assert not list(spool.outbox.glob("*/early_mask*"))


def slowly(path: Path, data: bytes, seconds: float = 1.8, parts: int = 4) -> None:
    with path.open("wb") as file:
        size = -(-len(data) // parts)
        for start in range(0, len(data), size):
            file.write(data[start : start + size])
            file.flush()
            time.sleep(seconds / parts)


@pytest.mark.parametrize("kind", [".png", ".bmp", ".tif"])
def test_a_file_that_arrives_slowly_is_taken_whole(live, pictures, kind):
    spool, name = live["main"], f"slow{kind}"
    photo = pictures.texture(3)
    data = cv2.imencode(kind, photo)[1].tobytes()
    spool.drop("slow" + kind + ".mask.png", pictures.blob())
    slowly(spool.inbox / name, data)
    live.wait("done", "main", name)
    is_repair_of(spool, name, photo)


def test_a_file_whose_space_was_reserved_first_is_taken_whole(live, pictures):
    spool = live["main"]
    photo = pictures.texture(4)
    data = png(photo[..., ::-1])
    spool.drop("reserved_mask.png", pictures.blob())
    with (spool.inbox / "reserved.png").open("wb") as file:
        file.truncate(len(data))
        time.sleep(0.7)
        file.write(data[:2000])
        file.flush()
        time.sleep(0.7)
        file.write(data[2000:])
    live.wait("done", "main", "reserved.png")
    is_repair_of(spool, "reserved.png", photo)


def test_a_copy_that_is_renamed_into_place_is_taken_once(live, pictures):
    spool = live["main"]
    spool.drop("renamed_mask.png", pictures.blob())
    hidden = spool.drop("renamed.png.part", png(pictures.texture(5)[..., ::-1]))
    time.sleep(0.5)
    hidden.rename(spool.inbox / "renamed.png")
    live.wait("done", "main", "renamed.png")
    is_repair_of(spool, "renamed.png", pictures.texture(5))


def test_a_hard_link_into_place_is_taken_once_its_other_name_is_gone(live, pictures):
    spool = live["main"]
    spool.drop("linked_mask.png", pictures.blob())
    hidden = spool.drop(".linked.tmp", png(pictures.texture(6)[..., ::-1]))
    os.link(hidden, spool.inbox / "linked.png")
    time.sleep(1.0)
    hidden.unlink()
    live.wait("done", "main", "linked.png")
    is_repair_of(spool, "linked.png", pictures.texture(6))


def test_a_photo_that_is_replaced_while_it_waits_counts_as_the_new_one(live, pictures):
    spool = live["main"]
    spool.drop("replaced.png", pictures.texture(7))
    live.wait("waiting", "main", "replaced.png")
    new = spool.drop("replaced.png.tmp", png(pictures.texture(8)[..., ::-1]))
    new.replace(spool.inbox / "replaced.png")
    spool.drop("replaced_mask.png", pictures.blob())
    live.wait("done", "main", "replaced.png")
    is_repair_of(spool, "replaced.png", pictures.texture(8))


def test_a_photo_that_is_taken_away_is_cancelled_and_may_come_back(live, pictures, eventually):
    spool = live["main"]
    path = spool.drop("fickle.png", pictures.texture(9))
    live.wait("waiting", "main", "fickle.png")
    path.unlink()
    said = live.wait("cancelled", "main", "fickle.png")
    assert "taken" in said["why"]
    spool.drop("fickle.png", pictures.texture(10))
    spool.drop("fickle_mask.png", pictures.blob())
    live.wait("done", "main", "fickle.png")
    is_repair_of(spool, "fickle.png", pictures.texture(10))


def test_a_name_that_comes_again_gets_a_number_and_replaces_nothing(live, pictures):
    spool = live["main"]
    spool.drop("again.png", pictures.texture(11))
    spool.drop("again_mask.png", pictures.blob())
    live.wait("done", "main", "again.png")
    before = spool.digests(spool.outbox)["again.png"]
    spool.drop("again.png", pictures.texture(12))
    spool.drop("again_mask.png", np.where(pictures.blob(), 254, 0).astype(np.uint8))
    live.wait("done", "main", "again.png", count=2)
    assert spool.digests(spool.outbox)["again.png"] == before
    is_repair_of(spool, "again.png", pictures.texture(11))
    is_repair_of(spool, "again (1).png", pictures.texture(12))
    archived = {name for name in spool.undated(spool.archive) if name.startswith("again")}
    assert archived == {"again.png", "again (1).png", "again_mask.png", "again_mask (1).png"}


def jobs_named(live: Live, lane: str, *names: str) -> list[dict[str, Any]]:
    return [j for j in live.lanes.jobs() if j["lane"] == lane and j["name"] in names]


@pytest.mark.parametrize("lane", ["main", "reuse"])
def test_the_same_work_dropped_twice_is_noticed(live, pictures, lane):
    spool = live[lane]
    for name in ("original.png", "copy.png"):
        spool.drop(name, pictures.texture(13))
        spool.drop(name.replace(".png", "_mask.png"), pictures.blob())
        live.wait("done", lane, name)
    second, first = jobs_named(live, lane, "original.png", "copy.png")
    assert second["duplicate_of"] == first["id"]
    assert f"the same work as job {first['id']}" in second["notes"]
    assert ("model" in second["timings"]) == (lane == "main")
    assert ("reused" in second["notes"]) == (lane == "reuse")
    digests = spool.digests(spool.outbox)
    assert digests["original.png"] == digests["copy.png"] == second["output_sha256"]


def test_a_photo_without_a_mask_is_set_aside_in_the_end(live, pictures):
    spool = live["short"]
    spool.drop("lonely.jpg", pictures.texture(14))
    spool.drop("ghost_mask.png", pictures.blob())
    live.wait("set aside", "short", "lonely.jpg")
    live.wait("set aside", "short", "ghost_mask.png")
    assert spool.files(spool.inbox) == []
    photo = next(spool.failed.glob("*/lonely.jpg.error.txt")).read_text()
    mask = next(spool.failed.glob("*/ghost_mask.png.error.txt")).read_text()
    assert "No mask came for lonely.jpg" in photo
    assert "photo_mask.png" in photo
    assert "No photo came for ghost_mask.png" in mask
    assert spool.digests(spool.failed)["lonely.jpg"] == spool.dropped["lonely.jpg"]


def test_a_photo_that_is_rewritten_while_its_job_is_ready_is_read_anew(live, pictures, eventually):
    spool = live["asleep"]
    spool.drop("dreamer.png", pictures.texture(15))
    spool.drop("dreamer_mask.png", pictures.blob())
    live.wait("ready", "asleep", "dreamer.png")
    spool.drop("dreamer.png", pictures.texture(16))
    live.wait("ready", "asleep", "dreamer.png", count=2)
    assert "running" not in live.said("asleep", "dreamer.png")
    live.lanes.lane("asleep")
    live.running.signal(signal.SIGHUP)
    live.wait("done", "asleep", "dreamer.png")
    is_repair_of(spool, "dreamer.png", pictures.texture(16))


# --- where the file system tells no events, as on a share ---------------------------------------


@pytest.fixture(scope="module")
def scanned(make_lanes, start_all):
    """A running service that only ever lists its inbox."""
    lanes = make_lanes(scan={"watch": "scan", "remote": "500ms"})
    lanes.lane("main")
    running = start_all(lanes)
    assert running.wait_for("watching")["by"] == "scan"
    return Live(lanes, running)


def test_without_events_a_photo_rewritten_in_place_is_read_anew(scanned, pictures):
    spool = scanned["main"]
    path = spool.drop("rewritten.png", pictures.texture(1))
    scanned.wait("waiting", "main", "rewritten.png")
    inode = path.stat().st_ino
    spool.drop("rewritten.png", pictures.texture(2))
    assert path.stat().st_ino == inode
    spool.drop("rewritten_mask.png", pictures.blob())
    scanned.wait("done", "main", "rewritten.png")
    is_repair_of(spool, "rewritten.png", pictures.texture(2))


def test_without_events_a_photo_may_go_and_another_come(scanned, pictures):
    spool = scanned["main"]
    spool.drop("fickle.png", pictures.texture(3))
    scanned.wait("waiting", "main", "fickle.png")
    (spool.inbox / "fickle.png").unlink()
    scanned.wait("cancelled", "main", "fickle.png")
    spool.drop("fickle_mask.png", pictures.blob())
    slowly(spool.inbox / "fickle.png", png(pictures.texture(4)[..., ::-1]), seconds=1.2)
    scanned.wait("done", "main", "fickle.png")
    is_repair_of(spool, "fickle.png", pictures.texture(4))
    assert spool.files(spool.inbox) == []
