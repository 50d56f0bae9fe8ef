"""From an alpha to the pictures that a lane wants: their kinds, sizes, colours, and the verdict."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.profiles import swapped
from retouchd.config import parse
from retouchd.cutout import Cut, Piece, judged, pieces
from retouchd.subject import Subject

HEIGHT, WIDTH = 80, 120
BOX = np.s_[20:60, 40:90]
WHITE, GREY = 255, 128


def settings(text: str = "") -> Any:
    lane = f"lanes: [{{name: a, root: /srv/a, task: matte, matte: {{{text}}}}}]"
    return parse(lane, "x").lanes[0].work()["matte"]


def box() -> np.ndarray:
    """A subject with one soft column on its left."""
    alpha = np.zeros((HEIGHT, WIDTH), np.float32)
    alpha[BOX] = 1
    alpha[20:60, 39] = 0.5
    return alpha


def photo(channels: int = 3, dtype: Any = np.uint8) -> np.ndarray:
    rng = np.random.default_rng(channels)
    return rng.integers(0, np.iinfo(dtype).max, (HEIGHT, WIDTH, channels), dtype)


def cut(alpha: np.ndarray | None = None) -> Cut:
    return Cut(box() if alpha is None else alpha, 1.0, (), ())


def made(text: str = "", pixels: np.ndarray | None = None, behind: Any = None) -> list[Piece]:
    return list(pieces(photo() if pixels is None else pixels, cut(), settings(text), behind))


def only(text: str = "", pixels: np.ndarray | None = None, behind: Any = None) -> np.ndarray:
    [piece] = made(text, pixels, behind)
    assert piece.token == "", "the first is the output itself"
    return piece.pixels


KINDS = [(c, d) for c in (1, 2, 3, 4) for d in (np.uint8, np.uint16)]


# What is made.


@pytest.mark.parametrize(("channels", "dtype"), KINDS)
def test_a_cutout_has_the_photos_colours_its_depth_and_the_alpha(channels: int, dtype: Any) -> None:
    pixels = photo(channels, dtype)
    out = only("", pixels)
    top = np.iinfo(dtype).max
    assert (out.dtype, out.shape[2]) == (dtype, 2 if channels < 3 else 4)
    np.testing.assert_array_equal(out[..., -1], np.floor(box() * top + 0.5))
    colours = out.shape[2] - 1
    np.testing.assert_array_equal(out[BOX][..., :-1], pixels[BOX][..., :colours])
    assert not np.array_equal(out[:20, ..., :-1], pixels[:20, ..., :colours]), "no old background"


@pytest.mark.parametrize(("channels", "dtype"), KINDS)
def test_without_despill_every_colour_stays(channels: int, dtype: Any) -> None:
    pixels = photo(channels, dtype)
    out = only("despill: false", pixels)
    np.testing.assert_array_equal(out[..., :-1], pixels[..., : out.shape[2] - 1])


@pytest.mark.parametrize(("channels", "dtype"), KINDS)
def test_an_alpha_alone_is_one_channel(channels: int, dtype: Any) -> None:
    out = only("output: alpha", photo(channels, dtype))
    assert (out.shape, out.dtype) == ((HEIGHT, WIDTH, 1), dtype)
    np.testing.assert_array_equal(out[..., 0], np.floor(box() * np.iinfo(dtype).max + 0.5))


@pytest.mark.parametrize(("channels", "dtype"), KINDS)
def test_before_a_colour_it_is_opaque(channels: int, dtype: Any) -> None:
    out = only("bg_color: white", photo(channels, dtype))
    assert (out.shape[2], out.dtype) == (1 if channels < 3 else 3, dtype)
    assert (out[:20] == np.iinfo(dtype).max).all()
    red = only("bg_color: red", photo(channels, dtype))
    assert red.shape[2] == 3, "a grey photo before a colour is a colour picture"
    top = np.iinfo(dtype).max
    assert (red[0, 0] == (top, 0, 0)).all()
    np.testing.assert_array_equal(
        red[BOX], np.broadcast_to(photo(channels, dtype)[BOX][..., : out.shape[2]], red[BOX].shape)
    )


@pytest.mark.parametrize(("channels", "dtype"), KINDS)
@pytest.mark.parametrize(("other", "depth"), KINDS)
def test_any_picture_can_be_put_behind_any_photo(
    channels: int, dtype: Any, other: int, depth: Any
) -> None:
    wall = np.full((7, 31, other), np.iinfo(depth).max // 3, depth)
    out = only("background: /wall.png", photo(channels, dtype), wall)
    assert (out.shape, out.dtype) == ((HEIGHT, WIDTH, 3), dtype)
    assert abs(int(out[0, 0, 0]) / np.iinfo(dtype).max - 1 / 3) < 0.01


def test_all_of_them_are_named_apart_and_show_the_same_frame() -> None:
    rgba, alpha, composite = made("output: all, bg_color: white, crop: tight, margin: 0.1")
    assert [p.kind for p in (rgba, alpha, composite)] == ["rgba", "alpha", "composite"]
    assert [p.token for p in (rgba, alpha, composite)] == ["", "alpha", "composite"]
    np.testing.assert_array_equal(rgba.pixels[..., 3:], alpha.pixels)
    assert composite.pixels.shape[:2] == rgba.pixels.shape[:2]


# Where it is put.


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("crop: none, margin: 1", (HEIGHT, WIDTH)),
        ("crop: tight, margin: 0", (40, 51)),
        ("crop: tight, margin: 0.1", (40 + 2 * 5, 51 + 2 * 5)),
        ("crop: square, margin: 0", (51, 51)),
        ("crop: square, margin: 2", (51 * 5, 51 * 5)),
        ("size: [300, 200]", (200, 300)),
        ("size: [300, 200], crop: tight", (200, 300)),
        ("size: [1, 1]", (1, 1)),
    ],
)
@pytest.mark.parametrize("kind", ["rgba", "alpha", "composite, bg_color: white"])
def test_the_canvas_is_what_was_asked_for(text: str, size: tuple[int, int], kind: str) -> None:
    assert only(f"output: {kind}, {text}").shape[:2] == size


def test_the_subject_fills_its_part_of_the_canvas_in_the_middle() -> None:
    alpha = only("size: [400, 400], fill: 0.5, output: alpha")[..., 0]
    rows, columns = np.nonzero(alpha > 127)
    assert abs(np.ptp(columns) + 1 - 200) <= 2
    assert abs((columns.min() + columns.max()) / 2 - 200) <= 2
    assert abs((rows.min() + rows.max()) / 2 - 200) <= 2


def test_beyond_the_photo_there_is_background() -> None:
    out = only("bg_color: '#102030', crop: square, margin: 1")
    assert tuple(out[0, 0]) == (0x10, 0x20, 0x30)


# In which format.


@pytest.mark.parametrize(
    ("kind", "source", "wanted", "format"),
    [
        ("rgba", "jpeg", "same", "png"),
        ("rgba", "bmp", "same", "png"),
        ("rgba", "webp", "same", "webp"),
        ("rgba", "tiff", "same", "tiff"),
        ("rgba", "jpeg", "avif", "avif"),
        ("alpha", "jpeg", "same", "png"),
        ("alpha", "webp", "same", "png"),
        ("alpha", "tiff", "same", "tiff"),
        ("alpha", "png", "webp", "webp"),
        ("composite", "jpeg", "same", "same"),
        ("composite", "png", "jpeg", "jpeg"),
    ],
)
def test_a_format_that_can_not_hold_it_gives_way_to_png(
    kind: Any, source: str, wanted: str, format: str
) -> None:
    piece = Piece(kind, np.zeros((1, 1, 4), np.uint8), "")
    assert piece.format(source, wanted) == format


def test_what_is_behind_looks_the_same_on_a_photo_of_another_profile() -> None:
    """A colour is written as sRGB; the file keeps its photo's profile."""
    text = "bg_color: '#e67814'"
    [piece] = pieces(photo(), cut(), settings(text), None, swapped())
    assert piece.pixels[0, 0].tolist() == pytest.approx([0x78, 0xE6, 0x14], abs=2)


