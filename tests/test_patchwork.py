"""All that is marked is worked on, and what was worked on comes back to its place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from retouchd.patchwork import Patch, Patchwork, patches


@st.composite
def marks(draw: st.DrawFn) -> NDArray[np.uint8]:
    height, width = draw(st.integers(1, 30)), draw(st.integers(1, 40))
    rng, share = np.random.default_rng(draw(st.integers(0, 99))), draw(st.floats(0, 0.4))
    return (rng.random((height, width)) < share).astype(np.uint8)


@given(marks(), st.integers(1, 9), st.integers(1, 20), st.integers(0, 9))
def test_patches_hold_every_mark_once_and_keep_their_limits(marked, height, longest, gap) -> None:
    held = np.zeros_like(marked)
    for part in patches(marked, height, longest, gap):
        held[part.slices] += 1
        assert part.shape[0] <= height
        assert part.shape[1] <= longest
        assert part.rows[0] // height == (part.rows[1] - 1) // height
    assert held.max(initial=0) <= 1
    assert not marked[held == 0].any()


def test_a_patch_is_no_higher_than_its_marks_and_no_wider_than_a_gap_allows() -> None:
    marked = np.zeros((8, 40), np.uint8)
    marked[2, 3], marked[4, 9], marked[6, 30] = 1, 1, 1

    assert list(patches(marked, 8, 40, 5)) == [
        Patch((2, 5), (3, 10)),
        Patch((6, 7), (30, 31)),
    ]
    assert len(list(patches(marked, 8, 40, 4))) == 3


def test_without_a_mark_there_is_no_patch() -> None:
    assert not list(patches(np.zeros((5, 5), np.uint8), 2, 3, 1))


@given(marks(), st.integers(1, 9), st.integers(0, 4), st.sampled_from([(), (3,), (1,)]))
def test_what_was_laid_side_by_side_comes_back_with_its_frame(marked, height, halo, more) -> None:
    plane = np.random.default_rng(0).random((*marked.shape, *more)).astype(np.float32)
    parts = tuple(patches(marked, height, 15, 2))
    if not parts:
        return
    work, back = Patchwork(parts, halo), np.zeros_like(plane)

    work.back(work.of(plane), back, halo)

    for part in parts:
        shown = part.grown(halo, plane.shape).slices
        np.testing.assert_array_equal(back[shown], plane[shown])


@pytest.mark.parametrize("halo", [1, 3])
def test_beyond_the_border_the_border_repeats(halo: int) -> None:
    plane = np.arange(12, dtype=np.float32).reshape(3, 4)
    part = Patch((0, 1), (0, 2))

    worked = Patchwork((part,), halo).of(plane)

    np.testing.assert_array_equal(
        worked,
        np.pad(plane, 9, mode="edge")[9 - halo :, 9 - halo :][: 1 + 2 * halo, : 2 + 2 * halo],
    )


def test_a_patch_counts_from_another_ones_corner() -> None:
    inner = Patch((5, 7), (9, 12))

    assert inner.within(Patch((4, 8), (3, 20))) == Patch((1, 3), (6, 9))
    assert inner.grown(3, (8, 20)) == Patch((2, 8), (6, 15))
