"""What an engine owes the pipeline of a matting network, and what it does when that goes wrong."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from helpers.gate import Gate
from retouchd.config import Device
from retouchd.engine import Engine, Request, Result
from retouchd.errors import EngineTrouble, ModelUnusable, OutOfMemory
from retouchd.fit import Fit
from retouchd.fitting import picture_of, place
from retouchd.local_engine import LocalEngine
from retouchd.manifest import ModelSpec, resolve
from retouchd.matte_painter import MatteNetworks, network_input
from retouchd.matting_weights import cvunet_bytes
from retouchd.nets.cvunet import CvUNet, CvUNetShape

SMALL = CvUNetShape(width=0.25, context=16, rates=(1, 2), decoder=(16, 16, 8, 8), head=8)
FIT = Fit(64, multiple_of=32)


def trained() -> CvUNet:
    """Random weights, whose answers differ from place to place and from 0.5."""
    torch.manual_seed(7)
    net = CvUNet(SMALL).eval()
    with torch.no_grad():
        net.head.weight.mul_(6)
        for module in net.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.uniform_(-0.2, 0.2)
                module.running_var.uniform_(0.4, 1.2)
    return net


@pytest.fixture(scope="module")
def net() -> CvUNet:
    return trained()


@pytest.fixture(scope="module")
def spec(net: CvUNet, tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    tmp_path = tmp_path_factory.mktemp("models")
    content = cvunet_bytes(net)
    (tmp_path / "net.safetensors").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    (tmp_path / "manifest.yaml").write_text(
        "models: {net: {architecture: cvunet, file: net.safetensors, "
        f"sha256: {digest}, input: {{size: 64, multiple_of: 32}}}}}}"
    )
    return resolve("net", tmp_path)


@pytest.fixture(scope="module")
def engine(spec: ModelSpec) -> Iterator[Engine]:
    made = LocalEngine({"model": spec}, Device(use="cpu", threads=1))
    made.warm_up()
    yield made
    made.close()


def region(
    size: tuple[int, int] = (40, 64), seed: int = 0, kind: Any = np.uint8
) -> tuple[np.ndarray, np.ndarray]:
    """A network's picture of a photo of that size, and where it shows it."""
    photo = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8).astype(kind)
    if kind is np.uint16:
        photo = photo * np.uint16(257)
    return picture_of(photo, place(size, FIT))


def request(precision: str = "fp32", **how: Any) -> Request:
    return Request("model", *region(**how), {"precision": precision})


def answer(future: Future[Result]) -> Result:
    return future.result(timeout=8)


# The contract.


@pytest.mark.parametrize("size", [(40, 64), (64, 40), (64, 64), (3, 200), (1, 1), (900, 700)])
def test_an_alpha_comes_back_in_the_size_of_its_picture(
    engine: Engine, size: tuple[int, int]
) -> None:
    asked = request(size=size)
    result = answer(engine.submit(asked))
    assert result.image.shape == (*asked.mask.shape, 1)
    assert result.image.dtype == np.float32
    assert 0 <= result.image.min() <= result.image.max() <= 1
    assert not result.image[asked.mask == 0].any(), "beside the photo there is nothing"
    assert result.notes["device"] == "cpu"


def test_it_is_the_networks_own_answer(engine: Engine, net: CvUNet) -> None:
    picture, shown = region()
    with torch.inference_mode():
        plain = net(torch.from_numpy(network_input(picture, shown))[None]).alpha[0, 0].numpy()
    found = answer(engine.submit(Request("model", picture, shown, {"precision": "fp32"}))).image
    assert np.ptp(plain[shown > 0]) > 0.05, "the network says something"
    assert np.abs(found[..., 0] - plain)[shown > 0].max() < 1e-4


def test_eight_and_sixteen_bits_of_the_same_photo_give_the_same(engine: Engine) -> None:
    eight, sixteen = (answer(engine.submit(request(kind=kind))) for kind in (np.uint8, np.uint16))
    assert np.abs(eight.image - sixteen.image).max() < 1e-5


