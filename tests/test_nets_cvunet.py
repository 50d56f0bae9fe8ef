"""The matting network: shapes, size, and a folded form that computes the same."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from retouchd.nets.cvunet import Cbam, CvUNet, CvUNetShape, PyramidPooling, fused
from retouchd.nets.mobilenet import ConvNorm, Excite, MobileNet, even

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL = CvUNetShape(width=0.25, context=16, rates=(1, 2), decoder=(16, 16, 8, 8), head=8)


def _trained(shape: CvUNetShape = SMALL) -> CvUNet:
    """Batch norms that are no identity, and weights that keep activations at their size."""
    random = torch.Generator().manual_seed(2)
    net = CvUNet(shape).eval().requires_grad_(False)
    for name, tensor in net.state_dict().items():
        if tensor.dim() == 4:
            tensor.copy_(torch.randn(tensor.shape, generator=random) * tensor[0].numel() ** -0.5)
        elif tensor.is_floating_point():
            low, high = (0.7, 1.5) if name.endswith(("norm.weight", "_var")) else (-0.2, 0.2)
            tensor.copy_(low + (high - low) * torch.rand(tensor.shape, generator=random))
    return net


def _photo(batch: int, height: int, width: int) -> Tensor:
    random = torch.Generator().manual_seed(height)
    return torch.rand(batch, 3, height, width, generator=random) * 2 - 1


def test_the_default_network_has_under_five_million_parameters() -> None:
    with torch.device("meta"):
        count = sum(p.numel() for p in CvUNet().parameters())

    assert count == 3_972_139


def test_the_encoder_has_the_papers_parameters() -> None:
    """2,971,952 in the reference implementations, less the last 1×1 convolution's 155,520."""
    with torch.device("meta"):
        encoder = MobileNet()

    assert encoder.features == (16, 24, 40, 112, 160)
    assert sum(p.numel() for p in encoder.parameters()) == 2_971_952 - 155_520


def test_features_are_multiples_of_eight_and_hardly_less_than_asked_for() -> None:
    assert [even(n) for n in (1, 12, 20, 33.5, 168)] == [8, 16, 24, 32, 168]
    assert all(even(n) % 8 == 0 and even(n) >= 0.9 * n for n in range(1, 2000))


def test_alpha_comes_at_the_photos_size_and_the_coarse_one_at_an_eighth() -> None:
    with torch.device("meta"):
        alpha, coarse = CvUNet()(torch.empty(2, 3, 512, 512))

    assert alpha.shape == (2, 1, 512, 512)
    assert coarse.shape == (2, 1, 64, 64)


@pytest.mark.parametrize("size", [(1, 32, 32), (3, 64, 96), (2, 75, 131), (1, 33, 200)])
def test_any_batch_and_size_works_and_alpha_is_between_0_and_1(size: tuple[int, int, int]) -> None:
    with torch.inference_mode():
        alpha, coarse = _trained()(_photo(*size))

    assert alpha.shape == (size[0], 1, *size[1:])
    assert coarse.shape == (size[0], 1, -(-size[1] // 8), -(-size[2] // 8))
    assert 0 <= float(alpha.min()) < float(alpha.max()) <= 1
    assert float(alpha.std()) > 1e-3


def test_pictures_in_a_batch_do_not_hear_each_other() -> None:
    net, photos = _trained(), _photo(3, 64, 64)

    with torch.inference_mode():
        together = net(photos).alpha
        alone = torch.cat([net(photo[None]).alpha for photo in photos])

    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", [(1, 64, 64), (3, 50, 71)])
def test_the_fused_network_computes_the_same(size: tuple[int, int, int]) -> None:
    net, photo = _trained(), _photo(*size)

    with torch.inference_mode():
        literal = net(photo)
        fast = fused(net)(photo.contiguous(memory_format=torch.channels_last))

    torch.testing.assert_close(fast.alpha, literal.alpha, rtol=0, atol=1e-5)
    torch.testing.assert_close(fast.coarse, literal.coarse, rtol=0, atol=1e-5)


def test_the_fused_network_has_no_norms_and_shares_nothing() -> None:
    net = _trained()
    before = {key: tensor.clone() for key, tensor in net.state_dict().items()}

    fast = fused(net)
    for parameter in fast.parameters():
        parameter.data.zero_()

    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in fast.modules())
    assert not any(parameter.requires_grad for parameter in fast.parameters())
    assert all(torch.equal(tensor, before[key]) for key, tensor in net.state_dict().items())


def test_folding_twice_changes_nothing() -> None:
    net = _trained()

    once, twice = fused(net), fused(fused(net))

    assert all(
        torch.equal(one, other)
        for one, other in zip(once.parameters(), twice.parameters(), strict=True)
    )


def test_it_stays_channels_last_from_end_to_end() -> None:
    seen = []
    net = fused(_trained())
    for module in net.modules():
        if isinstance(module, ConvNorm):
            module.register_forward_hook(
                lambda _, __, out: seen.append(out.is_contiguous(memory_format=torch.channels_last))
            )

    with torch.inference_mode():
        net(_photo(1, 64, 64).contiguous(memory_format=torch.channels_last))

    assert seen
    assert all(seen)


def test_every_parameter_learns_even_from_a_single_photo() -> None:
    """A batch of one must not break batch norm where one value is left per image."""
    net = CvUNet(SMALL).train()

    alpha, coarse = net(_photo(1, 64, 64))
    (alpha.mean() + coarse.square().mean()).backward()

    lost = [name for name, p in net.named_parameters() if p.grad is None]
    assert lost == []
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)


def test_pyramid_pooling_sees_the_whole_image() -> None:
    pooling = PyramidPooling(4, 8, (1,)).eval()
    x = torch.zeros(1, 4, 31, 31, requires_grad=True)
    torch.nn.init.ones_(pooling.whole.bias)

    pooling(x + 0.1)[0, :, 0, 0].sum().backward()

    assert x.grad is not None
    assert float(x.grad[0, :, 30, 30].abs().sum()) > 0


def test_attention_only_ever_weakens_features() -> None:
    x = torch.randn(2, 16, 9, 9, generator=torch.Generator().manual_seed(0))

    with torch.inference_mode():
        for attention in (Cbam(16), Excite(16)):
            ratio = attention(x) / x
            assert float(ratio.min()) >= 0
            assert float(ratio.max()) <= 1
