"""What an ONNX file for matting expects and gives, as far as the file itself does not say it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Layout = Literal["nchw", "nhwc"]
Activation = Literal["none", "sigmoid"]
Scale = float | Literal["max"]
Three = tuple[float, float, float]  # red, green, blue


@dataclass(frozen=True)
class OnnxContract:
    """How a picture becomes the input, and how the output becomes an alpha.

    scale: what samples of 0 to 255 are multiplied with; "max" means one over the picture's own
        largest sample, as U²-Net was trained. mean, std: what is then taken away and divided by.
    layout: of the input's axes; an output with four of them has the same.
    input_name, output_name: as the graph calls them; None means its only input and first output.
    activation: what the graph leaves to be done. stretch: the least and the greatest alpha of a
        picture become 0 and 1, which makes up a subject where there is none.
    """

    scale: Scale = 1 / 255
    mean: Three = (0.0, 0.0, 0.0)
    std: Three = (1.0, 1.0, 1.0)
    layout: Layout = "nchw"
    input_name: str | None = None
    output_name: str | None = None
    activation: Activation = "none"
    stretch: bool = False
