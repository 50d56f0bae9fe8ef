"""Regions become what the original feeds its network, and come back in their own size."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from retouchd import classical
from retouchd.inpaint import inpaint, network_input
from retouchd.manifest import resolve
from retouchd.nets.fused_lama import FusedLama
from retouchd.nets.lama import Lama, LamaShape
from retouchd.staging import stage, staging_shape, unstage
from retouchd.weights import load_lama

CPU = torch.device("cpu")


@pytest.fixture
def lama(make_lama: Callable[..., Path]) -> Lama:
    torch.set_num_threads(1)
    path = make_lama()
    return load_lama(resolve(str(path), path.parent))


def _region(height: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    image = random.integers(0, 256, (height, width, 3), np.uint8)
    mask = np.zeros((height, width), np.uint8)
    mask[height // 3 : height // 3 * 2 + 1, width // 3 : width // 3 * 2 + 1] = 255
    return image, mask


@given(st.integers(1, 40), st.integers(1, 40))
def test_sides_grow_to_multiples_of_8_by_mirroring(height: int, width: int) -> None:
    image, mask = _region(height, width)

    prepared = network_input(image, mask)

    tall, wide = prepared.shape[1:]
    assert prepared.dtype == np.float32
    assert tall % 8 == wide % 8 == 0
    assert tall >= 16
    assert wide >= 16
    assert max(tall - height, wide - width) < 16
    known = np.where(mask[..., None] > 127, 0, image / np.float32(255)).astype(np.float32)
    np.testing.assert_array_equal(prepared[:3, :height, :width].transpose(1, 2, 0), known)
    np.testing.assert_array_equal(prepared[3, :height, :width], mask / 255)
    if height < tall <= 2 * height:
        np.testing.assert_array_equal(
            prepared[:, height:tall], prepared[:, 2 * height - tall : height][:, ::-1]
        )


def test_grey_in_a_mask_is_hole_only_above_127() -> None:
    image, mask = _region(16, 16)
    mask[0, :3] = 1, 127, 128

    assert network_input(image, mask)[3, 0, :3].tolist() == [0.0, 0.0, 1.0]


@pytest.mark.parametrize("size", [(1, 1), (7, 3), (16, 16), (33, 50)])
def test_a_region_comes_back_in_its_own_size(lama: Lama, size: tuple[int, int]) -> None:
    (painted,) = inpaint(lama, [_region(*size)], CPU)

    assert painted.shape == (*size, 3)
    assert painted.dtype == np.float32
    assert 0.0 <= painted.min() <= painted.max() <= 1.0


def test_a_batch_equals_its_regions_one_by_one(lama: Lama) -> None:
    regions = [_region(21, 30, seed) for seed in range(3)]

    together = inpaint(lama, regions, CPU)
    alone = [inpaint(lama, [region], CPU)[0] for region in regions]

    assert len(together) == 3
    for one, other in zip(together, alone, strict=True):
        assert np.abs(one - other).max() < 1e-5


def test_what_is_under_the_mask_is_never_seen(lama: Lama) -> None:
    image, mask = _region(24, 24)
    vandalised = np.where(mask[..., None] > 0, 255 - image, image)

    (before,), (after,) = (inpaint(lama, [(one, mask)], CPU) for one in (image, vandalised))

    np.testing.assert_array_equal(before, after)


def test_sixteen_bits_are_read_over_their_full_range(lama: Lama) -> None:
    image, mask = _region(24, 24)

    (eight,) = inpaint(lama, [(image, mask)], CPU)
    (sixteen,) = inpaint(lama, [(image.astype(np.uint16) * 257, mask)], CPU)

    assert np.abs(eight - sixteen).max() < 1e-5


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("batch", "height", "width"),
    [(1, 64, 64), (3, 61, 83), (2, 250, 131), (2, 509, 300), (1, 1021, 777)],
)
def test_fast_regions_of_any_size_equal_the_literal_network_s(
    make_lama: Callable[..., Path], batch: int, height: int, width: int
) -> None:
    """Sides that are no multiples of 8, and several at once."""
    torch.set_num_threads(1)
    path = make_lama(ngf=8, blocks=2)
    literal = load_lama(resolve(str(path), path.parent))
    regions = [_region(height, width, seed) for seed in range(batch)]

    painted = inpaint(FusedLama(literal), regions, CPU)

    for one, region in zip(painted, regions, strict=True):
        (expected,) = inpaint(literal, [region], CPU)
        assert expected.std() > 0.01, "a constant would prove nothing"
        assert np.abs(one - expected).max() < 1e-4


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("size", [(1, 1), (7, 3), (16, 24), (33, 50)])
def test_what_a_gpu_is_sent_means_the_same_there(kind: type, size: tuple[int, int]) -> None:
    """Bit for bit: integers with the mask as a fourth channel, unpacked on the device."""
    regions = [_region(*size, seed) for seed in range(2)]
    if kind is np.uint16:
        regions = [(image.astype(np.uint16) * 251, mask) for image, mask in regions]
    for _, mask in regions:
        mask.flat[:3] = (1, 127, 128)[: mask.size]
    staged = np.empty(staging_shape(regions, 3), kind)

    stage(regions, staged)
    raw = torch.from_numpy(staged if kind is np.uint8 else staged.view(np.int16))

    for one, region in zip(unstage(raw).numpy(), regions, strict=True):
        np.testing.assert_array_equal(one, network_input(*region))


@pytest.mark.parametrize("reference", ["ref_64x64.npz", "ref_203x325.npz"])
def test_a_photo_is_painted_as_by_the_original(samples: Path, reference: str) -> None:
    folder = samples / "lama-tiny"
    if not folder.is_dir():
        pytest.skip("the reference outputs of the original implementation are not here")
    torch.set_num_threads(1)
    module = load_lama(resolve(str(folder / "generator.safetensors"), samples))
    known = np.load(folder / reference)
    height, width = known["mask_u8"].shape

    (painted,) = inpaint(module, [(known["image_u8"], known["mask_u8"])], CPU)

    original = known["predicted"][0].transpose(1, 2, 0)[:height, :width]
    assert np.abs(painted - original).max() < 1e-4


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_a_network_that_corrects_a_fill_keeps_every_known_pixel(precision: torch.dtype) -> None:
    """Whatever its precision; and one that finds nothing wrong gives the fill itself."""
    torch.manual_seed(0)
    shape = LamaShape(inputs=7, ngf=4, blocks=1)
    lama = Lama(shape).eval().requires_grad_(False)
    image, mask = _region(45, 70)
    filled = classical.fill(image, mask)

    (painted,) = inpaint(FusedLama(lama).to(precision), [(image, mask)], CPU)
    lama.head.weight.zero_()
    lama.head.bias.zero_()
    (content,) = inpaint(FusedLama(lama).to(precision), [(image, mask)], CPU)

    hole = mask > 127
    np.testing.assert_array_equal(painted[~hole], image[~hole] / np.float32(255))
    assert np.abs(painted - filled)[hole].max() > 0.01
    np.testing.assert_array_equal(content, filled)
