"""Whether the models are the ones meant, and what they would run on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from retouchd.config import Config, Device
from retouchd.device import choose
from retouchd.doctor.finding import Finding, fine, from_error, problem, warning
from retouchd.errors import ConfigInvalid, GpuRequired, ModelUnusable
from retouchd.lane_models import check_tasks
from retouchd.loadable import check_loadable
from retouchd.manifest import ModelSpec, resolve, verify
from retouchd.onnx_session import check_runtime, gpu_trouble
from retouchd.painter import needs_torch

_DRIVER = Path("/proc/driver/nvidia/version")
_ANEW = "Install torch anew into the environment of retouchd."


def judge_models(config: Config) -> list[Finding]:
    """One finding per model that a lane uses, and one for the device."""
    findings, specs = [], []
    for name in sorted({lane.model for lane in config.lanes}):
        finding, spec = _judge_model(name, config.models_folder)
        findings.append(finding)
        if spec:
            specs.append(spec)
    tasks = {spec.name: spec.task for spec in specs}
    if len(tasks) == len({lane.model for lane in config.lanes}):
        try:
            check_tasks(config, tasks)
        except ConfigInvalid as error:
            findings.append(from_error("models", error))
    return [*findings, judge_device(config.device, specs, driver=_DRIVER.exists())]


def _judge_model(name: str, folder: Path) -> tuple[Finding, ModelSpec | None]:
    check = f"model {name}"
    try:
        spec = resolve(name, folder)
        verify(spec)
        unread = _unread(spec)
    except ModelUnusable as error:
        return from_error(check, error), None
    if unread:
        return problem(check, f"{name} can't be loaded ({unread})", _ANEW), spec
    where = f"{spec.path}, sha256 {spec.sha256}" if spec.path else "needs no weights"
    return fine(check, f"{spec.architecture}, {where}"), spec


def _unread(spec: ModelSpec) -> Exception | None:
    """Load what is small; gives why that could not be tried, and raises ModelUnusable.

    An ONNX network, which may take gigabytes beside the service that runs with it, is left at the
    sha256 that its entry says.
    """
    if spec.architecture == "onnx":
        check_runtime(spec.name)
        return None
    try:
        check_loadable(spec)
    except (ImportError, OSError) as error:  # torch's own: what the file does is ModelUnusable
        return error
    return None


def judge_device(device: Device, specs: Sequence[ModelSpec], *, driver: bool) -> Finding:
    """What the models run on; imports torch only where one needs it. driver: NVIDIA's is loaded."""
    check = "device"
    if not device.require_gpu and not any(needs_torch(spec) for spec in specs):
        return fine(check, "no model needs more than the CPU")
    try:
        place = choose(device)
    except GpuRequired as error:
        return from_error(check, error)
    except (ImportError, OSError) as error:
        return problem(check, f"torch can't be loaded ({error})", _ANEW)
    if driver and not place.is_gpu and device.use != "cpu":
        return warning(
            check,
            f"{place.label}, although an NVIDIA driver is loaded",
            "`nvidia-smi` must work for the service user, and torch must be a build for CUDA that "
            "knows this GPU; under systemd the unit needs cuda.conf.example.",
        )
    if place.is_gpu and any(spec.architecture == "onnx" for spec in specs):
        trouble = gpu_trouble()
        if trouble:
            remedy = "`pip uninstall onnxruntime`, then `pip install onnxruntime-gpu`."
            return warning(check, f"{place.label}, but not for ONNX networks: {trouble}", remedy)
    return fine(check, place.label)
