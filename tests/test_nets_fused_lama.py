"""The fast network computes what the literal one computes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from retouchd.nets.fourier import Fourier, Method
from retouchd.nets.fused_lama import FusedLama
from retouchd.nets.lama import Lama, LamaShape

SHAPE = LamaShape(ngf=16, blocks=4)


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def _inference() -> Iterator[None]:
    with torch.inference_mode():
        yield


def _lama(shape: LamaShape = SHAPE) -> Lama:
    """Random weights that keep activations at their size, and batch norms that are no identity."""
    random = torch.Generator().manual_seed(3)
    lama = Lama(shape).eval()
    for name, tensor in lama.state_dict().items():
        if tensor.dim() == 4:
            taps = tensor[:, 0].numel() / 4 if name.startswith("ups") else tensor[0].numel()
            tensor.copy_(torch.randn(tensor.shape, generator=random) * taps**-0.5)
        elif tensor.dim() == 1:
            low, high = (0.5, 1.5) if name.endswith(("norm.weight", "_var")) else (-0.3, 0.3)
            tensor.copy_(low + (high - low) * torch.rand(tensor.shape, generator=random))
    return lama


@pytest.fixture(scope="module")
def lama() -> Lama:
    with torch.no_grad():
        return _lama()


def _input(batch: int, height: int, width: int) -> Tensor:
    random = torch.Generator().manual_seed(height)
    return torch.rand(batch, 4, height, width, generator=random)


def _largest(ours: Tensor, theirs: Tensor) -> float:
    return (ours - theirs).abs().max().item()


@pytest.mark.parametrize("method", ["fft", "dft", "auto"])
@pytest.mark.parametrize(
    ("batch", "height", "width"),
    [(1, 64, 64), (3, 64, 64), (2, 72, 104), (1, 16, 24), (1, 256, 128), (1, 136, 256)],
)
def test_in_float32_it_equals_the_literal_network(
    lama: Lama, method: Method, batch: int, height: int, width: int
) -> None:
    x = _input(batch, height, width)
    literal = lama(x)

    assert literal.std() > 0.05, "a constant would prove nothing"
    assert _largest(FusedLama(lama, method)(x), literal) < 1e-4


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("batch", "height", "width"), [(1, 1024, 1024), (2, 512, 768), (4, 512, 512)]
)
def test_at_the_sizes_of_photos_it_equals_the_literal_network_too(
    lama: Lama, batch: int, height: int, width: int
) -> None:
    x = _input(batch, height, width)

    assert _largest(FusedLama(lama)(x), lama(x)) < 1e-4


def test_it_can_use_the_literal_network_up_while_it_is_built() -> None:
    x = _input(2, 64, 72)
    literal, shared = _lama(), _lama()
    expected = literal(x)

    fused = FusedLama(shared, spend=True)

    assert _largest(fused(x), expected) < 1e-4
    assert not [name for name, _ in shared.named_parameters() if name.startswith("blocks")]


@pytest.mark.parametrize(
    "shape",
    [
        LamaShape(ngf=8, blocks=2, downs=2),
        LamaShape(ngf=4, blocks=1, downs=1, ratio=0.5),
        LamaShape(ngf=4, blocks=1, downs=4, max_features=24),
        LamaShape(inputs=5, outputs=1, ngf=4, blocks=1),
        LamaShape(inputs=7, ngf=4, blocks=1),
    ],
)
def test_every_shape_can_be_fused(shape: LamaShape) -> None:
    lama = _lama(shape)
    x = torch.rand(2, shape.inputs, 48, 64)

    assert _largest(FusedLama(lama)(x), lama(x)) < 1e-4


@pytest.mark.parametrize("method", ["fft", "dft"])
def test_in_bfloat16_it_stays_close_and_gives_float32(lama: Lama, method: Method) -> None:
    x = _input(2, 72, 104)
    literal = lama(x)

    short = FusedLama(lama, method).bfloat16()(x)

    assert short.dtype == torch.float32
    difference = short - literal
    assert 0 < difference.abs().mean() < 0.005
    assert difference.mean(dim=(0, 2, 3)).abs().max() < 0.002, "a colour cast"


def test_a_picture_does_not_depend_on_its_neighbours_in_the_batch(lama: Lama) -> None:
    fused = FusedLama(lama)
    x = _input(3, 64, 72)

    together = fused(x)

    for one, alone in zip(together, x, strict=True):
        assert _largest(one, fused(alone[None])[0]) < 1e-5


def test_building_it_leaves_the_literal_network_as_it_is(lama: Lama) -> None:
    x = _input(1, 64, 64)
    before = lama(x)

    fused = FusedLama(lama)
    fused.bfloat16()(x)
    for tensor in fused.parameters():
        tensor.zero_()

    assert torch.equal(lama(x), before)


@pytest.mark.parametrize("method", ["fft", "dft"])
@pytest.mark.parametrize("size", [(8, 8), (5, 9), (12, 7), (2, 2), (3, 2)])
def test_the_transform_is_the_textbook_s_and_its_inverse_is_its_inverse(
    method: Method, size: tuple[int, int]
) -> None:
    height, width = size
    fourier = Fourier(method)
    x = torch.rand(2, height, width, 3, dtype=torch.float32)
    book = torch.fft.fft2(x.to(torch.complex128), dim=(1, 2)) / (height * width) ** 0.5
    book = book[:, :, : width // 2 + 1]

    planes = fourier.to_spectrum(x)

    assert _largest(planes[..., :3].double(), book.real) < 1e-5
    assert _largest(planes[..., 3:].double(), book.imag) < 1e-5
    assert _largest(fourier.from_spectrum(planes, width), x) < 1e-5


@pytest.mark.parametrize("size", [(8, 8), (6, 7)])
def test_both_inverses_agree_on_what_is_no_picture_s_spectrum(size: tuple[int, int]) -> None:
    """A network's spectrum is not symmetric where a picture's must be."""
    height, width = size
    planes = torch.randn(2, height, width // 2 + 1, 6)

    fft = Fourier("fft").from_spectrum(planes, width)
    dft = Fourier("dft").from_spectrum(planes, width)

    assert _largest(fft, dft) < 1e-5
