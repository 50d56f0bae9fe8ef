"""Where a cut-out's alpha can come from, and how good each source is.

The service's: a network, a rough mask, a plain backdrop; against GrabCut (Rother, Kolmogorov,
Blake, SIGGRAPH 2004) from a rectangle around the subject and from the same rough mask. On the
sample photos with reference alphas, and on the composites that the training of cvunet-compact
holds out. ``alpha_errors`` says what the figures are. Rough masks and the caveat about most
references are those of ``matting``.

python -m benchmarks matting-quality [--model NAME|FILE ...] [--composites 12] [--pictures FOLDER]
    [--models FOLDER]

--model: networks to be measured as well; cvunet-compact, where it is there, unless some are named.
--pictures: where to write cut-outs on black, white and magenta.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks import sheets
from benchmarks.alpha_errors import errors, overlap
from benchmarks.composites import composites
from benchmarks.matting import BACKGROUNDS, grabcut_in_band, references, rough_mask
from benchmarks.painting import labels
from benchmarks.seams import DATA
from retouchd.config import Device
from retouchd.config.matte import Matte
from retouchd.cutout import judged
from retouchd.engine import Request
from retouchd.enlarging import enlarge
from retouchd.errors import ModelUnusable
from retouchd.fitting import picture_of, place
from retouchd.foreground import foreground
from retouchd.local_engine import LocalEngine
from retouchd.manifest import ModelSpec, resolve
from retouchd.scaling import resized, unit
from retouchd.subject import (
    Seen,
    Subject,
    from_backdrop,
    from_network,
    from_network_or_backdrop,
    from_rough_mask,
)
from retouchd.trimap import from_mask

HEADS = ("SAD", "MSE", "grad", "conn", "IoU")
DEFAULT = "cvunet-compact"
SMALL = 256  # pixels that alphas are enlarged from
AROUND = 0.05  # of the subject's size: how loosely a person draws a rectangle
TILE = 224  # pixels

Photo = NDArray[np.uint8]
Alpha = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Case:
    """photo [H, W, 3] RGB, its alpha [H, W], and what a hurried person marked [H, W] 0/255."""

    name: str
    photo: Photo
    truth: Alpha
    rough: Photo


@dataclass(frozen=True, eq=False)
class Found:
    """An alpha [H, W], and whether the lane would put it aside for a person; None of GrabCut."""

    alpha: Alpha
    review: bool | None = None


Source = Callable[[Case], Found]


def main(arguments: Sequence[str] = ()) -> None:
    wish = _parsed(arguments)
    if not (DATA / "samples" / "matting").is_dir():
        print(f"skipped: no sample photos in {DATA}; set RETOUCHD_SAMPLES")
        return
    sets = {
        "sample photos": list(_cases(references(DATA))),
        "held-out composites": list(_cases(composites(DATA, wish.composites))),
    }
    with networks(wish.model or [DEFAULT], wish.models) as found:
        sources = {**PLAIN, **{name: _source(run) for name, run in found.items()}}
        for title, cases in sets.items():
            if cases:
                _measure(title, cases, sources, wish.pictures)
                _enlarging(title, cases, found)
            else:
                print(f"\nskipped: there are no {title}")


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks matting-quality")
    parser.add_argument("--model", action="append", default=[], help="a network's name or file")
    parser.add_argument("--models", type=Path, default=Path("models"), help="of installed ones")
    parser.add_argument("--composites", type=int, default=12)
    parser.add_argument("--pictures", type=Path, help="where to write cut-outs")
    return parser.parse_args(arguments)


def _cases(pictures: Iterator[tuple[str, Photo, Alpha]]) -> Iterator[Case]:
    for name, photo, truth in pictures:
        yield Case(name, photo, truth, rough_mask(truth))


class Network:
    """A matting network behind the service's engine."""

    def __init__(self, engine: LocalEngine, spec: ModelSpec) -> None:
        self._engine, self._spec = engine, spec

    def small(self, photo: Photo) -> Alpha:
        """Its alpha [h, w] of the whole photo, at its own size."""
        return self._seen(photo).alpha

    def subject(self, photo: Photo) -> Subject:
        """What a lane makes of it."""
        source = from_network_or_backdrop if self._spec.second_opinion else from_network
        return source(photo, self._seen(photo))

    def _seen(self, photo: Photo) -> Seen:
        assert self._spec.fit is not None
        placement = place((photo.shape[0], photo.shape[1]), self._spec.fit)
        picture, shown = picture_of(photo, placement)
        request = Request(self._spec.name, picture, shown, {"precision": "fp32"})
        alpha = np.asarray(self._engine.submit(request).result().image[..., 0], np.float32)
        return Seen.of(picture, alpha, placement)


