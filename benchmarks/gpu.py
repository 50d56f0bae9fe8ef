"""LaMa on a CUDA device: regions a second, how busy the device is, and what share of its speed.

big-lama's shape with random weights, in bfloat16, through the engine as the service uses it. The
device's speed is measured as a product of bfloat16 matrices of random numbers; LaMa's operations
are counted by torch, without the Fourier transforms. Busy: the network's time by itself, from
events on the device, over the engine's time for the same batches.

python -m benchmarks gpu
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.lama import random_lama, write_random_lama
from retouchd.config import Device
from retouchd.engine import Request
from retouchd.local_engine import LocalEngine
from retouchd.manifest import resolve
from retouchd.nets.fused_lama import FusedLama
from retouchd.samples import photo_like

SIDES = (256, 512, 1024)
BATCHES = (1, 4, 8, 16)
MATRIX = 8192
SECONDS = 2.0


def main() -> None:
    if not torch.cuda.is_available():
        print("There is no CUDA device here, so there is nothing to measure.")
        return
    with torch.inference_mode(), tempfile.TemporaryDirectory() as folder:
        path = write_random_lama(Path(folder, "lama.safetensors"))
        network = FusedLama(random_lama(), spend=True).to("cuda", torch.bfloat16)
        fastest = 2 * MATRIX**3 / _seconds(_product())
        print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
        print(f"bf16 matrix product, {MATRIX}²: {fastest / 1e12:.0f} TFLOP/s\n")
        print("| side | batch | regions/s | busy | share of the matrix rate | GiB |")
        print("|---:|---:|---:|---:|---:|---:|")
        for batch in BATCHES:
            for side in SIDES:
                _row(path, network, side, batch, fastest)


def _row(path: Path, network: FusedLama, side: int, batch: int, fastest: float) -> None:
    x = torch.rand(batch, 4, side, side, device="cuda")
    with FlopCounterMode(display=False) as counter:
        network(x)
    alone = _seconds(lambda: network(x))
    rounds = max(4, int(SECONDS / alone))
    torch.cuda.reset_peak_memory_stats()
    took = _through_the_engine(path, side, batch, rounds) / rounds
    share = counter.get_total_flops() / took / fastest
    peak = torch.cuda.max_memory_allocated() / 2**30
    print(
        f"| {side} | {batch} | {batch / took:.1f} | {min(alone / took, 1):.0%} | {share:.0%}"
        f" | {peak:.1f} |",
        flush=True,
    )


def _product() -> Callable[[], object]:
    a, b = (torch.randn(MATRIX, MATRIX, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    return lambda: a @ b


def _seconds(work: Callable[[], object]) -> float:
    """Of one call, by the device's own clock: the mean of ten after three to warm up."""
    for _ in range(3):
        work()
    began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    began.record()
    for _ in range(10):
        work()
    ended.record()
    torch.cuda.synchronize()
    return began.elapsed_time(ended) / 10_000


def _through_the_engine(path: Path, side: int, batch: int, rounds: int) -> float:
    """Seconds for a backlog of so many full batches, once graphs and caches are there."""
    engine = LocalEngine(
        {"lama": resolve(str(path), path.parent)}, Device(use="cuda:0"), max_batch=batch
    )
    engine.warm_up()
    image, mask = photo_like(side)
    image = np.ascontiguousarray(image)
    requests = [Request("lama", image, mask, {"precision": "bf16"})] * batch
    for part in (requests * 3, requests * rounds):
        began = time.perf_counter()
        for future in [engine.submit(request) for request in part]:
            future.result()
        took = time.perf_counter() - began
    engine.close()
    return took


if __name__ == "__main__":
    main()
