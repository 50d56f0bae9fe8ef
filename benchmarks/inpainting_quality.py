"""How good the models' fills are, against Telea and Navier–Stokes, in holes whose truth is known.

Three parts: holes of three kinds that cover a tenth to four tenths of photos that no model was
trained on; the sample photos whose damage was painted on; and holes of one radius each, which tell
from what radius on a network is worth its time. ``metrics`` says what the figures are, ``holes``
where holes come from, ``painting`` how photos are repaired.

python -m benchmarks inpainting-quality [--model NAME|FILE ...] [--photos 12] [--pictures FOLDER]
    [--parts holes samples radius] [--models FOLDER]

--model: LaMas to be measured as well. --pictures: where to write them side by side.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from models.training.photos import HELD_OUT
from numpy.typing import NDArray

from benchmarks import sheets
from benchmarks.holes import KINDS, RADII, SHARES, hole_of, holes_of_radius, inscribed_radius
from benchmarks.metrics import Figures, compare
from benchmarks.painting import Method, methods, repaired
from benchmarks.ranking import HEADS, cells, tally, worth_from
from benchmarks.seams import DATA, SAMPLES, sample
from retouchd.config import Mask
from retouchd.errors import ModelUnusable
from retouchd.masks import scaled

SIDE = 512  # pixels of the squares that holes are made in
LONGEST = 1280  # pixels of a sample photo
SEED = 20261121
PARTS = ("holes", "samples", "radius")
BASE = "classical"  # what thin holes would be routed to: Navier–Stokes in float32
ROWS = 6  # of a sheet
TILE = 256  # pixels
MARGIN = 48  # pixels shown around a hole

Photo = NDArray[np.uint8]
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Case:
    """truth [H, W, 3], what is given [H, W, 3] and its grown hole [H, W]."""

    truth: Photo
    given: Photo
    hole: Photo


Found = dict[str, list[Figures]]  # by method


@dataclass(frozen=True, eq=False)
class Bench:
    """What all parts need. pictures: where sheets go, if anywhere."""

    methods: Sequence[Method]
    pictures: Path | None

    def measure(self, name: str, cases: Sequence[Case], feather: int = Mask().feather) -> Found:
        """Every method on every case, and a sheet of some of them."""
        found: Found = {method.name: [] for method in self.methods}
        rows = []
        for case in cases:
            results = [repaired(case.given, case.hole, m, feather) for m in self.methods]
            for method, result in zip(self.methods, results, strict=True):
                found[method.name].append(compare(result, case.truth, case.hole > 0))
            shown = [sheets.marked(case.given, case.hole), *results, case.truth]
            place = sheets.around(case.hole, MARGIN)
            rows.append([picture[place] for picture in shown])
        if self.pictures:
            heads = ["hole", *found, "truth"]
            sheets.write(self.pictures / f"{name}.png", heads, spread(rows, ROWS), TILE)
        return found


def main(arguments: Sequence[str] = ()) -> None:
    wish = _parsed(arguments)
    if not SAMPLES.is_dir():
        print(f"skipped: no sample photos at {SAMPLES}; set RETOUCHD_SAMPLES")
        return
    cv2.setNumThreads(1)
    photos = held_out(DATA / "train-photos", wish.photos)
    found = f"{len(photos)} held-out photos" if photos else "skipped: no held-out photos"
    print(f"{found}; medians (means); edges, texture: 0 is the truth's")
    try:
        with methods(wish.model, wish.models) as painting:
            bench = Bench(painting, wish.pictures)
            for part in wish.parts:
                if photos or part == "samples":
                    WORK[part](bench, photos)
    except ModelUnusable as error:
        print(f"skipped: {error}")


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks inpainting-quality")
    parser.add_argument("--model", action="append", default=[], help="a LaMa's name or file")
    parser.add_argument("--models", type=Path, default=Path("models"), help="of installed ones")
    parser.add_argument("--photos", type=int, default=12)
    parser.add_argument("--pictures", type=Path, help="where to write them side by side")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    return parser.parse_args(arguments)


def held_out(folder: Path, count: int) -> list[Photo]:
    """At most so many squares of photos that the training never saw, spread over its sources."""
    paths = sorted(p for p in folder.glob("*.jpg") if p.name.split("-")[0] in HELD_OUT)
    return [_square(path) for path in spread(paths, count)]


def spread(items: Sequence[T], count: int) -> list[T]:
    """At most so many of them, evenly spread, the first and the last among them."""
    chosen = np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int)
    return [items[number] for number in chosen]


def _square(path: Path) -> Photo:
    """The middle of a photo, shrunk to SIDE where it is larger."""
    photo = np.asarray(cv2.imread(str(path)), np.uint8)[..., ::-1]
    side = min(photo.shape[:2])
    top, left = ((length - side) // 2 for length in photo.shape[:2])
    square = np.ascontiguousarray(photo[top : top + side, left : left + side])
    if side <= SIDE:
        return square
    return np.asarray(cv2.resize(square, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def _holes(bench: Bench, photos: Sequence[Photo]) -> None:
    """By kind and by how much they cover."""
    print(f"\n| hole | covers | radius | method | {' | '.join(HEADS)} |")
    print(f"|---|---:|---:|---|{'---:|' * len(HEADS)}")
    overall: dict[str, Found] = {}
    for kind in KINDS:
        for share in SHARES:
            cases = list(_cases(photos, kind, share))
            found = bench.measure(f"{kind}-{round(100 * share)}", cases)
            _lines(f"{kind} | {share:.0%} | {_radius(cases):.0f}", found)
            for method, figures in found.items():
                overall.setdefault(kind, {}).setdefault(method, []).extend(figures)
    for kind, found in overall.items():
        _lines(f"{kind} | all | ", found)


def _cases(photos: Sequence[Photo], kind: str, share: float) -> Iterator[Case]:
    for number, photo in enumerate(photos):
        rng = np.random.default_rng([SEED, list(KINDS).index(kind), round(100 * share), number])
        hole = hole_of(KINDS[kind], share, len(photo), rng)
        yield Case(photo, photo, hole)


def _radius(cases: Sequence[Case]) -> float:
    return float(np.median([inscribed_radius(case.hole) for case in cases]))


def _lines(label: str, found: Found) -> None:
    for method, figures in found.items():
        print(f"| {label} | {method} | {' | '.join(cells(figures))} |", flush=True)


def _samples(bench: Bench, _: Sequence[Photo]) -> None:
    """Damage that was painted onto real photos, with masks as a person would give them."""
    found_all = [sample(path) for path in sorted(SAMPLES.glob("*_mask.png"))]
    known = [one for one in found_all if one.truth is not None]
    print(f"\n{len(known)} sample photos, ≤ {LONGEST} px: {', '.join(one.name for one in known)}")
    print(f"\n| method | {' | '.join(HEADS)} |\n|---|{'---:|' * len(HEADS)}")
    cases = [_case(one.truth, one.pixels, one.hole) for one in known if one.truth is not None]
    found = bench.measure("samples", cases)
    for method, figures in found.items():
        print(f"| {method} | {' | '.join(cells(figures))} |", flush=True)


def _case(truth: Photo, given: Photo, hole: Photo) -> Case:
    scale = min(1.0, LONGEST / max(hole.shape))
    size = (round(hole.shape[0] * scale), round(hole.shape[1] * scale))
    if scale < 1:
        truth, given = (
            np.asarray(cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)
            for picture in (truth, given)
        )
        hole = scaled(hole, size)
    # Both were coded as JPEGs, so they differ a little where nothing was painted.
    return Case(truth, np.where(hole[..., None] > 0, given, truth), hole)


def _radii(bench: Bench, photos: Sequence[Photo]) -> None:
    """From what radius on a network beats ``classical``. Nothing is feathered here: the truth
    that lies in these holes would shine through."""
    for long, shape in ((True, "strokes"), (False, "discs")):
        by_radius: dict[int, Found] = {}
        for radius in RADII:
            cases = list(_round_cases(photos, radius, long))
            by_radius[radius] = bench.measure(f"{shape}-{radius}", cases, feather=0)
        _by_radius(shape, by_radius)
        for method in [one.name for one in bench.methods if one.name != BASE]:
            pairs = {r: (found[method], found[BASE]) for r, found in by_radius.items()}
            print(f"\n{shape}, {method} better than {BASE}: {worth_from(pairs)}")


def _by_radius(shape: str, by_radius: Mapping[int, Found]) -> None:
    print(f"\n{shape}\n\n| radius | method | {' | '.join(HEADS)} | better than {BASE} |")
    print(f"|---:|---|{'---:|' * len(HEADS)}---|")
    for radius, found in by_radius.items():
        for method, figures in found.items():
            better = tally(figures, found[BASE]) if method != BASE else "–"
            print(f"| {radius} | {method} | {' | '.join(cells(figures))} | {better} |", flush=True)


def _round_cases(photos: Sequence[Photo], radius: int, long: bool) -> Iterator[Case]:
    for number, photo in enumerate(photos):
        rng = np.random.default_rng([SEED, radius, long, number])
        yield Case(photo, photo, holes_of_radius(radius, long, len(photo), rng))


WORK: dict[str, Callable[[Bench, Sequence[Photo]], None]] = {
    "holes": _holes,
    "samples": _samples,
    "radius": _radii,
}
