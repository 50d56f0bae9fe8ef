"""Our deflate streams are plain zlib to everybody, and as small as zlib's own."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retouchd.images.deflating import Deflater, deflated


@given(st.lists(st.binary(max_size=300), max_size=8))
def test_any_bytes_come_back(parts: list[bytes]) -> None:
    stream = Deflater()
    made = b"".join([*(stream.compress(part) for part in parts), stream.flush()])
    assert zlib.decompress(made) == b"".join(parts)


@pytest.mark.parametrize("spread", [0.5, 3, 30])
def test_what_a_photos_prediction_leaves_is_about_as_small_as_zlib_makes_it(spread: float) -> None:
    rest = np.random.default_rng(0).normal(0, spread, 1 << 20).round().astype(np.int8).tobytes()
    assert len(deflated(rest)) < 1.05 * len(zlib.compress(rest, 1))


def test_what_is_plain_is_next_to_nothing() -> None:
    assert len(deflated(bytes(1 << 20))) < (1 << 20) / 128
