"""A photo that there is no memory for is told so, and never called damaged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from retouchd.errors import OutOfMemory

# Each limit is met by a process of its own, forked before anything large was ever allocated.
SCRIPT = """
import json, sys

sys.path.insert(0, sys.argv[1])
import cv2, numpy as np
from helpers.frugal import answer_within
from retouchd.images import decode, encode

cv2.setNumThreads(1)
small = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
photo = cv2.resize(small, (2000, 1400), interpolation=cv2.INTER_LINEAR)
data = cv2.imencode("." + sys.argv[2], photo)[1].tobytes()


def work():
    encode(decode(data, "photo", 10**9))
    return "done"


found = {megabytes: answer_within(int(megabytes), work) for megabytes in sys.argv[3:]}
print(json.dumps(found))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits address space as Linux does")
@pytest.mark.parametrize("kind", ["png", "jpg", "webp", "tif", "bmp"])
def test_whatever_is_lacking_it_is_memory(kind: str) -> None:
    """From next to nothing to nearly enough: any step of decoding and encoding may be the one."""
    limits = [str(megabytes) for megabytes in (1, 6, 10, 16, 24, 40)]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(Path(__file__).parent), kind, *limits],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found = json.loads(done.stdout)
    assert set(found.values()) <= {"done", OutOfMemory.__name__}, found
    assert OutOfMemory.__name__ in found.values()