@contextmanager
def networks(names: Sequence[str], folder: Path) -> Iterator[dict[str, Network]]:
    """Those that can be used, by name; the others are told about."""
    specs = {}
    for name in names:
        try:
            spec = resolve(name, folder)
        except ModelUnusable as error:
            print(f"skipped: {error}")
            continue
        if spec.fit is None:
            print(f"skipped: {name} is no matting network")
        else:
            specs[name] = spec
    with closing(LocalEngine(specs, Device())) as engine:
        if specs:
            engine.warm_up()
        yield {label: Network(engine, specs[name]) for name, label in labels(specs).items()}


def _source(network: Network) -> Source:
    return lambda case: _judged(case, network.subject(case.photo))


def _judged(case: Case, subject: Subject) -> Found:
    matte = Matte()
    cut = judged(case.photo, subject, matte.work())
    return Found(unit(cut.alpha), cut.confidence < matte.review_below)


def _rectangle(case: Case) -> Found:
    """GrabCut from a rectangle around the subject."""
    left, top, width, height = cv2.boundingRect((case.truth > 0.05).astype(np.uint8))
    loose = round(AROUND * max(width, height))
    rows, columns = case.truth.shape
    # It has to see some background.
    x, y = max(1, left - loose), max(1, top - loose)
    box = (
        x,
        y,
        min(columns - 1, left + width + loose) - x,
        min(rows - 1, top + height + loose) - y,
    )
    cv2.setRNGSeed(0)
    labels, models = np.zeros(case.truth.shape, np.uint8), (np.zeros((1, 65)), np.zeros((1, 65)))
    cv2.grabCut(case.photo, labels, box, *models, 5, cv2.GC_INIT_WITH_RECT)
    return Found(np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.float32))


PLAIN: Mapping[str, Source] = {
    "rough mask as drawn": lambda case: Found((case.rough / 255).astype(np.float32)),
    "GrabCut, rectangle": _rectangle,
    "GrabCut, rough mask": lambda case: Found(grabcut_in_band(case.photo, from_mask(case.rough))),
    "trimap, rough mask": lambda case: _judged(case, from_rough_mask(case.photo, case.rough)),
    "trimap, backdrop": lambda case: _judged(case, from_backdrop(case.photo)),
}


def _measure(
    title: str, cases: Sequence[Case], sources: Mapping[str, Source], pictures: Path | None
) -> None:
    """The table of all sources, and a sheet for each photo."""
    found = {name: [source(case) for case in cases] for name, source in sources.items()}
    print(f"\n{len(cases)} {title}: {', '.join(case.name for case in cases)}")
    print(f"\n| source | {' | '.join(HEADS)} | to review; IoU of the rest | IoU, by photo |")
    print(f"|---|{'---:|' * len(HEADS)}---:|---|")
    for name, alphas in found.items():
        rows = [_figures(one.alpha, case.truth) for one, case in zip(alphas, cases, strict=True)]
        aside = _aside(alphas, rows)
        print(f"| {name} | {_middles(rows)} | {aside} | {_each(rows)} |", flush=True)
    if pictures:
        for number, case in enumerate(cases):
            alphas_of_one = {name: each[number].alpha for name, each in found.items()}
            _sheet(pictures / f"{case.name.replace(' ', '-')}.png", case, alphas_of_one)


