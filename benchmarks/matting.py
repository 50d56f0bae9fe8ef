"""Matting without a network against reference alphas, each step against what it replaces.

Errors are those of ``alpha_errors``. Rough masks are the reference made binary, smoothed and pushed
about, as a hurried person would draw it. Most references were themselves made by GrabCut and
closed-form matting, which flatters both (lemur's was not); foreground colours are measured on
composites, whose colours are known exactly.

python -m benchmarks.matting SAMPLES [SHEETS]

SAMPLES holds samples/matting, samples/matting_alpha, train-cutouts and train-photos; cut-outs on
black, white and magenta are written to the folder SHEETS.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from benchmarks.alpha_errors import errors
from benchmarks.seams import DATA
from retouchd.backdrop import find
from retouchd.closed_form import Effort, solve
from retouchd.enlarging import enlarge
from retouchd.foreground import foreground
from retouchd.recut import recut
from retouchd.scaling import resized
from retouchd.trimap import from_mask, half_width, prior_from

ERRORS = ("SAD", "MSE", "grad", "conn")
SIDES = (512, 256, 128)
BACKGROUNDS = {"black": (0, 0, 0), "white": (255, 255, 255), "magenta": (255, 0, 255)}


@dataclass
class Table:
    """Errors by method, then by photo."""

    rows: dict[str, list[tuple[float, ...]]] = field(default_factory=dict)

    def add(self, method, *values) -> None:
        self.rows.setdefault(method, []).append(values)

    def show(self, title, heads) -> None:
        print(f"\n{title}\n\n| method | {' | '.join(heads)} | SAD or first, by photo |")
        print(f"|---|{'---:|' * len(heads)}---|")
        for method, found in self.rows.items():
            means = " | ".join(f"{value:.2f}" for value in np.mean(found, axis=0))
            each = " ".join(f"{values[0]:.2f}" for values in found)
            print(f"| {method} | {means} | {each} |")


def main(samples=None, sheets=None) -> None:
    folder = Path(samples) if samples else DATA
    if not (folder / "samples" / "matting").is_dir():
        print(f"there is no sample data in {folder}")
        return
    photos = list(references(folder))
    print(", ".join(name for name, _, _ in photos))
    _rough_masks(photos, Path(sheets) if sheets else None)
    _backdrops(photos)
    _enlarging(photos)
    _colours(folder)
    _speed(photos)


def references(folder) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Name, photo [H, W, 3] RGB and reference alpha [H, W] float32 of each sample."""
    for path in sorted((folder / "samples" / "matting").iterdir()):
        alpha = cv2.imread(str(folder / "samples" / "matting_alpha" / f"{path.stem}.png"), 0)
        yield path.stem, _rgb(path), alpha.astype(np.float32) / 255


def _rgb(path) -> np.ndarray:
    return np.ascontiguousarray(cv2.imread(str(path))[..., ::-1])


def rough_mask(alpha, seed=0, push=0.012) -> np.ndarray:
    """The reference as a hurried person draws it; pushed by a share of the subject's size."""
    hard = (alpha > 0.5).astype(np.float32)
    size = push * hard.sum() ** 0.5
    noise = np.random.default_rng(seed).standard_normal(alpha.shape).astype(np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), 3 * size)
    smooth = cv2.GaussianBlur(hard, (0, 0), 1.2 * size)
    return ((smooth + 0.18 * noise / noise.std() > 0.5) * 255).astype(np.uint8)


def _rough_masks(photos, sheets) -> None:
    table = Table()
    for name, photo, alpha in photos:
        for seed in (0, 1):
            mask = rough_mask(alpha, seed)
            reach = half_width(mask)
            trimap, prior = from_mask(mask), prior_from(mask, reach)
            closed = solve(photo, trimap, prior)
            guided = solve(photo, trimap, prior, Effort(steps=1, tolerance=1e-9))
            assert (closed.method, guided.method) == ("closed-form", "guided")
            table.add("rough mask", *errors(mask / 255.0, alpha))
            table.add("feathered", *errors(cv2.GaussianBlur(mask / 255.0, (0, 0), 3), alpha))
            table.add("GrabCut in the band", *errors(grabcut_in_band(photo, trimap), alpha))
            table.add("guided filter in the band", *errors(guided.alpha, alpha))
            table.add("closed form", *errors(closed.alpha, alpha))
            again = solve(photo, *recut(photo, mask))
            table.add("recut, closed form", *errors(again.alpha, alpha))
        if sheets:
            sheets.mkdir(parents=True, exist_ok=True)
            _sheet(sheets / f"{name}.png", photo, again.alpha)
    table.show("rough mask to alpha", ERRORS)


def grabcut_in_band(photo, trimap) -> np.ndarray:
    """GrabCut's hard alpha [H, W]: only what a trimap leaves unknown is in question."""
    cv2.setRNGSeed(0)
    labels = np.full(trimap.shape, cv2.GC_PR_FGD, np.uint8)
    labels[trimap == 1], labels[trimap == 0] = cv2.GC_FGD, cv2.GC_BGD
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(photo, labels, None, *models, 5, cv2.GC_INIT_WITH_MASK)
    return np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.float32)


