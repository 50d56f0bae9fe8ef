"""Photos dropped into a matte lane: what comes out, in which folder, and what a later mask does."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from helpers.studio import (
    BACKDROP,
    HEIGHT,
    OPAQUE,
    WIDTH,
    clutter,
    deep_file,
    file,
    pixels_of,
    product,
    rough,
)

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
ORIENTATION, MAKE = 0x112, 0x10F


def exif(orientation: int = 1) -> Image.Exif:
    found = Image.Exif()
    found[MAKE], found[ORIENTATION] = "A Camera", orientation
    ifd = found.get_ifd(0x8769)
    ifd[0xA002], ifd[0xA003] = WIDTH, HEIGHT
    return found


def with_alpha(pixels: np.ndarray) -> Image.Image:
    """RGBA, transparent in its left half."""
    alpha = np.full((HEIGHT, WIDTH, 1), 255, np.uint8)
    alpha[:, : WIDTH // 2] = 0
    return Image.fromarray(np.dstack([pixels, alpha]))


def palette(transparent: bool) -> bytes:
    image = Image.fromarray(product()).quantize(64)
    if not transparent:
        return file(image)
    # Of the subject, so that it shows.
    return file(image, transparency=image.getpixel((WIDTH // 2, HEIGHT // 2)))


def animated(kind: str) -> bytes:
    frames = [Image.fromarray(product(seed)) for seed in range(3)]
    stream = io.BytesIO()
    frames[0].save(stream, kind, save_all=True, append_images=frames[1:], duration=50)
    return stream.getvalue()


GOOD: dict[str, bytes] = {
    "plain.jpg": file(product(), "JPEG", quality=95, icc_profile=ICC, dpi=(300, 300), exif=exif()),
    "plain.png": file(product(), icc_profile=ICC, dpi=(150, 150)),
    "lossy.webp": file(product(), "WEBP", quality=90, icc_profile=ICC),
    "exact.webp": file(product(), "WEBP", lossless=True),
    "plain.avif": file(product(), "AVIF", quality=90),
    "plain.tif": file(product(), "TIFF"),
    "plain.bmp": file(product(), "BMP"),
    "deep.png": deep_file(product(depth=16), ".png"),
    "deep.tif": deep_file(product(depth=16), ".tif"),
    "grey.png": file(product(channels=1)),
    "grey.jpg": file(product(channels=1), "JPEG", quality=95),
    "deep_grey.png": deep_file(product(channels=1, depth=16), ".png"),
    "palette.png": palette(False),
    "specks.png": palette(True),
    "turned.jpg": file(np.ascontiguousarray(np.rot90(product())), "JPEG", quality=95, exif=exif(6)),
    "half.png": file(with_alpha(product())),
    "Größe, 100 %.JPG": file(product(), "JPEG"),
    "set/inside.png": file(product()),
}
DOUBTFUL: dict[str, bytes] = {
    "clutter.jpg": file(clutter(), "JPEG"),
    "one.png": file(Image.new("RGB", (1, 1), (9, 9, 9))),
    "three.png": file(clutter()[:2, :3]),
    "flat.png": file(Image.new("RGB", (64, 48), (200, 10, 10))),
    "veil.png": file(Image.new("LA", (64, 48), (128, 200))),
    "nothing.png": file(Image.new("LA", (64, 48), (128, 0))),
}
REFUSED: dict[str, tuple[bytes, str]] = {
    "cmyk.jpg": (file(Image.fromarray(product()).convert("CMYK"), "JPEG"), "CMYK"),
    "film.webp": (animated("WEBP"), "animated"),
    "gif.webp": (animated("GIF"), "GIF"),
    "cut.jpg": (file(product(), "JPEG")[:-700], "incomplete"),
    "cut.png": (file(product())[:-700], "incomplete"),
    "huge.png": (file(Image.new("RGB", (1001, 1000))), "limit"),
    "notes.png": (b"this is no picture", "not an image"),
    "empty.png": (b"", "is empty"),
    "notes.txt": (b"hello", "not an image"),
}


@pytest.fixture(scope="module")
def mixed(make_spool: Any) -> Any:
    """Good and bad of every kind, dropped at once, after one `once`."""
    spool = make_spool()
    everything = {**GOOD, **DOUBTFUL, **{name: data for name, (data, _) in REFUSED.items()}}
    for name, data in everything.items():
        spool.drop(f"matte/{name}", data)
    limit = ("--set", "lanes.matte.limits.max_pixels=1MP")
    done = spool.once(*limit, "--set", "scan.incomplete_after=1s")
    assert done.returncode == 3, done.stderr
    spool.known = spool.jobs()  # asked once, not by every test
    return spool


def output(spool: Any, name: str, folder: Path | None = None) -> bytes:
    """The one output of a photo, by its job."""
    [job] = [job for job in spool.known if job["name"] == name]
    assert job["state"] == "done", job["error"]
    top = spool.root / job["output_role"]
    assert folder in (None, top)
    return bytes((top / job["output"]).read_bytes())


def expected_pixels(name: str) -> np.ndarray:
    """What the file shows, upright, as [H, W, C]."""
    image = Image.open(io.BytesIO(GOOD[name]))
    return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("name", [*GOOD, *DOUBTFUL])
def test_every_photo_ends_as_one_output_and_its_untouched_original(mixed: Any, name: str) -> None:
    data = output(mixed, name, mixed.outbox if name in GOOD else mixed.review)
    assert data
    assert mixed.digests(mixed.archive)[name] == mixed.dropped[f"matte/{name}"]


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_not_be_used_lies_beside_a_clear_text(mixed: Any, name: str) -> None:
    lies = mixed.digests(mixed.failed)
    assert lies[name] == mixed.dropped[f"matte/{name}"]
    text = next(mixed.failed.rglob(f"{name}.error.txt")).read_text()
    assert REFUSED[name][1] in " ".join(text.split())
    assert "What to do:" in text


def test_nothing_else_is_left_anywhere(mixed: Any) -> None:
    assert len(mixed.known) == len(GOOD) + len(DOUBTFUL) + len(REFUSED)
    assert len(mixed.files(mixed.outbox)) == len(GOOD)
    assert len(mixed.files(mixed.review)) == 2 * len(DOUBTFUL), "each with its text"
    assert len(mixed.files(mixed.archive)) == len(GOOD) + len(DOUBTFUL)
    assert len(mixed.files(mixed.failed)) == 2 * len(REFUSED)
    assert mixed.files(mixed.inbox) == []
    assert list(mixed.root.rglob(".retouchd-*.tmp")) == []


def test_outputs_lie_under_the_names_of_their_photos(mixed: Any) -> None:
    found = mixed.undated(mixed.outbox)
    assert {"matte/set/inside.png", "matte/lossy.webp", "matte/deep.tif"} <= set(found)
    assert "matte/Größe, 100 %.png" in found
    assert {"matte/grey.png", "matte/grey (1).png"} <= set(found), "of grey.jpg and grey.png"


@pytest.mark.parametrize("name", ["plain.png", "plain.tif", "plain.bmp", "exact.webp", "half.png"])
def test_opaque_pixels_keep_their_colours_to_the_bit(mixed: Any, name: str) -> None:
    pixels = pixels_of(output(mixed, name))
    assert pixels.shape == (HEIGHT, WIDTH, 4)
    opaque = pixels[..., 3] == 255
    assert opaque[OPAQUE][:, WIDTH // 2 - OPAQUE[1].start :].all()
    np.testing.assert_array_equal(pixels[opaque][:, :3], expected_pixels(name)[opaque])
    assert (pixels[BACKDROP][..., 3] == 0).all()


def test_a_jpegs_colours_are_those_that_it_decodes_to(mixed: Any) -> None:
    pixels = pixels_of(output(mixed, "plain.jpg"))
    decoded = pixels_of(GOOD["plain.jpg"])
    opaque = pixels[..., 3] == 255
    assert np.abs(pixels[opaque][:, :3].astype(int) - decoded[opaque]).max() <= 3


@pytest.mark.parametrize("name", ["deep.png", "deep.tif"])
def test_sixteen_bits_stay_sixteen(mixed: Any, name: str) -> None:
    pixels = pixels_of(output(mixed, name))
    assert pixels.dtype == np.uint16
    opaque = pixels[..., 3] == 65535
    assert opaque[OPAQUE].all()
    np.testing.assert_array_equal(pixels[opaque][:, :3], product(depth=16)[opaque])
    assert len(np.unique(pixels[..., 3])) > 256, "the alpha has them, too"


def test_grey_stays_grey(mixed: Any) -> None:
    for name, mode in (("grey.png", "LA"), ("grey.jpg", "LA")):
        assert Image.open(io.BytesIO(output(mixed, name))).mode == mode
    deep = output(mixed, "deep_grey.png")
    assert deep[24:26] == bytes([16, 4]), "16 bits, grey with alpha"


def test_what_was_transparent_stays_so(mixed: Any) -> None:
    alpha = pixels_of(output(mixed, "half.png"))[..., 3]
    assert not alpha[:, : WIDTH // 2].any()
    assert (alpha[:, WIDTH // 2 :] == 255).any()
    # One colour of the palette is a hole in the subject.
    hole = Image.open(io.BytesIO(GOOD["specks.png"])).convert("RGBA")
    holes = np.asarray(hole)[..., 3] == 0
    assert holes.any()
    assert not pixels_of(output(mixed, "specks.png"))[..., 3][holes].any()


def test_profile_resolution_and_exif_go_along(mixed: Any) -> None:
    jpeg = Image.open(io.BytesIO(output(mixed, "plain.jpg")))
    assert jpeg.format == "PNG"
    assert jpeg.info["icc_profile"] == ICC
    assert jpeg.getexif()[MAKE] == "A Camera"
    assert round(jpeg.info["dpi"][0]) == 300
    assert round(Image.open(io.BytesIO(output(mixed, "plain.png"))).info["dpi"][0]) == 150
    assert Image.open(io.BytesIO(output(mixed, "lossy.webp"))).info["icc_profile"] == ICC


def test_a_turned_photo_comes_out_upright(mixed: Any) -> None:
    image = Image.open(io.BytesIO(output(mixed, "turned.jpg")))
    assert image.size == (WIDTH, HEIGHT)
    assert image.getexif().get(ORIENTATION, 1) == 1
    alpha = np.asarray(image)[..., 3]
    upright = np.asarray(Image.open(io.BytesIO(output(mixed, "plain.jpg"))))[..., 3]
    assert np.abs(alpha.astype(int) - upright).mean() < 2


@pytest.mark.parametrize("name", DOUBTFUL)
def test_what_is_doubtful_says_why_and_what_to_drop(mixed: Any, name: str) -> None:
    stem = name.rpartition(".")[0]
    text = " ".join(next(mixed.review.rglob(f"{stem}.review.txt")).read_text().split())
    assert f"The cut-out of {name} should be looked at" in text
    assert f"{name}.mask.png into {mixed.inbox / 'matte'}" in text
    if name == "clutter.jpg":
        assert "the backdrop is not plain" in text


# A photo, and a mask that comes sooner or later.


@pytest.fixture(scope="module")
def phases(make_spool: Any) -> list[dict[str, list[str]]]:
    """What lies where after each of three rounds of dropping and `once`, each round in every
    scenario's own folder."""
    spool = make_spool()
    cluttered, plain, mask = file(clutter(), "JPEG"), file(product(), "JPEG"), file(rough())

    def once(code: int, drops: dict[str, bytes]) -> dict[str, list[str]]:
        for name, data in drops.items():
            spool.drop(f"matte/{name}", data)
        done = spool.once()
        assert done.returncode == code, done.stderr
        folders = (spool.inbox, spool.outbox, spool.review, spool.archive, spool.failed)
        found = {folder.name: spool.undated(folder) for folder in folders[1:]}
        return {"inbox": spool.files(spool.inbox), **found}

    spool.drop("both/photo.png", file(product()))
    spool.drop("both/photo_mask.png", mask)
    doubtful = ("later", "wrong", "theirs", "still")
    first = once(
        0,
        {
            **{f"{folder}/photo.jpg": cluttered for folder in doubtful},
            "sooner/photo_mask.png": mask,
            "together/photo_mask.png": mask,
            "together/photo.jpg": cluttered,
            "below/masks/photo.png": mask,
            "below/photo.jpg": cluttered,
            "two/photo.jpg": plain,
            "set/_mask.png": mask,
            "set/a.jpg": cluttered,
            "set/b.jpg": cluttered,
            "both/photo.png": file(product()),
        },
    )
    next((spool.review).rglob("theirs/photo.png")).write_bytes(b"retouched by hand")
    second = once(
        3,
        {
            "later/photo_mask.png": mask,
            "theirs/photo_mask.png": mask,
            "still/photo_mask.png": file(np.full((HEIGHT, WIDTH), 255, np.uint8)),
            "sooner/photo.jpg": cluttered,
            "wrong/photo_mask.png": file(rough(60, 81)),
            "two/photo_mask.png": mask,
            "two/photo.mask.png": mask,
        },
    )
    second["text"] = [next(spool.failed.rglob("wrong/*.error.txt")).read_text()]
    second["why"] = [path.read_text() for path in spool.review.rglob("still/*.review.txt")]
    third = once(0, {"wrong/photo_mask.png": mask, "two/photo_mask.png": mask})
    assert [job for job in spool.jobs() if job["state"] in ("waiting", "ready", "failed")] == []
    assert list(spool.root.rglob(".retouchd-*.tmp")) == []
    return [first, second, third]


