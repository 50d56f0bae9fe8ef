"""The local engine beyond the contract: devices, torch, sharing, and outputs that can't be."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from retouchd import flat, local_engine
from retouchd.config import Device
from retouchd.engine import Request
from retouchd.errors import EngineTrouble, GpuRequired, ModelUnusable, OutOfMemory
from retouchd.local_engine import LocalEngine
from retouchd.manifest import ModelSpec, resolve
from retouchd.painter import Finish, PlainPainter
from retouchd.samples import Region, Unit
from retouchd.sanity import trouble_with

CPU = Device(use="cpu", threads=1)
without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")

OpenEngine = Callable[..., LocalEngine]


@pytest.fixture
def open_engine() -> Iterator[OpenEngine]:
    opened: list[LocalEngine] = []

    def make(models: dict[str, ModelSpec], device: Device = CPU, **options: Any) -> LocalEngine:
        opened.append(LocalEngine(models, device, **options))
        return opened[-1]

    yield make
    for engine in opened:
        engine.close()


@pytest.fixture
def lama(make_lama: Callable[..., Path], tmp_path: Path) -> ModelSpec:
    return resolve(str(make_lama()), tmp_path)


def _request(model: str) -> Request:
    image = np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)
    mask = np.zeros((24, 24), np.uint8)
    mask[8:16, 8:16] = 255
    return Request(model, image, mask)


def test_an_engine_of_classical_models_imports_no_torch() -> None:
    code = """
import sys
from pathlib import Path
import numpy as np
from retouchd.config import Device
from retouchd.engine import Request
from retouchd.local_engine import LocalEngine
from retouchd.manifest import available

known = available(Path("/nonexistent"))
engine = LocalEngine({name: known[name] for name in ("classical", "flat")}, Device(threads=2))
engine.warm_up()
mask = np.eye(16, dtype=np.uint8) * 255
futures = [engine.submit(Request(name, np.ones((16, 16, 3), np.uint8), mask))
           for name in ("classical", "flat")]
print(*(future.result().image.shape for future in futures), engine.describe()["device"])
engine.close()
print("torch" in sys.modules)
"""
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert answer.stdout.split("\n")[:2] == ["(16, 16, 3) (16, 16, 3) cpu", "False"]


def test_torch_s_threads_are_told_not_to_spin_for_long_while_they_wait() -> None:
    """Before torch is loaded, which reads it once; and unless the administrator says otherwise."""
    code = """
import os, sys
from importlib.abc import MetaPathFinder
from retouchd.config import Device
from retouchd.device import choose