def _backdrops(photos) -> None:
    print(
        "\nplain backdrops\n\n| photo | confidence | IoU | SAD, closed form |\n|---|---:|---:|---:|"
    )
    for name, photo, alpha in photos:
        found = find(photo)
        ours, truth = found.mask > 0, alpha > 0.5
        overlap = (ours & truth).sum() / (ours | truth).sum()
        prior = prior_from(found.mask, half_width(found.mask))
        sad = errors(solve(photo, from_mask(found.mask), prior).alpha, alpha)[0]
        print(f"| {name} | {found.confidence:.2f} | {overlap:.3f} | {sad:.2f} |")


def _enlarging(photos) -> None:
    for side in SIDES:
        table = Table()
        for _, photo, alpha in photos:
            scale = side / max(alpha.shape)
            small = resized(alpha, tuple(round(length * scale) for length in alpha.shape))
            plain = resized(small, alpha.shape).clip(0, 1)
            smooth = cv2.bilateralFilter(plain, 9, 0.3, 5)
            table.add("bicubic", *errors(plain, alpha))
            table.add("bicubic, bilateral", *errors(smooth, alpha))
            table.add("guided", *errors(enlarge(photo, small), alpha))
        table.show(f"enlarged from {side} px", ERRORS)


def _colours(folder) -> None:
    """Cut-outs, whose colours are known, before photos: the error in what is half transparent."""
    table = Table()
    cuts = sorted((folder / "train-cutouts").glob("*.png"))
    cuts = [c for c in cuts if c.name.startswith("photo-")][:16] + cuts[:160:20]
    backs = sorted((folder / "train-photos").glob("*.jpg"))
    for path, back in zip(cuts, backs, strict=False):
        cutout = np.pad(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), ((40, 40), (40, 40), (0, 0)))
        own = cutout[..., 2::-1].astype(np.float32)
        alpha = cutout[..., 3].astype(np.float32) / 255
        soft = (alpha > 0.02) & (alpha < 0.98)
        if soft.sum() < 50:
            continue
        behind = cv2.resize(_rgb(back), alpha.shape[::-1], interpolation=cv2.INTER_AREA)
        share = alpha[..., None]
        photo = (own * share + behind * (1 - share) + 0.5).astype(np.uint8)
        noise = np.random.default_rng(0).normal(0, 0.04, alpha.shape) * soft
        unsure = (alpha + noise).clip(0, 1).astype(np.float32)
        for method, colours in (
            ("the photo's", photo),
            ("estimated", foreground(photo, alpha)),
            ("estimated, alpha off by 4 %", foreground(photo, unsure)),
        ):
            off = np.abs(colours.astype(np.float32) - own).mean(axis=2)[soft]
            table.add(method, off.mean(), (off * alpha[soft]).sum() / alpha[soft].sum())
    table.show("colours where alpha is between 2 and 98 %", ("of 255", "weighted by alpha"))


def _speed(photos) -> None:
    """CPU time on twelve megapixels, as multiples of decoding the same as a JPEG."""
    name, photo, alpha = photos[0]
    size = (4000, round(4000 * photo.shape[0] / photo.shape[1]))
    large = cv2.resize(photo, size, interpolation=cv2.INTER_CUBIC)
    large = cv2.add(large, np.random.default_rng(0).integers(0, 12, large.shape, np.uint8))
    small = resized(alpha, (512, round(512 * size[0] / size[1])))
    wide = enlarge(large, small)
    wide[wide < 1 / 255], wide[wide > 254 / 255] = 0, 1
    jpeg = cv2.imencode(".jpg", large, [cv2.IMWRITE_JPEG_QUALITY, 92])[1]
    work = {
        "decode": lambda: cv2.imdecode(jpeg, cv2.IMREAD_COLOR),
        "enlarge": lambda: enlarge(large, small),
        "foreground": lambda: foreground(large, wide),
    }
    times: dict[str, list[float]] = {}
    for _ in range(5):
        for label, run in work.items():
            start = time.process_time()
            run()
            times.setdefault(label, []).append(time.process_time() - start)
    unit = np.median(times["decode"])
    megapixels = size[0] * size[1] / 1e6
    print(f"\n{name} at {megapixels:.0f} MP, CPU time in units of its decoding ({unit:.2f} s)")
    for label, found in times.items():
        print(f"  {label:12} {np.median(found) / unit:5.1f}")


def _sheet(path, photo, alpha) -> None:
    """The photo, and the cut-out on three backgrounds, with and without its own colours."""
    share = alpha[..., None]
    rows = []
    for colours in (photo, foreground(photo, alpha)):
        tiles = [photo] if not rows else [np.repeat((share * 255).astype(np.uint8), 3, axis=2)]
        for behind in BACKGROUNDS.values():
            mixed = colours * share + np.array(behind) * (1 - share)
            tiles.append((mixed + 0.5).astype(np.uint8))
        rows.append(np.hstack(tiles))
    cv2.imwrite(str(path), np.vstack(rows)[..., ::-1])


if __name__ == "__main__":
    main(*sys.argv[1:])
