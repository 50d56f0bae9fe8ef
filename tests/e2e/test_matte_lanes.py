"""Matte lanes with options of their own: what each makes of a photo, and what people ask of it."""

from __future__ import annotations

import io
import json
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from helpers.studio import (
    BACKDROP,
    HEIGHT,
    OPAQUE,
    WIDTH,
    clutter,
    file,
    pixels_of,
    product,
    rough,
)

DAY = 86400


@pytest.fixture(scope="module")
def lanes(make_lanes: Any) -> Any:
    """A configuration with one lane for each wish."""
    made = make_lanes()
    wall = made.root / "wall.png"
    options: dict[str, dict[str, Any]] = {
        "all": {"output": "all", "bg_color": "white"},
        "white": {"bg_color": "white"},
        "shop": {"size": [2000, 2000], "fill": 0.85, "bg_color": "white"},
        "tight": {"crop": "tight", "margin": 0.0},
        "alpha": {"output": "alpha"},
        "wall": {"background": str(wall)},
    }
    for name, matte in options.items():
        made.lane(name, task="matte", matte=matte)
    made.wall = wall
    return made


@pytest.fixture(scope="module")
def spools(lanes: Any) -> dict[str, Any]:
    """The folders of each lane."""
    return {name: lanes.lane(**lane) for name, lane in lanes.lanes.items()}


@pytest.fixture(scope="module")
def done(lanes: Any, spools: dict[str, Any]) -> Any:
    """After `once` over all lanes but the one whose background is missing."""
    camera = Image.Exif()
    nested = camera.get_ifd(0x8769)
    nested[0xA002], nested[0xA003] = WIDTH, HEIGHT
    jpeg = file(product(), "JPEG", quality=95, exif=camera, dpi=(300, 300))
    for name, spool in spools.items():
        spool.drop("photo.jpg", jpeg)
        if name == "all":
            spool.drop("mess.png", file(clutter()))
    ended = lanes.once()
    assert ended.returncode == 75, "the lane without its background is not through"
    return ended


def only(spool: Any, pattern: str = "photo.*", folder: str = "outbox") -> bytes:
    [path] = (spool.root / folder).rglob(pattern)
    return bytes(path.read_bytes())


def test_all_of_them_lie_beside_each_other(done: Any, spools: dict[str, Any]) -> None:
    spool = spools["all"]
    assert spool.undated(spool.outbox) == ["photo.png", "photo_alpha.png", "photo_composite.jpg"]
    rgba, alpha = (pixels_of(only(spool, name)) for name in ("photo.png", "photo_alpha.png"))
    np.testing.assert_array_equal(rgba[..., 3:], alpha)
    composite = pixels_of(only(spool, "photo_composite.jpg"))
    assert (composite[BACKDROP] > 250).all()
    assert np.abs(composite[OPAQUE].astype(int) - rgba[OPAQUE][..., :3]).mean() < 3


def test_in_review_they_lie_beside_each_other_as_well(done: Any, spools: dict[str, Any]) -> None:
    spool = spools["all"]
    assert spool.undated(spool.review) == [
        *("mess.png", "mess.review.txt", "mess_alpha.png", "mess_composite.png")
    ]


def test_before_white_a_jpeg_comes_out_as_a_jpeg(done: Any, spools: dict[str, Any]) -> None:
    image = Image.open(io.BytesIO(only(spools["white"])))
    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (WIDTH, HEIGHT))
    assert (np.asarray(image)[BACKDROP] > 250).all()
    original = Image.open(io.BytesIO(only(spools["white"], folder="archive")))
    assert image.quantization == original.quantization


def test_a_shops_canvas_is_filled_as_it_was_asked(done: Any, spools: dict[str, Any]) -> None:
    image = Image.open(io.BytesIO(only(spools["shop"])))
    assert (image.format, image.size) == ("JPEG", (2000, 2000))
    dark = np.asarray(image.convert("L")) < 200
    rows, columns = np.nonzero(dark)
    longer = max(np.ptp(rows), np.ptp(columns)) + 1
    assert abs(longer - 1700) <= 40
    assert abs((columns.min() + columns.max()) / 2 - 1000) <= 20


def test_the_exif_of_a_picture_of_another_size_says_its_size(
    done: Any, spools: dict[str, Any]
) -> None:
    for name in ("tight", "shop", "white"):
        image = Image.open(io.BytesIO(only(spools[name])))
        sides = image.getexif().get_ifd(0x8769)
        assert (sides[0xA002], sides[0xA003]) == image.size


def test_a_tight_crop_ends_where_the_subject_does(done: Any, spools: dict[str, Any]) -> None:
    alpha = pixels_of(only(spools["tight"]))[..., 3]
    assert alpha.shape[0] < HEIGHT
    assert alpha.shape[1] < WIDTH
    assert min(alpha[0].max(), alpha[-1].max(), alpha[:, 0].max(), alpha[:, -1].max()) > 0


def test_an_alpha_alone_is_grey(done: Any, spools: dict[str, Any]) -> None:
    alpha = pixels_of(only(spools["alpha"]))
    assert alpha.shape == (HEIGHT, WIDTH, 1)
    assert (alpha[OPAQUE] == 255).all()
    assert (alpha[BACKDROP] == 0).all()


def test_a_missing_background_is_said_and_costs_no_photo(
    done: Any, lanes: Any, spools: dict[str, Any]
) -> None:
    said = " ".join(done.stderr.split())
    assert str(lanes.wall) in said
    assert "No such file" in said
    assert spools["wall"].files(spools["wall"].inbox) == ["photo.jpg"]
    [job] = [job for job in lanes.jobs() if job["lane"] == "wall"]
    assert (job["state"], job["attempts"]) == ("ready", 0)