# How far it can be trusted.


def verdict(alpha: np.ndarray, trust: float = 1.0, *notes: str, text: str = "") -> Cut:
    shown = photo()
    shown[BOX] = (250, 240, 10)  # so that there is an edge where the alpha has one
    return judged(shown, Subject(alpha, "network", trust, notes), settings(text))


def test_a_clear_subject_is_trusted_as_far_as_its_method() -> None:
    sure = verdict(box())
    assert sure.confidence > 0.9
    assert sure.reasons == ()
    assert sure.notes[0] == "alpha: network"
    assert sure.notes[1] == f"confidence: {sure.confidence:.2f}"
    doubted = verdict(box(), 0.3)
    assert doubted.confidence == 0.3
    assert doubted.reasons == ("the backdrop is not plain enough to be sure",)


def test_why_the_method_doubts_itself_comes_first_when_that_is_the_worst() -> None:
    empty = np.zeros((HEIGHT, WIDTH), np.float32)
    why = "the backdrop is not plain"
    assert verdict(empty, 0.0, why).reasons[0] == why
    assert "empty" in verdict(empty, 0.0, why).reasons[1]
    assert verdict(empty, 0.4, why).reasons[1] == why
    assert verdict(empty, 1.0, why).reasons == ("no subject was found: the cut-out is empty",)