def lies(phase: dict[str, list[str]], role: str, scenario: str) -> list[str]:
    top = f"matte/{scenario}/" if role in ("outbox", "review") else f"{scenario}/"
    return [name.removeprefix(top) for name in phase[role] if name.startswith(top)]


def test_a_mask_that_comes_later_has_a_doubtful_photo_done_again(phases: Any) -> None:
    first, second, _ = phases
    assert lies(first, "review", "later") == ["photo.png", "photo.review.txt"]
    assert lies(first, "archive", "later") == ["photo.jpg"]
    assert lies(second, "review", "later") == []
    assert lies(second, "outbox", "later") == ["photo.png"]
    assert lies(second, "archive", "later") == ["photo.jpg", "photo_mask.png"]


def test_a_mask_that_comes_first_waits_for_its_photo(phases: Any) -> None:
    first, second, _ = phases
    assert [name for name in first["inbox"] if "sooner" in name] == ["matte/sooner/photo_mask.png"]
    assert lies(second, "outbox", "sooner") == ["photo.png"]
    assert lies(second, "archive", "sooner") == ["photo.jpg", "photo_mask.png"]


@pytest.mark.parametrize("scenario", ["together", "below"])
def test_a_mask_that_comes_with_its_photo_is_used_at_once(phases: Any, scenario: str) -> None:
    first, *_ = phases
    assert lies(first, "outbox", scenario) == ["photo.png"]
    assert lies(first, "review", scenario) == []
    assert len(lies(first, "archive", scenario)) == 2


