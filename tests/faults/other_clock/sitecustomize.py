"""On PYTHONPATH this gives a process another wall clock: the real one, and the seconds that are
written in the file named by RETOUCHD_TEST_CLOCK. The monotonic clock stays as it is."""

import mmap
import os
import struct
import time


def _other_clock(path, real=time.time):
    with open(path, "rb") as file:
        shift = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)
    return lambda: real() + struct.unpack_from("<d", shift)[0]


if "RETOUCHD_TEST_CLOCK" in os.environ:
    time.time = _other_clock(os.environ["RETOUCHD_TEST_CLOCK"])
