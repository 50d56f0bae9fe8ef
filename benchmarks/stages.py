"""What a hand's work costs the processor, per stage and megapixel, against plain code.

The tasks `prepare` and `finish` run in this process as a hand runs them, on real photos in several
formats, with the crops themselves as the model's answers. CPU time, user and system; the plain loop
is one decode and one encode of the same picture by the same libraries, with nothing around them.

python -m benchmarks stages
"""

from __future__ import annotations

import io
import json
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
from PIL import Image

from retouchd import files
from retouchd.config import Lane
from retouchd.regions import DEFAULTS, Region
from retouchd.roots import Root, RootRef, establish, open_root
from retouchd.shared import SharedArray, attach, put
from retouchd.solving import pasted
from retouchd.tasks import originals, room, working
from retouchd.tasks.packing import pack
from retouchd.tasks.values import Original, region_of

PHOTOS = ("clouds", "lone-boat", "roadside-sign", "tea-hills")
ROUNDS = 3
OUTPUT = ".retouchd-bench.tmp"
STAGES: dict[str, tuple[tuple[ModuleType, str], ...]] = {
    "read, sha256": ((originals, "spooled"),),
    "decode": ((originals, "decode"),),
    "mask": ((working, "_hole"),),
    "plan, cut": ((working, "plan"), (working, "cut")),
    "share": ((working, "put"), (working, "attach"), (room, "put"), (room, "attach")),
    "paste": ((working, "paste"),),
    "encode": ((working, "encode"),),
    "verify": ((working, "check_output"),),
    "write, fsync": ((files, "write_temporary"),),
}

Pixels = np.ndarray[Any, Any]


def main() -> None:
    samples = Path(
        os.environ.get("RETOUCHD_SAMPLES") or Path(__file__).parents[2] / "shared" / "data"
    )
    folder = samples / "samples" / "inpaint"
    if not folder.is_dir():
        print(f"  skipped: no sample photos at {folder} (set RETOUCHD_SAMPLES)")
        return
    cv2.setNumThreads(1)
    print(f"CPU time in ms per megapixel, medians of {ROUNDS}, photos: {', '.join(PHOTOS)}\n")
    print(f"| format | MB/MP | {' | '.join(STAGES)} | rest | all | plain | ratio |")
    print(f"|---|{'---:|' * (len(STAGES) + 5)}")
    for kind, (encoded, plain) in KINDS.items():
        with tempfile.TemporaryDirectory() as root:
            _report(kind, _measured(Path(root), folder, encoded, plain))


# The kinds of photo: a file's bytes from a sample, and the plain decode and encode.


def _png(path: Path) -> bytes:
    return _by_opencv(".png", cv2.imread(str(path)))


def _png16(path: Path) -> bytes:
    return _by_opencv(".png", _deep(path))


def _by_opencv(ending: str, pixels: Pixels, *options: int) -> bytes:
    return cv2.imencode(ending, pixels, options)[1].tobytes()


def _deep(path: Path) -> Pixels:
    """16 bits with the noise of a camera in the lower ones."""
    photo = cv2.imread(str(path)).astype(np.int32) * 257
    noise = np.random.default_rng(0).normal(0, 80, photo.shape).astype(np.int32)
    return np.clip(photo + noise, 0, 65535).astype(np.uint16)


def _by_pillow(path: Path, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.open(path).convert("RGB").save(stream, kind, **options)
    return stream.getvalue()


def _plain_jpeg(data: bytes, optimize: bool) -> None:
    image = Image.open(io.BytesIO(data))
    image.save(io.BytesIO(), "JPEG", quality="keep", optimize=optimize)


def _plain_opencv(ending: str, data: bytes, *options: int) -> None:
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    cv2.imencode(ending, pixels, options)


def _plain_webp(data: bytes) -> None:
    Image.open(io.BytesIO(data)).save(io.BytesIO(), "WEBP", quality=90, method=4)


Kind = tuple[Callable[[Path], bytes], Callable[[bytes], None]]
DEFLATE = (cv2.IMWRITE_TIFF_COMPRESSION, 8)
KINDS: dict[str, Kind] = {
    "JPEG": (
        lambda path: _by_pillow(path, "JPEG", quality=90),
        lambda data: _plain_jpeg(data, False),
    ),
    "JPEG, optimised": (Path.read_bytes, lambda data: _plain_jpeg(data, True)),
    "PNG": (_png, partial(_plain_opencv, ".png")),
    "PNG, 16 bits": (_png16, partial(_plain_opencv, ".png")),
    "TIFF, deflate": (
        lambda path: _by_pillow(path, "TIFF", compression="tiff_adobe_deflate"),
        lambda data: _plain_opencv(".tiff", data, *DEFLATE),
    ),
    "TIFF, 16 bits, deflate": (
        lambda path: _by_opencv(".tiff", _deep(path), *DEFLATE),
        lambda data: _plain_opencv(".tiff", data, *DEFLATE),
    ),
    "WebP": (lambda path: _by_pillow(path, "WEBP", quality=90), _plain_webp),
}


# The work, stage by stage.


class Meter:
    """CPU seconds by stage; what a stage does within another counts for the inner one."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self._inner = [0.0]

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        began = time.process_time()
        self._inner.append(0.0)
        try:
            yield
        finally:
            took = time.process_time() - began
            self.seconds[name] += took - self._inner.pop()
            self._inner[-1] += took

    @contextmanager
    def watching(self, stages: dict[str, tuple[tuple[ModuleType, str], ...]]) -> Iterator[None]:
        """The stages' functions measure themselves."""
        before = [(m, name, getattr(m, name)) for parts in stages.values() for m, name in parts]
        for stage, parts in stages.items():
            for module, name in parts:
                setattr(module, name, self._timed(stage, getattr(module, name)))
        try:
            yield
        finally:
            for module, name, function in before:
                setattr(module, name, function)

    def _timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **options: Any) -> Any:
            with self.stage(stage):
                return function(*args, **options)

        return timed


