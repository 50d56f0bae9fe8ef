"""A resident ONNX network for matting."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from retouchd.device import Place
from retouchd.errors import GpuRequired, ModelUnusable
from retouchd.fit import Fit
from retouchd.fitting import picture_of, place
from retouchd.manifest import ModelSpec, check_sha256
from retouchd.memory import give_back
from retouchd.onnx_contract import OnnxContract
from retouchd.onnx_ports import plug_of
from retouchd.onnx_session import (
    brief,
    check_runtime,
    gpu_trouble,
    is_memory_trouble,
    open_session,
    ports_of,
)
from retouchd.onnx_tensors import alphas_of, batch_of
from retouchd.painter import Beat, Finish, Size
from retouchd.room import Room
from retouchd.samples import Region, Unit, photo_like
from retouchd.sanity import trouble_with_alpha
from retouchd.shortage import shortage_told
from retouchd.weightfile import read_weights

_GPU_BATCH = 8
_SHORT = {"float16": "fp16", "float32": "fp32", "float64": "fp64"}


class Network:
    """One ONNX file, loaded onto one device.

    gpu_unused: why it is on the CPU although there is a GPU; None if that is not so.
    Raises ModelUnusable, and GpuRequired where the configuration demands the GPU.
    """

    def __init__(self, spec: ModelSpec, content: bytes, where: Place) -> None:
        self.contract = spec.onnx or OnnxContract()
        self.session = open_session(spec.name, content, where)
        self.gpu_unused = gpu_trouble(self.session) if where.is_gpu else None
        if self.gpu_unused and where.demanded:
            raise GpuRequired(cause=self.gpu_unused)
        self.device = "cpu" if self.gpu_unused else where.name
        self.plug = plug_of(spec, *ports_of(self.session))

    def alphas(self, regions: Sequence[Region]) -> list[Unit]:
        """See ``Painter.start``; raises OutOfMemory."""
        with shortage_told(regions, self.device, is_memory_trouble):
            batch = batch_of(regions, self.contract, self.plug.dtype)
            (output,) = self.session.run([self.plug.output], {self.plug.input: batch})
            return alphas_of(np.asarray(output), regions, self.contract)


class OnnxPainter:
    """An ONNX network on one device, in the precision that it was exported in."""

    def __init__(self, spec: ModelSpec, network: Network, batch: int, beat: Beat) -> None:
        self._spec = spec
        self._network = network
        self._beat = beat
        self._room = Room(network.plug.batch or batch)

    def tuned(self, settings: Mapping[str, Any]) -> OnnxPainter:
        """It has nothing to set."""
        return self

    def exact(self) -> None:
        """There is no other precision in the file."""

    @property
    def auto(self) -> Mapping[str, Any]:
        """Only what a person should hear of at the start: that the GPU is not used, and why."""
        return {"device": "cpu", "warning": self._network.gpu_unused} if self.gpu_unused else {}

    @property
    def gpu_unused(self) -> str | None:
        """See ``Network``."""
        return self._network.gpu_unused

    def limit(self, size: Size) -> int:
        """See ``Painter``; 1 on a CPU, and where the graph is fixed to that."""
        return self._room.limit(size[0] * size[1])

    def overran(self, batch: int, size: Size) -> None:
        """See ``Painter``."""
        self._room.shrink(batch * size[0] * size[1])

    @property
    def facts(self) -> Mapping[str, Any]:
        """Device, precision, and why a GPU is not used."""
        facts = {"device": self._network.device, "precision": _SHORT[self._network.plug.dtype]}
        return {**facts, "gpu_unused": self.gpu_unused} if self.gpu_unused else facts

    def doubt(self, answer: Unit, region: Region) -> str | None:
        """See ``sanity``."""
        return trouble_with_alpha(answer, region[1])

    @property
    def ahead(self) -> bool:
        """onnxruntime returns when the work is done."""
        return False

    def start(self, regions: Sequence[Region]) -> Finish:
        """See ``Painter``: [H, W, 1] alphas."""

        def finish() -> list[Unit]:
            self._beat()
            return self._network.alphas(regions)

        return finish

    def relieve(self) -> None:
        """Give back what the process has freed; the session caches on the GPU only."""
        give_back()

    def fallback(self) -> OnnxPainter | None:
        """On a GPU: the same on the CPU, loaded once."""
        return None if self._network.device == "cpu" else self._on_cpu

    def close(self) -> None:
        """See ``Painter``."""
        self.__dict__.pop("_on_cpu", None)
        del self._network
        give_back()

    @cached_property
    def _on_cpu(self) -> OnnxPainter:
        self._beat()
        return open_onnx(self._spec, Place(), 1, self._beat)


def open_onnx(spec: ModelSpec, where: Place, max_batch: int | None, beat: Beat) -> OnnxPainter:
    """Load an ONNX network onto ``where``; raises ModelUnusable or GpuRequired.

    The sha256 is checked on the very bytes that onnxruntime is given.
    """
    network = Network(spec, _content(spec), where)
    beat()
    give_back()
    batch = 1 if network.device == "cpu" else _GPU_BATCH
    return OnnxPainter(spec, network, max_batch or batch, beat)


def verify_onnx(spec: ModelSpec) -> None:
    """``try_out`` of the file itself, whose sha256 is checked; raises ModelUnusable."""
    try_out(spec, _content(spec))


def _content(spec: ModelSpec) -> bytes:
    if spec.path is None:
        raise ModelUnusable(model=spec.name, cause="it has no file", fix="Give it one.")
    check_runtime(spec.name)
    content = read_weights(spec.name, spec.path)
    check_sha256(spec, hashlib.sha256(content).hexdigest())
    return content


def try_out(spec: ModelSpec, content: bytes) -> None:
    """Load a file's content on the CPU as ``spec`` says, and let it see one picture.

    Raises ModelUnusable for what does not work, or gives no numbers.
    """
    check_runtime(spec.name)
    network = Network(spec, content, Place())
    pixels, _ = photo_like(64)
    picture, shown = picture_of(pixels, place((64, 64), spec.fit or Fit()))
    try:
        (alpha,) = network.alphas([(picture, shown)])
        trouble = trouble_with_alpha(alpha, shown)
    except Exception as error:  # onnxruntime's have nothing else in common
        trouble = brief(error)
    if trouble:
        raise ModelUnusable(
            model=spec.name,
            cause=f"its first picture failed ({trouble})",
            fix="Check what its entry says of input and output: sizes, layout, names.",
        )
