"""What the original implementation of LaMa calls its layers, and which shape its names tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from retouchd.nets.lama import LamaShape

STEM = "model.1.ffc.convl2l.weight"

# Inner names of the original implementation (github.com/advimman/lama) → ours.
_RENAMES = (
    (".ffc.convl2l.", ".l2l."),
    (".ffc.convl2g.", ".l2g."),
    (".ffc.convg2l.", ".g2l."),
    (".ffc.convg2g.conv1.0.", ".g2g.squeeze."),
    (".ffc.convg2g.conv1.1.", ".g2g.squeeze_norm."),
    (".ffc.convg2g.conv2.", ".g2g.expand."),
    (".ffc.convg2g.fu.conv_layer.", ".g2g.fourier.mix."),
    (".ffc.convg2g.fu.bn.", ".g2g.fourier.norm."),
    (".bn_l.", ".norm_l."),
    (".bn_g.", ".norm_g."),
)


def lama_shape(tensors: Mapping[str, Tensor]) -> LamaShape:
    """The shape of the generator with these original names; raises KeyError or ValueError."""
    if any(".lfu." in key for key in tensors):
        raise ValueError("it has local Fourier units, which retouchd's LaMa has not")
    ngf, inputs = tensors[STEM].shape[:2]
    downs = _count(lambda n: f"model.{2 + n}.ffc.convl2l.weight" in tensors)
    blocks = _count(lambda n: f"model.{2 + downs + n}.conv1.ffc.convl2l.weight" in tensors)
    local, spectral = (
        len(tensors[f"model.{1 + downs}.ffc.{path}.weight"]) for path in ("convl2l", "convl2g")
    )
    head = f"model.{4 + downs + blocks + 3 * downs}.weight"
    return LamaShape(
        inputs=inputs,
        outputs=len(tensors[head]),
        ngf=ngf,
        downs=downs,
        blocks=blocks,
        ratio=spectral / (local + spectral),
        max_features=_max_features(local + spectral, ngf << downs),
    )


def lama_name(key: str, shape: LamaShape) -> str:
    """Our name for a key of the original implementation, which numbers its layers.

    0 padding, 1 stem, 2… down-samplings, residual blocks, 1 concatenation, per up-sampling a
    transposed convolution, batch norm and ReLU, then padding and the head. Raises ValueError.
    """
    prefix, _, rest = key.partition(".")
    number, _, rest = rest.partition(".")
    if prefix != "model" or not number.isdigit():
        raise ValueError(f"unknown key {key}")
    name = f"{_layer(int(number), shape)}.{rest}"
    for theirs, ours in _RENAMES:
        name = name.replace(theirs, ours)
    return name


def _layer(number: int, shape: LamaShape) -> str:
    first_block = 2 + shape.downs
    first_up = first_block + shape.blocks + 1
    up, part = divmod(number - first_up, 3)
    names = {1: "stem", first_block - 1: "split", first_up + 3 * shape.downs + 1: "head"}
    if number in names:
        return names[number]
    if 2 <= number < first_block:
        return f"downs.{number - 2}"
    if first_block <= number < first_up - 1:
        return f"blocks.{number - first_block}"
    if 0 <= up < shape.downs and part < 2:
        return f"ups.{up}.{('conv', 'norm')[part]}"
    raise ValueError(f"unknown layer {number}")


def _max_features(deepest: int, unbounded: int) -> int:
    """The limit shows in the keys only where it was reached."""
    return deepest if deepest < unbounded else max(deepest, LamaShape.max_features)


def _count(there: Callable[[int], bool]) -> int:
    number = 0
    while there(number):
        number += 1
    return number
