"""One order through real hands and an engine: from the dropped files to the temporary output."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from retouchd import files
from retouchd.budget import ByteBudget
from retouchd.config import Lane
from retouchd.engine import Engine, Request, Result
from retouchd.errors import EngineTrouble, Unexpected
from retouchd.hands import Hands
from retouchd.order import Model, Order, Prepared, Product, Stopwatch
from retouchd.roots import Root
from retouchd.samples import to_unit
from retouchd.tasks.values import Original
from retouchd.worker import Worker

MakeRoot = Callable[..., Root]
HIDDEN = ".retouchd-w.tmp"
HOLE = np.s_[90:410, 100:560]
"""Twice as large as the largest crop of the model."""


def lines(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The planes that fit the known pixels best."""
    rows, columns = np.indices(mask.shape)
    ground = np.stack([rows, columns, np.ones(mask.shape)], axis=-1)
    known = mask == 0
    plane = np.linalg.lstsq(ground[known], to_unit(image)[known], rcond=None)[0]
    return np.asarray(ground @ plane, np.float32)


class Plain:
    """An engine without threads. fails: the number of the request that goes wrong."""

    def __init__(self, fails: int | None = None) -> None:
        self.fails = fails
        self.asked: list[Request] = []
        self.futures: list[Future[Result]] = []

    def submit(self, request: Request) -> Future[Result]:
        self.asked.append(request)
        future: Future[Result] = Future()
        self.futures.append(future)
        if self.fails is None or len(self.asked) < self.fails:
            filled = lines(request.image, request.mask)
            future.set_result(Result(filled, 0.5, {"device": "cpu"}))
        elif len(self.asked) == self.fails:
            future.set_exception(EngineTrouble(model=request.model, cause="a bad tile"))
        return future


@pytest.fixture(scope="module")
def hands() -> Iterator[Hands]:
    pool = Hands(2, 1, 8 << 30)
    yield pool
    pool.close()


def photo() -> np.ndarray:
    """A gradient, BGR, 16 bits."""
    rows, columns = np.mgrid[0:500, 0:1000]
    planes = 10_000 + 40 * columns, 50_000 - 80 * rows, np.full((500, 1000), 30_000)
    return np.dstack(planes).astype(np.uint16)


def mask() -> np.ndarray:
    """One hole over the largest crop, and a small one in a corner."""
    hole = np.zeros((500, 1000), np.uint8)
    hole[HOLE] = 255
    hole[10:16, 940:946] = 255
    return hole


class Bench:
    """Folders with a pair in the inbox, and the orders for it."""

    def __init__(self, make_root: MakeRoot, hands: Hands) -> None:
        self.inbox, self.outbox = make_root("inbox"), make_root("outbox")
        self.hands = hands
        self.budget = ByteBudget(1 << 30)
        damaged = photo()
        damaged[mask() > 0] = 0
        for name, pixels in (("a.png", damaged), ("a_mask.png", mask())):
            assert cv2.imwrite(str(Path(self.inbox.ref.path, name)), pixels)

    def order(self, strategy: str, **settings: Any) -> Order:
        lane = Lane(name="lane", root=Path("/srv/x"), strategy=strategy, **settings)  # type: ignore[arg-type,call-arg]
        originals = [
            Original(self.inbox.ref, name, files.stat(self.inbox, name))
            for name in ("a.png", "a_mask.png")
        ]
        return Order(
            job=7,
            lane="lane",
            image=originals[0],
            mask=originals[1],
            source="mask",
            outbox=self.outbox.ref,
            temporary=HIDDEN,
            model=Model("classical", "0" * 64, 256),
            settings={**lane.work(), "mask": {**lane.mask.model_dump(), "dilate": 2}},
            decoded=500 * 1000 * 6,
            within=60.0,
        )

    def work(self, engine: Any, order: Order) -> tuple[Product, Stopwatch]:
        worker, watch = Worker(self.hands, engine, self.budget), Stopwatch()
        with worker.prepared(order, watch) as prepared:
            return worker.produce(order, prepared, watch), watch

    def output(self) -> np.ndarray:
        pixels = cv2.imread(str(Path(self.outbox.ref.path, HIDDEN)), cv2.IMREAD_UNCHANGED)
        assert pixels is not None
        return pixels