def _measured(
    root: Path, samples: Path, encoded: Callable[[Path], bytes], plain: Callable[[bytes], None]
) -> list[Counter[str]]:
    """One count of milliseconds per megapixel for each round."""
    inbox, outbox = (establish("bench", role, str(root / role)) for role in ("inbox", "outbox"))
    rounds = [Counter[str]() for _ in range(ROUNDS)]
    megapixels = 0.0
    for name in PHOTOS:
        data = encoded(samples / f"{name}.jpg")
        (root / "inbox" / "p.x").write_bytes(data)
        mask = samples / f"{name}_mask.png"
        (root / "inbox" / "m.png").write_bytes(mask.read_bytes())
        megapixels += cv2.imread(str(mask), cv2.IMREAD_GRAYSCALE).size / 1e6
        for counts in rounds:
            counts["bytes"] += len(data)
            counts.update(_work(inbox, outbox))
            began = time.process_time()
            plain(data)
            counts["plain"] += time.process_time() - began
    return [Counter({k: v / megapixels for k, v in counts.items()}) for counts in rounds]


def _work(inbox: RootRef, outbox: RootRef) -> Counter[str]:
    meter = Meter()
    with open_root(inbox) as root:
        originals = {"image": _original(root, "p.x"), "mask": _original(root, "m.png")}
    settings = Lane(name="bench", inbox="/i", outbox="/o", archive="/a", failed="/f").work()
    with meter.watching(STAGES), meter.stage("rest"):
        facts, arrays = working.prepare(_to_prepare(originals, settings), [])
        facts = json.loads(json.dumps(facts))
    finals = [pasted(region_of(region), DEFAULTS) for region in facts["regions"]]
    photo = attach(arrays[0])
    answers = put(pack([_answer(photo, region) for region in finals], np.float32))
    with meter.watching(STAGES), meter.stage("rest"):
        working.finish(_to_finish(facts, finals, outbox, settings), [*arrays[:2], answers])
    _close([*arrays, answers])
    return meter.seconds


def _answer(photo: Pixels, region: Region) -> Pixels:
    """The photo itself, as a model would answer."""
    colours = photo[region.box.slices][..., : 3 if photo.shape[2] >= 3 else 1]
    wide = np.broadcast_to(colours, (*colours.shape[:2], 3)) / np.float32(np.iinfo(photo.dtype).max)
    return cv2.resize(wide, region.size[::-1], interpolation=cv2.INTER_AREA)


def _original(root: Root, path: str) -> dict[str, Any]:
    stat = files.stat(root, path)
    assert stat
    return Original(root.ref, path, stat).to_wire()


def _to_prepare(originals: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    return {
        **originals,
        "source": "mask",
        "rectangles": [],
        "mask_settings": settings["mask"],
        "strategy": settings["strategy"],
        "largest": DEFAULTS.largest,
        "max_pixels": settings["max_pixels"],
        "max_bytes": settings["max_bytes"],
    }


def _to_finish(
    facts: dict[str, Any], regions: list[Region], root: RootRef, settings: dict[str, Any]
) -> dict[str, Any]:
    return {
        "regions": [{**asdict(region), "crop": list(region.size)} for region in regions],
        "metadata": facts["metadata"],
        "blend": settings["blend"],
        "match": settings["match"],
        "opaque": False,
        "feather": settings["mask"]["feather"],
        "output": settings["output"],
        "root": asdict(root),
        "temporary": OUTPUT,
        "name": "p.x",
        "verbatim": None,
    }


def _close(arrays: list[SharedArray]) -> None:
    for array in arrays:
        array.close()


def _report(kind: str, rounds: list[Counter[str]]) -> None:
    names = [*STAGES, "rest"]
    middle = {n: 1000 * statistics.median(c[n] for c in rounds) for n in (*names, "plain")}
    whole = sum(middle[name] for name in names)
    ratio = whole / middle["plain"]
    cells = [f"{middle[name]:.1f}" for name in names]
    size = rounds[0]["bytes"] / 1e6
    print(
        f"| {kind} | {size:.2f} | {' | '.join(cells)} | {whole:.1f} | {middle['plain']:.1f} "
        f"| {ratio:.2f} |",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
