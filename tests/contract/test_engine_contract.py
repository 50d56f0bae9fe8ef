"""What every engine owes the pipeline, whichever model it runs (see ``retouchd.engine``)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.gate import Gate
from retouchd.engine import Engine, Request, Result
from retouchd.errors import EngineTrouble, OutOfMemory
from retouchd.manifest import ModelSpec, resolve


class Exploding(np.ndarray):
    """An image that looks right and fails once a model reads it."""

    error: BaseException = ArithmeticError("a model's bug")

    def astype(self, *_: Any, **__: Any) -> Any:
        raise self.error


class Hungry(Exploding):
    """An image that no memory is large enough for."""

    error = MemoryError()


@pytest.fixture(params=["patchmatch", "classical", "flat", "lama"])
def spec(request: pytest.FixtureRequest, tmp_path: Path) -> ModelSpec:
    if request.param != "lama":
        return resolve(request.param, tmp_path)
    make_lama = request.getfixturevalue("make_lama")
    return resolve(str(make_lama(ngf=4, blocks=1)), tmp_path)


@pytest.fixture
def engine(open_engine: Callable[..., Engine]) -> Engine:
    return open_engine()


def _request(
    height: int = 24, width: int = 32, seed: int = 0, tag: int = 0, kind: type = np.uint8
) -> Request:
    random = np.random.default_rng(seed)
    image = random.integers(0, 256, (height, width, 3)).astype(kind)
    if kind is np.uint16:
        image = image * np.uint16(257)
    mask = np.zeros((height, width), np.uint8)
    mask[height // 4 : height // 2, width // 4 : width // 2] = 255
    return Request("model", image, mask, tag=tag)


def _with_image(kind: type[Exploding], **options: int) -> Request:
    whole = _request(**options)
    return Request("model", whole.image.view(kind), whole.mask, tag=whole.tag)


def _result(future: Future[Result]) -> Result:
    return future.result(timeout=5)


@pytest.mark.parametrize("size", [(24, 32), (17, 41), (1, 1), (3, 90)])
def test_a_region_comes_back_as_floats_in_its_own_size(
    engine: Engine, size: tuple[int, int]
) -> None:
    result = _result(engine.submit(_request(*size)))

    assert result.image.shape == (*size, 3)
    assert result.image.dtype == np.float32
    assert 0.0 <= result.image.min() <= result.image.max() <= 1.0
    assert 0.0 <= result.seconds < 5.0
    assert result.notes["device"] == "cpu"
    assert "oom_step" not in result.notes


def test_eight_and_sixteen_bits_of_the_same_photo_give_the_same(engine: Engine) -> None:
    eight = _result(engine.submit(_request(kind=np.uint8)))
    sixteen = _result(engine.submit(_request(kind=np.uint16)))

    assert np.abs(eight.image - sixteen.image).max() < 1e-4


def test_what_is_under_the_mask_is_ignored(engine: Engine) -> None:
    request = _request()
    vandalised = np.where(request.mask[..., None] > 0, 255 - request.image, request.image)

    before = _result(engine.submit(request))
    after = _result(engine.submit(Request("model", vandalised, request.mask)))

    np.testing.assert_array_equal(before.image, after.image)


def test_a_request_is_not_changed(engine: Engine) -> None:
    request = _request()
    image, mask = request.image.copy(), request.mask.copy()

    _result(engine.submit(request))

    np.testing.assert_array_equal(request.image, image)
    np.testing.assert_array_equal(request.mask, mask)


def test_submitting_never_waits_for_the_device(engine: Engine, gate: Gate) -> None:
    gate.hold()

    futures = [engine.submit(_request(seed=seed)) for seed in range(20)]

    assert not any(future.done() for future in futures)
    gate.way.set()
    assert len({_result(future).image.tobytes() for future in futures}) == 20


def test_requests_are_served_in_order(engine: Engine) -> None:
    order: list[int] = []
    futures = []
    for tag, size in enumerate([(8, 8), (64, 64), (8, 8), (16, 24), (16, 24), (8, 8)]):
        future = engine.submit(_request(*size, tag=tag))
        future.add_done_callback(lambda _, tag=tag: order.append(tag))
        futures.append(future)

    for future in futures:
        _result(future)

    assert order == sorted(order)


@pytest.mark.parametrize("max_batch", [1, 2, 8])
def test_a_batched_request_gives_what_it_gives_alone(
    open_engine: Callable[..., Engine], gate: Gate, max_batch: int
) -> None:
    engine = open_engine(max_batch=max_batch)
    alone = [_result(engine.submit(_request(seed=seed))).image for seed in range(4)]
    gate.hold()
    first = engine.submit(_request(8, 8))
    assert gate.reached.wait(5)
    futures = [engine.submit(_request(seed=seed)) for seed in range(4)]
    gate.way.set()

    _result(first)
    together = [_result(future) for future in futures]

    assert [result.notes["batch"] for result in together] == [min(max_batch, 4)] * 4
    for one, result in zip(alone, together, strict=True):
        assert np.abs(one - result.image).max() < 1e-5


def test_equal_sizes_are_batched_across_what_lies_between_them(
    open_engine: Callable[..., Engine], gate: Gate
) -> None:
    engine = open_engine(max_batch=8)
    gate.hold()
    futures = [engine.submit(_request(8, 8, tag=99))]
    assert gate.reached.wait(5)
    sizes = [(8, 8), (8, 8), (16, 8), (8, 8)]
    futures += [engine.submit(_request(*size, tag=tag)) for tag, size in enumerate(sizes)]
    gate.way.set()
    for future in futures:
        _result(future)

    assert [tags for tags in gate.told if tags] == [(99,), (0, 1, 3), (2,)]


def test_a_request_is_never_passed_over_by_more_than_a_batch(
    open_engine: Callable[..., Engine], gate: Gate
) -> None:
    engine = open_engine(max_batch=2)
    gate.hold()
    futures = [engine.submit(_request(8, 8, tag=99))]
    assert gate.reached.wait(5)
    sizes = [(8, 8), (16, 8), *[(8, 8)] * 5]
    futures += [engine.submit(_request(*size, tag=tag)) for tag, size in enumerate(sizes)]
    gate.way.set()
    for future in futures:
        _result(future)

    assert [tags for tags in gate.told if tags] == [(99,), (0, 2), (1,), (3, 4), (5, 6)]


def test_tags_are_told_before_the_work_and_taken_back_after_it(engine: Engine, gate: Gate) -> None:
    gate.hold()
    future = engine.submit(_request(tag=7))
    assert gate.reached.wait(5)
    during = list(gate.told)
    gate.way.set()
    _result(future)

    assert during == [(7,)]
    assert gate.told == [(7,), ()]


@pytest.mark.parametrize("max_batch", [1, 8])
def test_a_request_that_crashes_its_model_fails_alone(
    open_engine: Callable[..., Engine], gate: Gate, max_batch: int
) -> None:
    engine = open_engine(max_batch=max_batch)
    gate.hold()
    good = [engine.submit(_request(seed=0)), engine.submit(_request(seed=1))]
    bad = engine.submit(_with_image(Exploding))
    good.append(engine.submit(_request(seed=2)))
    gate.way.set()

    with pytest.raises(EngineTrouble, match="ArithmeticError: a model's bug"):
        _result(bad)
    assert all(np.isfinite(_result(future).image).all() for future in good)
    assert gate.told[-1] == ()


def test_a_request_too_large_for_every_memory_is_told_so_and_fails_alone(engine: Engine) -> None:
    hungry, good = engine.submit(_with_image(Hungry)), engine.submit(_request())

    with pytest.raises(OutOfMemory, match="32×24 pixels"):
        _result(hungry)
    _result(good)


@pytest.mark.parametrize(
    "request_",
    [
        Request("nobody", np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8)),
        Request("model", np.zeros((8, 8, 4), np.uint8), np.zeros((8, 8), np.uint8)),
        Request("model", np.zeros((8, 9, 3), np.uint8), np.zeros((8, 8), np.uint8)),
        Request("model", np.zeros((0, 8, 3), np.uint8), np.zeros((0, 8), np.uint8)),
        Request("model", np.zeros((8, 8, 3), np.float32), np.zeros((8, 8), np.uint8)),  # type: ignore[arg-type]
        Request("model", np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint16)),  # type: ignore[arg-type]
    ],
)
def test_a_request_that_can_t_be_served_fails_its_own_future(
    engine: Engine, request_: Request
) -> None:
    with pytest.raises(EngineTrouble):
        _result(engine.submit(request_))

    _result(engine.submit(_request()))


def test_a_cancelled_request_is_skipped(engine: Engine, gate: Gate) -> None:
    gate.hold()
    first = engine.submit(_request(tag=1))
    assert gate.reached.wait(5)
    cancelled = engine.submit(_request(tag=2))
    last = engine.submit(_request(tag=3))

    assert cancelled.cancel()
    gate.way.set()

    _result(first)
    _result(last)
    with pytest.raises(CancelledError):
        _result(cancelled)
    assert 2 not in {tag for tags in gate.told for tag in tags}


def test_closing_fails_what_is_queued_and_finishes_what_is_in_hand(
    engine: Engine, gate: Gate
) -> None:
    gate.hold()
    in_hand = engine.submit(_request())
    assert gate.reached.wait(5)
    queued = [engine.submit(_request()) for _ in range(3)]
    assert queued[0].cancel()
    closer = threading.Thread(target=engine.close)
    closer.start()

    for future in queued[1:]:
        with pytest.raises(EngineTrouble, match="closing"):
            _result(future)
    gate.way.set()
    _result(in_hand)
    closer.join(5)

    assert not closer.is_alive()


def test_a_closed_engine_takes_nothing_more(engine: Engine) -> None:
    engine.close()
    engine.close()

    with pytest.raises(EngineTrouble, match="closed"):
        _result(engine.submit(_request()))


def test_the_beat_is_now_while_there_is_nothing_to_do(engine: Engine) -> None:
    _result(engine.submit(_request()))

    deadline = time.monotonic() + 5
    while (now := time.monotonic()) < deadline and engine.last_beat() < now:
        time.sleep(0.001)  # the device thread may still be tidying up

    assert now < deadline


def test_the_beat_stands_still_while_the_device_hangs(engine: Engine, gate: Gate) -> None:
    gate.hold()
    future = engine.submit(_request())
    assert gate.reached.wait(5)

    hanging = engine.last_beat()
    time.sleep(0.05)
    assert engine.last_beat() == hanging
    engine.submit(_request())
    assert engine.last_beat() == hanging, "a full queue is no sign of progress"

    gate.way.set()
    _result(future)
    assert engine.last_beat() > hanging


def test_the_engine_describes_its_device_and_its_models(engine: Engine, spec: ModelSpec) -> None:
    facts = engine.describe()

    assert str(facts["device"]).startswith("cpu")
    assert facts["models"] == {"model": spec.sha256}
    assert facts["largest"] == {"model": 1024}
