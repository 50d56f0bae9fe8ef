"""A small matting network of one's own, as people install theirs."""

from __future__ import annotations

import hashlib
from pathlib import Path

from retouchd.matting_weights import cvunet_bytes
from retouchd.nets.cvunet import CvUNet, CvUNetShape

SHAPE = CvUNetShape(width=0.25, context=16, rates=(1, 2), decoder=(16, 16, 8, 8), head=8)


def install(models: Path, net: CvUNet | None = None, digest: str = "") -> None:
    """Write the network, with random weights unless it is given, and an entry that calls it
    ``mine``; digest: what that says of the file, if not the truth."""
    content = cvunet_bytes(net or CvUNet(SHAPE).eval())
    models.mkdir(parents=True, exist_ok=True)
    (models / "mine.safetensors").write_bytes(content)
    (models / "manifest.yaml").write_text(
        "models:\n  mine:\n    architecture: cvunet\n    file: mine.safetensors\n"
        f"    sha256: {digest or hashlib.sha256(content).hexdigest()}\n"
        "    input: {size: 128, multiple_of: 32}\n"
    )
