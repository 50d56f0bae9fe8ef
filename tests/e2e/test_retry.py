"""Jobs that were set aside are tried again: with the mask of their folder, or not after all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from helpers.studio import file

pytestmark = pytest.mark.timeout(180)  # each starts services, maybe on a busy machine

CHANGED = "changed while it was being worked on"


def marked(height: int, width: int) -> bytes:
    mask = np.zeros((height, width), np.uint8)
    mask[5:10, 5:20] = 255
    return file(mask)


def text_of(spool: Any) -> str:
    [text] = spool.failed.rglob("*.error.txt")
    return " ".join(text.read_text().split())


def test_a_photo_is_tried_again_with_the_mask_of_its_folder(spool: Any) -> None:
    """It has the time that it needs to settle, is tried once, and what is wrong is said again."""
    photo = file(np.full((40, 60, 3), 90, np.uint8))
    spool.drop("wm/p.png", photo)
    spool.drop("wm/_mask.png", marked(50, 60))
    assert spool.once().returncode == 3
    assert "retouchd retry 1" in text_of(spool)

    # Nothing was mended.
    assert spool.retouchd("retry", "1").returncode == 0
    again = spool.once()
    assert again.returncode == 3
    assert CHANGED not in again.stderr
    assert "60 × 50" in text_of(spool)

    # It is called off, before it was tried again, and is set aside as it was.
    assert spool.retouchd("retry", "1").returncode == 0
    said = spool.retouchd("cancel", "1")
    assert "set aside again" in said.stdout
    assert "60 × 50" in text_of(spool)

    # The mask is gone.
    (spool.inbox / "wm/_mask.png").unlink()
    assert spool.retouchd("retry", "1").returncode == 0
    assert spool.once().returncode == 3
    assert "wm/_mask.png is no longer in the inbox" in text_of(spool)

    spool.drop("wm/_mask.png", marked(40, 60))
    assert spool.retouchd("retry", "1").returncode == 0
    last = spool.once()
    assert last.returncode == 0
    assert CHANGED not in last.stderr
    assert spool.undated(spool.outbox) == ["wm/p.png"]
    assert spool.undated(spool.archive) == ["wm/p.png"]
    assert spool.files(spool.inbox) == ["wm/_mask.png"]
    assert spool.undated(spool.failed) == []
