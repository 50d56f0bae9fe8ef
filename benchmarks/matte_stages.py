"""What a matte costs the processor in the hand, stage by stage, against decoding its photo.

Real photos with reference alphas, enlarged to 2 and 12 megapixels with a camera's grain, as JPEG.
The network's answer is the alpha reduced to 512 px. All that follows runs in this process by the
functions that the hand calls, with the lane's defaults: the network's picture, the alpha at full
size with the photo's edges, what people ask of it, the verdict, the subject's own colours, the
canvas, the PNG, its sha256, and the look at what was written. CPU time, user and system, all
threads.

python -m benchmarks matte-stages
"""

from __future__ import annotations

import hashlib
import os
import statistics
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np

from benchmarks.stages import Meter
from retouchd import backdrop, cutout, subject
from retouchd.config.matte import Matte
from retouchd.fit import Fit
from retouchd.fitting import photo_part, picture_of, place
from retouchd.images import Photo, decode, encode
from retouchd.scaling import resized
from retouchd.verify import check_written

PHOTOS = ("curly-hair", "lattice-lamp", "osprey", "woman-with-phone")
MEGAPIXELS = (2, 12)
ROUNDS = 5
SIDE = 512
GRAIN = 5.0
PARTS: dict[str, tuple[tuple[ModuleType, str], ...]] = {
    "backdrop": ((backdrop, "find"),),
    "enlarge": ((subject, "enlarge"), (subject, "enlarge_to_bytes")),
    "finish": ((cutout, "finished"),),
    "judge": ((cutout, "triage"),),
    "foreground": ((cutout, "cut_out"), (cutout, "uncut")),
    "place": ((cutout, "placed"),),
}
STAGES = ("decode", "picture", *PARTS, "between", "encode", "sha256", "check")

Pixels = np.ndarray[Any, Any]


def main() -> None:
    samples = Path(
        os.environ.get("RETOUCHD_SAMPLES") or Path(__file__).parents[2] / "shared" / "data"
    )
    folder = samples / "samples"
    if not (folder / "matting").is_dir():
        print(f"  skipped: no sample photos at {folder} (set RETOUCHD_SAMPLES)")
        return
    cv2.setNumThreads(1)
    print(f"CPU time in ms, medians of {ROUNDS}, and in units of the photo's decoding\n")
    print(f"| photo | MP | MB | {' | '.join(STAGES)} | enlarge + foreground | all after decode |")
    print(f"|---|{'---:|' * (len(STAGES) + 4)}")
    ratios = []
    for megapixels in MEGAPIXELS:
        for name in PHOTOS:
            photo, alpha = _scene(folder, name, megapixels)
            jpeg = cv2.imencode(".jpg", photo[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])[1]
            rounds = [_work(jpeg.tobytes(), alpha) for _ in range(ROUNDS + 1)]
            ratios.append(_report(name, megapixels, len(jpeg), rounds[1:]))
    middle = [statistics.median(column) for column in zip(*ratios, strict=True)]
    print(f"\nmedians: enlarge + foreground {middle[0]:.2f}, all after decoding {middle[1]:.2f}")


def _scene(folder: Path, name: str, megapixels: float) -> tuple[Pixels, Pixels]:
    """A photo of that size [H, W, 3], and a network's alpha of it [h, w]."""
    photo = cv2.imread(str(next((folder / "matting").glob(f"{name}.*"))))[..., ::-1]
    grey = cv2.imread(str(folder / "matting_alpha" / f"{name}.png"), cv2.IMREAD_GRAYSCALE)
    times = (megapixels * 1e6 / grey.size) ** 0.5
    size = tuple(round(side * times) for side in grey.shape)
    large = resized(np.ascontiguousarray(photo), size)
    grain = np.random.default_rng(0).normal(0, GRAIN, large.shape).astype(np.float32)
    large = np.clip(large + grain, 0, 255).astype(np.uint8)
    at = place(size, Fit(size=SIDE))
    return large, resized(grey.astype(np.float32) / 255, (at.height, at.width)).clip(0, 1)


def _work(jpeg: bytes, alpha: Pixels) -> Counter[str]:
    """CPU seconds by stage."""
    meter, matte = Meter(), Matte().work()
    with meter.stage("decode"):
        found = decode(jpeg, "p.jpg", 1 << 30)
    at = place(found.pixels.shape[:2], Fit(size=SIDE))
    with meter.stage("picture"):
        picture, _ = picture_of(found.pixels, at)
    seen = subject.Seen(photo_part(picture, at), alpha)
    with meter.watching(PARTS), meter.stage("between"):
        cut = cutout.judged(
            found.pixels, subject.from_network_or_backdrop(found.pixels, seen), matte
        )
        pieces = _pieces(found.pixels, cut, matte)
    with meter.stage("encode"):
        result = Photo(next(pieces), found.metadata)
        data = encode(result, format="png").data
    with meter.stage("sha256"):
        hashlib.sha256(data).hexdigest()
    with meter.stage("check"):
        check_written(data, result.pixels, lossless=True, name="p.png")
    meter.seconds["bytes"] = len(data)
    return meter.seconds


def _pieces(photo: Pixels, cut: cutout.Cut, matte: dict[str, Any]) -> Iterator[Pixels]:
    return iter([piece.pixels for piece in cutout.pieces(photo, cut, matte, None)])


def _report(
    name: str, megapixels: float, size: int, rounds: list[Counter[str]]
) -> tuple[float, float]:
    """One row; gives the two ratios at its end."""
    middle = {stage: 1000 * statistics.median(c[stage] for c in rounds) for stage in STAGES}
    unit = middle["decode"]
    cells = [f"{value:.1f}" for value in middle.values()]
    both = (middle["enlarge"] + middle["foreground"]) / unit
    after = sum(value for stage, value in middle.items() if stage != "decode") / unit
    print(
        f"| {name} | {megapixels} | {size / 1e6:.1f} → {rounds[0]['bytes'] / 1e6:.1f} "
        f"| {' | '.join(cells)} | {both:.2f} | {after:.2f} |",
        flush=True,
    )
    return both, after


if __name__ == "__main__":
    sys.exit(main())
