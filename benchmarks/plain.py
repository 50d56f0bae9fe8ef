"""`once` with `classical` over photos of mixed sizes, against a plain loop, one by one.

The loop is what people write themselves: read, dilate, cv2.inpaint on the whole photo's hole,
write; no ledger, no fsync, no check, no metadata. Both use Navier-Stokes with the same radius.

python -m benchmarks plain
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

SIZES = ((640, 480), (1600, 1200), (3000, 2000), (4000, 3000))
PHOTOS = 24
ROUNDS = 3


def main() -> None:
    loop, daemon = [], []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            (root / "inbox").mkdir()
            _fill(root / "inbox")
            loop.append(_loop(root))
            daemon.append(_once(root))
    slow, fast = statistics.median(loop), statistics.median(daemon)
    print(f"{PHOTOS} JPEGs of 0.3 to 12 MP, one 3 % hole each, medians of {ROUNDS}:")
    print(f"  plain loop    {slow:6.2f} s  {60 * PHOTOS / slow:6.0f} photos/min")
    print(f"  retouchd once {fast:6.2f} s  {60 * PHOTOS / fast:6.0f} photos/min (with start-up)")
    print(f"  ratio {slow / fast:.2f}")


def _fill(inbox: Path) -> None:
    for number in range(PHOTOS):
        width, height = SIZES[number % len(SIZES)]
        small = (height // 8, width // 8, 3)
        noise = np.random.default_rng(number).integers(0, 256, small, np.uint8)
        photo = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
        mask = np.zeros((height, width), np.uint8)
        side = int((0.03 * width * height) ** 0.5)
        top, left = height // 3, width // 3
        mask[top : top + side, left : left + side] = 255
        cv2.imwrite(str(inbox / f"p{number:03}.jpg"), photo)
        cv2.imwrite(str(inbox / f"p{number:03}_mask.png"), mask)


def _loop(root: Path) -> float:
    out = root / "loop"
    out.mkdir()
    began = time.perf_counter()
    for photo in sorted((root / "inbox").glob("*.jpg")):
        picture = cv2.imread(str(photo))
        mask = cv2.imread(str(photo.with_name(f"{photo.stem}_mask.png")), cv2.IMREAD_GRAYSCALE)
        mask = cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (21, 21)))
        repaired = cv2.inpaint(picture, mask, 3, cv2.INPAINT_NS)
        cv2.imwrite(str(out / photo.name), repaired)
    return time.perf_counter() - began


def _once(root: Path) -> float:
    command = [sys.executable, "-m", "retouchd", "once", "--root", str(root)]
    command += ["--model", "classical", "--set", "scan.settle=100ms", "--set", "log.level=error"]
    began = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - began