def test_what_lies_beside_the_photo_is_ignored(engine: Engine) -> None:
    picture, shown = region()
    vandalised = np.where(shown[..., None] > 0, picture, 255 - picture)
    before, after = (
        answer(engine.submit(Request("model", image, shown))) for image in (picture, vandalised)
    )
    np.testing.assert_array_equal(before.image, after.image)


def test_a_request_is_not_changed(engine: Engine) -> None:
    asked = request()
    image, mask = asked.image.copy(), asked.mask.copy()
    answer(engine.submit(asked))
    np.testing.assert_array_equal(asked.image, image)
    np.testing.assert_array_equal(asked.mask, mask)


@pytest.mark.parametrize("max_batch", [1, 3, 8])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_batch_gives_what_each_gives_alone(
    open_engine: Callable[..., Engine], gate: Gate, max_batch: int, precision: str
) -> None:
    engine = open_engine(max_batch=max_batch)
    asked = [request(precision, seed=seed) for seed in range(5)]
    alone = [answer(engine.submit(one)).image for one in asked]
    together = _at_once(engine, gate, asked)
    assert together[0].notes["batch"] == min(max_batch, 5)
    for one, result in zip(alone, together, strict=True):
        tolerance = 1e-5 if precision == "fp32" else 0.02
        assert np.abs(one - result.image).max() < tolerance


def _at_once(engine: Engine, gate: Gate, asked: Sequence[Request]) -> list[Result]:
    gate.hold()
    first = engine.submit(request(size=(8, 8), seed=99))
    assert gate.reached.wait(5)
    futures = [engine.submit(one) for one in asked]
    gate.way.set()
    answer(first)
    return [answer(future) for future in futures]


def test_half_precision_is_near_and_says_so(engine: Engine) -> None:
    exact, short = (answer(engine.submit(request(wish))) for wish in ("fp32", "bf16"))
    assert (exact.notes["precision"], short.notes["precision"]) == ("fp32", "bf16")
    assert np.abs(exact.image - short.image).max() < 0.1
    assert np.abs(exact.image - short.image).mean() < 0.01


def test_what_automatic_precision_means_is_one_of_both_and_told(engine: Engine) -> None:
    auto = engine.describe()["auto"]["model"]
    result = answer(engine.submit(request("auto")))
    assert result.notes["precision"] == auto["precision"]
    twin = answer(engine.submit(request(auto["precision"])))
    np.testing.assert_array_equal(result.image, twin.image)


def test_precisions_are_not_mixed_in_a_batch(
    open_engine: Callable[..., Engine], gate: Gate
) -> None:
    engine = open_engine(max_batch=8)
    wishes = ["fp32", "bf16", "fp32", "bf16"]
    results = _at_once(engine, gate, [request(wish, seed=1) for wish in wishes])
    assert [result.notes["precision"] for result in results] == wishes
    np.testing.assert_array_equal(results[0].image, results[2].image)


def test_the_engine_tells_what_pictures_the_network_wants(engine: Engine, spec: ModelSpec) -> None:
    facts = engine.describe()
    assert facts["fits"] == {"model": FIT}
    assert facts["tasks"] == {"model": "matte"}
    assert facts["models"] == {"model": spec.identity}
    assert spec.identity != spec.sha256, "other pictures are other work"


def test_weights_that_are_not_the_ones_meant_are_refused(spec: ModelSpec, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    other.write_bytes(cvunet_bytes(CvUNet(SMALL)))
    engine = LocalEngine({"model": replace(spec, path=other)}, Device(use="cpu", threads=1))
    with pytest.raises(ModelUnusable, match="was expected"):
        engine.warm_up()
    engine.close()


# What goes wrong on the device.


@pytest.fixture
def disturb(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., Any]], None]:
    """``disturb(fault)``: fault(networks, precision, regions, alphas) stands in for the network's
    own work, which is its last argument."""

    def install(fault: Callable[..., Any]) -> None:
        plain = MatteNetworks.alphas
        monkeypatch.setattr(
            MatteNetworks,
            "alphas",
            lambda networks, precision, regions: fault(
                networks, precision, regions, lambda: plain(networks, precision, regions)
            ),
        )

    return install


