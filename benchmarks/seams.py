"""How visible the edge of a fill is, and what matching its colours changes.

The sample photos are filled by each engine and pasted twice, with and without colour matching.
``classical`` keeps known pixels; to stand for a network it also repaints them softly, as networks
do, and drifts: a cast of low frequency, different at every place and in every channel, of a known
strength. What is left of it inside the hole is measured against the same fill without a cast.

python -m benchmarks.seams [--model PATH]      (PATH: LaMa weights in any known format)
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from retouchd import classical
from retouchd.blend import cut, paste, seam_error
from retouchd.config import Device, Mask
from retouchd.drift import match_colour
from retouchd.engine import Request
from retouchd.growing import grow
from retouchd.local_engine import LocalEngine
from retouchd.manifest import resolve
from retouchd.masks import hole_from_grey
from retouchd.regions import Region, plan
from retouchd.samples import photo_like, to_unit

DATA = Path(os.environ.get("RETOUCHD_SAMPLES") or Path(__file__).parents[2] / "shared" / "data")
SAMPLES = DATA / "samples" / "inpaint"
CASTS = (4, 8, 16, 32)  # root mean square, in levels of 255
SIDES = (256, 512, 1024)
ROUNDS = 9

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Fill = Callable[[Region, Pixels, Pixels], Floats]
Answers = Sequence[tuple[Region, Floats]]


@dataclass(frozen=True, eq=False)
class Sample:
    """A photo [H, W, 3] RGB, its hole [H, W] as a lane grows it, and what was there, if known."""

    name: str
    pixels: Pixels
    hole: Pixels
    truth: Pixels | None


Pair = tuple[float, float]  # without and with matching
Figures = dict[str, Pair]  # of one fill of one photo


def main(model: Path | None = None) -> None:
    if not SAMPLES.is_dir():
        print(f"skipped: no sample photos at {SAMPLES}; set RETOUCHD_SAMPLES")
        return
    samples = [sample(path) for path in sorted(SAMPLES.glob("*_mask.png"))]
    known = [sample for sample in samples if sample.truth is not None]
    print(f"{len(samples)} photos, {len(known)} with the truth; medians, without → with matching\n")
    seams = [seam_error(sample.truth, sample.hole) for sample in known]
    print(f"seam error of the untouched truth: {statistics.median(seams):.3f}\n")
    print("| fill | seam error | cast left, levels | MAE to the truth | PSNR to the truth |")
    print("|---|---:|---:|---:|---:|")
    for name, figures in _rows(samples, model):
        print(_line(name, figures), flush=True)
    _speed()


def sample(mask: Path) -> Sample:
    """The photo that a mask file lies beside, with its truth where there is one."""
    stem = mask.name.removesuffix("_mask.png")
    (photo,) = (p for p in mask.parent.glob(f"{stem}.*") if p.suffix != ".md")
    truth = mask.parent.with_name("inpaint_truth") / photo.name
    settings = Mask()
    hole = hole_from_grey(cv2.imread(str(mask), cv2.IMREAD_GRAYSCALE), settings)
    found = _read(truth) if truth.is_file() else None
    return Sample(stem, _read(photo), grow(hole, settings.dilate), found)


def _read(path: Path) -> Pixels:
    return np.asarray(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB), np.uint8)


def _rows(samples: Sequence[Sample], model: Path | None) -> Iterator[tuple[str, list[Figures]]]:
    filled = [_filled(sample, _classical) for sample in samples]
    pairs = list(zip(samples, filled, strict=True))
    yield "classical", [_figures(s, answers) for s, answers in pairs]
    soft = [(s, _repainted(s, answers)) for s, answers in pairs]
    yield "classical, softly repainted", [_figures(s, answers) for s, answers in soft]
    for strength in CASTS:
        yield (
            f"classical, cast {strength}",
            [_figures(s, _cast(s, answers, strength), answers) for s, answers in pairs],
        )
        yield (
            f"classical, softly repainted, cast {strength}",
            [_figures(s, _cast(s, answers, strength), answers) for s, answers in soft],
        )
    if model:
        with closing(LocalEngine({"lama": resolve(str(model), model.parent)}, Device())) as engine:
            fill = _painter(engine)
            yield model.name, [_figures(s, _filled(s, fill)) for s in samples]


def _filled(sample: Sample, fill: Fill) -> Answers:
    """Each region in one look: this is about what comes after the model, not about its tiles."""
    answers = []
    for region in plan(sample.hole, "resize"):
        image, mask = cut(sample.pixels, sample.hole, region)
        answers.append((region, fill(region, image, mask)))
    return answers


def _classical(region: Region, image: Pixels, mask: Pixels) -> Floats:
    return classical.fill(image, mask)


def _painter(engine: LocalEngine) -> Fill:
    return lambda _, image, mask: engine.submit(Request("lama", image, mask)).result().image


def _repainted(sample: Sample, answers: Answers) -> Answers:
    """The same fills, with known pixels softened and moved by a pixel."""
    moved = []
    for region, result in answers:
        _, mask = cut(sample.pixels, sample.hole, region)
        soft = np.roll(cv2.GaussianBlur(result, (0, 0), 1.5), 1, axis=1)
        moved.append((region, np.where(mask[..., None] > 0, result, soft)))
    return moved


def _cast(sample: Sample, answers: Answers, strength: float) -> Answers:
    random = np.random.default_rng(sum(map(ord, sample.name)))
    return [
        (region, np.clip(result + _wave(region.size, strength, random), 0, 1).astype(np.float32))
        for region, result in answers
    ]


def _wave(size: tuple[int, int], strength: float, random: np.random.Generator) -> Floats:
    """A tint and a wave of at least the crop's length, [h, w, 3]."""
    y, x = (np.linspace(0, 1, side) for side in size)
    angle, phase = random.uniform(0, 2 * np.pi, 2)
    way = np.cos(angle) * y[:, None] + np.sin(angle) * x[None, :]
    wave = np.cos(2 * np.pi * way + phase)[..., None] * random.normal(size=3)
    total = random.normal(size=3) + wave
    return np.asarray(total * (strength / 255 / np.sqrt(np.square(total).mean())), np.float32)


