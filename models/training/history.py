"""What a training said about itself: one JSON object per line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path


class History:
    """Rows of figures by step, in a file that grows."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def rows(self) -> list[dict[str, float]]:
        """All of them; each has ``step``."""
        if not self.path.exists():
            return []
        return [json.loads(line) for line in self.path.read_text().splitlines()]

    def add(self, step: int, figures: Mapping[str, float]) -> None:
        """Append a row."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(json.dumps({"step": step, **figures}) + "\n")

    def cut(self, step: int) -> None:
        """Drop what came after that step, which will be done again."""
        rows = [row for row in self.rows() if row["step"] <= step]
        if rows or self.path.exists():
            self.path.write_text("".join(json.dumps(row) + "\n" for row in rows))
