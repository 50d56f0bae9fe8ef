"""LaMa on the CPU: our networks against the literal one, with random weights in big-lama's shape.

Rounds are interleaved, one call of every network in each, so that other programs disturb all
alike; figures are medians. Peak memory is that of a process of its own that paints once.

python -m benchmarks.lama [SIDE...]      (default: 256 512 768 1024)
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from retouchd.lama_names import lama_name
from retouchd.nets.fused_lama import FusedLama
from retouchd.nets.lama import Lama, LamaShape

SIDES = (256, 512, 768, 1024)
ROUNDS = {256: 9, 512: 5}
LEAST_ROUNDS = 3
PEAK_AT = (512, 1024)

Network = Callable[[Tensor], Tensor]


def main(sides: tuple[int, ...] = SIDES) -> None:
    with torch.inference_mode():
        lama = random_lama()
        networks = {name: make(lama) for name, make in VARIANTS.items()}
        print(f"torch {torch.__version__}, {torch.get_num_threads()} threads\n")
        print("| side | network | seconds | speed-up | spread | error | peak MiB |")
        print("|---:|---|---:|---:|---:|---:|---:|")
        for side in sides:
            _compare(networks, side)


def random_lama() -> Lama:
    """big-lama with weights that keep activations at their size, and batch norms that matter."""
    random = torch.Generator().manual_seed(0)
    lama = Lama(LamaShape()).eval().requires_grad_(False)
    for name, tensor in lama.state_dict().items():
        if tensor.dim() == 4:
            taps = tensor[:, 0].numel() / 4 if name.startswith("ups") else tensor[0].numel()
            tensor.copy_(torch.randn(tensor.shape, generator=random) * taps**-0.5)
        elif tensor.dim() == 1:
            low, high = (0.5, 1.5) if name.endswith(("norm.weight", "_var")) else (-0.2, 0.2)
            tensor.copy_(low + (high - low) * torch.rand(tensor.shape, generator=random))
    return lama


def write_random_lama(path: Path) -> Path:
    """``random_lama`` as a .safetensors file that `models add` and `--model` take."""
    save_file(original_names(random_lama()), path)
    return path


def _literal(lama: Lama) -> Network:
    return lama


def _channels_last(lama: Lama) -> Network:
    with torch.device("meta"):
        other = Lama(lama.shape)
    state = {key: tensor.clone() for key, tensor in lama.state_dict().items()}
    other.load_state_dict(state, assign=True)
    module: nn.Module = other.eval().to(memory_format=torch.channels_last)
    return lambda x: module(x.contiguous(memory_format=torch.channels_last))


def _torchscript(lama: Lama) -> Network:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.freeze(torch.jit.trace(lama, torch.rand(1, 4, 64, 64)))


VARIANTS: dict[str, Callable[[Lama], Network]] = {
    "literal, fp32": _literal,
    "literal, channels last": _channels_last,
    "literal, TorchScript": _torchscript,
    "fused, fp32": FusedLama,
    "fused, bf16, FFT": lambda lama: FusedLama(lama, "fft").bfloat16(),
    "fused, bf16, DFT": lambda lama: FusedLama(lama, "dft").bfloat16(),
}


def _compare(networks: dict[str, Network], side: int) -> None:
    x = torch.rand(1, 4, side, side, generator=torch.Generator().manual_seed(side))
    exact = networks["literal, fp32"](x)
    errors = {name: (network(x) - exact).abs().mean().item() for name, network in networks.items()}
    networks["literal, TorchScript"](x)  # it optimises itself on its first calls
    times: dict[str, list[float]] = {name: [] for name in networks}
    for _ in range(ROUNDS.get(side, LEAST_ROUNDS)):
        for name, network in networks.items():
            began = time.perf_counter()
            network(x)
            times[name].append(time.perf_counter() - began)
    literal = times["literal, fp32"]
    for name, taken in times.items():
        peak = _peak_in_child(name, side) if side in PEAK_AT else ""
        ratios = [first / other for first, other in zip(literal, taken, strict=True)]
        low, *_, high = statistics.quantiles(ratios, n=4)
        print(
            f"| {side} | {name} | {statistics.median(taken):.2f} | {statistics.median(ratios):.2f}"
            f" | {low:.2f}–{high:.2f} | {errors[name]:.4f} | {peak} |",
            flush=True,
        )


def _peak_in_child(name: str, side: int) -> int:
    command = [sys.executable, "-m", "benchmarks.lama", "--peak", name, str(side)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _peak(name: str, side: int) -> None:
    """The most MiB that the process holds while it paints, torch and weights included."""
    with torch.inference_mode():
        network = VARIANTS[name](random_lama())
        network(torch.rand(1, 4, 64, 64))
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # resets the peak
        network(torch.rand(1, 4, side, side))
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    print(int(line.split()[1]) // 1024)


def original_names(lama: Lama) -> dict[str, Tensor]:
    """The state under the names of the original implementation, which weights files have."""
    ours = lama.state_dict()
    candidates = (f"model.{number}.{rest}" for number in range(1, 50) for rest in _inner_names())
    found: dict[str, Tensor] = {}
    for candidate in candidates:
        try:
            name = lama_name(candidate, lama.shape)
        except ValueError:
            continue
        if name in ours:
            found[candidate] = ours[name].contiguous()
    assert len(found) == len(ours)
    return found


def _inner_names() -> list[str]:
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    paths = ["convl2l", "convl2g", "convg2l", "convg2g.conv1.0", "convg2g.conv2"]
    inner = [f"ffc.{path}.weight" for path in [*paths, "convg2g.fu.conv_layer"]]
    for name in ("bn_l", "bn_g", "ffc.convg2g.conv1.1", "ffc.convg2g.fu.bn"):
        inner += [f"{name}.{part}" for part in norm]
    blocks = [f"conv{number}.{name}" for number in (1, 2) for name in inner]
    return [*inner, *blocks, *norm]


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peak"]:
        _peak(sys.argv[2], int(sys.argv[3]))
    else:
        main(tuple(map(int, sys.argv[1:])) or SIDES)