def _figures(alpha: Alpha, truth: Alpha) -> tuple[float, ...]:
    return (*errors(alpha, truth), overlap(alpha, truth))


def _middles(rows: Sequence[tuple[float, ...]]) -> str:
    """Median and, in brackets, mean of each figure."""
    cells = []
    for head, each in zip(HEADS, np.asarray(rows).T, strict=True):
        digits = 3 if head == "IoU" else 2
        cells.append(f"{np.median(each):.{digits}f} ({each.mean():.{digits}f})")
    return " | ".join(cells)


def _aside(found: Sequence[Found], rows: Sequence[tuple[float, ...]]) -> str:
    """How many a person would see first, and how good the others are on average."""
    if found[0].review is None:
        return "–"
    kept = [row[-1] for one, row in zip(found, rows, strict=True) if not one.review]
    return f"{len(found) - len(kept)}; {np.mean(kept):.3f}" if kept else f"{len(found)}"


def _each(rows: Sequence[tuple[float, ...]]) -> str:
    return " ".join(f"{row[-1]:.2f}" for row in rows)


def _enlarging(title: str, cases: Sequence[Case], found: Mapping[str, Network]) -> None:
    """The service's enlargement against bicubic convolution, photo by photo."""
    heads = [f"the reference's {SMALL} px", *found]
    print(f"\n{title}, enlarged: SAD, bicubic → as the service does\n")
    print(f"| photo | {' | '.join(heads)} |\n|---|{'---:|' * len(heads)}")
    better = np.zeros(len(heads), int)
    for case in cases:
        smalls = [_reduced(case.truth), *(n.small(case.photo) for n in found.values())]
        pairs = [_both_ways(case, small) for small in smalls]
        better += [ours < bicubic for bicubic, ours in pairs]
        print(f"| {case.name} | {' | '.join(f'{a:.2f} → {b:.2f}' for a, b in pairs)} |")
    print(f"| better in | {' | '.join(f'{n} of {len(cases)}' for n in better)} |", flush=True)


def _reduced(truth: Alpha) -> Alpha:
    scale = SMALL / max(truth.shape)
    height, width = (max(1, round(length * scale)) for length in truth.shape)
    return resized(truth, (height, width))


def _both_ways(case: Case, small: Alpha) -> tuple[float, float]:
    plain = resized(small, (case.truth.shape[0], case.truth.shape[1])).clip(0, 1)
    return errors(plain, case.truth).sad, errors(enlarge(case.photo, small), case.truth).sad


def _sheet(path: Path, case: Case, alphas: Mapping[str, Alpha]) -> None:
    """The photo and what was marked; then the truth and each source: alpha, and on colours."""
    columns = {"truth": case.truth, **alphas}
    blank = np.full_like(case.photo, 255)
    rows = [[case.photo, *(_grey(alpha) for alpha in columns.values())]]
    firsts = (_grey((case.rough / 255).astype(np.float32)), blank, blank)
    own = [foreground(case.photo, alpha) for alpha in columns.values()]
    for first, behind in zip(firsts, BACKGROUNDS.values(), strict=True):
        mixed = zip(own, columns.values(), strict=True)
        rows.append([first, *(_laid(colours, alpha, behind) for colours, alpha in mixed)])
    sheets.write(path, ["photo, rough mask", *columns], rows, TILE)


def _grey(alpha: Alpha) -> Photo:
    return np.repeat(np.round(alpha * 255).astype(np.uint8)[..., None], 3, axis=2)


def _laid(colours: NDArray[Any], alpha: Alpha, behind: tuple[int, int, int]) -> Photo:
    share = alpha[..., None]
    return np.asarray(colours * share + np.array(behind) * (1 - share) + 0.5, np.uint8)
