"""On a CUDA device: the same pictures as on the CPU, with graphs, and when memory runs out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest
import torch

from retouchd.config import Device
from retouchd.cuda_graphs import MOST, Graphs
from retouchd.cuda_runner import CudaRunner
from retouchd.engine import Request, Result
from retouchd.inpaint import exact_convolutions, inpaint
from retouchd.local_engine import LocalEngine
from retouchd.manifest import ModelSpec, resolve
from retouchd.nets.fused_lama import FusedLama
from retouchd.samples import Region, photo_like
from retouchd.weights import load_lama

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.timeout(120),
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device"),
]

GPU, CPU = torch.device("cuda:0"), torch.device("cpu")
MEMORY = 1 << 30

OpenEngine = Callable[..., LocalEngine]


@pytest.fixture
def spec(make_lama: Callable[..., Path], tmp_path: Path) -> ModelSpec:
    return resolve(str(make_lama(ngf=16, blocks=4)), tmp_path)


@pytest.fixture
def networks(spec: ModelSpec) -> tuple[FusedLama, FusedLama]:
    """The same network on the CPU and on the GPU, in float32."""
    return FusedLama(load_lama(spec)), FusedLama(load_lama(spec)).to(GPU)


@pytest.fixture
def open_engine(spec: ModelSpec) -> Iterator[OpenEngine]:
    opened: list[LocalEngine] = []

    def make(use: str = "cuda:0", max_batch: int | None = None) -> LocalEngine:
        opened.append(LocalEngine({"lama": spec}, Device(use=use), max_batch=max_batch))
        opened[-1].warm_up()
        return opened[-1]

    yield make
    for engine in opened:
        engine.close()


@pytest.fixture
def little_memory() -> Iterator[None]:
    """As if the GPU had a gigabyte."""
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(GPU).total_memory
    torch.cuda.set_per_process_memory_fraction(MEMORY / total, GPU)
    yield
    torch.cuda.set_per_process_memory_fraction(1.0, GPU)
    torch.cuda.empty_cache()


def _regions(side: int, count: int) -> list[Region]:
    image, mask = photo_like(side)
    return [(np.roll(image, 7 * number, axis=0), mask) for number in range(count)]


def _submit(engine: LocalEngine, regions: list[Region], precision: str) -> list[Future[Result]]:
    settings = {"precision": precision}
    return [engine.submit(Request("lama", *region, settings)) for region in regions]


@pytest.mark.parametrize(("side", "batch"), [(64, 1), (90, 3), (256, 2), (509, 1)])
def test_in_float32_a_gpu_paints_what_a_cpu_paints(
    networks: tuple[FusedLama, FusedLama], side: int, batch: int
) -> None:
    """Three times over, so that a graph paints as well."""
    on_cpu, on_gpu = networks
    regions, runner = _regions(side, batch), CudaRunner(GPU)
    expected = inpaint(on_cpu, regions, CPU)

    for _ in range(3):
        painted = runner.start(on_gpu, regions)()
        for one, other in zip(painted, expected, strict=True):
            assert np.abs(one - other).max() < 1e-3
    assert runner.facts == {}


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_a_graph_paints_what_the_network_paints_by_itself(
    networks: tuple[FusedLama, FusedLama], kind: torch.dtype
) -> None:
    network, graphs = networks[1].to(kind), Graphs()
    with torch.inference_mode(), exact_convolutions():
        for side in (64, 96, 64, 96, 64, 96):
            x = torch.rand(2, 4, side, side, device=GPU)
            plain, graph = network(x), graphs.run(network, x)
            assert (plain - graph).abs().max().item() < 1 / 255
    assert graphs.trouble is None
    assert len(graphs._captured) == 2


def test_graphs_are_few_and_give_their_memory_back(
    networks: tuple[FusedLama, FusedLama],
) -> None:
    network, graphs = networks[1], Graphs()
    torch.cuda.empty_cache()
    before = torch.cuda.memory_reserved()
    with torch.inference_mode():
        for side in range(64, 64 + 8 * (MOST + 3), 8):
            x = torch.rand(1, 4, side, side, device=GPU)
            for _ in range(2):
                graphs.run(network, x)
    assert len(graphs._captured) == MOST

    del x
    torch.cuda.synchronize()
    graphs.clear()
    torch.cuda.empty_cache()

    assert torch.cuda.memory_reserved() - before < 64 << 20


def test_several_batches_under_way_keep_their_own_pictures(
    networks: tuple[FusedLama, FusedLama],
) -> None:
    on_cpu, on_gpu = networks
    runner = CudaRunner(GPU)
    batches = [_regions(side, 2) for side in (64, 64, 96, 64, 96, 64)]

    finishing = [runner.start(on_gpu, regions) for regions in batches]

    for finish, regions in zip(finishing, batches, strict=True):
        for one, other in zip(finish(), inpaint(on_cpu, regions, CPU), strict=True):
            assert np.abs(one - other).max() < 1e-3


@pytest.mark.usefixtures("little_memory")
def test_with_too_little_memory_batches_shrink_and_every_picture_is_right(
    open_engine: OpenEngine, networks: tuple[FusedLama, FusedLama]
) -> None:
    """Out of memory at the real allocator, not at one that pretends."""
    engine, regions = open_engine(max_batch=16), _regions(1024, 16)

    results = [future.result(timeout=100) for future in _submit(engine, regions, "fp32")]

    assert {"halve_batch", "single"} & {r.notes.get("oom_step") for r in results}
    (expected,) = inpaint(networks[0], regions[:1], CPU)
    assert np.abs(results[0].image - expected).max() < 1e-3


@pytest.mark.usefixtures("little_memory")
def test_what_no_gpu_memory_holds_is_painted_by_the_cpu(open_engine: OpenEngine) -> None:
    engine = open_engine()

    (future,) = _submit(engine, _regions(4096, 1), "fp32")
    notes = future.result(timeout=110).notes

    assert (notes["oom_step"], notes["device"]) == ("cpu", "cpu")
    (after,) = _submit(engine, _regions(64, 1), "fp32")
    assert after.result(timeout=10).notes["device"] == "cuda:0"


def test_a_backlog_keeps_the_device_busy(open_engine: OpenEngine, spec: ModelSpec) -> None:
    """Computing alone takes most of the time that a backlog takes."""
    batch, batches, side = 8, 12, 512
    regions = _regions(side, batch)
    network = FusedLama(load_lama(spec)).to(GPU, torch.bfloat16)
    x = torch.rand(batch, 4, side, side, device=GPU)
    with torch.inference_mode():
        network(x)
        torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(batches):
            network(x)
        torch.cuda.synchronize()
        computing = time.perf_counter() - began
    engine = open_engine(max_batch=batch)
    for future in _submit(engine, regions * 2, "bf16"):
        future.result(timeout=60)

    began = time.perf_counter()
    for future in _submit(engine, regions * batches, "bf16"):
        future.result(timeout=60)
    took = time.perf_counter() - began

    # This network is a small one: host work weighs sixteen times what it does with big-lama.
    assert computing / took > 0.3
