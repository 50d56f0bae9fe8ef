"""Opening an ONNX file with onnxruntime, which is an optional extra and imported only here."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

from retouchd.device import Place, threads
from retouchd.errors import ModelUnusable
from retouchd.onnx_ports import Port
from retouchd.onnxfile import outside_files

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

_CUDA = "CUDAExecutionProvider"
_CPU = "CPUExecutionProvider"
_SILENT = 4  # what goes wrong is raised as well
_MEMORY_TROUBLE = (
    "Failed to allocate memory",
    "bad_alloc",
    "bad allocation",
    "out of memory",
    "smaller than requested bytes",
    "ALLOC_FAILED",  # cuBLAS and cuDNN
)


def _runtime() -> Any:
    """onnxruntime; raises ImportError.

    From 1.29 on it reports to its makers what it loads, unless this is set before its import.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    return onnxruntime


def check_runtime(model: str) -> None:
    """Raise ModelUnusable unless onnxruntime is installed."""
    try:
        _runtime()
    except ImportError as error:
        raise ModelUnusable(
            model=model,
            cause=f"it is an ONNX file, and onnxruntime can't be loaded ({error})",
            fix="Install it into retouchd's environment: `pip install 'retouchd[onnx]'`, or "
            "onnxruntime-gpu in its place for an NVIDIA GPU.",
        ) from None


def open_session(model: str, content: bytes, where: Place) -> InferenceSession:
    """A session on ``where``, or on the CPU if that can't be; raises ModelUnusable.

    Nothing but ``content`` is read, and only operators that onnxruntime brings along run.
    """
    onnxruntime = _runtime()
    _check_content(model, content)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _SILENT
    options.intra_op_num_threads = threads()
    options.inter_op_num_threads = 1
    # A thread that has nothing to do sleeps at once: beside other work, spinning takes its cores.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # What one picture took is given back at once: onnxruntime would keep the most that any picture
    # ever took, twice. A light network is slower by a fifth to a half.
    options.enable_cpu_mem_arena = False
    try:
        session = onnxruntime.InferenceSession(
            content, options, providers=_providers(where), enable_fallback=0
        )
    except Exception as error:
        raise _unloadable(model, error, where) from None
    # Its Python side would keep the whole file, in case it had to be loaded once more.
    with contextlib.suppress(AttributeError):
        session._model_bytes = b""
    return session


def _providers(where: Place) -> list[Any]:
    onnxruntime = _runtime()
    if not where.is_gpu or _CUDA not in onnxruntime.get_available_providers():
        return [_CPU]
    settings = {
        "device_id": where.name.partition(":")[2] or "0",
        "arena_extend_strategy": "kSameAsRequested",
        # Trying out every algorithm would be done anew for every shape of photo.
        "cudnn_conv_algo_search": "HEURISTIC",
    }
    return [(_CUDA, settings), _CPU]


def gpu_trouble(session: InferenceSession | None = None) -> str | None:
    """Why networks can't use an NVIDIA GPU, as far as that shows before one is loaded, or why this
    one doesn't; None if they can, or it does. onnxruntime has to be installed."""
    onnxruntime = _runtime()
    if _CUDA not in onnxruntime.get_available_providers():
        return "this onnxruntime is built for the CPU only; onnxruntime-gpu goes in its place"
    if session is None or _CUDA in session.get_providers():
        return None
    return (
        "onnxruntime can't load its CUDA provider; it needs the CUDA and cuDNN versions that it "
        "was built for"
    )


def _check_content(model: str, content: bytes) -> None:
    try:
        outside = outside_files(content)
    except ValueError as error:
        raise ModelUnusable(
            model=model,
            cause=f"it is not an ONNX file ({error})",
            fix="Fetch it again; its name ends in .onnx, and so must its content.",
        ) from None
    if outside:
        raise ModelUnusable(
            model=model,
            cause=f"its weights lie in another file ({', '.join(sorted(outside)[:3])}), which no "
            "checksum covers",
            fix="Put them into the .onnx file itself: onnx.save_model(onnx.load(FILE), NEW).",
        )


def _unloadable(model: str, error: Exception, where: Place) -> ModelUnusable:
    text = brief(error)
    if is_memory_trouble(error):
        cause, fix = f"it does not fit into the free memory of {where.label}", "End other programs."
    elif "not a registered function/op" in text:
        cause = f"it needs operators that onnxruntime does not have ({text})"
        fix = "Export it with standard operators; libraries of others are never loaded."
    else:
        cause = f"onnxruntime can't load it ({text})"
        fix = "Fetch the file again; a newer onnxruntime may know more operators."
    return ModelUnusable(model=model, cause=cause, fix=fix)


def ports_of(session: InferenceSession) -> tuple[list[Port], list[Port]]:
    """The inputs and the outputs of a graph."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    return [_port(found) for found in inputs], [_port(found) for found in outputs]


def _port(found: Any) -> Port:
    return Port(found.name, found.type, tuple(found.shape or ()))


def is_memory_trouble(error: Exception) -> bool:
    """Whether an exception of onnxruntime or numpy means that memory ran out."""
    return isinstance(error, MemoryError) or any(text in str(error) for text in _MEMORY_TROUBLE)


def brief(error: Exception) -> str:
    """An error from elsewhere, in one line that can be read."""
    text = " ".join(str(error).split())
    return text if len(text) <= 300 else f"{text[:300]}…"
