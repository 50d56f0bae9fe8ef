"""Many crops in one flat array."""

from __future__ import annotations

import numpy as np
import pytest

from retouchd.tasks.packing import pack, unpack


@pytest.mark.parametrize(("channels", "kind"), [(3, "uint8"), (3, "float32"), (1, "uint8")])
def test_crops_of_any_size_come_out_as_they_went_in(channels: int, kind: str) -> None:
    random = np.random.default_rng(1)
    sizes = [(3, 5), (8, 1), (1, 1), (0, 4)]
    shapes = [(h, w, channels) if channels > 1 else (h, w) for h, w in sizes]
    crops = [random.integers(0, 255, shape).astype(kind) for shape in shapes]
    flat = pack(crops, np.dtype(kind))
    assert flat.ndim == 1
    for crop, again in zip(crops, unpack(flat, sizes, channels), strict=True):
        np.testing.assert_array_equal(again, crop)
        assert again.dtype == crop.dtype


def test_no_crops_are_an_empty_array() -> None:
    flat = pack([], np.uint8)
    assert flat.shape == (0,)
    assert flat.dtype == np.uint8
    assert list(unpack(flat, [], 3)) == []
