"""Photos a minute: the daemon with its default settings, against a batch as IOPaint does it.

The peer is our own restatement of `iopaint run --model lama` from what its code and its issues say:

- One photo after the other: read, paint, write; nothing overlaps.
- Strategy CROP by default: where the longer side is over 800 px, one box per outer contour of the
  mask, 128 px of margin, shifted inwards at the photo's edge; boxes are never merged. A smaller
  photo is done whole. Sides are mirrored up to multiples of 8.
- float32; the weights as TorchScript. Here both ways: the module as it is, and traced.
- The mask decides pixel by pixel what is taken from a crop, with no feather; every output is a PNG
  (its thread 576: 8,000 JPEGs grew from 5 to 35 GB).

In its favour: it reads and writes with OpenCV, which is faster than Pillow; loading and the first
calls are not counted, while the daemon's time runs from the drop of the photos (so it waits for
them to settle) to the last publication; both use the same weights, and wait for threads alike.

The photos are the samples but those with the largest holes, on which the daemon spends more than a
crop each on purpose; `--all` takes these as well.

python -m benchmarks.peers [--photos N] [--rounds 2] [--model PATH] [--device cpu|cuda|auto] [--all]
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks import photos
from benchmarks.lama import write_random_lama
from benchmarks.running import Daemon

TRIGGER, MARGIN, MODULO = 800, 128, 8
KINDS = ("eager", "traced")
LARGE = frozenset(
    ["clouds", "mountain-lake", "roadside-sign", "sandbar", "sign-at-night", "yacht-bay"]
)

Pixels = NDArray[np.uint8]
Box = tuple[slice, slice]


def main(arguments: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--model", help="weights; without: random ones in big-lama's shape")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--photos", type=int, help="only so many; without: all of them")
    parser.add_argument("--all", action="store_true", help="the photos with large holes as well")
    wish = parser.parse_args(arguments)
    if photos.there():
        with tempfile.TemporaryDirectory() as folder:
            _measure(wish, Path(folder))


def _measure(wish: argparse.Namespace, folder: Path) -> None:
    model = wish.model or str(write_random_lama(folder / "lama.safetensors"))
    files = [f for f in photos.photos_in(photos.FOLDER) if wish.all or f.stem not in LARGE]
    files = files[: wish.photos]
    photos.pairs([file.name for file in files], folder / "photos")
    photos.fill(folder / "warm", 4)
    with ExitStack() as stack:
        daemon = stack.enter_context(
            closing(Daemon(folder / "root", model, (f"device.use={wish.device}",)))
        )
        daemon.work(folder / "warm")
        peers = {
            kind: stack.enter_context(closing(Peer(kind, model, wish.device, folder)))
            for kind in KINDS
        }
        took: dict[str, list[float]] = {name: [] for name in ("daemon", *KINDS)}
        for _ in range(wish.rounds):
            worked = daemon.work(folder / "photos")
            took["daemon"].append(worked.published - worked.dropped)
            for kind, peer in peers.items():
                took[kind].append(peer.seconds())
    _report(took, len(files))


def _report(took: dict[str, list[float]], count: int) -> None:
    rounds = len(took["daemon"])
    print(f"{count} photos, medians of {rounds} rounds that took turns:")
    for name, seconds in took.items():
        ratio = statistics.median(s / d for s, d in zip(seconds, took["daemon"], strict=True))
        rate = 60 * count / statistics.median(seconds)
        label = "retouchd run" if name == "daemon" else f"one by one, {name}, fp32"
        print(f"  {label:25} {rate:7.1f} photos a minute", end="")
        print("" if name == "daemon" else f"; retouchd is {ratio:.2f} × as fast")


class Peer:
    """The batch, in a process of its own that has loaded its model when this returns."""

    def __init__(self, kind: str, model: str, device: str, folder: Path) -> None:
        command = [sys.executable, "-m", "benchmarks.peers", "--peer", kind, model, device]
        self._process = subprocess.Popen(
            [*command, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._answer()

    def _answer(self) -> str:
        assert self._process.stdout
        line = self._process.stdout.readline().strip()
        if not line:
            raise RuntimeError("the peer ended")
        return line

    def seconds(self) -> float:
        """How long all the photos take now."""
        assert self._process.stdin
        self._process.stdin.write("again\n")
        self._process.stdin.flush()
        return float(self._answer())

    def close(self) -> None:
        self._process.communicate()


def _serve(kind: str, model: str, device: str, folder: Path) -> None:
    """Answer every line with the seconds that all the photos took."""
    painter = Painter(kind, model, device)
    out = folder / f"out-{kind}"
    _batch(painter, folder / "warm", out)
    print("ready", flush=True)
    for _ in sys.stdin:
        shutil.rmtree(out)
        began = time.perf_counter()
        _batch(painter, folder / "photos", out)
        print(time.perf_counter() - began, flush=True)


def _batch(painter: Painter, folder: Path, out: Path) -> None:
    out.mkdir()
    for file in photos.photos_in(folder):
        photo = photos.read(file, cv2.IMREAD_COLOR)[..., ::-1]
        grey = photos.read(photos.mask_of(file), cv2.IMREAD_GRAYSCALE)
        mask = np.where(grey >= 127, np.uint8(255), np.uint8(0))
        repaired = photo.copy()
        for box in boxes(mask):
            repaired[box] = painter.painted(photo[box], mask[box])
        cv2.imwrite(str(out / f"{file.stem}.png"), np.ascontiguousarray(repaired[..., ::-1]))


def boxes(mask: Pixels) -> Iterator[Box]:
    """What of a photo is painted: rows and columns."""
    height, width = mask.shape
    if max(height, width) <= TRIGGER:
        yield slice(0, height), slice(0, width)
        return
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    for contour in contours:
        x, y, w, h = cv2.boundingRect(contour)
        yield _around(y, h, height), _around(x, w, width)


def _around(start: int, length: int, most: int) -> slice:
    """With a margin on both sides, as long as the photo has room for it on any side."""
    wanted = min(length + 2 * MARGIN, most)
    first = min(max(start - MARGIN, 0), most - wanted)
    return slice(first, first + wanted)


class Painter:
    """The literal network in float32; kind: as it is, or traced."""

    def __init__(self, kind: str, model: str, device: str) -> None:
        from retouchd.config import Device
        from retouchd.device import choose
        from retouchd.manifest import resolve
        from retouchd.weights import load_lama

        place = choose(Device(use=device))
        import torch

        self._torch, self._device = torch, place.name
        network = load_lama(resolve(model, Path(model).parent)).to(place.name)
        self._network: Callable[..., Any] = network
        if kind == "traced":
            self._network = _traced(network, place.name)

    def painted(self, crop: Pixels, mask: Pixels) -> Pixels:
        """The crop with what the mask marks repainted: RGB uint8, as it came."""
        height, width = mask.shape
        grow = [(0, -side % MODULO) for side in (height, width)]
        image = np.pad(crop, [*grow, (0, 0)], mode="symmetric").astype(np.float32) / 255
        hole = np.pad(mask, grow, mode="symmetric")[..., None].astype(np.float32) / 255
        given = np.concatenate([image * (1 - hole), hole], axis=2).transpose(2, 0, 1)
        torch = self._torch
        with torch.no_grad():
            x = torch.from_numpy(np.ascontiguousarray(given))[None].to(self._device)
            y = self._network(x)[0].permute(1, 2, 0).cpu().numpy()
        result: Pixels = np.clip(y[:height, :width] * 255, 0, 255).astype(np.uint8)
        return np.where(mask[..., None] > 0, result, crop)


def _traced(network: Any, device: str) -> Callable[..., Any]:
    import warnings

    import torch

    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        traced: Callable[..., Any] = torch.jit.trace(  # type: ignore[no-untyped-call]
            network, torch.rand(1, 4, 64, 64, device=device)
        )
        return traced


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peer"]:
        _serve(sys.argv[2], sys.argv[3], sys.argv[4], Path(sys.argv[5]))
    else:
        main(sys.argv[1:])