@pytest.fixture
def bench(make_root: MakeRoot, hands: Hands) -> Bench:
    return Bench(make_root, hands)


@pytest.mark.parametrize(
    ("strategy", "note", "largest"),
    [
        ("auto", "coarse to fine in 3 levels, 17 tiles", 256),
        ("tile", "in 12 tiles", 256),
        ("resize", None, 256),
        ("crop", None, 960),
        ("whole", None, 1000),
    ],
)
def test_a_large_hole_is_repaired_by_every_strategy(
    bench: Bench, strategy: str, note: str | None, largest: int
) -> None:
    engine = Plain()
    product, watch = bench.work(engine, bench.order(strategy))
    found, expected = bench.output(), photo()
    grown = cv2.dilate(mask(), np.ones((7, 7), np.uint8)) > 0
    assert np.array_equal(found[~grown], expected[~grown])
    off = np.abs(found.astype(int) - expected)[grown].max() / 257
    assert off < 1.5, "in levels of 255"
    assert max(max(request.mask.shape) for request in engine.asked) == largest
    assert {request.tag for request in engine.asked} == {7}
    assert (note in product.notes) == (note is not None)
    assert "device: cpu" in product.notes
    assert watch.stages["device"] == 500.0 * len(engine.asked)
    assert set(watch.stages) == {"decode", "model", "device", "encode"}


def test_the_same_order_gives_the_same_bytes(bench: Bench) -> None:
    digests = {bench.work(Plain(), bench.order("auto"))[0].output.sha256 for _ in range(2)}
    assert len(digests) == 1


@pytest.mark.parametrize("settings", [{"blend": "hard"}, {"match": {"colour": False}}])
def test_a_tile_keeps_the_model_s_shade_where_nothing_is_to_be_matched(
    bench: Bench, settings: dict[str, Any]
) -> None:
    class Dark(Plain):
        def submit(self, request: Request) -> Future[Result]:
            future = super().submit(request)
            done = future.result()
            darker: Future[Result] = Future()
            darker.set_result(Result(done.image - np.float32(0.05), 0.5))
            return darker

    inner = np.s_[200:300, 250:400]
    bench.work(Dark(), bench.order("auto"))
    matched = bench.output()[inner].mean()
    bench.work(Dark(), bench.order("auto", **settings))
    as_it_is = bench.output()[inner].mean()
    assert abs(matched - photo()[inner].mean()) < 500
    assert matched - as_it_is > 0.03 * 65535


@pytest.mark.parametrize("fails", [2, 3, 9])
@pytest.mark.parametrize("strategy", ["auto", "tile", "resize"])
def test_what_fails_leaves_nothing_behind(bench: Bench, strategy: str, fails: int) -> None:
    """No output, no memory, no request that nobody waits for, no budget."""
    engine = Plain(fails if strategy != "resize" else min(fails, 2))
    bench.work(Plain(), bench.order("resize"))
    Path(bench.outbox.ref.path, HIDDEN).unlink()
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(EngineTrouble, match="a bad tile"):
        bench.work(engine, bench.order(strategy))
    assert not Path(bench.outbox.ref.path, HIDDEN).exists()
    assert all(future.done() for future in engine.futures)
    del engine
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before
    with bench.budget.spend(bench.budget.total):
        pass


@pytest.mark.parametrize("way", ["direct", "pyramid"])
def test_a_plan_that_lies_outside_the_photo_is_refused(bench: Bench, way: str) -> None:
    """It comes from a process that has worked on a file which may be hostile."""
    order = bench.order("auto")
    worker = Worker(bench.hands, _engine(Plain()), bench.budget)
    with worker.prepared(order, Stopwatch()) as prepared:
        box = {"top": 0, "left": 0, "height": 1 << 30, "width": 1 << 30}
        region = {"box": box, "core": box, "scale": 1.0, "way": way}
        lying = Prepared({**prepared.facts, "regions": [region]}, prepared.arrays)
        with pytest.raises(Unexpected, match="outside the photo"):
            worker.produce(order, lying, Stopwatch())


def _engine(plain: Plain) -> Engine:
    return plain  # type: ignore[return-value]