def _figures(sample: Sample, answers: Answers, without_cast: Answers | None = None) -> Figures:
    inside = sample.hole > 0
    both = [_pasted(sample, answers, colour) for colour in (False, True)]
    plain, matched = (one[inside].astype(np.float64) for one in both)
    figures = {"seam": (seam_error(both[0], sample.hole), seam_error(both[1], sample.hole))}
    if without_cast is not None:
        clean = _pasted(sample, without_cast, False)[inside]
        figures["cast"] = np.abs(plain - clean).mean(), np.abs(matched - clean).mean()
    if sample.truth is not None:
        truth = sample.truth[inside]
        figures["mae"] = np.abs(plain - truth).mean(), np.abs(matched - truth).mean()
        figures["psnr"] = _psnr(plain, truth), _psnr(matched, truth)
    return figures


def _pasted(sample: Sample, answers: Answers, colour: bool) -> Pixels:
    pixels = sample.pixels.copy()
    for region, result in answers:
        paste(pixels, sample.hole, region, result, colour=colour)
    return pixels


def _psnr(one: NDArray[Any], other: NDArray[Any]) -> float:
    return float(10 * np.log10(255**2 / np.square(one - other).mean()))


def _line(name: str, figures: Sequence[Figures]) -> str:
    cells = []
    for key, digits in (("seam", 3), ("cast", 2), ("mae", 2), ("psnr", 2)):
        pairs = [one[key] for one in figures if key in one]
        medians = [statistics.median(values) for values in zip(*pairs, strict=True)]
        cells.append(" → ".join(f"{value:.{digits}f}" for value in medians) or "–")
    return f"| {name} | {' | '.join(cells)} |"


def _speed() -> None:
    """CPU time of matching, against a Gaussian blur of σ = 8 px of the same crop."""
    print("\nmatch_colour, CPU ms (ratio to a Gaussian blur, σ = 8 px, in float32):")
    for side in SIDES:
        image, mask = photo_like(side)
        result = to_unit(image) * np.float32(0.97)
        ours = _cpu_ms(lambda i=image, m=mask, r=result: match_colour(i, m, r))
        blur = _cpu_ms(lambda r=result: cv2.GaussianBlur(r, (0, 0), 8))
        print(f"  {side}×{side}: {ours:.1f} ({ours / blur:.2f})")


def _cpu_ms(work: Callable[[], object]) -> float:
    taken = []
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        taken.append(1000 * (time.process_time() - began))
    return statistics.median(taken)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.seams")
    parser.add_argument("--model", type=Path, help="LaMa weights in any known format")
    main(parser.parse_args().model)
