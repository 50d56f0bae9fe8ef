"""Whether weights can be loaded, by loading them; what is loaded is let go again."""

from __future__ import annotations

from retouchd.manifest import ModelSpec


def check_loadable(spec: ModelSpec) -> None:
    """Load a model's weights on the CPU, an ONNX file with one picture; it may import torch.

    Raises ModelUnusable for weights that no lane could work with.
    """
    if spec.architecture == "lama":
        from retouchd.weights import load_lama

        load_lama(spec)
    elif spec.architecture == "cvunet":
        from retouchd.matting_weights import load_cvunet

        load_cvunet(spec)
    elif spec.architecture == "onnx":
        from retouchd.onnx_painter import verify_onnx

        verify_onnx(spec)
