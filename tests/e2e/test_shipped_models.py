"""The models that come with retouchd: at once, and as they were measured."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from helpers.spool import Spool
from helpers.studio import HEIGHT, WIDTH, file, pixels_of, product
from retouchd.manifest import builtin_entries, resolve, verify

LARGEST = 20_000_000


def test_all_weights_that_come_along_are_small_and_what_the_manifest_says(tmp_path: Any) -> None:
    shipped = [name for name, entry in builtin_entries().items() if entry.file]

    assert "cvunet-compact" in shipped
    for name in shipped:
        spec = resolve(name, tmp_path)
        verify(spec)
        assert spec.path is not None
        assert spec.path.stat().st_size <= LARGEST
        assert spec.licence == "Apache-2.0"


def test_a_photo_alone_becomes_a_cut_out_without_a_word_of_configuration(make_spool: Any) -> None:
    root = make_spool().root
    spool = Spool(root, ("--root", str(root)))
    spool.drop("matte/bottle.png", file(product()))

    done = spool.once()

    assert done.returncode == 0, done.stderr
    [job] = spool.jobs()
    assert (job["state"], job["model"]) == ("done", "cvunet-compact")
    assert {"alpha: network", "alpha: backdrop, closed-form"} & set(job["notes"])
    [path] = [*spool.outbox.rglob("bottle.png"), *spool.review.rglob("bottle.png")]
    found = pixels_of(path.read_bytes())[..., 3] > 127
    truth = cv2.ellipse(np.zeros((HEIGHT, WIDTH)), (80, 60), (48, 36), 0, 0, 360, 1, -1) > 0
    assert (found & truth).sum() / (found | truth).sum() > 0.8


def test_a_photo_and_a_mask_are_repaired_with_the_texture_around(make_spool: Any) -> None:
    root = make_spool().root
    spool = Spool(root, ("--root", str(root)))
    y, x = np.mgrid[0:160, 0:200] // 8
    bricks = np.where(((y + x) % 2)[..., None] == 1, (200, 180, 150), (60, 50, 70)).astype(np.uint8)
    mask = np.zeros((160, 200), np.uint8)
    mask[60:100, 80:120] = 255
    scribbled = np.where(mask[..., None] > 0, (255, 0, 255), bricks).astype(np.uint8)
    spool.drop("wall_mask.png", file(mask))
    spool.drop("wall.png", file(scribbled))

    done = spool.once()

    assert done.returncode == 0, done.stderr
    [job] = spool.jobs()
    assert (job["state"], job["model"]) == ("done", "patchmatch")
    [path] = spool.outbox.rglob("wall.png")
    found = pixels_of(path.read_bytes()).astype(np.int64)
    apart = np.abs(found - bricks).max(axis=2)
    assert (apart[mask > 0] < 40).mean() > 0.95