def test_a_mask_of_the_wrong_size_is_set_aside_and_the_next_one_works(phases: Any) -> None:
    _, second, third = phases
    aside = ["photo_mask.png", "photo_mask.png.error.txt"]
    assert lies(second, "failed", "wrong") == aside
    text = " ".join(second["text"][0].split())
    assert "wrong/photo_mask.png is 81 × 60, but the photo wrong/photo.jpg is 160 × 120" in text
    assert lies(second, "archive", "wrong") == ["photo.jpg"]
    assert lies(second, "review", "wrong") == ["photo.png", "photo.review.txt"]
    assert lies(third, "outbox", "wrong") == ["photo.png"]
    assert lies(third, "review", "wrong") == []
    assert lies(third, "archive", "wrong") == ["photo.jpg", "photo_mask.png"]
    assert lies(third, "failed", "wrong") == aside


def test_what_is_still_doubtful_with_its_mask_says_how_to_go_on(phases: Any) -> None:
    """By the name that the photo was dropped under, not by that of its original in the archive."""
    _, second, _ = phases
    output, text = lies(second, "review", "still")
    assert (output, text) == ("photo (1).png", "photo (1).review.txt")
    [why] = second["why"]
    assert "The cut-out of still/photo.jpg" in why
    assert "still/photo.jpg.mask.png into" in " ".join(why.split())


