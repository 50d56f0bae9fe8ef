"""A photo is decoded where others can work on it."""

from __future__ import annotations

import numpy as np
import pytest

from retouchd.shared import SharedArray, attach
from retouchd.tasks import room
from retouchd.tasks.room import Room


@pytest.fixture
def shared() -> list[SharedArray]:
    return []


def test_a_small_photo_is_written_to_shared_memory_when_it_is_done(
    shared: list[SharedArray],
) -> None:
    place = Room(shared)
    pixels = place((4, 5, 3), "uint16")
    pixels[:] = 7
    assert not shared
    held = place.hold(pixels)
    np.testing.assert_array_equal(attach(shared[0]), pixels)
    np.testing.assert_array_equal(held, pixels)
    shared[0].close()


def test_a_large_photo_is_in_memory_once(
    shared: list[SharedArray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_LARGE", 10)
    place = Room(shared)
    pixels = place((4, 5, 3), "uint8")
    pixels[:] = 9
    assert place.hold(pixels) is pixels
    assert np.unique(attach(shared[0])).tolist() == [9]
    shared[0].close()


def test_a_second_attempt_replaces_the_first(
    shared: list[SharedArray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_LARGE", 10)
    place = Room(shared)
    place((40, 5, 3), "uint8")
    other = np.full((4, 5, 3), 3, np.uint8)
    place((4, 5, 3), "uint8")
    place.hold(other)
    assert [array.shape for array in shared] == [(4, 5, 3)]
    np.testing.assert_array_equal(attach(shared[0]), other)
    shared[0].close()
