"""bfloat16 is taken where it was measured to pay, and nowhere else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from retouchd import network_painter
from retouchd.config import Device
from retouchd.device import Place
from retouchd.engine import Request, Result
from retouchd.errors import EngineTrouble
from retouchd.lama_painter import open_lama
from retouchd.local_engine import LocalEngine
from retouchd.manifest import ModelSpec, resolve
from retouchd.nets.fused_lama import FusedLama
from retouchd.network_painter import NetworkPainter
from retouchd.precision import Comparison, compare
from retouchd.room import Room
from retouchd.samples import Region, Unit, photo_like, to_unit

pytestmark = pytest.mark.usefixtures("one_thread")
Judged = Callable[[Comparison | None], NetworkPainter]


@pytest.fixture
def spec(make_lama: Callable[..., Path], tmp_path: Path) -> ModelSpec:
    return resolve(str(make_lama()), tmp_path)


@pytest.mark.parametrize(
    ("speedup", "error", "best"),
    [
        (2.0, 0.004, "bf16"),
        (1.05, 0.0, "fp32"),
        (0.2, 0.0, "fp32"),
        (2.0, 0.1, "fp32"),
        (2.0, float("nan"), "fp32"),
    ],
)
def test_bfloat16_must_be_clearly_faster_and_close(speedup: float, error: float, best: str) -> None:
    assert Comparison(speedup, error).best == best


def _painting(seconds: float, off: float, seen: list[int]) -> Callable[[Region], Unit]:
    def paint(region: Region) -> Unit:
        seen.append(len(region[1]))
        time.sleep(seconds)
        return to_unit(region[0]) + np.float32(off)

    return paint


def test_a_comparison_measures_the_times_and_the_difference_in_the_hole() -> None:
    beats: list[int] = []

    found = compare(_painting(0.02, 0.0, []), _painting(0.005, 0.01, []), lambda: beats.append(1))

    assert 1.5 < found.speedup < 5.0
    assert found.error == pytest.approx(0.01, rel=1e-3)
    assert len(beats) >= 4


def test_where_bfloat16_is_slow_the_comparison_is_short() -> None:
    seen: list[int] = []

    found = compare(_painting(0.001, 0.0, []), _painting(0.02, 0.0, seen), lambda: None)

    assert found.best == "fp32"
    assert max(seen) == 64


def test_the_picture_for_the_comparison_is_always_the_same_and_like_a_photo() -> None:
    image, mask = photo_like(128)

    np.testing.assert_array_equal(image, photo_like(128)[0])
    assert image.dtype == mask.dtype == np.uint8
    assert 0.05 < (mask == 255).mean() < 0.4
    assert 20 < image.std() < 90
    neighbours = np.abs(np.diff(image.astype(int), axis=1)).mean()
    assert neighbours < image.std() / 2, "it is no noise"


@pytest.fixture
def judged(spec: ModelSpec) -> Iterator[Judged]:
    """Opens the model's painter as if the self-check had found so."""
    opened = open_lama(spec, Place(), 4, lambda: None)
    yield lambda comparison: NetworkPainter(
        opened._networks, 4, lambda answer, region: None, comparison
    )
    opened.close()


@pytest.mark.parametrize(
    ("wanted", "comparison", "got"),
    [
        ("auto", Comparison(2.0, 0.001), "bf16"),
        ("auto", Comparison(0.5, 0.001), "fp32"),
        ("auto", None, "fp32"),
        ("fp32", Comparison(2.0, 0.001), "fp32"),
        ("bf16", Comparison(0.5, 0.001), "bf16"),
        ("bf16", None, "bf16"),
        (None, Comparison(2.0, 0.001), "fp32"),
    ],
)
def test_a_lane_s_precision_is_what_paints(
    judged: Judged, wanted: str | None, comparison: Comparison | None, got: str
) -> None:
    painter = judged(comparison).tuned({} if wanted is None else {"precision": wanted})
    exact = painter.exact() or painter

    (image,), (same,) = (one.start([photo_like(32)])() for one in (painter, exact))

    assert painter.facts["precision"] == got
    assert exact.facts["precision"] == "fp32"
    assert (np.abs(image - same).max() > 0) == (got == "bf16"), "the note tells the truth"
    assert np.abs(image - same).mean() < 0.02


def test_a_batch_that_did_not_fit_is_not_tried_again() -> None:
    room = Room(8)
    assert room.limit(100) == 8

    room.shrink(8 * 100)
    assert (room.limit(100), room.limit(25), room.limit(1000)) == (4, 8, 1)

    room.shrink(4 * 100)
    room.shrink(6 * 100)
    assert (room.limit(100), room.limit(25)) == (2, 8)


