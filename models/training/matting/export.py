"""Weights files of the matting network: the best running average goes out, and comes back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from models.training import checkpoint

from retouchd.matting_weights import build_cvunet, cvunet_bytes, parse_cvunet
from retouchd.nets.cvunet import CvUNet, CvUNetShape


def export(work: Path, to: Path) -> str:
    """Write ``work``/best.pt to ``to``, whole or not at all; says what was written.

    Raises FileNotFoundError without a best, ValueError for weights that are too large for float16.
    """
    best = checkpoint.load(work / "best.pt", torch.device("cpu"))
    if best is None:
        raise FileNotFoundError(work / "best.pt")
    shape: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in best["shape"].items()
    }
    content = cvunet_bytes(build_cvunet(CvUNetShape(**shape), best["average"]), torch.float16)
    temporary = to.with_name(f".{to.name}.tmp")
    temporary.write_bytes(content)
    temporary.replace(to)
    return f"{to}: {len(content) / 1e6:.1f} MB, step {best['step']}, score {best['score']:.4f}"


def read(path: Path) -> CvUNet:
    """The network in a file that ``export`` wrote; raises ModelUnusable."""
    return parse_cvunet(path.name, path, path.read_bytes())