def test_an_overflow_in_half_precision_is_done_again_in_float32(
    engine: Engine, disturb: Any
) -> None:
    def overflow(networks: Any, precision: str, regions: Any, work: Any) -> Any:
        found = work()
        if precision == "bf16":
            found[0][5, 5] = np.nan
        return found

    good = answer(engine.submit(request("fp32")))
    disturb(overflow)
    result = answer(engine.submit(request("bf16")))
    np.testing.assert_array_equal(result.image, good.image)
    assert result.notes["repainted_in_fp32"] == "its output is not a number everywhere"
    assert result.notes["precision"] == "fp32"


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.5, 1.5])
def test_an_alpha_that_can_not_be_right_in_any_precision_is_refused(
    engine: Engine, disturb: Any, value: float
) -> None:
    def wrong(networks: Any, precision: str, regions: Any, work: Any) -> Any:
        found = work()
        found[0][5, 5] = value
        return found

    disturb(wrong)
    for precision in ("fp32", "bf16"):
        with pytest.raises(EngineTrouble, match=r"not a number|alpha reaches"):
            answer(engine.submit(request(precision)))


def test_only_the_photo_whose_alpha_is_wrong_is_done_again(
    open_engine: Callable[..., Engine], gate: Gate, disturb: Any
) -> None:
    engine = open_engine(max_batch=4)
    asked = [request("bf16", seed=seed) for seed in range(4)]

    def overflow(networks: Any, precision: str, regions: Any, work: Any) -> Any:
        found = work()
        if precision == "bf16" and len(regions) == 4:
            found[2][...] = np.nan
        return found

    disturb(overflow)
    results = _at_once(engine, gate, asked)
    assert ["repainted_in_fp32" in r.notes for r in results] == [False, False, True, False]


def test_a_batch_too_large_for_the_memory_is_halved_and_the_next_ones_are_smaller(
    open_engine: Callable[..., Engine], gate: Gate, disturb: Any
) -> None:
    engine = open_engine(max_batch=8)
    sizes: list[int] = []

    def tight(networks: Any, precision: str, regions: Any, work: Any) -> Any:
        sizes.append(len(regions))
        if len(regions) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return work()

    alone = [answer(engine.submit(request(seed=seed))).image for seed in range(8)]
    disturb(tight)
    asked = [request(seed=seed) for seed in range(8)]
    results = _at_once(engine, gate, asked)
    for one, result in zip(alone, results, strict=True):
        assert np.abs(one - result.image).max() < 1e-5
    assert {result.notes["oom_step"] for result in results} <= {"halve_batch", "single"}
    assert max(sizes) == 8
    sizes.clear()
    again = _at_once(engine, gate, asked)
    assert max(sizes) <= 4, "what did not fit is remembered"
    assert len(again) == 8


def test_a_photo_that_no_memory_holds_fails_alone_and_says_how_large_it_was(
    engine: Engine, disturb: Any
) -> None:
    def full(networks: Any, precision: str, regions: Any, work: Any) -> Any:
        if any(image.max() == 13 for image, _ in regions):
            raise MemoryError
        return work()

    disturb(full)
    picture, shown = region()
    unlucky = Request("model", np.full_like(picture, 13), shown)
    with pytest.raises(OutOfMemory, match="64×64 pixels"):
        answer(engine.submit(unlucky))
    assert answer(engine.submit(request())).image.any()


def test_a_networks_own_bug_fails_its_photo_and_not_the_others(
    open_engine: Callable[..., Engine], gate: Gate, disturb: Any
) -> None:
    engine = open_engine(max_batch=4)

    def bug(networks: Any, precision: str, regions: Any, work: Any) -> Any:
        if any(image.max() == 13 for image, _ in regions):
            raise RuntimeError("expected scalar type Half")
        return work()

    disturb(bug)
    picture, shown = region()
    asked = [request(seed=1), Request("model", np.full_like(picture, 13), shown, {})]
    gate.hold()
    first = engine.submit(request(size=(8, 8)))
    assert gate.reached.wait(5)
    good, bad = [engine.submit(one) for one in asked]
    gate.way.set()
    answer(first)
    with pytest.raises(EngineTrouble, match="expected scalar type Half"):
        answer(bad)
    assert answer(good).image.any()
