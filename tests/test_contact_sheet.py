"""A contact sheet shows each cut-out on what betrays its faults, and says which it is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from retouchd.contact_sheet import PER_PAGE, TILE, Cutout, contact_sheet
from retouchd.images import Line, lettered

PAPER = [222, 222, 222]


def _cutout(height: int = 100, width: int = 150, alpha: int = 255, odd: bool = False) -> Cutout:
    """A blue subject in the middle of a transparent picture."""
    picture = np.zeros((height, width, 4), np.uint8)
    picture[height // 4 : -height // 4, width // 4 : -width // 4] = (0, 0, 200, alpha)
    return Cutout("2026-11-21/photo.png  (job 1)", "confidence 0.93", picture, odd)


def _count(page: np.ndarray, *colour: int) -> int:
    """How many pixels have that colour."""
    return int((page == np.array(colour, np.uint8)).all(axis=2).sum())


def test_a_cut_out_is_shown_on_white_black_and_magenta_and_as_alpha() -> None:
    cutout = _cutout()
    assert cutout.picture is not None
    subject = int((cutout.picture[..., 3] > 0).sum())
    around = cutout.picture[..., 3].size - subject

    found = contact_sheet("web", [cutout])

    assert _count(found, 0, 0, 200) == 3 * subject
    assert _count(found, 255, 0, 255) == around
    assert _count(found, 255, 255, 255) == around + subject
    assert _count(found, 0, 0, 0) == 2 * around


def test_what_is_half_transparent_lets_the_ground_through_by_half() -> None:
    found = contact_sheet("web", [_cutout(alpha=128)])

    for mixed in ((127, 127, 227), (0, 0, 100), (127, 0, 227), (128, 128, 128)):
        assert _count(found, *mixed) >= 50 * 74, mixed


def test_what_has_no_alpha_is_shown_once_as_it_is() -> None:
    picture = np.full((80, 90, 3), (10, 200, 30), np.uint8)

    found = contact_sheet("web", [Cutout("a.jpg", "", picture)])

    assert _count(found, 10, 200, 30) == picture[..., 0].size
    assert _count(found, 255, 0, 255) == 0


def test_a_picture_that_is_too_large_is_made_to_fit() -> None:
    large = np.full((900, 300, 4), (0, 0, 200, 255), np.uint8)

    found = contact_sheet("web", [Cutout("a.png", "", large)])

    assert _count(found, 0, 0, 200) == 3 * TILE * (TILE // 3)


def test_a_cut_out_that_is_gone_leaves_its_place_empty_and_its_caption() -> None:
    gone = Cutout("2026-11-21/gone.png  (job 7)", "it is no longer there", None, True)

    page = contact_sheet("web", [gone])

    assert page[60:150, 40:].reshape(-1, 3).tolist() == [PAPER] * (90 * (page.shape[1] - 40))
    assert (page[150:] != PAPER).any()


def test_those_to_review_are_marked_from_afar() -> None:
    plain, odd = (contact_sheet("web", [_cutout(odd=odd)]) for odd in (False, True))

    assert _count(plain, 176, 32, 0) == 0
    assert _count(odd, 176, 32, 0) >= 500


@limits(max_examples=8)
@given(
    st.lists(
        st.tuples(st.integers(1, 300), st.integers(1, 300)) | st.none(),
        min_size=1,
        max_size=PER_PAGE,
    )
)
def test_any_page_has_room_for_all_and_stays_of_a_size_to_look_at(sizes) -> None:
    cutouts = [
        Cutout("x", "", None)
        if size is None
        else Cutout("x", "", np.full((*size, 4), (1, 2, 3, 255), np.uint8))
        for size in sizes
    ]

    page = contact_sheet("web", cutouts)

    assert page.shape[0] <= 2400
    assert page.shape[1] <= 2500
    shown = sum(min(1, TILE / max(s)) ** 2 * s[0] * s[1] for s in sizes if s)
    borders = sum(2 * max(s) + 2 * TILE for s in sizes if s)
    assert abs(_count(page, 1, 2, 3) / 3 - shown) <= borders


NAMES = [
    "photo.png",
    "Müller & Söhne ĉapelo.png",
    "写真.png",
    "שלום.png",
    "👩‍👩‍👧‍👦.png",
    b"caf\xe9.png".decode("utf-8", "surrogateescape"),
    "two\nlines\x00\t\x1b[31m.png",
    "\u202egnp.exe",
    "e\u0301\u0301\u0301.png",
    "",
]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_any_name_can_be_written(name) -> None:
    page = np.full((40, 600, 3), 255, np.uint8)

    found = lettered(page, [Line(name, 10, 5, 580, 15, (0, 0, 0))])

    assert (found != page).any() == bool(name)
    assert (page == 255).all()


@given(st.text(st.characters(), max_size=60))
def test_any_text_stays_in_its_room(text) -> None:
    page = np.full((60, 400, 3), 255, np.uint8)

    found = lettered(page, [Line(text, 20, 10, 200, 15, (0, 0, 0))])

    # A letter may lean out of its own width by a little.
    assert (found[:, 230:] == 255).all()


def test_a_name_that_is_too_long_keeps_both_ends() -> None:
    """So that what tells it from its neighbours can be read."""

    def drawn(text: str) -> np.ndarray:
        page = np.full((30, 300, 3), 255, np.uint8)
        return lettered(page, [Line(text, 0, 5, 250, 15, (0, 0, 0))])

    middle = "a-long-folder/" * 10
    one, other = drawn(f"2026/{middle}photo-1.png"), drawn(f"2026/{middle}photo-2.png")

    assert (one[:, :150] == other[:, :150]).all()
    assert (one != other).any()
    assert (drawn(f"2025/{middle}photo-1.png")[:, :60] != one[:, :60]).any()
