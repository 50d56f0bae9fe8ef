"""From pictures to what a network takes, and from what it gives to alphas: by numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retouchd.onnx_contract import OnnxContract
from retouchd.onnx_tensors import alphas_of, batch_of
from retouchd.samples import Region

IMAGENET = OnnxContract(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def region(value: object = 0, size: tuple[int, int] = (4, 6), depth: type = np.uint8) -> Region:
    picture = np.empty((*size, 3), depth)
    picture[...] = value
    return picture, np.full(size, 255, np.uint8)


def plane(values: object, size: tuple[int, int] = (4, 6)) -> np.ndarray:
    """One output [1, 1, H, W]."""
    output = np.empty((1, 1, *size), np.float32)
    output[...] = values
    return output


def alpha(output: np.ndarray, contract: OnnxContract, size: tuple[int, int] = (4, 6)) -> np.ndarray:
    (found,) = alphas_of(output, [region(size=size)], contract)
    assert found.shape == (*size, 1)
    assert found.dtype == np.float32
    return found[..., 0]


def test_the_order_is_scale_then_mean_then_deviation_for_each_colour() -> None:
    (picture,) = batch_of([region([255, 51, 0])], IMAGENET, np.float32)

    assert picture.shape == (3, 4, 6)
    assert picture[:, 0, 0] == pytest.approx(
        [(1 - 0.485) / 0.229, (0.2 - 0.456) / 0.224, (0 - 0.406) / 0.225], abs=1e-6
    )


def test_a_contract_that_says_nothing_more_means_samples_from_0_to_1() -> None:
    batch = batch_of([region([0, 51, 255])], OnnxContract(), np.float32)

    assert batch[0, :, 0, 0] == pytest.approx([0, 0.2, 1])


def test_sixteen_bits_are_the_same_picture_as_eight() -> None:
    small = batch_of([region([10, 200, 30])], IMAGENET, np.float32)
    large = batch_of([region([2570, 51400, 7710], depth=np.uint16)], IMAGENET, np.float32)

    assert large == pytest.approx(small, abs=1e-6)


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_a_scale_of_max_divides_each_picture_by_its_own_largest_sample(depth: type) -> None:
    contract = OnnxContract(scale="max")

    batch = batch_of([region([50, 25, 0], depth=depth), region(200, depth=depth)], contract, "f4")

    assert batch[:, :, 0, 0].tolist() == pytest.approx(np.array([[1, 0.5, 0], [1, 1, 1]]))


def test_what_lies_beside_the_photo_has_no_say_in_the_largest_sample() -> None:
    picture, shown = region(200)
    picture[:, :3], shown[:, 3:] = 50, 0

    batch = batch_of([(picture, shown)], OnnxContract(scale="max"), "f4")

    assert batch[0, 0, 0].tolist() == pytest.approx([1, 1, 1, 4, 4, 4])


def test_a_black_picture_is_no_division_by_zero() -> None:
    assert not batch_of([region(0)], OnnxContract(scale="max"), "f4").any()


def test_the_layout_says_where_the_colours_are() -> None:
    regions = [region([1, 2, 3])]
    nhwc = OnnxContract(scale=1.0, layout="nhwc")

    batch = batch_of(regions, nhwc, "f4")

    assert batch.shape == (1, 4, 6, 3)
    assert batch[0, 2, 2].tolist() == [1, 2, 3]
    assert batch.flags.c_contiguous


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_network_gets_the_floats_that_it_takes(dtype: str) -> None:
    assert batch_of([region(7)], IMAGENET, dtype).dtype == dtype


@pytest.mark.parametrize(
    "shape", [(2, 1, 4, 6), (2, 4, 6, 1), (2, 4, 6)], ids=lambda shape: "×".join(map(str, shape))
)
def test_one_alpha_for_each_picture_whatever_the_axes(shape: tuple[int, ...]) -> None:
    output = np.arange(48, dtype=np.float32).reshape(shape) / 64

    first, second = alphas_of(output, [region(), region()], OnnxContract())

    assert first.ravel().tolist() == [n / 64 for n in range(24)]
    assert second.ravel().tolist() == [n / 64 for n in range(24, 48)]


def test_an_output_without_a_batch_is_that_of_one_picture() -> None:
    (found,) = alphas_of(np.full((4, 6), 0.25, np.float32), [region()], OnnxContract())

    assert (found == 0.25).all()


@pytest.mark.parametrize("shape", [(2, 4, 6), (1, 2, 4, 6), (1,), (1, 1, 1, 4, 6), (1, 1, 0, 6)])
def test_an_output_that_is_no_alpha_is_told_by_its_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="no alpha of 1 picture"):
        alphas_of(np.zeros(shape, np.float32), [region()], OnnxContract())


@given(st.floats(-1e4, 1e4, width=32))
def test_a_sigmoid_is_one_whatever_the_logit(logit: float) -> None:
    contract = OnnxContract(activation="sigmoid")
    with np.errstate(over="ignore"):
        expected = 1 / (1 + np.exp(-np.float64(logit)))

    assert alpha(plane(logit), contract)[0, 0] == pytest.approx(expected, abs=1e-6)


def test_without_an_activation_an_alpha_is_only_kept_in_range() -> None:
    found = alpha(plane([-0.5, 0, 0.25, 0.5, 1, 1.5]), OnnxContract())

    assert found[0].tolist() == [0, 0, 0.25, 0.5, 1, 1]


def test_a_stretched_alpha_reaches_from_0_to_1() -> None:
    found = alpha(plane([2, 2, 3, 3, 4, 6]), OnnxContract(stretch=True))

    assert found[0].tolist() == [0, 0, 0.25, 0.25, 0.5, 1]


@pytest.mark.parametrize("value", [0, 0.3, 1])
def test_an_alpha_that_is_the_same_everywhere_is_not_stretched(value: float) -> None:
    """No division by zero, and no subject made of rounding errors."""
    noise = np.linspace(0, 1e-4, 6)

    found = alpha(plane(value - noise), OnnxContract(stretch=True))

    assert np.abs(found - value).max() <= 1e-4 + 1e-6


def test_what_lies_beside_the_photo_has_no_say_in_the_stretch() -> None:
    picture, shown = region()
    shown[:, 4:] = 0
    output = plane([0.2, 0.4, 0.4, 0.6, 0, 1])

    (found,) = alphas_of(output, [(picture, shown)], OnnxContract(stretch=True))

    assert found[0, :4, 0].tolist() == pytest.approx([0, 0.5, 0.5, 1])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("contract", [OnnxContract(), OnnxContract(activation="sigmoid")])
def test_what_is_no_number_stays_visible(bad: float, contract: OnnxContract) -> None:
    """Clipping would make infinity a perfect subject."""
    output = plane(0.5)
    output[0, 0, 1, 1] = bad

    found = alpha(output, contract)

    assert np.isnan(found[1, 1])
    assert np.isfinite(found).sum() == found.size - 1


def test_stretching_does_not_hide_what_is_no_number() -> None:
    output = plane([0, 0.5, 1, 0, 0.5, np.nan])

    assert np.isnan(alpha(output, OnnxContract(stretch=True))).any()


def test_an_output_of_another_size_is_brought_back_to_the_picture_s() -> None:
    small = plane([0, 0, 1, 1], (2, 4))

    found = alpha(small, OnnxContract(), (8, 16))

    assert found[:, :6].max() == 0
    assert found[:, 10:].min() == 1


def test_half_precision_gives_the_same_alpha() -> None:
    output = plane(0.25).astype(np.float16)

    assert (alpha(output, OnnxContract()) == 0.25).all()
