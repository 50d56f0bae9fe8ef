"""Composites whose alpha is known, of what no network was trained on: the training's own."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from models.training.photos import HELD_OUT
from numpy.typing import NDArray

Photo = NDArray[np.uint8]
Alpha = NDArray[np.float32]

SIDE = 512  # pixels of the square that the photo lies in


def composites(data: Path, count: int) -> Iterator[tuple[str, Photo, Alpha]]:
    """Name, photo [H, W, 3] RGB and alpha [H, W] of the first ``count`` held-out samples, as the
    training of cvunet-compact checks itself on; those without a subject are left out.

    None where there is no material or no such training.
    """
    if not count or not all((data / f"train-{kind}").is_dir() for kind in ("photos", "cutouts")):
        return
    try:
        from models.training.matting import validation
        from models.training.matting.material import held_out, open_material
    except ImportError:
        return
    with tempfile.TemporaryDirectory() as folder:
        # Only what is held out is decoded.
        photos, cutouts = Path(folder, "photos"), Path(folder, "cutouts")
        _link(data / "train-photos", photos, lambda name: name.split("-")[0] in HELD_OUT)
        _link(data / "train-cutouts", cutouts, held_out)
        _, material = open_material(photos, cutouts, Path(folder, "cache"), 0.0)
        batch = validation.held_out(material, SIDE, count)
    for number in range(count):
        shown = batch.shown[number, 0].numpy() > 0
        part = np.ix_(shown.any(1), shown.any(0))
        alpha = np.asarray(batch.alpha[number, 0].numpy()[part], np.float32) / np.float32(255)
        if alpha.max() > 0.5:
            photo = np.ascontiguousarray(batch.image[number].numpy().transpose(1, 2, 0)[part])
            yield f"composite {number}", photo.astype(np.uint8, copy=False), alpha


def _link(source: Path, folder: Path, wanted: Callable[[str], bool]) -> None:
    folder.mkdir()
    for path in source.iterdir():
        if path.suffix != ".md" and wanted(path.name):
            (folder / path.name).symlink_to(path.resolve())
