"""Holes far larger than what the model is shown at once, through the real command."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from retouchd.blend import seam_error

SHAPE = (520, 780)
soak = pytest.mark.soak


def photo() -> np.ndarray:
    """A sky that grows lighter downwards, and a horizon; BGR."""
    rows, columns = np.mgrid[0 : SHAPE[0], 0 : SHAPE[1]]
    planes = 120 + rows * 0.2, 80 + rows * 0.25, 60 + columns * 0.05
    noise = np.random.default_rng(4).normal(0, 1.5, (*SHAPE, 3))
    return np.clip(np.dstack(planes) + noise, 0, 255).astype(np.uint8)


def hole() -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    cv2.ellipse(mask, (380, 260), (300, 190), 8, 0, 360, 255, -1)
    return mask


def small_crops(state: Path) -> None:
    """``classical``, as if it had been trained on small crops."""
    folder = state / "models"
    folder.mkdir(parents=True)
    entry = {"architecture": "classical", "largest": 256}
    (folder / "manifest.yaml").write_text(yaml.safe_dump({"models": {"classical": entry}}))


def drop(spool: Any) -> None:
    damaged = photo()
    damaged[hole() > 0] = 0
    spool.drop("photo.png", damaged)
    spool.drop("photo_mask.png", hole())


@pytest.fixture(scope="module")
def outputs(make_lanes: Any) -> dict[str, tuple[np.ndarray, str]]:
    """By strategy: the output, and everything that is told about its job."""
    lanes = make_lanes()
    small_crops(lanes.root / "state")
    spools = {
        strategy: lanes.lane(strategy, strategy=strategy, mask={"dilate": 4})
        for strategy in ("auto", "tile", "resize", "crop", "whole")
    }
    for spool in spools.values():
        drop(spool)
    done = lanes.once()
    assert done.returncode == 0, done.stderr
    found = {}
    for strategy, spool in spools.items():
        [path] = spool.outbox.glob("*/photo.png")
        told = lanes.retouchd("explain", str(path)).stdout
        found[strategy] = (cv2.imread(str(path)), told)
    return found


@pytest.mark.parametrize("strategy", ["auto", "tile", "resize", "crop", "whole"])
def test_every_strategy_repairs_it_and_touches_nothing_else(
    outputs: dict[str, tuple[np.ndarray, str]], strategy: str
) -> None:
    found, told = outputs[strategy]
    grown = cv2.dilate(hole(), np.ones((11, 11), np.uint8)) > 0
    assert np.array_equal(found[~grown], photo()[~grown])
    assert seam_error(found, hole()) < 1.5
    assert np.abs(found.astype(int) - photo())[grown].mean() < 12
    assert ("coarse to fine in 3 levels" in told) == (strategy == "auto")


def fill(spool: Any) -> None:
    small_crops(spool.root / ".retouchd")
    drop(spool)


@pytest.mark.parametrize(
    "after", [pytest.param(0.0, marks=soak), 0.5, pytest.param(1.0, marks=soak)]
)
def test_a_pyramid_that_is_killed_half_way_comes_out_as_if_it_had_not_been(
    spool: Any, start: Any, undisturbed: Any, after: float
) -> None:
    expected = undisturbed(fill)
    fill(spool)
    running = start()
    running.wait_for("running", lane="inpaint")
    time.sleep(after)
    running.kill()
    done = spool.once()
    assert done.returncode == 0, done.stderr
    spool.check_exactly_once(expected)
