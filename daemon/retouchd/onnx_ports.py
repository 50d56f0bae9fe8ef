"""Pure: whether an ONNX graph's inputs and outputs are those that its manifest entry describes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from retouchd.errors import ModelUnusable
from retouchd.fit import Fit
from retouchd.manifest import ModelSpec
from retouchd.onnx_contract import OnnxContract

_FLOATS = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(double)": "float64"}
_MEND = "Mend its entry in manifest.yaml"


@dataclass(frozen=True)
class Port:
    """One input or output of a graph.

    type: as onnxruntime spells it, ``tensor(float)``. shape: a number for what is fixed; names or
    None for what is not; empty where not even the number of axes is.
    """

    name: str
    type: str
    shape: tuple[int | str | None, ...] = ()

    def __str__(self) -> str:
        sides = "×".join(str(side) if isinstance(side, int) else "?" for side in self.shape)
        return f"{self.name} ({self.type}{', ' if sides else ''}{sides})"


@dataclass(frozen=True)
class Plug:
    """Where a graph takes pictures and gives alphas.

    dtype: of the pictures, as numpy spells it. batch: how many pictures it takes at once, None for
    any number.
    """

    input: str
    output: str
    dtype: str
    batch: int | None


def plug_of(spec: ModelSpec, inputs: Sequence[Port], outputs: Sequence[Port]) -> Plug:
    """How to run a graph as its entry says; raises ModelUnusable where they don't agree."""
    contract, fit = spec.onnx or OnnxContract(), spec.fit or Fit()
    try:
        taken = _named(inputs, contract.input_name, "input")
        if len(inputs) > 1:
            extra = ", ".join(str(port) for port in inputs if port is not taken)
            raise _Mismatch(f"it also wants {extra}", "Export it with the picture as only input.")
        given = _named(outputs, contract.output_name, "output")
        batch = _checked_input(taken, contract, fit)
        _check_output(given)
    except _Mismatch as error:
        raise ModelUnusable(model=spec.name, cause=error.cause, fix=error.fix) from None
    return Plug(taken.name, given.name, _FLOATS[taken.type], batch)


def guessed_input(inputs: Sequence[Port]) -> dict[str, Any]:
    """What a graph alone says of its input, as a manifest's ``input`` has it: a fixed size, the
    layout."""
    shape = inputs[0].shape if inputs else ()
    if len(shape) != 4:
        return {}
    nhwc = shape[3] == 3 and shape[1] != 3
    height, width = shape[1:3] if nhwc else shape[2:4]
    guessed: dict[str, Any] = {"layout": "nhwc"} if nhwc else {}
    return {**guessed, "size": height} if isinstance(height, int) and height == width else guessed


class _Mismatch(Exception):
    def __init__(self, cause: str, fix: str) -> None:
        super().__init__(cause)
        self.cause, self.fix = cause, fix


def _named(ports: Sequence[Port], name: str | None, kind: str) -> Port:
    known = ", ".join(map(str, ports)) or "none"
    if not ports:
        raise _Mismatch(f"it has no {kind}", "Export it again.")
    if name is None:
        return ports[0]
    for port in ports:
        if port.name == name:
            return port
    raise _Mismatch(f"it has no {kind} {name!r}", f"{_MEND}: {kind}.name is one of {known}.")


def _checked_input(port: Port, contract: OnnxContract, fit: Fit) -> int | None:
    """How many pictures at once."""
    if port.type not in _FLOATS:
        raise _Mismatch(f"its input {port} does not take floats", "Export it with a float input.")
    if not port.shape:
        return None
    if len(port.shape) != 4:
        raise _Mismatch(
            f"its input {port} has {len(port.shape)} axes, and a batch of pictures has 4",
            "Export it with an input of [N, 3, H, W] or [N, H, W, 3].",
        )
    colours, *sides = _axes(port.shape, contract)
    if isinstance(colours, int) and colours != 3:
        layout = "nhwc" if contract.layout == "nchw" else "nchw"
        raise _Mismatch(
            f"its input {port} has {colours} colour channels in the layout {contract.layout}",
            f"{_MEND}: input.layout may be {layout}; grey pictures can't be given.",
        )
    _check_sides(port, [side for side in sides if isinstance(side, int)], fit)
    batch = port.shape[0]
    if isinstance(batch, int) and batch != 1:
        raise _Mismatch(
            f"its input {port} is fixed to {batch} pictures at once",
            "Export it with a batch of any size, or of 1.",
        )
    return batch if isinstance(batch, int) else None


def _axes(shape: tuple[int | str | None, ...], contract: OnnxContract) -> list[int | str | None]:
    """Colours, height, width."""
    _, first, second, third = shape
    return [third, first, second] if contract.layout == "nhwc" else [first, second, third]


def _check_sides(port: Port, fixed: list[int], fit: Fit) -> None:
    if not fixed:
        return
    if len(set(fixed)) > 1:
        raise _Mismatch(f"its input {port} is fixed, but not square", "Export it for squares.")
    if fit.resize == "fit" or fit.size != fixed[0]:
        raise _Mismatch(
            f"its input {port} is fixed to {fixed[0]} pixels, and its entry says {_in_words(fit)}",
            f"{_MEND}: input has size: {fixed[0]} and resize: squash or pad.",
        )


def _in_words(fit: Fit) -> str:
    side = f"size: {fit.size}" if fit.size is not None else f"short_side: {fit.short_side}"
    return f"{side}, resize: {fit.resize}"


def _check_output(port: Port) -> None:
    other = f"{_MEND}: output.name may be another of its outputs."
    if port.type not in _FLOATS:
        raise _Mismatch(f"its output {port} does not give floats", other)
    if port.shape and len(port.shape) not in (2, 3, 4):
        raise _Mismatch(f"its output {port} is no picture", other)
    channels = (port.shape[1], port.shape[3]) if len(port.shape) == 4 else ()
    if channels and all(isinstance(side, int) and side != 1 for side in channels):
        raise _Mismatch(f"its output {port} has more than one channel", other)