def test_two_masks_for_a_finished_photo_are_both_set_aside(phases: Any) -> None:
    _, second, third = phases
    aside = lies(second, "failed", "two")
    assert {"photo_mask.png", "photo.mask.png"} < set(aside)
    assert len(aside) == 3
    assert lies(second, "outbox", "two") == ["photo.png"]
    assert lies(second, "archive", "two") == ["photo.jpg"]
    assert lies(third, "outbox", "two") == ["photo (1).png", "photo.png"]


def test_a_review_output_that_a_person_changed_is_theirs(phases: Any) -> None:
    _, second, third = phases
    assert lies(second, "review", "theirs") == lies(third, "review", "theirs") == ["photo.png"]
    assert lies(second, "outbox", "theirs") == ["photo.png"]


def test_a_folders_mask_serves_every_photo_of_it(phases: Any) -> None:
    first, *_ = phases
    assert lies(first, "outbox", "set") == ["a.png", "b.png"]
    assert "matte/set/_mask.png" in first["inbox"]


def test_the_same_photo_in_two_lanes_with_one_archive_is_kept_twice(phases: Any) -> None:
    """Neither lane takes the other's file for its own."""
    first, *_ = phases
    assert lies(first, "outbox", "both") == ["photo.png"]
    assert "both/photo.png" in first["outbox"]
    assert lies(first, "archive", "both") == ["photo (1).png", "photo.png", "photo_mask.png"]


