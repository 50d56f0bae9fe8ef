"""A graph and its manifest entry agree, or the message says what to mend."""

from __future__ import annotations

from typing import Any

import pytest

from retouchd.errors import ModelUnusable
from retouchd.fit import Fit
from retouchd.manifest import ModelSpec
from retouchd.onnx_contract import OnnxContract
from retouchd.onnx_ports import Plug, Port, guessed_input, plug_of

FLOAT = "tensor(float)"
SQUASH = Fit(size=320, resize="squash")


def plug(inputs: list[Port], outputs: list[Port], fit: Fit = SQUASH, **contract: Any) -> Plug:
    spec = ModelSpec("x", "onnx", None, "", fit=fit, onnx=OnnxContract(**contract))
    return plug_of(spec, inputs, outputs)


def picture(*shape: int | str | None, name: str = "input.1", kind: str = FLOAT) -> Port:
    return Port(name, kind, shape)


ALPHA = Port("1959", FLOAT, (1, 1, 320, 320))


def test_the_only_input_and_the_first_output_are_meant_unless_named() -> None:
    outputs = [ALPHA, Port("d1", FLOAT, (1, 1, 320, 320))]

    assert plug([picture(1, 3, 320, 320)], outputs) == Plug("input.1", "1959", "float32", 1)
    assert plug([picture(1, 3, 320, 320)], outputs, output_name="d1").output == "d1"


@pytest.mark.parametrize("batch", [None, "batch"])
def test_a_free_batch_takes_any_number(batch: str | None) -> None:
    assert plug([picture(batch, 3, None, None)], [ALPHA]).batch is None


def test_a_graph_that_says_nothing_of_its_axes_is_believed() -> None:
    assert plug([picture()], [Port("y", FLOAT)]) == Plug("input.1", "y", "float32", None)


@pytest.mark.parametrize(
    ("kind", "dtype"), [("float", "float32"), ("float16", "float16"), ("double", "float64")]
)
def test_it_gets_the_floats_that_it_asks_for(kind: str, dtype: str) -> None:
    port = picture(1, 3, 320, 320, kind=f"tensor({kind})")

    assert plug([port], [ALPHA]).dtype == dtype


@pytest.mark.parametrize("fit", [SQUASH, Fit(size=320, resize="pad")])
def test_squares_of_its_fixed_size_fit(fit: Fit) -> None:
    assert plug([picture(1, 3, 320, 320)], [ALPHA], fit)


@pytest.mark.parametrize(
    ("port", "wishes", "words", "advice"),
    [
        (picture(1, 3, 320, 320), {"input_name": "x"}, "no input 'x'", "one of input.1 (tensor"),
        (picture(1, 3, 320), {}, "has 3 axes", "[N, 3, H, W]"),
        (picture(1, 320, 320, 3), {}, "320 colour channels", "may be nhwc"),
        (picture(1, 3, 320, 320), {"layout": "nhwc"}, "320 colour channels", "may be nchw"),
        (picture(1, 1, 320, 320), {}, "1 colour channels", "grey"),
        (picture(4, 3, 320, 320), {}, "fixed to 4 pictures", "batch"),
        (picture(1, 3, 320, 240), {}, "not square", "squares"),
        (picture(1, 3, 512, 512), {}, "fixed to 512 pixels", "size: 512"),
        (
            picture(1, 3, 320, 320),
            {"fit": Fit(size=None, short_side=320, resize="fit")},
            "says short_side: 320, resize: fit",
            "squash or pad",
        ),
        (picture(1, 3, 320, 320, kind="tensor(uint8)"), {}, "does not take floats", "float"),
        (picture(1, 3, 320, 320), {"output_name": "y"}, "no output 'y'", "one of 1959"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_input_that_is_another_than_described_is_refused(
    port: Port, wishes: dict[str, Any], words: str, advice: str
) -> None:
    with pytest.raises(ModelUnusable) as caught:
        plug([port], [ALPHA], **wishes)

    assert words in caught.value.message
    assert advice in caught.value.advice


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (Port("y", "tensor(int64)", (1, 1, 9, 9)), "does not give floats"),
        (Port("y", FLOAT, (1, 21, 9, 9)), "more than one channel"),
        (Port("y", FLOAT, (1000,)), "is no picture"),
    ],
)
def test_an_output_that_can_be_no_alpha_is_refused(output: Port, words: str) -> None:
    with pytest.raises(ModelUnusable, match=words) as caught:
        plug([picture(1, 3, 320, 320)], [output])

    assert "another of its outputs" in caught.value.advice


def test_a_network_that_wants_more_than_a_picture_is_refused() -> None:
    """Such as one for films, which wants its own memory of the last picture."""
    inputs = [picture(1, 3, None, None, name="src"), Port("r1i", FLOAT, (1, 16, None, None))]

    with pytest.raises(ModelUnusable, match=r"also wants r1i \(tensor\(float\), 1×16×\?×\?\)"):
        plug(inputs, [ALPHA])


def test_a_graph_without_inputs_or_outputs_is_refused() -> None:
    with pytest.raises(ModelUnusable, match="no input"):
        plug([], [ALPHA])
    with pytest.raises(ModelUnusable, match="no output"):
        plug([picture(1, 3, 320, 320)], [])


@pytest.mark.parametrize(
    ("shape", "guessed"),
    [
        ((1, 3, 320, 320), {"size": 320}),
        ((1, 1024, 1024, 3), {"layout": "nhwc", "size": 1024}),
        (("n", 3, "h", "w"), {}),
        ((1, None, None, 3), {"layout": "nhwc"}),
        ((1, 3, 320, 240), {}),
        ((1, 3), {}),
    ],
)
def test_what_a_graph_alone_tells_is_its_fixed_size_and_its_layout(
    shape: tuple[int | str | None, ...], guessed: dict[str, Any]
) -> None:
    assert guessed_input([Port("x", FLOAT, shape)]) == guessed
