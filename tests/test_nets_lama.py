"""The LaMa network computes what the paper and the original implementation compute."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from retouchd.manifest import resolve
from retouchd.nets.lama import FfcBlock, FfcConv, FourierUnit, Lama, LamaShape
from retouchd.weights import load_lama

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def _inference() -> Iterator[None]:
    with torch.inference_mode():
        yield


def _randomised(module: torch.nn.Module) -> torch.nn.Module:
    random = torch.Generator().manual_seed(1)
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, generator=random) * 0.5)
        assert name
    return module.eval()


def _plain_conv(x: Tensor, weight: Tensor) -> Tensor:
    side = weight.shape[-1] // 2
    return functional.conv2d(functional.pad(x, (side,) * 4, mode="reflect"), weight)


def _plain_norm(x: Tensor, state: dict[str, Tensor], name: str) -> Tensor:
    def per_channel(part: str) -> Tensor:
        return state[f"{name}.{part}"][None, :, None, None]

    scaled = (x - per_channel("running_mean")) / (per_channel("running_var") + 1e-5).sqrt()
    return scaled * per_channel("weight") + per_channel("bias")


def _plain_fourier(x: Tensor, state: dict[str, Tensor]) -> Tensor:
    """The Fourier unit by the book: a full complex transform, channel by channel."""
    height, width = x.shape[-2:]
    spectrum = torch.fft.fft2(x.to(torch.complex128)) / (height * width) ** 0.5
    planes = []
    for channel in range(x.shape[1]):
        planes += [spectrum[:, channel].real, spectrum[:, channel].imag]
    mixed = torch.einsum("oi,bihw->bohw", state["mix.weight"][:, :, 0, 0], torch.stack(planes, 1))
    mixed = torch.relu(_plain_norm(mixed, state, "norm"))
    half = torch.complex(mixed[:, 0::2], mixed[:, 1::2])[..., : width // 2 + 1]
    return torch.fft.irfft2(half, s=(height, width)) * (height * width) ** 0.5


def _plain_ffc(local: Tensor, spectral: Tensor, state: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    local, spectral = local.double(), spectral.double()
    state = {key: value.double() for key, value in state.items()}
    squeezed = torch.relu(
        _plain_norm(_plain_conv(spectral, state["g2g.squeeze.weight"]), state, "g2g.squeeze_norm")
    )
    inside = {
        key.removeprefix("g2g.fourier."): value
        for key, value in state.items()
        if key.startswith("g2g.fourier.")
    }
    transformed = _plain_conv(
        squeezed + _plain_fourier(squeezed, inside), state["g2g.expand.weight"]
    )
    out_l = _plain_conv(local, state["l2l.weight"]) + _plain_conv(spectral, state["g2l.weight"])
    out_g = _plain_conv(local, state["l2g.weight"]) + transformed
    return (
        torch.relu(_plain_norm(out_l, state, "norm_l")),
        torch.relu(_plain_norm(out_g, state, "norm_g")),
    )


def test_big_lama_has_the_published_number_of_parameters() -> None:
    with torch.device("meta"):
        module = Lama(LamaShape())

    assert sum(parameter.numel() for parameter in module.parameters()) == 50_975_875


@pytest.mark.parametrize("size", [(8, 8), (5, 9), (12, 7)])
def test_a_fast_fourier_convolution_equals_the_plain_formula(size: tuple[int, int]) -> None:
    module = _randomised(FfcConv(2, 6)).double()
    # The transform is float32 by design, so the comparison is as exact as float32 is.
    local, spectral = torch.rand(2, 2, *size).double(), torch.rand(2, 6, *size).double()

    ours = module(local, spectral)
    plain = _plain_ffc(local, spectral, dict(module.state_dict()))

    for mine, theirs in zip(ours, plain, strict=True):
        assert (mine - theirs).abs().max() < 1e-4 * theirs.abs().max()


def test_a_block_adds_two_convolutions_to_its_input() -> None:
    block = FfcBlock(2, 6)
    _randomised(block)
    local, spectral = torch.rand(1, 2, 8, 8), torch.rand(1, 6, 8, 8)

    out_l, out_g = block(local, spectral)
    first = _plain_ffc(local, spectral, dict(block.conv1.state_dict()))
    change_l, change_g = _plain_ffc(*first, dict(block.conv2.state_dict()))

    torch.testing.assert_close(out_l.double(), local + change_l, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(out_g.double(), spectral + change_g, rtol=1e-4, atol=1e-4)


def test_one_block_sees_the_whole_image() -> None:
    """What sets LaMa apart: a far corner changes what is painted here."""
    block = FfcBlock(2, 6)
    _randomised(block)
    local, spectral = torch.rand(1, 2, 32, 32), torch.rand(1, 6, 32, 32)
    changed = spectral.clone()
    changed[..., 31, 31] += 10.0

    before, after = block(local, spectral)[0], block(local, changed)[0]

    assert (before[..., 0, 0] != after[..., 0, 0]).any()


def test_the_transform_runs_in_float32_in_a_bfloat16_network() -> None:
    """torch.fft refuses bfloat16; the unit must neither fail nor change its type."""
    unit = _randomised(FourierUnit(4))
    x = torch.rand(1, 4, 12, 10)

    exact = unit(x)
    short = unit.bfloat16()(x.bfloat16())

    assert short.dtype == torch.bfloat16
    assert (short.float() - exact).abs().max() < 0.05 * exact.abs().max()


@pytest.mark.parametrize(
    "shape",
    [
        LamaShape(ngf=4, blocks=1),
        LamaShape(ngf=8, blocks=2, downs=2),
        LamaShape(ngf=4, blocks=1, downs=1, ratio=0.5),
        LamaShape(ngf=4, blocks=1, downs=4, max_features=24),
    ],
)
def test_every_shape_paints_an_image_of_the_input_s_size(shape: LamaShape) -> None:
    module = Lama(shape).eval()

    painted = module(torch.rand(2, 4, 48, 64))

    assert painted.shape == (2, 3, 48, 64)
    assert painted.min() >= 0.0
    assert painted.max() <= 1.0


@pytest.mark.parametrize("reference", ["ref_64x64.npz", "ref_203x325.npz"])
def test_the_network_equals_the_original_implementation(samples: Path, reference: str) -> None:
    folder = samples / "lama-tiny"
    if not folder.is_dir():
        pytest.skip("the reference outputs of the original implementation are not here")
    module = load_lama(resolve(str(folder / "generator.safetensors"), samples))
    known = np.load(folder / reference)
    image, mask = torch.from_numpy(known["image"]), torch.from_numpy(known["mask"])

    painted = module(torch.cat([image * (1 - mask), mask], dim=1)).numpy()

    assert np.abs(painted - known["predicted"]).max() < 1e-4