@pytest.mark.soak
def test_a_service_waits_a_moment_for_a_new_photo_before_it_does_an_old_one_again(
    spool: Any, start: Any
) -> None:
    running = start()
    spool.drop("matte/photo.jpg", file(clutter(), "JPEG"))
    running.wait_for("done", lane="matte")
    spool.drop("matte/photo_mask.png", file(rough()))
    running.wait_for("waiting", lane="matte")
    running.wait_for("done", 2, lane="matte")
    assert spool.undated(spool.outbox) == ["matte/photo.png"]
    spool.drop("matte/photo_mask.png", file(rough()))
    running.wait_for("waiting", 2, lane="matte")
    spool.drop("matte/photo.jpg", file(product(), "JPEG"))
    running.wait_for("done", 3, lane="matte")
    assert spool.undated(spool.outbox) == ["matte/photo (1).png", "matte/photo.png"]
    assert spool.undated(spool.archive) == [
        *("photo (1).jpg", "photo.jpg", "photo_mask (1).png", "photo_mask.png")
    ]
    assert running.stop() == 0


@pytest.mark.soak
def test_a_mask_that_has_to_settle_anew_does_not_keep_its_photo_waiting(spool: Any) -> None:
    """After `cancel` and `retry` a file is taken as it lies there then."""
    spool.drop("matte/photo.jpg", file(clutter(), "JPEG"))
    assert spool.once().returncode == 0
    spool.drop("matte/photo_mask.png", file(rough()))
    never = "lanes.matte.schedule.active='00:00-00:01'"
    assert spool.once("--set", never).returncode == 75
    [job] = [job for job in spool.jobs() if job["state"] == "ready"]
    for verb in ("cancel", "retry"):
        assert spool.retouchd(verb, str(job["id"])).returncode == 0
    assert spool.once().returncode == 0
    assert spool.undated(spool.outbox) == ["matte/photo.png"]
    assert spool.undated(spool.archive) == ["photo.jpg", "photo_mask.png"]