def test_the_two_precisions_each_remember_their_own_room(judged: Judged) -> None:
    painter = judged(Comparison(2.0, 0.001))
    short = painter.tuned({"precision": "bf16"})

    painter.overran(4, (64, 64))

    assert painter.limit((64, 64)) == 2
    assert short.limit((64, 64)) == 4
    assert painter.tuned({"precision": "auto"}) is short


def test_float32_that_was_given_up_comes_back_from_the_same_file(
    judged: Judged, spec: ModelSpec, make_lama: Callable[..., Path]
) -> None:
    """Though `models add` has put another one in its place since."""
    painter = judged(Comparison(2.0, 0.001))
    (before,) = painter.start([photo_like(32)])()

    painter._networks.keep("bf16")
    assert spec.path is not None
    spec.path.unlink()
    make_lama(seed=7)
    (after,) = painter.start([photo_like(32)])()

    np.testing.assert_array_equal(before, after)


def test_only_the_better_precision_stays_in_memory(
    spec: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    for found, kept in ((Comparison(2.0, 0.001), "short"), (Comparison(0.5, 0.001), "exact")):
        monkeypatch.setattr(network_painter, "compare", _comparing(found))
        painter = open_lama(spec, Place(), 1, lambda: None)
        assert vars(painter._networks).keys() & {"short", "exact"} == {kept}
        painter.close()


def _comparing(found: Comparison) -> Callable[..., Comparison]:
    def compare(exact: Callable[[Region], Unit], short: Callable[[Region], Unit], *_: Any) -> Any:
        assert exact(photo_like(32)).shape == short(photo_like(32)).shape
        return found

    return compare


def test_the_two_never_share_a_weight(judged: Judged) -> None:
    networks = judged(None)._networks

    exact, short = (list(networks._in(name).parameters()) for name in ("fp32", "bf16"))

    assert {p.dtype for p in exact} == {torch.float32}
    assert {p.dtype for p in short} == {torch.bfloat16}
    assert len(exact) == len(short)
    for one, other in zip(exact, short, strict=True):
        assert torch.equal(one.bfloat16(), other)
        assert one.stride() == other.stride(), "channels-last as well"


@pytest.fixture
def engine(spec: ModelSpec) -> Iterator[LocalEngine]:
    engine = LocalEngine({"lama": spec}, Device(use="cpu", threads=1), max_batch=4)
    engine.warm_up()
    yield engine
    engine.close()


def _paint(engine: LocalEngine, precision: str) -> Result:
    image, mask = photo_like(40)
    return engine.submit(Request("lama", image, mask, {"precision": precision})).result(timeout=5)


def test_an_engine_serves_lanes_of_both_precisions_and_notes_which(engine: LocalEngine) -> None:
    short, exact = _paint(engine, "bf16"), _paint(engine, "fp32")

    assert short.notes["precision"] == "bf16"
    assert short.notes["speedup"] > 0
    assert 0 <= short.notes["error"] < 0.02
    assert exact.notes["precision"] == "fp32"
    assert "speedup" not in exact.notes
    assert 0 < np.abs(short.image - exact.image).mean() < 0.02


def test_an_engine_tells_what_auto_means_and_why(engine: LocalEngine) -> None:
    facts = engine.describe()["auto"]["lama"]

    assert set(facts) == {"precision", "speedup", "error"}
    assert _paint(engine, "auto").notes["precision"] == facts["precision"]


def _overflow(engine: LocalEngine, monkeypatch: pytest.MonkeyPatch, precisions: set[str]) -> None:
    """Make the model's input overflow, as activations do, in these precisions."""
    types = {"bf16": torch.bfloat16, "fp32": torch.float32}
    plain = FusedLama.forward

    def forward(self: FusedLama, x: torch.Tensor) -> torch.Tensor:
        bad = self.dtype in {types[name] for name in precisions}
        return plain(self, x * float("inf") if bad else x)

    monkeypatch.setattr(FusedLama, "forward", forward)


def test_an_overflow_in_bfloat16_is_painted_again_in_float32_and_noted(
    engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = _paint(engine, "fp32")
    _overflow(engine, monkeypatch, {"bf16"})

    saved = _paint(engine, "bf16")

    np.testing.assert_array_equal(saved.image, exact.image)
    assert saved.notes["precision"] == "fp32"
    assert "not a number" in saved.notes["repainted_in_fp32"]


def test_an_overflow_in_both_fails_with_the_reason(
    engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    _overflow(engine, monkeypatch, {"bf16", "fp32"})

    with pytest.raises(EngineTrouble, match="not a number everywhere, in float32 as well"):
        _paint(engine, "bf16")
