"""A folder of hostile models, laid out for a fault campaign, and a manifest that names models."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import yaml
from safetensors.torch import load_file

from helpers.hostile_models import (
    EXTERNAL,
    Listener,
    checkpoint,
    flipped,
    in_place_of_weights,
    lying_tensorfiles,
    onnx_elsewhere,
    pickles,
    program,
)
from helpers.spool import Spool


class Bait:
    """Hostile files, and what they are after.

    canary: a file that none of them may create, or see read. files: by what they are.
    """

    def __init__(self, folder: Path, lama: Path, onnx: Path) -> None:
        folder.mkdir()
        self.folder, self.canary, self.listener = folder, folder / "canary", Listener()
        self.lama, self.onnx = lama, onnx
        (folder / EXTERNAL).write_bytes(bytes(4096))
        self.files: dict[str, Path] = {}
        self._fill()

    def _put(self, name: str, suffix: str, content: bytes) -> None:
        path = self.folder / f"{name.replace(' ', '-')}{suffix}"
        path.write_bytes(content)
        self.files[name] = path

    def _fill(self) -> None:
        state = load_file(self.lama)
        for name, payload in pickles(self.canary, self.listener.port).items():
            self._put(f"a pickle that {name}", ".ckpt", checkpoint(state, payload))
        payload = pickles(self.canary, self.listener.port)["creates a file"]
        good = checkpoint(state, {})
        self._put("an old pickle", ".pth", checkpoint(state, payload, old=True))
        self._put("pickles for weights", ".pt", in_place_of_weights(good, payload))
        self._put("a pickle by another name", ".safetensors", checkpoint(state, payload))
        self.files["a program"] = program(self.folder / "program.pt", self.canary)
        self._put("a flipped bit", ".ckpt", flipped(good, 0.5))
        self._put("half a checkpoint", ".ckpt", good[: len(good) // 2])
        self._put("nothing", ".safetensors", b"")
        for name, content in lying_tensorfiles().items():
            self._put(name, ".safetensors", content)
        os.mkfifo(self.folder / "pipe.ckpt")
        self.files["a pipe"] = self.folder / "pipe.ckpt"
        for name, target in (("a link to a device", "/dev/zero"), ("a link to nothing", "/gone")):
            self.files[name] = self.folder / f"{name.replace(' ', '-')}.ckpt"
            self.files[name].symlink_to(target)

    def flipped(self, spool: Spool) -> list[str]:
        """Names in the manifest of sound files of each format, in which one bit was flipped since
        they were pinned."""
        good = checkpoint(load_file(self.lama), {})
        whole = {".ckpt": good, ".safetensors": self.lama.read_bytes()}
        pins = {}
        for suffix, content in whole.items():
            for share in (0.0, 0.001, 0.3, 0.9, 1.0):
                name = f"bit{share}{suffix[:3]}"
                (self.folder / f"{name}{suffix}").write_bytes(flipped(content, share))
                pins[name] = (self.folder / f"{name}{suffix}", digest_of(content))
        pin(spool, sound=(self.onnx, digest_of(self.onnx.read_bytes())), **pins)
        return list(pins)

    def networks(self) -> dict[str, bytes]:
        """Hostile ONNX files."""
        content, outside = self.onnx.read_bytes(), str(self.folder / EXTERNAL)
        return {
            "weights elsewhere": onnx_elsewhere(content),
            "weights above": onnx_elsewhere(content, f"../{self.folder.name}/{EXTERNAL}"),
            "weights at a path": onnx_elsewhere(content, outside),
            "half a network": content[: len(content) // 2],
            "a pickle by another name": self.files["a pickle that runs code"].read_bytes(),
        }

    def check(self) -> None:
        """Nothing happened."""
        assert not self.canary.exists()
        assert not self.listener.was_called


def models(spool: Spool) -> Path:
    """The folder of a spool's models."""
    folder = spool.root / ".retouchd" / "models"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def pin(spool: Spool, **pins: tuple[Path, str]) -> None:
    """Write a manifest. pins: by the model's name its file and what the manifest says of it."""
    entries = {name: _entry(path, digest) for name, (path, digest) in pins.items()}
    text = yaml.safe_dump({"models": entries})
    (models(spool) / "manifest.yaml").write_text(text)


def _entry(path: Path, digest: str) -> dict[str, object]:
    network = {"architecture": "onnx", "input": {"size": 64}}
    described = network if path.suffix == ".onnx" else {"architecture": "lama"}
    return {**described, "file": str(path), "sha256": digest}


def digest_of(content: bytes) -> str:
    """As a manifest has it."""
    return hashlib.sha256(content).hexdigest()


def refused(
    spool: Spool,
    words: str,
    *,
    model: str = "mine",
    environment: dict[str, str] | None = None,
    under: Sequence[str] = (),
) -> None:
    """A start with that model ends with a sentence, and no photo was touched."""
    spool.drop("waits.png", b"not even looked at")
    before = spool.files(spool.inbox)
    done = spool.retouchd(
        *("once", *(("--model", model) if model else ())),
        fast=True,
        under=under,
        environment=environment,
    )
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert spool.files(spool.inbox) == before