def test_it_goes_on_when_the_background_is_there(
    done: Any, lanes: Any, spools: dict[str, Any], start_all: Any
) -> None:
    running = start_all(lanes)
    paused = running.wait_for("lane paused", lane="wall")
    assert str(lanes.wall) in paused["reason"]
    assert "matte.background" in paused["remedy"]
    lanes.wall.write_bytes(b"half a pic")
    Image.fromarray(np.full((30, 90, 3), (10, 200, 30), np.uint8)).save(lanes.wall)
    running.wait_for("done", lane="wall", timeout=150)
    spool = spools["wall"]
    composite = pixels_of(only(spool))
    assert np.abs(composite[BACKDROP].astype(int) - (10, 200, 30)).mean() < 3
    assert spool.files(spool.inbox) == []
    assert running.stop() == 0


# What people ask.


def explained(lanes: Any, path: Path) -> str:
    ended = lanes.retouchd("explain", str(path))
    assert ended.returncode == 0, ended.stderr
    return " ".join(ended.stdout.split())


def test_every_file_of_a_cutout_is_explained(done: Any, lanes: Any, spools: dict[str, Any]) -> None:
    spool = spools["all"]
    [output] = spool.outbox.rglob("photo.png")
    for pattern in ("photo.png", "photo_alpha.png", "photo_composite.jpg"):
        [path] = spool.outbox.rglob(pattern)
        text = explained(lanes, path)
        assert f"The output is {output}." in text
        assert f"Beside it: {output.parent / 'photo_alpha.png'}" in text
    [original] = spool.archive.rglob("photo.jpg")
    assert f"The output is {output}." in explained(lanes, original)


def test_what_lies_in_review_is_explained(done: Any, lanes: Any, spools: dict[str, Any]) -> None:
    spool = spools["all"]
    [output] = spool.review.rglob("mess.png")
    for path in spool.review.rglob("mess*"):
        text = explained(lanes, path)
        assert f"The output is {output}." in text
        assert "It lies in review" in text
        assert "the backdrop is not plain" in text
    assert "ledger knows no file" in explained(lanes, output.parent / "other.png")


def test_status_names_each_lanes_task(done: Any, lanes: Any) -> None:
    status = lanes.status()
    assert {lane["task"] for lane in status["lanes"]} == {"matte"}
    by_name = {lane["name"]: lane for lane in status["lanes"]}
    assert by_name["all"]["jobs"]["done"] == 2
    assert by_name["all"]["model"] == "trimap"


def test_the_jobs_tell_where_their_files_lie(done: Any, lanes: Any) -> None:
    [job] = [job for job in lanes.jobs() if job["lane"] == "all" and job["name"] == "mess.png"]
    assert job["output_role"] == "review"
    assert [one["token"] for one in job["companions"]] == ["alpha", "composite", "reason"]


def test_a_finished_cutout_can_neither_be_cancelled_nor_retried(done: Any, lanes: Any) -> None:
    [job] = [job for job in lanes.jobs() if job["lane"] == "white"]
    for verb in ("cancel", "retry"):
        ended = lanes.retouchd(verb, str(job["id"]))
        assert ended.returncode != 0
        assert f"Job {job['id']}" in ended.stderr or str(job["id"]) in ended.stderr


def test_retention_deletes_what_nobody_looked_at_in_review(
    done: Any, lanes: Any, spools: dict[str, Any]
) -> None:
    """With its text, as outputs are, and only when it is as old; not what a person made of it."""
    spool = spools["all"]
    [alpha] = spool.review.rglob("mess_alpha.png")
    with sqlite3.connect(lanes.root / "state" / "ledger.sqlite3", timeout=20) as db:
        db.execute(
            "UPDATE kept SET completed_at = completed_at - ? WHERE lane = 'all'"
            " AND role = 'review'",
            (91 * DAY,),
        )
    alpha.write_bytes(b"a person's own")
    listed = json.loads(lanes.retouchd("prune", "--dry-run", "--json").stdout)["files"]
    assert {Path(one["path"]).parent.parent for one in listed} == {spool.review}
    assert len(listed) == 3
    assert str(alpha) not in {one["path"] for one in listed}
    assert lanes.retouchd("prune").returncode == 0
    assert spool.undated(spool.review) == ["mess_alpha.png"]
    assert len(spool.files(spool.outbox)) == 3
    assert "mess.png" in spool.undated(spool.archive)


def test_what_was_set_aside_is_tried_again_where_it_lies(spool: Any) -> None:
    """And a text about it speaks of the name that was dropped."""
    spool.drop("matte/photo.png", file(product()))
    spool.drop("matte/sub/mess.png", file(clutter()))
    assert spool.once("--set", "lanes.matte.limits.max_pixels=0.01MP").returncode == 3
    assert len(spool.undated(spool.failed)) == 4
    assert spool.retouchd("retry", "--failed").returncode == 0
    assert spool.once().returncode == 0
    assert spool.undated(spool.outbox) == ["matte/photo.png"]
    assert spool.undated(spool.archive) == ["photo.png", "sub/mess.png"]
    assert spool.undated(spool.failed) == []
    [text] = spool.review.rglob("*.review.txt")
    assert f"sub/mess.png.mask.png into {spool.inbox}/matte" in " ".join(text.read_text().split())
    spool.drop("matte/sub/mess_mask.png", file(rough()))
    assert spool.once().returncode == 0
    assert spool.undated(spool.outbox) == ["matte/photo.png", "matte/sub/mess.png"]
    assert spool.undated(spool.review) == []
