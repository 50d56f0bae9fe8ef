"""A resident ONNX network: only the very file that is meant runs, and only as it is described."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retouchd.config import Device
from retouchd.device import Place, choose, threads
from retouchd.engine import Request
from retouchd.errors import GpuRequired, ModelUnusable, OutOfMemory
from retouchd.fit import Fit
from retouchd.ladder import begin, finish_soundly
from retouchd.local_engine import LocalEngine
from retouchd.manifest import ModelSpec
from retouchd.onnx_contract import OnnxContract
from retouchd.painter import Painter, needs_torch, open_painter

MakeOnnx = Callable[..., Path]
Picture = tuple[np.ndarray, np.ndarray]

pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")


def described(path: Path, **contract: Any) -> ModelSpec:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    onnx = OnnxContract(**contract)
    return ModelSpec("tiny", "onnx", path, digest, fit=Fit(size=32), onnx=onnx)


def opened(spec: ModelSpec, where: Place | None = None, most: int | None = None) -> Painter:
    return open_painter(spec, where or Place(), most, lambda: None)


def grey(value: float, size: tuple[int, int] = (32, 32)) -> Picture:
    return np.full((*size, 3), round(value * 255), np.uint8), np.full(size, 255, np.uint8)


def paint(painter: Painter, *pictures: Picture) -> list[np.ndarray]:
    return painter.start(pictures)()


def test_it_gives_one_alpha_of_the_picture_s_size_for_each_picture(make_onnx: MakeOnnx) -> None:
    """One after the other or all at once: the same."""
    painter = opened(described(make_onnx()), most=3)
    pictures = [grey(0.2), grey(0.4), grey(0.8)]

    together = paint(painter, *pictures)

    assert [alpha.shape for alpha in together] == [(32, 32, 1)] * 3
    assert [alpha.mean() for alpha in together] == pytest.approx([0.2, 0.4, 0.8], abs=1e-6)
    alone = [paint(painter, picture)[0] for picture in pictures]
    assert np.allclose(alone, together, atol=1e-6)


@pytest.mark.parametrize("gives", ["n1hw", "nhw1", "nhw"])
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_every_layout_gives_the_same(make_onnx: MakeOnnx, layout: str, gives: str) -> None:
    shape = (None, 3, None, None) if layout == "nchw" else (None, None, None, 3)
    path = make_onnx(weights=(1, 0, 0), layout=layout, shape=shape, gives=gives)
    picture, shown = grey(0, (8, 16))
    picture[..., 0], picture[:4, ..., 1:] = 51, 255

    (alpha,) = paint(opened(described(path, layout=layout)), (picture, shown))

    assert alpha == pytest.approx(np.full((8, 16, 1), 0.2), abs=1e-6)


def test_an_output_without_a_batch_is_taken_for_one_picture(make_onnx: MakeOnnx) -> None:
    path = make_onnx(shape=(1, 3, 32, 32), gives="hw")

    (alpha,) = paint(opened(described(path)), grey(0.4))

    assert alpha.mean() == pytest.approx(0.4, abs=1e-6)


def test_the_named_output_is_taken_and_else_the_first(make_onnx: MakeOnnx) -> None:
    path = make_onnx(decoy="ones")

    assert paint(opened(described(path)), grey(0.4))[0].mean() == 1
    named = opened(described(path, output_name="alpha"))
    assert paint(named, grey(0.4))[0].mean() == pytest.approx(0.4, abs=1e-6)


def test_a_smaller_output_is_enlarged(make_onnx: MakeOnnx) -> None:
    (alpha,) = paint(opened(described(make_onnx(shrinks=4))), grey(0.6))

    assert alpha.shape == (32, 32, 1)
    assert alpha == pytest.approx(np.full_like(alpha, 0.6), abs=1e-6)


def test_a_network_in_half_precision_says_so_and_is_as_good(make_onnx: MakeOnnx) -> None:
    painter = opened(described(make_onnx(dtype="FLOAT16")))

    assert painter.facts == {"device": "cpu", "precision": "fp16"}
    assert paint(painter, grey(0.6))[0].mean() == pytest.approx(0.6, abs=1e-3)


def test_a_graph_that_takes_one_picture_gets_one_at_a_time(make_onnx: MakeOnnx) -> None:
    fixed = opened(described(make_onnx(shape=(1, 3, 32, 32))), most=8)

    assert fixed.limit((32, 32)) == 1


def test_a_batch_that_was_too_large_is_not_tried_again(make_onnx: MakeOnnx) -> None:
    painter = opened(described(make_onnx()), most=8)
    assert painter.limit((32, 32)) == 8

    painter.overran(8, (32, 32))

    assert painter.limit((32, 32)) == 4


def test_memory_that_runs_out_is_told_from_other_trouble(make_onnx: MakeOnnx) -> None:
    """The ladder has steps for the one, and none for the other."""
    greedy = opened(described(make_onnx(boom=1 << 40)))
    with pytest.raises(OutOfMemory, match="1 × 32×32 pixels on cpu"):
        paint(greedy, grey(0.5))

    fixed = opened(described(make_onnx(shape=(1, 3, 32, 32))))
    with pytest.raises(Exception, match="Got: 64 Expected: 32"):
        paint(fixed, grey(0.5, (64, 64)))


def test_what_is_no_number_is_noticed(make_onnx: MakeOnnx) -> None:
    painter = opened(described(make_onnx(bias=float("nan"))))

    (outcome,) = finish_soundly(begin(painter, [grey(0.5)]), lambda: None)

    assert getattr(outcome, "trouble", None) == "its output is not a number everywhere"


def test_a_photo_without_a_subject_has_an_empty_alpha_and_that_is_no_trouble(
    make_onnx: MakeOnnx,
) -> None:
    painter = opened(described(make_onnx(weights=(0, 0, 0))))

    (outcome,) = finish_soundly(begin(painter, [grey(0.5)]), lambda: None)

    assert getattr(outcome, "trouble", "") is None


def test_it_has_one_precision_and_on_a_cpu_no_fallback(make_onnx: MakeOnnx) -> None:
    painter = opened(described(make_onnx()))

    assert painter.tuned({"precision": "bf16"}) is painter
    assert painter.exact() is None
    assert painter.fallback() is None
    assert painter.auto == {}
    painter.relieve()
    assert paint(painter, grey(0.4))[0].mean() == pytest.approx(0.4, abs=1e-6)
    painter.close()


def test_it_computes_with_as_many_threads_as_the_rest(make_onnx: MakeOnnx) -> None:
    painter: Any = opened(described(make_onnx()))

    options = painter._network.session.get_session_options()

    assert options.intra_op_num_threads == threads()
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


def test_the_file_s_bytes_are_not_kept_beside_the_network(make_onnx: MakeOnnx) -> None:
    """The largest known file has a gigabyte."""
    painter: Any = opened(described(make_onnx()))

    assert not painter._network.session._model_bytes


# --- what is refused ----------------------------------------------------------------------------


def test_a_file_that_was_exchanged_is_not_loaded(make_onnx: MakeOnnx) -> None:
    spec = described(make_onnx())
    make_onnx(bias=0.1)

    with pytest.raises(ModelUnusable, match="was expected"):
        opened(spec)


def test_weights_in_another_file_are_not_loaded(make_onnx: MakeOnnx, tmp_path: Path) -> None:
    import onnx

    split = tmp_path / "split.onnx"
    onnx.save_model(
        onnx.load(str(make_onnx())),
        str(split),
        save_as_external_data=True,
        location="w.bin",
        size_threshold=0,
    )

    with pytest.raises(ModelUnusable, match=r"another file \(w\.bin\)") as caught:
        opened(described(split))
    assert "onnx.save_model" in caught.value.advice


def test_what_is_no_onnx_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "page.onnx"
    path.write_text("<!DOCTYPE html><html>not found</html>")

    with pytest.raises(ModelUnusable, match="not an ONNX file"):
        opened(described(path))


@pytest.mark.parametrize(
    ("domain", "version", "words"),
    [("own.ops", 17, "operators that onnxruntime does not have"), ("", 999, "can't load it")],
)
def test_operators_that_onnxruntime_does_not_know_are_named(
    make_onnx: MakeOnnx, domain: str, version: int, words: str
) -> None:
    import onnx

    path = make_onnx()
    model = onnx.load(str(path))
    model.opset_import[0].version = version
    if domain:
        model.graph.node[0].domain, model.graph.node[0].op_type = domain, "Magic"
        model.opset_import.add(domain=domain, version=1)
    path.write_bytes(model.SerializeToString())

    with pytest.raises(ModelUnusable, match=words):
        opened(described(path))


def test_without_onnxruntime_the_message_says_how_to_get_it(
    make_onnx: MakeOnnx, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = described(make_onnx())
    monkeypatch.setitem(sys.modules, "onnxruntime", None)

    with pytest.raises(ModelUnusable, match="onnxruntime can't be loaded") as caught:
        opened(spec)

    assert "pip install 'retouchd[onnx]'" in caught.value.advice


def test_onnxruntime_is_loaded_only_for_a_network_that_needs_it() -> None:
    code = (
        "import sys; import retouchd.local_engine, retouchd.onnx_painter, retouchd.adding;"
        "print('onnxruntime' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"


# --- on a GPU -----------------------------------------------------------------------------------


@pytest.fixture
def cpu_only() -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime can use a GPU")


@pytest.mark.usefixtures("cpu_only")
def test_a_gpu_that_is_not_used_is_said_at_the_start_and_with_every_result(
    make_onnx: MakeOnnx,
) -> None:
    painter = opened(described(make_onnx()), Place("cuda:0", "cuda:0 (a card)"))

    assert "built for the CPU only" in str(painter.auto["warning"])
    assert painter.facts["device"] == "cpu"
    assert "onnxruntime-gpu" in str(painter.facts["gpu_unused"])
    assert painter.limit((32, 32)) == 1
    assert paint(painter, grey(0.4))[0].mean() == pytest.approx(0.4, abs=1e-6)


@pytest.mark.usefixtures("cpu_only")
def test_a_gpu_that_is_demanded_but_can_t_be_used_is_an_error(make_onnx: MakeOnnx) -> None:
    with pytest.raises(GpuRequired, match="built for the CPU only"):
        opened(described(make_onnx()), Place("cuda:0", "cuda:0 (a card)", demanded=True))


@pytest.mark.cuda
def test_a_gpu_gives_the_alpha_of_the_cpu(make_onnx: MakeOnnx) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime is built for the CPU only")
    place = choose(Device())
    if not place.is_gpu:
        pytest.skip("there is no CUDA device")
    painter = opened(described(make_onnx(), activation="sigmoid"), place)

    assert painter.facts == {"device": place.name, "precision": "fp32"}
    assert painter.auto == {}
    pictures = [grey(0.2), grey(0.6)]
    fallback = painter.fallback()
    assert fallback is not None
    assert fallback.facts["device"] == "cpu"
    assert np.allclose(paint(painter, *pictures), paint(fallback, *pictures), atol=1e-3)
    painter.close()


# --- in the engine ------------------------------------------------------------------------------


def test_the_engine_serves_it_like_any_other_model(make_onnx: MakeOnnx) -> None:
    spec = described(make_onnx())
    stretched = described(make_onnx(), stretch=True)
    engine = LocalEngine({"plain": spec, "stretched": stretched}, Device(use="cpu"))
    try:
        engine.warm_up()
        picture, shown = grey(0.2)
        picture[8:] = 102
        results = {
            name: engine.submit(Request(name, picture, shown)).result(timeout=9)
            for name in ("plain", "stretched")
        }
    finally:
        engine.close()

    assert needs_torch(spec)
    assert np.unique(results["plain"].image.round(4)).tolist() == pytest.approx([0.2, 0.4])
    assert np.unique(results["stretched"].image).tolist() == [0, 1]
    assert results["plain"].notes["device"] == "cpu"
