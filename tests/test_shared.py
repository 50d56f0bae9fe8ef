"""Arrays in shared memory."""

from __future__ import annotations

import os

import numpy as np
import pytest

from retouchd.errors import Unexpected
from retouchd.shared import SharedArray, allocate, attach, from_wire, handing_over, put


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("shape", [(3, 4, 3), (7,), (0,), (0, 5, 3)])
def test_an_array_is_the_same_on_the_other_side(kind: str, shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(1).integers(0, 200, shape).astype(kind)
    shared = put(array)
    other = from_wire(os.dup(shared.fd), shared.to_wire())
    np.testing.assert_array_equal(attach(other), array)
    assert attach(other).dtype == array.dtype
    shared.close()
    other.close()


def test_a_mapping_outlives_its_descriptor() -> None:
    shared = put(np.full((64, 64), 7, np.uint8))
    inside = attach(shared)
    shared.close()
    assert inside.sum() == 7 * 64 * 64


def test_what_was_given_away_can_not_be_written_by_accident() -> None:
    shared = put(np.zeros(4, np.uint8))
    with pytest.raises(ValueError, match="read-only"):
        attach(shared)[0] = 1
    shared.close()


def test_private_writes_stay_private() -> None:
    shared = put(np.zeros(4, np.uint8))
    mine = attach(shared, private=True)
    mine[:] = 9
    assert attach(shared).tolist() == [0, 0, 0, 0]
    shared.close()


def test_arrays_that_are_not_contiguous_are_copied_right() -> None:
    array = np.arange(24, dtype=np.uint8).reshape(4, 6)[::2, ::-1]
    shared = put(array)
    np.testing.assert_array_equal(attach(shared), array)
    shared.close()


def test_rows_of_zeros_that_are_left_out_take_no_memory() -> None:
    array = np.zeros((4096, 4096), np.uint8)
    array[100:110, 7] = 255
    shared = put(array, slice(100, 110))
    assert os.fstat(shared.fd).st_blocks * 512 < 1 << 20
    np.testing.assert_array_equal(attach(shared), array)
    shared.close()


def test_received_memory_can_no_longer_be_shrunk_by_its_giver() -> None:
    shared = put(np.zeros(8192, np.uint8))
    from_wire(shared.fd, shared.to_wire())
    with pytest.raises(PermissionError):
        os.ftruncate(shared.fd, 0)
    shared.close()


@pytest.mark.parametrize(
    "claim",
    [
        {"shape": [100], "dtype": "uint8"},  # more than is there
        {"shape": [4], "dtype": "object"},
        {"shape": [-1], "dtype": "uint8"},
        {"shape": [1 << 32, 1 << 32], "dtype": "uint8"},  # 0 bytes, if counted in 64 bits
        {"shape": [1, 1, 1, 1, 1], "dtype": "uint8"},
        {"shape": "ab", "dtype": "uint8"},
        {"dtype": "uint8"},
    ],
)
def test_a_false_claim_is_refused(claim: dict[str, object]) -> None:
    shared = put(np.zeros(4, np.uint8))
    with pytest.raises(Unexpected):
        from_wire(shared.fd, claim)
    shared.close()


def test_a_descriptor_of_something_else_is_refused() -> None:
    fd = os.open("/dev/null", os.O_RDONLY)
    with pytest.raises(Unexpected):
        from_wire(fd, {"shape": [0], "dtype": "uint8"})
    os.close(fd)


def test_memory_that_can_not_be_had_leaves_no_descriptor_behind() -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises((OSError, MemoryError)):
        allocate((1 << 60,), "uint8")

    def half() -> None:
        with handing_over() as shared:
            shared.append(put(np.zeros(4, np.uint8)))
            shared.append(put(np.zeros(4, np.uint8)))
            raise MemoryError

    with pytest.raises(MemoryError):
        half()
    assert len(os.listdir("/proc/self/fd")) == before


def test_size_is_counted_in_bytes() -> None:
    assert SharedArray(0, (2, 3), "uint16").nbytes == 12
