"""After a death, the evidence: who was on the device, and whether the process died of it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

RUN = """
import os, signal, sys
from pathlib import Path
from retouchd.blackbox import BlackBox
box = BlackBox(Path(sys.argv[1]))
print(sorted(box.verdict.jobs), box.verdict.evidence, flush=True)
box.on_device((7, 9, 7))
end = sys.argv[2]
if end == "close": box.close()
elif end == "exit": pass
else: os.kill(os.getpid(), getattr(signal, end))
"""


def run(folder: Path, end: str) -> str:
    """One life of a service with jobs 7 and 9 on the device; returns what it thought of the last.

    In a process of its own, because a fault handler belongs to the whole process.
    """
    arguments = [sys.executable, "-c", RUN, str(folder), end]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=9, check=False)
    expected = {"close": 0, "exit": 0}.get(end, -getattr(signal, end, 0))
    assert done.returncode == expected, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("fault", ["SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE"])
def test_a_fault_is_evidence_against_what_was_on_the_device(tmp_path: Path, fault: str) -> None:
    assert run(tmp_path, fault) == "[] None"
    assert run(tmp_path, "close").startswith("[7, 9] Fatal Python error: ")


def test_a_kill_is_no_evidence(tmp_path: Path) -> None:
    run(tmp_path, "SIGKILL")
    assert run(tmp_path, "close") == "[7, 9] None"


def test_a_proper_end_leaves_nothing_on_the_device(tmp_path: Path) -> None:
    run(tmp_path, "close")
    assert run(tmp_path, "close") == "[] None"


def test_evidence_is_used_once(tmp_path: Path) -> None:
    run(tmp_path, "SIGSEGV")
    run(tmp_path, "SIGKILL")
    assert run(tmp_path, "close") == "[7, 9] None"


@pytest.mark.parametrize(
    "notes",
    [
        b"",
        b"\xff" * 65536,
        b"\0\0\0\5hello",
        b'\0\0\0\x0a{"jobs":1}',
        b'\0\0\0\x10{"jobs":["a",7]}',
    ],
)
def test_damaged_notes_blame_nobody_wrongly(tmp_path: Path, notes: bytes) -> None:
    (tmp_path / "blackbox").write_bytes(notes)
    assert run(tmp_path, "close") in ("[] None", "[7] None")
