"""A photo that there is no memory for is told so, and never called damaged."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from retouchd.errors import OutOfMemory

# Each limit is met by a process of its own, forked before anything large was ever allocated.
SCRIPT = """
import json, os, resource, sys
import cv2, numpy as np
from retouchd.images import decode, encode

cv2.setNumThreads(1)
small = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
photo = cv2.resize(small, (2000, 1400), interpolation=cv2.INTER_LINEAR)
data = cv2.imencode("." + sys.argv[1], photo)[1].tobytes()
found = {}
for megabytes in map(int, sys.argv[2:]):
    reader, writer = os.pipe()
    if os.fork() == 0:
        with open("/proc/self/statm") as file:
            used = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        limit = used + (megabytes << 20)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        try:
            encode(decode(data, "photo", 10**9))
            answer = "done"
        except BaseException as error:
            answer = type(error).__name__
        os.write(writer, answer.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        found[megabytes] = file.read()
    os.wait()
print(json.dumps(found))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits address space as Linux does")
@pytest.mark.parametrize("kind", ["png", "jpg", "webp", "tif", "bmp"])
def test_whatever_is_lacking_it_is_memory(kind: str) -> None:
    """From next to nothing to nearly enough: any step of decoding and encoding may be the one."""
    limits = [str(megabytes) for megabytes in (1, 6, 10, 16, 24, 40)]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, kind, *limits],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found = json.loads(done.stdout)
    assert set(found.values()) <= {"done", OutOfMemory.__name__}, found
    assert OutOfMemory.__name__ in found.values()
