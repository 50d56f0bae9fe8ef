"""Fixtures that several test files share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from retouchd.roots import Root, establish, open_root

# A busy machine must not make a property look slow.
settings.register_profile("retouchd", deadline=None)
settings.load_profile("retouchd")


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of sample data, which is not part of the repository."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("RETOUCHD_SAMPLES", beside))
    if not folder.is_dir():
        pytest.skip(f"there is no sample data at {folder} (set RETOUCHD_SAMPLES)")
    return folder


@pytest.fixture
def make_root(tmp_path: Path) -> Iterator[Callable[..., Root]]:
    """Set up and open roots: ``make_root("inbox")``, or ``make_root("archive", a_folder)``."""
    with ExitStack() as stack:

        def make(role: str = "inbox", path: Path | None = None) -> Root:
            ref = establish("lane", role, str(path or tmp_path / role))
            return stack.enter_context(open_root(ref))

        yield make


@pytest.fixture
def make_lama(tmp_path: Path) -> Callable[..., Path]:
    """Write a small LaMa with random weights under the original implementation's names.

    ``make_lama(name="tiny", ngf=4, downs=3, blocks=1, seed=0)`` → path of a .safetensors file.
    """

    def make(name: str = "tiny", **shape: int) -> Path:
        from safetensors.torch import save_file

        path = tmp_path / f"{name}.safetensors"
        save_file(_original_state(**shape), path)
        return path

    return make


def _original_state(ngf: int = 4, downs: int = 3, blocks: int = 1, seed: int = 0) -> dict[str, Any]:
    """Random weights, named and numbered as github.com/advimman/lama does."""
    import torch

    random = torch.Generator().manual_seed(seed)
    state: dict[str, torch.Tensor] = {}

    def conv(name: str, out: int, inp: int, kernel: int) -> None:
        scale = (inp * kernel * kernel) ** -0.5
        state[f"{name}.weight"] = torch.randn(out, inp, kernel, kernel, generator=random) * scale

    def norm(name: str, features: int) -> None:
        for part, low, high in (
            ("weight", 0.5, 1.5),
            ("bias", -0.2, 0.2),
            ("running_mean", -0.2, 0.2),
            ("running_var", 0.5, 1.5),
        ):
            uniform = torch.rand(features, generator=random)
            state[f"{name}.{part}"] = low + (high - low) * uniform
        state[f"{name}.num_batches_tracked"] = torch.tensor(1)

    conv("model.1.ffc.convl2l", ngf, 4, 7)
    norm("model.1.bn_l", ngf)
    for level in range(downs - 1):
        conv(f"model.{2 + level}.ffc.convl2l", ngf << level + 1, ngf << level, 3)
        norm(f"model.{2 + level}.bn_l", ngf << level + 1)
    deep = ngf << downs
    spectral = deep * 3 // 4
    local = deep - spectral
    split = f"model.{1 + downs}"
    for path, stream, out in (("convl2l", "bn_l", local), ("convl2g", "bn_g", spectral)):
        conv(f"{split}.ffc.{path}", out, deep // 2, 3)
        norm(f"{split}.{stream}", out)
    for block in range(blocks):
        for number in (1, 2):
            name = f"model.{2 + downs + block}.conv{number}"
            conv(f"{name}.ffc.convl2l", local, local, 3)
            conv(f"{name}.ffc.convl2g", spectral, local, 3)
            conv(f"{name}.ffc.convg2l", local, spectral, 3)
            conv(f"{name}.ffc.convg2g.conv1.0", spectral // 2, spectral, 1)
            norm(f"{name}.ffc.convg2g.conv1.1", spectral // 2)
            conv(f"{name}.ffc.convg2g.fu.conv_layer", spectral, spectral, 1)
            norm(f"{name}.ffc.convg2g.fu.bn", spectral)
            conv(f"{name}.ffc.convg2g.conv2", spectral, spectral // 2, 1)
            norm(f"{name}.bn_l", local)
            norm(f"{name}.bn_g", spectral)
    for up in range(downs):
        first = 3 + downs + blocks + 3 * up
        wide = deep >> up
        conv(f"model.{first}", wide, wide // 2, 3)
        state[f"model.{first}.bias"] = torch.zeros(wide // 2)
        norm(f"model.{first + 1}", wide // 2)
    head = f"model.{4 + downs + blocks + 3 * downs}"
    conv(head, 3, ngf, 7)
    state[f"{head}.bias"] = torch.zeros(3)
    return state
