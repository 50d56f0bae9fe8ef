"""A hand between two tasks."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from retouchd import hand


@pytest.mark.parametrize(("waiting", "times"), [(False, 1), (True, 0)])
def test_freed_memory_is_given_back_only_when_no_task_waits(
    waiting: bool, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[bool] = []
    monkeypatch.setattr(hand, "_IDLE", 0.01)
    monkeypatch.setattr(hand, "give_back", lambda: given.append(True))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        if waiting:
            theirs.send(b"a task")
        hand._tidy_when_idle(ours)
    assert len(given) == times


NOISY = """
import os, sys
from retouchd import hand, lastwords

words = lastwords.LastWords()
hand._hush_decoders(os.dup(words.fd))
os.write(2, b"libpng warning: {")
print("what Python says", file=sys.stderr)
sys.stdout.write(words.read())
raise ValueError("and how it ends")
"""


def test_what_decoders_complain_of_does_not_get_into_the_log() -> None:
    """They write in pieces, into the middle of the service's lines."""
    done = subprocess.run(
        [sys.executable, "-c", NOISY], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("what Python says\n")
    assert "ValueError: and how it ends" in done.stderr
    assert "libpng" not in done.stderr
    assert done.stdout == "libpng warning: {"
