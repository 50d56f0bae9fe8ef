"""The matting lane's throughput against what bounds it.

A real daemon cuts real photos of 2 to 12 megapixels out. Two bounds are measured in the same run:
the bare forward passes of the network on the same pictures, with all cores and nothing else; and
the bare files, one decode of each photo and one encode of its cut-out by OpenCV, on all cores. Both
have to happen on the same cores, so their sum is the third figure; on a GPU only the slower counts.
The rounds alternate; start-up is not counted.

python -m benchmarks.mattes [--photos 32] [--rounds 3] [--model NAME] [--device cpu|cuda]
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np

from benchmarks.photos import FOLDER, read
from benchmarks.running import Daemon, Round
from retouchd.config import Device
from retouchd.device import choose
from retouchd.fitting import picture_of, place
from retouchd.manifest import ModelSpec, resolve
from retouchd.painter import Painter, open_painter
from retouchd.samples import Region

MEGAPIXELS = (2, 4, 8, 12)
WARM = 4
QUALITY = 92


def main(arguments: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mattes")
    parser.add_argument("--photos", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="cvunet-compact")
    parser.add_argument("--device", default="cpu")
    wish = parser.parse_args(arguments)
    samples = FOLDER.with_name("matting")
    if not samples.is_dir():
        print(f"skipped: no sample photos at {samples} (set RETOUCHD_SAMPLES)")
        return
    with tempfile.TemporaryDirectory() as folder:
        _measure(wish, samples, Path(folder))


def _measure(wish: argparse.Namespace, samples: Path, folder: Path) -> None:
    _fill(folder / "photos", samples, wish.photos)
    _fill(folder / "warm", samples, WARM)
    spec = resolve(wish.model, folder)
    sets = (f"device.use={wish.device}", "lanes.matte.matte.review_below=0")
    with closing(Daemon(folder / "root", wish.model, sets, inbox="matte")) as daemon:
        daemon.work(folder / "warm")
        results = folder / "root" / "outbox"
        network = _network(spec, wish.device, folder / "photos")
        found = []
        for number in range(wish.rounds):
            forward = network()
            worked = daemon.work(folder / "photos")
            files = _files(folder / "photos", results)
            found.append((forward, files, worked.wall))
            print(f"\nround {number + 1}: ", end="")
            _report(wish.photos, forward, files, worked)
    _sum_up(found)


def _fill(folder: Path, samples: Path, count: int) -> None:
    """Sample photos, each at several sizes."""
    folder.mkdir(parents=True)
    names = sorted(samples.iterdir())
    for number in range(count):
        photo = read(names[number % len(names)], cv2.IMREAD_COLOR)
        pixels = MEGAPIXELS[(number + number // len(names)) % len(MEGAPIXELS)] * 1e6
        scale = (pixels / (photo.shape[0] * photo.shape[1])) ** 0.5
        size = (round(photo.shape[1] * scale), round(photo.shape[0] * scale))
        large = cv2.resize(photo, size, interpolation=cv2.INTER_CUBIC)
        target = folder / f"p{number:03}.jpg"
        cv2.imwrite(str(target), large, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])


def _network(spec: ModelSpec, device: str, folder: Path) -> Callable[[], float]:
    """Seconds of the bare forward passes over a folder's photos, as often as it is called."""
    painter = open_painter(spec, choose(Device(use=device)), None, lambda: None)
    tuned = painter.tuned({"precision": "auto"})
    assert spec.fit is not None
    regions = []
    for path in sorted(folder.iterdir()):
        photo = np.ascontiguousarray(read(path, cv2.IMREAD_COLOR)[..., ::-1])
        regions.append(picture_of(photo, place(photo.shape[:2], spec.fit)))
    _forward(tuned, regions[:2])
    return lambda: _forward(tuned, regions)


def _forward(painter: Painter, regions: Sequence[Region]) -> float:
    began = time.perf_counter()
    for region in regions:
        painter.start([region])()
    return time.perf_counter() - began


def _files(photos: Path, results: Path) -> float:
    """Seconds to decode all photos and encode their cut-outs, with a thread on each core."""
    cv2.setNumThreads(1)
    cutouts = {}
    for path in results.rglob("*.png"):
        cutouts[path.stem] = path
    pairs = [(path, cutouts[path.stem]) for path in sorted(photos.iterdir())]
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return sum(threads.map(_one_file, pairs)) / (os.cpu_count() or 1)


def _one_file(pair: tuple[Path, Path]) -> float:
    photo, cutout = pair
    pixels = cv2.imread(str(cutout), cv2.IMREAD_UNCHANGED)
    data = np.frombuffer(photo.read_bytes(), np.uint8)
    began = time.thread_time()
    cv2.imdecode(data, cv2.IMREAD_COLOR)
    cv2.imencode(".png", pixels)
    return time.thread_time() - began


def _report(count: int, forward: float, files: float, worked: Round) -> None:
    print(
        f"daemon {worked.wall:.1f} s, {60 * count / worked.wall:.0f} photos a minute; "
        f"network alone {forward:.1f} s ({forward / worked.wall:.2f}), files alone {files:.1f} s "
        f"({files / worked.wall:.2f}), both {forward + files:.1f} s "
        f"({(forward + files) / worked.wall:.2f})"
    )
    stages = ("decode", "model", "device", "encode", "publish")
    each = ", ".join(f"{stage} {worked.total(stage) / count:.2f}" for stage in stages)
    cpu = worked.cpu
    print(
        f"  a photo, in seconds: {each}\n  processor seconds: main {cpu.main:.1f}, hands "
        f"{cpu.hands:.1f} ({cpu.hands / count:.2f} a photo)"
    )


def _sum_up(found: Sequence[tuple[float, float, float]]) -> None:
    slower = "the files" if found[0][1] > found[0][0] else "the network"
    alone = statistics.median(max(forward, files) / wall for forward, files, wall in found)
    both = statistics.median((forward + files) / wall for forward, files, wall in found)
    print(f"\n{slower} bound it: {alone:.2f} of that rate; {both:.2f} of what both take in turn")


if __name__ == "__main__":
    main(sys.argv[1:])
