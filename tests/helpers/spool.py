"""The folders of lanes, and what lies in them."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from helpers.commands import Commands
from helpers.pictures import blob, texture

OUR_MARKS = (".retouchd-root", ".retouchd-owner")
"""The hidden files that stay in a lane's folders."""
PLAIN_MODELS = (
    *("--set", "lanes.matte.model=trimap"),
    *("--set", "lanes.inpaint.model=classical"),
)
"""What cut-outs look like must not hang on how a network was trained, and most tests of what
happens to files need no texture; the defaults have tests of their own."""


class Spool(Commands):
    """A root with its folders. where: how a command finds it; if left out ``--root``, and
    models that are quick and need no training."""

    def __init__(self, root: Path, where: tuple[str, ...] = ()) -> None:
        self.root = root
        self.where = where or ("--root", str(root), *PLAIN_MODELS)
        self.inbox, self.outbox = root / "inbox", root / "outbox"
        self.archive, self.failed = root / "archive", root / "failed"
        self.review = root / "review"
        self.inbox.mkdir(parents=True, exist_ok=True)
        self.dropped: dict[str, str] = {}

    def drop(self, name: str, data: np.ndarray | bytes) -> Path:
        """Put one file into the inbox."""
        path = self.inbox / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not isinstance(data, bytes):
            encoded, buffer = cv2.imencode(path.suffix, data)
            assert encoded
            data = buffer.tobytes()
        path.write_bytes(data)
        self.dropped[name] = hashlib.sha256(data).hexdigest()
        return path

    def drop_pair(self, stem: str, suffix: str = ".png", seed: int = 0) -> None:
        """Put a photo and its mask into the inbox."""
        self.drop(f"{stem}{suffix}", texture(seed))
        self.drop(f"{stem}_mask.png", blob())

    def files(self, folder: Path) -> list[str]:
        """Visible files below a folder, without the dated part of their paths."""
        if not folder.exists():
            return []
        found = [p.relative_to(folder) for p in folder.rglob("*") if not p.is_dir()]
        return sorted(str(p) for p in found if p.name not in OUR_MARKS)

    def undated(self, folder: Path) -> list[str]:
        return sorted("/".join(Path(name).parts[1:]) for name in self.files(folder))

    def digests(self, folder: Path) -> dict[str, str]:
        """Content hashes by undated path."""
        return {
            "/".join(Path(name).parts[1:]): hashlib.sha256((folder / name).read_bytes()).hexdigest()
            for name in self.files(folder)
        }

    def check_exactly_once(self, expected: dict[str, str]) -> None:
        """Every pair: one output with the expected bytes, one row, originals archived whole."""
        assert self.digests(self.outbox) == expected
        assert self.files(self.inbox) == []
        assert self.digests(self.archive) == self.dropped
        done = Counter(job["name"] for job in self.jobs() if job["state"] == "done")
        assert done == Counter(dict.fromkeys(expected, 1))
        assert self.files(self.failed) == []


class Lanes(Commands):
    """A configuration file with several lanes, each with folders and options of its own."""

    def __init__(self, root: Path, **top: Any) -> None:
        self.root, self.top = root, {"state": str(root / "state"), **top}
        self.file = root / "config.yaml"
        self.where = ("--config", str(self.file))
        self.lanes: dict[str, dict[str, Any]] = {}
        root.mkdir(parents=True)

    def lane(self, name: str, **options: Any) -> Spool:
        """Add a lane, or change the options of one; returns its folders."""
        options.setdefault("model", "trimap" if options.get("task") == "matte" else "classical")
        self.lanes[name] = {"name": name, "root": str(self.root / name), **options}
        self.write()
        return Spool(self.root / name, self.where)

    def write(self) -> None:
        """Write the configuration as it is now."""
        tree = {**self.top, "lanes": list(self.lanes.values())}
        self.file.write_text(yaml.safe_dump(tree), encoding="utf-8")
