"""Holes too large for one look: coarse to fine, tile by tile."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
import pytest

from retouchd import blend, classical
from retouchd.box import Box
from retouchd.clusters import PlanSettings
from retouchd.engine import Request, Result
from retouchd.errors import EngineTrouble
from retouchd.regions import DEFAULTS, Region, plan
from retouchd.samples import to_unit
from retouchd.solving import Asking, Solved, pasted, solve, solving_bytes
from retouchd.tiles import layout

SMALL = PlanSettings(buckets=(16, 32, 64, 96, 128), context=0.75, least_context=16, thin=12)
Paint = Callable[[np.ndarray, np.ndarray], np.ndarray]


class Engine:
    """Answers at once with what ``paint`` makes of a request, and keeps the requests."""

    def __init__(self, paint: Paint) -> None:
        self.paint = paint
        self.requests: list[Request] = []
        self.futures: list[Future[Result]] = []

    def submit(self, request: Request) -> Future[Result]:
        self.requests.append(request)
        self.futures.append(Future())
        self.futures[-1].set_result(
            Result(self.paint(request.image, request.mask), 0.25, {"device": "cpu"})
        )
        return self.futures[-1]


def lines(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The planes that fit the known pixels best: a gradient goes on for ever."""
    height, width = mask.shape
    known = np.flatnonzero(mask.ravel() == 0)
    known = known[:: max(1, len(known) // 4000)]
    ground = np.stack([known // width, known % width, np.ones(len(known))], axis=1)
    values = to_unit(image.reshape(-1, 3)[known])
    down, right, start = np.linalg.lstsq(ground, values, rcond=None)[0].astype(np.float32)
    rows, columns = np.ogrid[0:height, 0:width]
    return rows[..., None].astype(np.float32) * down + (columns[..., None] * right + start)


def ramp(height: int, width: int, dtype: Any = np.uint16) -> np.ndarray:
    rows, columns = np.mgrid[0:height, 0:width]
    planes = 0.1 + 0.8 * columns / width, 0.9 - 0.8 * rows / height, 0.3 + 0.2 * columns / width
    return np.round(np.dstack(planes) * np.iinfo(dtype).max).astype(dtype)


def rectangle(shape: tuple[int, int], top: int, left: int, height: int, width: int) -> np.ndarray:
    hole = np.zeros(shape, np.uint8)
    hole[top : top + height, left : left + width] = 255
    return hole


def solved(
    photo: np.ndarray,
    hole: np.ndarray,
    paint: Paint,
    strategy: Any = "auto",
    settings: PlanSettings = SMALL,
    **options: Any,
) -> tuple[Solved, Engine]:
    (region,) = plan(hole, strategy, settings)
    assert not region.at_once
    engine = Engine(paint)
    with Asking(engine, "model", {}, 7) as asking:  # type: ignore[arg-type]
        return solve(photo, hole, region, asking, settings, **options), engine


def composed(photo: np.ndarray, hole: np.ndarray, answer: Solved) -> np.ndarray:
    out = photo.copy()
    blend.paste(out, hole, answer.region, to_unit(answer.image), blend="hard")
    return out


def worst(one: np.ndarray, other: np.ndarray) -> float:
    """The largest difference in levels of 255."""
    return float(np.abs(to_unit(one) - to_unit(other)).max() * 255)


BOTH = pytest.mark.parametrize("strategy", ["auto", "tile"])


# --- what comes out -----------------------------------------------------------------------------


@BOTH
def test_a_gradient_is_restored_over_three_thousand_pixels(strategy: str) -> None:
    photo, hole = ramp(800, 3600), rectangle((800, 3600), 250, 300, 300, 3000)
    damaged = np.where(hole[..., None] > 0, 0, photo).astype(np.uint16)
    answer, engine = solved(damaged, hole, lines, strategy, DEFAULTS)
    assert worst(composed(damaged, hole, answer), photo) < 1.5
    assert max(max(request.mask.shape) for request in engine.requests) <= 1024


@BOTH
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_kind_of_photo_is_solved(strategy: str, channels: int, dtype: Any) -> None:
    photo = ramp(300, 400, dtype)[..., [0, 1, 2, 0][:channels]]
    hole = rectangle((300, 400), 40, 50, 210, 290)
    damaged = np.where(hole[..., None] > 0, 0, photo).astype(dtype)
    answer, _ = solved(damaged, hole, lines, strategy)
    out = composed(damaged, hole, answer)
    colours = 1 if channels < 3 else 3
    assert worst(out[..., :colours], photo[..., :colours]) < 2.5
    assert answer.image.dtype == dtype
    assert answer.image.shape == (*answer.region.size, 3)


@BOTH
def test_known_pixels_are_the_photos_own(strategy: str) -> None:
    chance = np.random.default_rng(3)
    photo = chance.integers(0, 256, (300, 400, 3), np.uint8)
    hole = rectangle((300, 400), 40, 50, 210, 290)
    hole[100:110, 60:300] = 0
    hole[chance.random(hole.shape) < 0.02] = 0
    answer, _ = solved(photo, hole, lambda image, mask: np.ones(image.shape, np.float32), strategy)
    known = hole[answer.region.box.slices] == 0
    assert np.array_equal(answer.image[known], photo[answer.region.box.slices][known])


@BOTH
@pytest.mark.parametrize("paint", [classical.fill, lines])
def test_the_same_work_gives_the_same_bytes(strategy: str, paint: Paint) -> None:
    photo, hole = ramp(300, 400), rectangle((300, 400), 40, 50, 210, 290)
    once, again = (solved(photo, hole, paint, strategy)[0].image for _ in range(2))
    assert once.tobytes() == again.tobytes()


def test_it_does_not_matter_in_which_order_answers_come() -> None:
    photo, hole = ramp(300, 400), rectangle((300, 400), 40, 50, 210, 290)
    expected, _ = solved(photo, hole, classical.fill)

    class Late(Engine):
        def submit(self, request: Request) -> Future[Result]:
            with ThreadPoolExecutor(4) as threads:
                later = threads.submit(super().submit, request)
            return later.result()

    (region,) = plan(hole, "auto", SMALL)
    with Asking(Late(classical.fill), "model", {}, 7) as asking:  # type: ignore[arg-type]
        assert np.array_equal(solve(photo, hole, region, asking, SMALL).image, expected.image)


@pytest.mark.parametrize(("strategy", "fault", "limit"), [("auto", 0.04, 1.2), ("tile", 0.01, 1.5)])
def test_a_shade_of_its_own_in_every_answer_makes_no_seam(
    strategy: str, fault: float, limit: float
) -> None:
    """With a guide it does not matter at all; without one it is spread over the overlap."""
    shades = iter(np.random.default_rng(2).choice([-fault, fault], 999).astype(np.float32))
    photo, hole = ramp(600, 600), rectangle((600, 600), 60, 60, 480, 480)

    def off(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return lines(image, mask) + next(shades)

    out = composed(photo, hole, solved(photo, hole, off, strategy, keep_colours=False)[0])
    inner = Box(90, 90, 420, 420)
    for tile in layout(hole, Box(60, 60, 480, 480), SMALL).tiles:
        if tile.core.common(inner) != tile.core:
            continue
        patch = np.zeros_like(hole)
        patch[tile.core.slices] = 255
        assert blend.seam_error(out, patch) < limit
        hard = out.astype(np.int32)
        hard[tile.core.slices] += round(2 * fault * 65535)
        assert blend.seam_error(hard.clip(0, 65535).astype(np.uint16), patch) > 2.5


def test_the_model_s_own_shade_is_taken_out_of_every_tile() -> None:
    photo, hole = ramp(300, 400), rectangle((300, 400), 40, 50, 210, 290)

    def dark(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return lines(image, mask) - np.float32(0.05)

    with_drift, _ = solved(photo, hole, dark, keep_colours=False)
    without, _ = solved(photo, hole, dark)
    assert worst(composed(photo, hole, with_drift), photo) > 10
    assert worst(composed(photo, hole, without), photo) < 2.5


def stage(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Right at a coarse level, where a pixel's step is large; a lie at a fine one."""
    truth = lines(image, mask)
    fine = abs(float(truth[0, 1, 0] - truth[0, 0, 0])) < 1.2 * 0.8 / 500
    wave = np.sin(truth[..., :1] * 40) * 0.3
    return np.asarray(truth + (wave if not fine else -wave), np.float32)


def test_structure_comes_from_the_coarsest_level() -> None:
    """Every level invents stripes of its own; only those of the coarse levels may be seen."""
    photo, hole = ramp(500, 500), rectangle((500, 500), 70, 70, 360, 360)
    answer, engine = solved(photo, hole, stage, keep_colours=False)
    invented = to_unit(composed(photo, hole, answer)) - to_unit(photo)
    expected = np.sin(to_unit(photo)[..., :1] * 40) * 0.3
    deep = np.s_[130:370, 130:370]
    found = invented[deep].mean(axis=2).ravel()
    assert np.corrcoef(found, expected[deep].mean(axis=2).ravel())[0, 1] > 0.9
    assert len(engine.requests) > 9


def test_texture_comes_from_the_finest_level() -> None:
    """A model that paints stripes of four pixels at whatever size: at full size there are four."""
    photo, hole = ramp(500, 500), rectangle((500, 500), 70, 70, 360, 360)

    def striped(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
        stripes = 0.03 * np.cos(np.arange(mask.shape[1]) * np.pi / 2)
        return np.asarray(lines(image, mask) + stripes[None, :, None], np.float32)

    def strength(strategy: str) -> float:
        answer, _ = solved(photo, hole, striped, strategy, keep_colours=False)
        found = to_unit(composed(photo, hole, answer)) - to_unit(photo)
        rows = found[130:370, 130:386].mean(axis=2)
        return float(np.abs(np.fft.rfft(rows)[:, 64]).mean() * 2 / 256)

    assert strength("auto") > 0.015
    assert strength("tile") > 0.015


# --- what is asked ------------------------------------------------------------------------------


@BOTH
def test_no_request_is_over_the_largest_bucket(strategy: str) -> None:
    photo, hole = ramp(400, 900), rectangle((400, 900), 30, 20, 340, 860)
    _, engine = solved(photo, hole, lines, strategy)
    assert max(max(request.mask.shape) for request in engine.requests) <= SMALL.largest
    assert {(request.model, request.tag) for request in engine.requests} == {("model", 7)}


def test_coarse_to_fine_shows_every_tile_structure_on_all_sides() -> None:
    """At most its own reach is masked, although the hole is far larger than what it sees."""
    photo, hole = ramp(500, 500), rectangle((500, 500), 70, 70, 360, 360)
    damaged = np.where(hole[..., None] > 0, 0, photo).astype(np.uint16)
    _, engine = solved(damaged, hole, lines)
    for request in engine.requests[1:]:
        rows, columns = np.nonzero(request.mask)
        assert np.ptp(rows) < 64 + 16
        assert np.ptp(columns) < 64 + 16
        assert request.image[request.mask == 0].min() > 0, "no black of the damage is shown"


def test_tiles_without_a_guide_see_what_earlier_waves_made_and_never_the_damage() -> None:
    photo, hole = ramp(500, 500), rectangle((500, 500), 70, 70, 360, 360)
    damaged = np.where(hole[..., None] > 0, 0, photo).astype(np.uint16)
    _, engine = solved(damaged, hole, lines, "tile")
    for request in engine.requests:
        assert request.image[request.mask == 0].min() > 0
    masked = [np.count_nonzero(request.mask) for request in engine.requests]
    assert masked[-1] == (60 + 16) ** 2, "the last one sees all of its neighbours"


@BOTH
def test_holes_of_other_regions_are_never_taken_for_content(strategy: str) -> None:
    photo, hole = ramp(500, 500), rectangle((500, 500), 70, 70, 300, 360)
    hole[380:384, 70:430] = 255
    damaged = np.where(hole[..., None] > 0, 0, photo).astype(np.uint16)
    way = "pyramid" if strategy == "auto" else "tiles"
    region = Region(Box(0, 0, 500, 500), 1.0, Box(70, 70, 300, 360), way)
    engine = Engine(lines)
    with Asking(engine, "model", {}, 7) as asking:  # type: ignore[arg-type]
        answer = solve(damaged, hole, region, asking, SMALL)
    assert all(request.image[request.mask == 0].min() > 0 for request in engine.requests)
    others = np.zeros_like(hole)
    others[380:384, 70:430] = 255
    out = composed(damaged, hole, answer)
    assert np.array_equal(out[others > 0], damaged[others > 0])


def test_it_is_told_how_it_was_solved_and_what_it_took() -> None:
    photo, hole = ramp(500, 500), rectangle((500, 500), 70, 70, 360, 360)
    for strategy, note in (
        ("auto", "coarse to fine in 3 levels, 46 tiles"),
        ("tile", "in 36 tiles"),
    ):
        (region,) = plan(hole, strategy, SMALL)
        engine = Engine(lines)
        with Asking(engine, "model", {}, 7) as asking:  # type: ignore[arg-type]
            assert solve(photo, hole, region, asking, SMALL).note == note
        assert asking.seconds == pytest.approx(0.25 * len(engine.requests))
        assert asking.notes == {"device: cpu"}
        assert f"{len(engine.requests)} tiles" in note


# --- when it goes wrong -------------------------------------------------------------------------


@BOTH
def test_a_tile_that_fails_fails_the_region_and_withdraws_the_others(strategy: str) -> None:
    class Failing(Engine):
        def submit(self, request: Request) -> Future[Result]:
            if len(self.requests) < 3:
                return super().submit(request)
            self.requests.append(request)
            self.futures.append(Future())
            if len(self.requests) == 4:
                self.futures[-1].set_exception(EngineTrouble(model="model", cause="a bad tile"))
            return self.futures[-1]

    photo, hole = ramp(500, 500), rectangle((500, 500), 70, 70, 360, 360)
    (region,) = plan(hole, strategy, SMALL)
    engine = Failing(lines)
    with pytest.raises(EngineTrouble, match="a bad tile"):
        with Asking(engine, "model", {}, 7) as asking:  # type: ignore[arg-type]
            solve(photo, hole, region, asking, SMALL)
    assert len(engine.futures) > 4
    assert all(future.cancelled() for future in engine.futures[4:])


# --- memory -------------------------------------------------------------------------------------


class Forgetful(Engine):
    """Keeps nothing, as an engine whose memory is not ours."""

    def submit(self, request: Request) -> Future[Result]:
        future = super().submit(request)
        self.requests.clear()
        self.futures.clear()
        return future


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@BOTH
def test_memory_is_what_was_said_and_not_a_multiple_of_the_hole_in_floats(
    strategy: str, dtype: Any
) -> None:
    photo, hole = ramp(1100, 1200, dtype), rectangle((1100, 1200), 70, 70, 900, 1000)
    medium = PlanSettings(buckets=(128, 192, 256), context=0.75, least_context=32, thin=24)
    (region,) = plan(hole, strategy, medium)
    engine = Forgetful(lambda image, mask: cv2.blur(to_unit(image), (3, 3)))
    tracemalloc.start()
    try:
        with Asking(engine, "model", {}, 7) as asking:  # type: ignore[arg-type]
            answer = solve(photo, hole, region, asking, medium, keep_colours=False)
        np.divide(answer.image, np.float32(9), dtype=np.float32)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    said = solving_bytes(region, medium, photo.itemsize)
    assert peak < said < 2.5 * peak


def test_what_is_pasted_has_no_more_context_than_that_needs() -> None:
    hole = rectangle((3000, 4000), 700, 900, 1200, 1600)
    (large,) = plan(hole, "auto")
    final = pasted(large, DEFAULTS)
    assert final.box == Box(636, 836, 1328, 1728)
    assert final.core == large.core
    (small,) = plan(hole, "crop")
    assert pasted(small, DEFAULTS) == small
