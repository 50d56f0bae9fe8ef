"""What a lane says about fitting the fill to its surroundings reaches the fill."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from retouchd import classical, files
from retouchd.budget import ByteBudget
from retouchd.call import Call
from retouchd.config import parse
from retouchd.engine import Request, Result
from retouchd.order import Model, Order, Stopwatch
from retouchd.roots import Root
from retouchd.tasks import TASKS
from retouchd.tasks.values import Original
from retouchd.worker import Worker

HIDDEN = ".retouchd-t.tmp"
HOLE = (slice(60, 100), slice(70, 130))


class HandsHere:
    """Does a hand's tasks in this process; values cross as JSON, arrays as they are."""

    def call(self, call: Call) -> Any:
        return TASKS[call.task](json.loads(json.dumps(call.arguments)), call.arrays)


class Drifting:
    """An engine that fills well, but repaints everything ten levels too bright."""

    def submit(self, request: Request) -> Future[Result]:
        answer: Future[Result] = Future()
        painted = classical.fill(request.image, request.mask) + np.float32(10 / 255)
        answer.set_result(Result(painted, 0.0))
        return answer


@pytest.fixture
def repaired(make_root: Callable[..., Root]) -> Callable[[dict[str, Any]], float]:
    """How many levels the fill of an even grey photo is off, with those settings."""

    def repair(settings: dict[str, Any]) -> float:
        inbox, outbox = make_root("inbox"), make_root("outbox")
        noise = np.random.default_rng(0).normal(0, 2, (160, 200, 3))
        photo = np.clip(100 + noise, 0, 255).round().astype(np.uint8)
        mask = np.zeros((160, 200), np.uint8)
        mask[HOLE] = 255
        originals = []
        for name, pixels in (("p.png", photo), ("p_mask.png", mask)):
            Path(inbox.ref.path, name).write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
            stat = files.stat(inbox, name)
            assert stat
            originals.append(Original(inbox.ref, name, stat))
        model = Model("drifting", "0")
        order = Order(
            *(1, "a", *originals, "mask", outbox.ref, HIDDEN, model, settings, 10**6, 10.0)
        )
        worker = Worker(HandsHere(), Drifting(), ByteBudget(1 << 30))  # type: ignore[arg-type]
        watch = Stopwatch()
        with worker.prepared(order, watch) as prepared:
            worker.produce(order, prepared, watch)
        out = cv2.imread(str(Path(outbox.ref.path, HIDDEN)))
        off: float = out[HOLE].mean() - 100
        return off

    return repair


def settings(*sets: str) -> dict[str, Any]:
    lane = "lanes:\n  - name: a\n    root: /srv/a\n"
    return parse(lane, "x", [f"lanes.a.{item}" for item in sets]).lanes[0].work()


def test_by_default_the_models_drift_stays_out_of_the_photo(
    repaired: Callable[[dict[str, Any]], float],
) -> None:
    assert repaired(settings()) == pytest.approx(0, abs=1)


@pytest.mark.parametrize("item", ["match.colour=false", "blend=hard"])
def test_without_matching_and_with_hard_the_answer_comes_as_it_is(
    repaired: Callable[[dict[str, Any]], float], item: str
) -> None:
    assert repaired(settings(item)) == pytest.approx(10, abs=1)


def test_a_job_from_before_there_was_a_choice_is_done_as_it_would_have_been_then(
    repaired: Callable[[dict[str, Any]], float],
) -> None:
    old = {key: value for key, value in settings().items() if key != "match"}
    assert repaired(old) == pytest.approx(10, abs=1)
