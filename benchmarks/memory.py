"""Memory of the real service: its peak over photos of 100 megapixels, and whether it grows.

`retouchd run` is started, warmed up by one small photo, and fed; a thread adds up what it and its
hands hold. Private memory and mapped files are counted by proportional set size (PSS); shared
photos by the pages that the kernel holds for them, also while nobody has them mapped.

python -m benchmarks.memory [--model NAME] [--photos N]     (default: classical, 500)
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

PHOTOS = 500
STEP = 50
EVERY = 0.02
PATIENCE = 900.0
LARGE = (11600, 8700)
SIZES = ((640, 480), (1280, 960), (2000, 1500), (3000, 2000), (4000, 3000), (6000, 4000))
MIB = 1 << 20
MEMFD = "/memfd:retouchd"

Pixels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


def main(model: str = "classical", photos: int = PHOTOS, kinds: str = "") -> None:
    print(f"model {model}; memory in MiB of the service and all its hands\n")
    print("| photo | file | decoded | idle before | peak | above idle | idle after |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name, write in LARGE_KINDS.items():
        if kinds in name:
            _peak(name, write, model)
    if photos:
        print()
        _growth(model, photos)


# The photos.


def _picture(width: int, height: int) -> Pixels:
    """Smooth colours with a camera's noise: [H, W, 3], one patch repeated."""
    rng = np.random.default_rng(width)
    side = 1160
    smooth = cv2.resize(rng.integers(0, 256, (12, 12, 3), np.uint8), (side, side))
    patch = np.clip(smooth + rng.normal(0, 4, smooth.shape), 0, 255).astype(np.uint8)
    tiled = np.tile(patch, (-(-height // side), -(-width // side), 1))
    return np.ascontiguousarray(tiled[:height, :width])


def _jpeg(path: Path, pixels: Pixels) -> None:
    cv2.imwrite(str(path.with_suffix(".jpg")), pixels, [cv2.IMWRITE_JPEG_QUALITY, 92])


def _turned_jpeg(path: Path, pixels: Pixels) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = np.ascontiguousarray(pixels.transpose(1, 0, 2))
    Image.fromarray(lying).save(path.with_suffix(".jpg"), quality=92, exif=exif)


def _png(path: Path, pixels: Pixels) -> None:
    cv2.imwrite(str(path.with_suffix(".png")), pixels)


def _tiff16(path: Path, pixels: Pixels) -> None:
    """With noise in the lower bits, which no compression makes smaller."""
    noise = np.random.default_rng(0).integers(0, 256, (257, *pixels.shape[1:]), np.uint8)
    deep = pixels.astype(np.uint16) << 8
    for top in range(0, len(deep), len(noise)):
        part = deep[top : top + len(noise)]
        part |= noise[: len(part)]
    cv2.imwrite(str(path.with_suffix(".tif")), deep, [cv2.IMWRITE_TIFF_COMPRESSION, 8])


Write = Callable[[Path, Pixels], None]
LARGE_KINDS: dict[str, Write] = {
    "JPEG": _jpeg,
    "JPEG, turned by EXIF": _turned_jpeg,
    "PNG": _png,
    "TIFF, 16 bits": _tiff16,
}


def _mask(path: Path, width: int, height: int) -> None:
    """A hole of 400 × 300, or less in a small photo."""
    hole = np.zeros((height, width), np.uint8)
    tall, wide = min(300, height // 4), min(400, width // 4)
    hole[height // 3 : height // 3 + tall, width // 2 : width // 2 + wide] = 255
    cv2.imwrite(str(path.with_name(f"{path.name}_mask.png")), hole)


def _pair(folder: Path, name: str, size: tuple[int, int], write: Write) -> list[Path]:
    write(folder / name, _picture(*size))
    _mask(folder / name, *size)
    return [path for path in folder.iterdir() if path.name.startswith((f"{name}.", f"{name}_"))]


# What is measured.


def _tree(pid: int) -> list[int]:
    """The process and all below it."""
    found = [pid]
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            children = Path(f"/proc/{pid}/task/{task}/children").read_text(encoding="ascii")
            for child in children.split():
                found += _tree(int(child))
    return found


def _rollup(pid: int) -> dict[str, int]:
    """PSS by kind, in KiB; empty for a process that has gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return {}
    return {line.split(":")[0]: int(line.split()[1]) for line in lines if line.startswith("Pss")}


def _photos_held(pid: int) -> dict[int, int]:
    """Bytes of the shared arrays that a process has open, by inode."""
    found = {}
    with contextlib.suppress(OSError):
        for fd in os.listdir(f"/proc/{pid}/fd"):
            path = f"/proc/{pid}/fd/{fd}"
            with contextlib.suppress(OSError):
                if os.readlink(path).startswith(MEMFD):
                    stat = os.stat(path)
                    found[stat.st_ino] = 512 * stat.st_blocks
    return found


def _held(pid: int) -> float:
    """MiB of a process and all below it; shared memory once, mapped or not."""
    own, mapped, photos = 0, 0, dict[int, int]()
    for one in _tree(pid):
        parts = _rollup(one)
        own += 1024 * (parts.get("Pss", 0) - parts.get("Pss_Shmem", 0))
        mapped += 1024 * parts.get("Pss_Shmem", 0)
        photos |= _photos_held(one)
    return (own + max(mapped, sum(photos.values()))) / MIB


class Watch:
    """Samples in a thread of its own; ``peak`` is the most since the last ``reset``."""

    def __init__(self, pid: int) -> None:
        self._pid, self.peak = pid, 0.0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._end.wait(EVERY):
            self.peak = max(self.peak, _held(self._pid))

    def reset(self) -> None:
        self.peak = 0.0

    def close(self) -> None:
        self._end.set()
        self._thread.join()


class Service:
    """A running service, and the folders that it watches."""

    def __init__(self, root: Path, model: str) -> None:
        self.inbox, self.outbox, self._archive = root / "inbox", root / "outbox", root / "archive"
        self.inbox.mkdir()
        options = ("scan.settle=100ms", "log.level=error", "scan.answer_within=120s")
        command = [sys.executable, "-m", "retouchd", "run", "--root", str(root), "--model", model]
        sets = [word for option in options for word in ("--set", option)]
        self._process = subprocess.Popen([*command, *sets])
        self.pid = self._process.pid

    def drop(self, paths: list[Path], name: str) -> None:
        """Copies of a photo and its mask, under another name; the photo last."""
        old = paths[0].name.partition(".")[0].removesuffix("_mask")
        for path in sorted(paths, key=lambda path: "_mask" not in path.name):
            shutil.copyfile(path, self.inbox / path.name.replace(old, name, 1))

    def await_outputs(self, count: int) -> None:
        """Wait until so many outputs are there and the inbox is empty; then clear them away."""
        deadline = time.monotonic() + PATIENCE
        while len(self._files(self.outbox)) < count or self._files(self.inbox):
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise SystemExit("the service did not do its work")
            time.sleep(0.05)
        time.sleep(0.5)
        for folder in (self.outbox, self._archive):
            for path in self._files(folder):
                path.unlink(missing_ok=True)

    def idle(self) -> float:
        """MiB held while nothing is to do."""
        time.sleep(1.0)
        return statistics.median(_held(self.pid) for _ in range(5))

    def _files(self, folder: Path) -> list[Path]:
        found = folder.rglob("*") if folder.is_dir() else iter(())
        return [path for path in found if path.is_file() and not path.name.startswith(".")]

    def close(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(60)


@contextlib.contextmanager
def _service(model: str) -> Iterator[tuple[Service, Path]]:
    """A warm service, and a folder beside it for the photos to be dropped."""
    with tempfile.TemporaryDirectory() as folder:
        root, source = Path(folder, "root"), Path(folder, "source")
        root.mkdir()
        source.mkdir()
        service = Service(root, model)
        try:
            service.drop(_pair(source, "warm", SIZES[0], _jpeg), "warm")
            service.await_outputs(1)
            yield service, source
        finally:
            service.close()


def _peak(name: str, write: Write, model: str) -> None:
    with _service(model) as (service, source):
        pair = _pair(source, "large", LARGE, write)
        before = service.idle()
        watch = Watch(service.pid)
        service.drop(pair, "large")
        service.await_outputs(1)
        watch.close()
        after = service.idle()
        file = next(path for path in pair if "_mask" not in path.name).stat().st_size / MIB
    decoded = LARGE[0] * LARGE[1] * 3 * (2 if "16" in name else 1) / MIB
    print(
        f"| {name} | {file:.0f} | {decoded:.0f} | {before:.0f} | {watch.peak:.0f} "
        f"| {watch.peak - before:.0f} | {after:.0f} |",
        flush=True,
    )


def _growth(model: str, photos: int) -> None:
    low, high = (width * height / 1e6 for width, height in (SIZES[0], SIZES[-1]))
    print(f"{photos} JPEGs and PNGs of {low:.1f} to {high:.0f} megapixels, one after the other:")
    with _service(model) as (service, source):
        pairs = [
            _pair(source, f"s{number}{kind.__name__}", size, kind)
            for number, size in enumerate(SIZES)
            for kind in (_jpeg, _png)
        ]
        watch = Watch(service.pid)
        seen = []
        for done in range(0, photos, STEP):
            for number in range(done, min(done + STEP, photos)):
                service.drop(pairs[number % len(pairs)], f"p{number:04}")
            service.await_outputs(min(STEP, photos - done))
            seen.append((min(done + STEP, photos), service.idle()))
            print(f"  after {seen[-1][0]:4}: {seen[-1][1]:6.0f} MiB idle", flush=True)
        watch.close()
    if len(seen) > 1:
        slope = np.polyfit(*zip(*seen, strict=True), 1)[0]
        print(f"  slope {1000 * slope:+.1f} KiB a photo; peak {watch.peak:.0f} MiB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="classical")
    parser.add_argument("--photos", type=int, default=PHOTOS)
    parser.add_argument("--kinds", default="", help="only the large photos whose kind has this")
    main(**vars(parser.parse_args()))
