"""`retouchd demo` shows results without any download."""

from __future__ import annotations

import subprocess
import sys

import cv2
import pytest


def test_the_demo_repairs_its_photos_and_writes_a_contact_sheet(tmp_path):
    pytest.importorskip("skimage", reason="the demo's photos come with scikit-image")
    done = subprocess.run(
        [sys.executable, "-m", "retouchd", "demo", str(tmp_path / "demo")],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    sheet = cv2.imread(str(tmp_path / "demo/contact-sheet.png"))
    assert sheet is not None
    assert sheet.shape[0] > 1300
    cup = cv2.imread(str(next((tmp_path / "demo/outbox").rglob("cup.png"))), cv2.IMREAD_UNCHANGED)
    assert cup[5, 5, 3] == 0
    assert cup[240, 280, 3] == 255
    outputs = sorted(path.name for path in (tmp_path / "demo/outbox").rglob("*-*.*"))
    assert outputs == [
        "astronaut-date.webp",
        "cat-scratches.png",
        "coffee-watermark.jpg",
        "rocket-wires.jpg",
    ]
    for place in ("outbox", "archive"):
        assert str(tmp_path / "demo" / place) in done.stdout
