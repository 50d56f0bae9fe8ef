"""Curves as a picture, drawn with OpenCV alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

_WIDTH, _HEIGHT, _EDGE = 480, 200, 36
_COLUMNS = 3
_INK, _LINE, _BASE = (60, 60, 60), (180, 90, 20), (60, 60, 200)  # BGR


def draw(rows: Sequence[Mapping[str, float]], path: Path) -> None:
    """One panel per figure, by name; ``fill NAME`` is drawn as a dashed line into NAME's panel."""
    names = dict.fromkeys(n for row in rows for n in row if n != "step")
    shown = [name for name in names if not name.startswith("fill ")]
    panels = [_panel(rows, name) for name in shown]
    if not panels:
        return
    blank = np.full_like(panels[0], 255)
    panels += [blank] * (-len(panels) % _COLUMNS)
    lines = [np.hstack(panels[at : at + _COLUMNS]) for at in range(0, len(panels), _COLUMNS)]
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.vstack(lines))


def _panel(rows: Sequence[Mapping[str, float]], name: str) -> NDArray[np.uint8]:
    panel = np.full((_HEIGHT, _WIDTH, 3), 255, np.uint8)
    steps = np.array([row["step"] for row in rows if name in row], float)
    values = np.array([row[name] for row in rows if name in row], float)
    base = next((row[f"fill {name}"] for row in rows if f"fill {name}" in row), None)
    everything = values if base is None else np.append(values, base)
    low, high = float(np.nanmin(everything)), float(np.nanmax(everything))
    span = (high - low) or 1.0

    def place(step: float, value: float) -> tuple[int, int]:
        x = _EDGE + (step / max(steps[-1], 1)) * (_WIDTH - 2 * _EDGE)
        y = _HEIGHT - _EDGE - (value - low) / span * (_HEIGHT - 2 * _EDGE)
        return round(x), round(y)

    if base is not None:
        for x in range(_EDGE, _WIDTH - _EDGE, 12):
            y = place(0, base)[1]
            cv2.line(panel, (x, y), (x + 6, y), _BASE, 1, cv2.LINE_AA)
    points = [place(s, v) for s, v in zip(steps, values, strict=True) if np.isfinite(v)]
    cv2.polylines(panel, [np.array(points, np.int32)], False, _LINE, 1, cv2.LINE_AA)
    title = f"{name}: {values[-1]:.4g}"
    cv2.putText(panel, title, (_EDGE, 22), cv2.FONT_HERSHEY_SIMPLEX, 0.45, _INK, 1, cv2.LINE_AA)
    for value, y in ((high, _EDGE), (low, _HEIGHT - _EDGE)):
        cv2.putText(panel, f"{value:.3g}", (2, y + 4), cv2.FONT_HERSHEY_SIMPLEX, 0.3, _INK, 1)
    cv2.putText(
        panel,
        f"step {steps[-1]:.0f}",
        (_WIDTH - 110, _HEIGHT - 12),
        cv2.FONT_HERSHEY_SIMPLEX,
        0.35,
        _INK,
        1,
    )
    return panel