def test_what_the_lane_asks_of_an_alpha_is_done_before_it_is_judged() -> None:
    crumbs = box()
    crumbs[2:5, 2:5] = 1
    assert verdict(crumbs).confidence < verdict(box()).confidence
    tidy = verdict(crumbs, text="keep_largest: true")
    np.testing.assert_array_equal(tidy.alpha, box())
    assert tidy.confidence == verdict(box()).confidence


@pytest.mark.parametrize("reasons", [("its edge is not clear", "it is tiny"), ()])
def test_the_text_beside_it_says_why_and_what_helps(reasons: tuple[str, ...]) -> None:
    doubtful = Cut(box(), 0.31, reasons, ())
    text = doubtful.reason("set/my photo.final.jpg", "/srv/a/inbox")
    words = " ".join(text.split())
    assert "The cut-out of set/my photo.final.jpg" in words
    assert "(confidence 0.31)" in words
    assert "; ".join(reasons) in words
    assert "set/my photo.final.jpg.mask.png into /srv/a/inbox" in words
    assert "white where the subject is and black elsewhere" in words
    again = " ".join(doubtful.reason("p.jpg", "/x", masked=True).split())
    assert "paint its mask again, closer to the edge, of the photo's size" in again
    turned = " ".join(doubtful.reason("p.jpg", "/x", inverted=True).split())
    assert "black where the subject is and white elsewhere" in turned
    assert text.count("\r\n") == text.count("\n"), "Notepad is where many of these are read"
    assert max(map(len, text.splitlines())) <= 78
    long = "Rot Leder 38 Sommer Kollektion 2026 Seite vorn.jpg"
    lines = doubtful.reason(long, "/x").splitlines()
    assert any(long in line for line in lines)
    assert any(f"{long}.mask.png" in line for line in lines)


# Whatever is asked for.


@given(
    size=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    channels=st.integers(1, 4),
    dtype=st.sampled_from([np.uint8, np.uint16]),
    level=st.sampled_from([0.0, 1e-4, 0.5, 1.0, None]),
    crop=st.sampled_from(["none", "tight", "square"]),
    margin=st.sampled_from([0, 0.05, 2]),
    canvas=st.sampled_from(["null", "[9, 5]", "[1, 40]"]),
    behind=st.sampled_from(["", "bg_color: '#123456'", "background: /b.png"]),
)
def test_every_photo_gets_every_picture(
    size: tuple[int, int],
    channels: int,
    dtype: Any,
    level: float | None,
    crop: str,
    margin: float,
    canvas: str,
    behind: str,
) -> None:
    """However small, empty or full; none fails, and all of them are of the photo's type."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, np.iinfo(dtype).max, (*size, channels), dtype)
    alpha = rng.random(size, np.float32) if level is None else np.full(size, level, np.float32)
    text = f"output: all, crop: {crop}, margin: {margin}, size: {canvas}, {behind}"
    wall = rng.integers(0, 255, (3, 4, 3), np.uint8) if "background" in behind else None
    found = judged(pixels, Subject(alpha, "network"), settings(text))
    done = list(pieces(pixels, found, settings(text), wall))
    assert len(done) == (3 if behind else 2)
    assert {piece.pixels.dtype for piece in done} == {np.dtype(dtype)}
    assert len({piece.pixels.shape[:2] for piece in done}) == 1
    assert 0 <= found.confidence <= 1
