"""A photo goes into a network's picture and its alpha comes back with nothing shifted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from retouchd.fit import Fit
from retouchd.fitting import photo_part, picture_of, place
from retouchd.scaling import resized

SIDES = st.integers(1, 300)


@given(SIDES, SIDES, st.integers(8, 96))
def test_a_padded_photo_lies_whole_and_centred(height: int, width: int, side: int) -> None:
    found = place((height, width), Fit(size=side))

    assert found.picture == (side, side)
    assert max(found.height, found.width) == side
    assert abs(side - found.height - 2 * found.top) <= 1
    assert abs(side - found.width - 2 * found.left) <= 1
    # No side is off by more than the half pixel that whole pixels cost.
    scale = side / max(height, width)
    assert abs(found.height - height * scale) <= 0.5 or found.height == 1
    assert abs(found.width - width * scale) <= 0.5 or found.width == 1


@given(SIDES, SIDES, st.integers(8, 64), st.sampled_from([1, 8, 32]))
def test_a_fitted_photo_fills_a_picture_of_its_shape(
    height: int, width: int, side: int, multiple: int
) -> None:
    found = place((height, width), Fit(None, side, multiple, "fit"))

    assert found.picture == (found.height, found.width)
    assert (found.top, found.left) == (0, 0)
    assert found.height % multiple == found.width % multiple == 0
    assert min(found.picture) <= max(side, multiple) + multiple / 2
    # However long a strip of film is, its picture is not.
    assert max(found.picture) <= 4 * side + multiple


def test_a_short_side_is_the_shorter_one() -> None:
    assert place((1500, 1000), Fit(None, 512, 32, "fit")).picture == (768, 512)


@given(SIDES, SIDES, st.integers(8, 64))
def test_a_squashed_photo_fills_a_square(height: int, width: int, side: int) -> None:
    found = place((height, width), Fit(side, resize="squash"))

    assert found.picture == (side, side) == (found.height, found.width)


def test_a_padded_picture_grows_to_the_next_multiple() -> None:
    found = place((100, 50), Fit(100, multiple_of=32))

    assert found.picture == (128, 128)
    assert (found.height, found.width) == (100, 50)


@given(SIDES, SIDES, st.sampled_from([0, 1]), st.sampled_from(["pad", "fit", "squash"]))
def test_a_ramp_comes_back_where_it_was(height: int, width: int, axis: int, resize: str) -> None:
    """Half a pixel of shift would move a ramp by half its step, everywhere."""
    found = place((height, width), Fit(64, resize=resize))
    # OpenCV's area mean does not reduce one side while it enlarges the other.
    assume((found.height >= height) == (found.width >= width))
    lines = (np.arange((height, width)[axis]) + 0.5) / (height, width)[axis]
    ramp = np.broadcast_to(lines[:, None] if axis == 0 else lines, (height, width))
    photo = np.round(ramp * 65535).astype(np.uint16)[..., None]

    picture, _ = picture_of(photo, found)
    alpha = (picture[..., 0] / 65535).astype(np.float32)
    back = resized(photo_part(alpha, found), (height, width)).clip(0, 1)

    assert back.shape == (height, width)
    inner = slice(None) if min(found.height, found.width) < 4 else np.abs(ramp - 0.5) < 0.3
    coarse = max(1, (height, width)[axis], (found.height, found.width)[axis])
    np.testing.assert_allclose(back[inner].mean(), ramp[inner].mean(), atol=0.25 / coarse + 1e-4)
    if min(found.height, found.width) >= 4:
        step = 1 / min((height, width)[axis], (found.height, found.width)[axis])
        assert np.abs(back - ramp)[inner].max(initial=0) <= 0.25 * step + 1e-4


@given(SIDES, SIDES)
def test_what_lies_beside_the_photo_does_not_leak_into_the_alpha(height: int, width: int) -> None:
    found = place((height, width), Fit(64))
    alpha = np.zeros((64, 64), np.float32)
    alpha[found.slices] = 1

    assert photo_part(alpha, found).min() == 1


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_kind_of_photo_becomes_a_picture(channels: int, dtype: type) -> None:
    """Grey is repeated, alpha dropped, the type kept; beside the photo lies mid-grey."""
    top = np.iinfo(dtype).max
    photo = np.full((20, 10, channels), top // 4, dtype)

    picture, shown = picture_of(photo, place((20, 10), Fit(40)))

    assert picture.dtype == dtype
    assert picture.shape == (40, 40, 3)
    assert (picture[shown > 0] == top // 4).all()
    assert (picture[shown == 0] == top // 2 + 1).all()
    assert set(np.unique(shown)) == {0, 255}
    assert (shown > 0).sum() == 40 * 20
