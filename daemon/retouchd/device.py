"""What the models run on: the choice of a device, and whether it really works."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from retouchd.config import Device
from retouchd.errors import GpuRequired

_SPINS = "20000"  # a fraction of a millisecond


@dataclass(frozen=True)
class Place:
    """name: as torch spells it, ``cpu`` or ``cuda:0``. label: the same for a person.

    demanded: the configuration wants no other, so what can't run there must not run at all.
    """

    name: str = "cpu"
    label: str = "cpu"
    demanded: bool = False

    @property
    def is_gpu(self) -> bool:
        """Whether it has a memory of its own."""
        return self.name != "cpu"


def choose(device: Device) -> Place:
    """The place that the configuration asks for; also sets torch's number of threads.

    ``auto`` takes the first GPU that passes a small computation, else the CPU. Imports torch.
    Raises GpuRequired when a GPU is demanded, by ``require_gpu`` or by name, and none works.
    """
    # A thread that waits for its siblings spins for milliseconds, unless this is said before torch
    # is loaded; beside other work on the same cores a forward pass took up to 15 times as long.
    # Not at all (OMP_WAIT_POLICY=passive) costs a tenth and more in wake-ups.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)
    import torch

    if device.threads != "auto":
        torch.set_num_threads(device.threads)
    demanded = device.require_gpu or device.use.startswith("cuda")
    if device.use == "cpu":
        trouble: str | None = "device.use is cpu"
    else:
        name = device.use if ":" in device.use else "cuda:0"
        trouble = _gpu_trouble(name)
        if trouble is None:
            return Place(name, f"{name} ({torch.cuda.get_device_name(name)})", demanded)
    if demanded:
        raise GpuRequired(cause=trouble)
    return Place("cpu", f"cpu ({torch.get_num_threads()} threads)")


def threads() -> int:
    """How many threads compute, as ``choose`` has set it. Imports torch."""
    import torch

    return torch.get_num_threads()


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute in the calling thread alone, so that its CPU time is all that it takes."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _gpu_trouble(name: str) -> str | None:
    """A driver may report a GPU that this build of torch has no code for, so it must compute."""
    import torch

    if not torch.cuda.is_available():
        return "torch finds no CUDA device"
    try:
        spectrum = torch.fft.rfft2(torch.ones(8, 8, device=name))
        works = spectrum.abs().sum().item() == 64.0
    except RuntimeError as error:
        return " ".join(str(error).split())
    return None if works else f"{name} computes wrong results"