class Watch(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "torch":
            print(os.environ.get("GOMP_SPINCOUNT"))
            sys.exit()

sys.meta_path.insert(0, Watch())
choose(Device(use="cpu"))
"""
    said = []
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_"))}
    for own in ({}, {"OMP_WAIT_POLICY": "active"}, {"GOMP_SPINCOUNT": "7"}):
        answer = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={**plain, **own},
        )
        said.append(answer.stdout.strip())

    assert said == ["20000", "None", "7"]


def test_a_cpu_can_t_stand_in_for_a_required_gpu(open_engine: OpenEngine, lama: ModelSpec) -> None:
    engine = open_engine({"lama": lama}, Device(use="cpu", require_gpu=True))

    with pytest.raises(GpuRequired, match=r"device\.use is cpu"):
        engine.warm_up()


@without_gpu
@pytest.mark.parametrize(
    "device", [Device(require_gpu=True), Device(use="cuda"), Device(use="cuda:3")]
)
def test_a_gpu_that_is_asked_for_is_never_replaced_silently(
    open_engine: OpenEngine, lama: ModelSpec, device: Device
) -> None:
    engine = open_engine({"lama": lama}, device)

    with pytest.raises(GpuRequired, match="no CUDA device"):
        engine.warm_up()
    with pytest.raises(GpuRequired):
        engine.warm_up()
    with pytest.raises(EngineTrouble):
        engine.submit(_request("lama")).result(timeout=5)


@without_gpu
def test_a_required_gpu_is_looked_for_even_when_no_model_needs_it(
    open_engine: OpenEngine, tmp_path: Path
) -> None:
    engine = open_engine({"flat": resolve("flat", tmp_path)}, Device(require_gpu=True))

    with pytest.raises(GpuRequired):
        engine.warm_up()


@without_gpu
def test_auto_takes_the_cpu_where_there_is_no_gpu(open_engine: OpenEngine, lama: ModelSpec) -> None:
    engine = open_engine({"lama": lama}, Device(threads=1))
    engine.warm_up()

    assert engine.describe()["device"] == "cpu (1 threads)"


def test_a_model_that_can_t_be_loaded_stops_the_start(
    open_engine: OpenEngine, lama: ModelSpec
) -> None:
    assert lama.path is not None
    lama.path.write_bytes(b"")
    engine = open_engine({"lama": lama})
    waiting = engine.submit(_request("lama"))

    with pytest.raises(ModelUnusable, match="was expected"):
        engine.warm_up()
    with pytest.raises(EngineTrouble):
        waiting.result(timeout=5)


def test_weights_that_are_no_numbers_stop_the_start(
    open_engine: OpenEngine, make_lama: Callable[..., Path], tmp_path: Path
) -> None:
    path = make_lama()
    tensors = load_file(path)
    tensors["model.1.bn_l.weight"] *= float("nan")
    save_file(tensors, path)
    engine = open_engine({"lama": resolve(str(path), tmp_path)})

    with pytest.raises(ModelUnusable, match="not a number everywhere"):
        engine.warm_up()


def test_warming_up_is_optional_and_repeatable(open_engine: OpenEngine, tmp_path: Path) -> None:
    engine = open_engine({"flat": resolve("flat", tmp_path)})

    assert engine.submit(_request("flat")).result(timeout=5).image.shape == (24, 24, 3)
    engine.warm_up()
    engine.warm_up()


def test_a_closed_engine_can_t_be_warmed_up(open_engine: OpenEngine, tmp_path: Path) -> None:
    engine = open_engine({"flat": resolve("flat", tmp_path)})
    engine.close()

    with pytest.raises(EngineTrouble, match="closed"):
        engine.warm_up()


def test_several_models_answer_each_under_its_own_name(
    open_engine: OpenEngine, lama: ModelSpec, tmp_path: Path
) -> None:
    models = {"a": lama, "b": lama, "flat": resolve("flat", tmp_path)}
    engine = open_engine(models, max_batch=8)

    futures = {name: engine.submit(_request(name)) for name in ("a", "flat", "b")}
    images = {name: future.result(timeout=5).image for name, future in futures.items()}

    np.testing.assert_array_equal(images["a"], images["b"])
    assert np.abs(images["a"] - images["flat"]).max() > 0.1
    assert engine.describe()["models"] == {name: spec.sha256 for name, spec in models.items()}


def test_a_note_that_can_t_be_written_fails_the_batch_but_not_the_engine(
    open_engine: OpenEngine, tmp_path: Path
) -> None:
    broken = threading.Event()
    broken.set()

    def note(tags: tuple[int, ...]) -> None:
        if broken.is_set():
            raise OSError("no space for the note")

    engine = open_engine({"flat": resolve("flat", tmp_path)}, on_device=note)
    with pytest.raises(EngineTrouble, match="no space for the note"):
        engine.submit(_request("flat")).result(timeout=5)
    broken.clear()

    assert engine.submit(_request("flat")).result(timeout=5).image.shape == (24, 24, 3)


def test_closing_gives_up_on_a_device_that_hangs(open_engine: OpenEngine, tmp_path: Path) -> None:
    reached, way = threading.Event(), threading.Event()

    def hang(tags: tuple[int, ...]) -> None:
        reached.set()
        way.wait(5)

    engine = open_engine({"flat": resolve("flat", tmp_path)}, on_device=hang)
    future = engine.submit(_request("flat"))
    assert reached.wait(5)

    engine.close(timeout=0.05)

    assert not future.done()
    way.set()
    assert future.result(timeout=5).image.shape == (24, 24, 3)


class Ahead(PlainPainter):
    """Works like a GPU: what was started goes on while more is started."""

    happened: ClassVar[list[str]] = []

    @property
    def ahead(self) -> bool:
        return True

    def start(self, regions: Sequence[Region]) -> Finish:
        name = str(regions[0][0][0, 0, 0])
        self.happened.append(f"start {name}")

        def finish() -> list[Unit]:
            self.happened.append(f"finish {name}")
            if name == "2" and self.happened.count("finish 2") == 1:
                raise OutOfMemory(what="a test")
            return PlainPainter.start(self, regions)()

        return finish


def test_the_next_batch_is_started_before_the_last_is_collected(
    open_engine: OpenEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And whoever looks for the cause of a crash is told of both; memory that runs out in one of
    them is that one's affair."""
    told: list[tuple[int, ...]] = []
    reached, way = threading.Event(), threading.Event()

    def note(tags: tuple[int, ...]) -> None:
        told.append(tags)
        reached.set()
        way.wait(5)

    monkeypatch.setattr(local_engine, "open_painter", lambda *_: Ahead(flat.fill))
    engine = open_engine({"flat": resolve("flat", tmp_path)}, on_device=note)
    engine.warm_up()
    Ahead.happened.clear()
    photo = _request("flat")
    futures = []
    for tag in (1, 2, 3):
        image = np.full_like(photo.image, tag)
        futures.append(engine.submit(Request("flat", image, photo.mask, tag=tag)))
        assert reached.wait(5)
    way.set()
    results = [future.result(timeout=5) for future in futures]
    engine.close()

    assert [round(r.image.mean() * 255) for r in results] == [1, 2, 3]
    assert [r.notes.get("oom_step") for r in results] == [None, "empty_cache", None]
    again = ["finish 2", "start 2", "finish 2"]
    expected = ["start 1", "start 2", "finish 1", "start 3", *again, "finish 3"]
    assert Ahead.happened == expected
    assert told == [(1,), (1, 2), (2,), (2, 3), (3,), ()]


def test_a_long_inference_on_a_cpu_beats_while_it_runs(
    open_engine: OpenEngine, make_lama: Callable[..., Path], tmp_path: Path
) -> None:
    engine = open_engine({"lama": resolve(str(make_lama(blocks=6)), tmp_path)})
    engine.warm_up()
    image = np.full((512, 512, 3), 128, np.uint8)
    mask = np.zeros((512, 512), np.uint8)
    mask[300:400, 300:400] = 255

    future = engine.submit(Request("lama", image, mask))
    beats = set()
    while not future.done():
        beats.add(engine.last_beat())
        time.sleep(0.001)

    assert len(beats) > 3


_PHOTO = np.full((8, 8, 3), 120, np.uint8)
_RAMP = np.broadcast_to(np.arange(0, 240, 30, np.uint8)[:, None, None], (8, 8, 3))
_NIGHT = np.full((8, 8, 3), 2, np.uint8)
_HOLE = np.pad(np.full((4, 4), 255, np.uint8), 2)


@pytest.mark.parametrize(
    ("painted", "image", "mask", "verdict"),
    [
        (np.full((8, 8, 3), 0.5), _PHOTO, _HOLE, None),
        (np.full((8, 7, 3), 0.5), _PHOTO, _HOLE, "shape"),
        (np.full((8, 8, 3), np.nan), _PHOTO, _HOLE, "not a number"),
        (np.full((8, 8, 3), np.inf), _PHOTO, _HOLE, "not a number"),
        (np.zeros((8, 8, 3)), _PHOTO, _HOLE, "black"),
        (np.zeros((8, 8, 3)), _NIGHT, _HOLE, None),
        (np.zeros((8, 8, 3)), _PHOTO, np.full((8, 8), 255, np.uint8), None),
        (np.full((8, 8, 3), 0.5), _RAMP, _HOLE, "one colour"),
        (np.full((8, 8, 3), (0.1, 0.5, 0.9)), _RAMP, _HOLE, "one colour"),
        (_RAMP / 255, _RAMP, _HOLE, None),
    ],
)
def test_an_output_that_can_t_be_right_is_told_from_a_dark_or_an_empty_photo(
    painted: np.ndarray, image: np.ndarray, mask: np.ndarray, verdict: str | None
) -> None:
    found = trouble_with(painted.astype(np.float32), image, mask)

    assert (found is None) if verdict is None else (found is not None and verdict in found)
