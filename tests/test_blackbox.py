"""After a death, the evidence: who was on the device, and whether the process died of it."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from retouchd.blackbox import DEVICE, Verdict

pytestmark = pytest.mark.timeout(60)  # each starts processes, maybe on a busy machine

ABORTED = "Fatal Python error: Aborted"
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
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=50, check=False)
    expected = {"close": 0, "exit": 0}.get(end, -getattr(signal, end, 0))
    assert done.returncode == expected, done.stderr
    return done.stdout.strip()


ABORT = """
import ctypes, os, signal, sys, threading, time
from pathlib import Path
from retouchd.blackbox import BlackBox, deaf_to_aborts
libc = ctypes.CDLL(None)
box = BlackBox(Path(sys.argv[1]))
who, stuck = sys.argv[2], sys.argv[3:]
noted, written = threading.Event(), threading.Event()
def device():
    box.on_device((7,))
    noted.set()
    written.wait()
    time.sleep(0.05)  # Until the main thread waits: what runs on can't be traced safely.
    if who == "device": libc.abort()
    if who == "native":
        thread = ctypes.c_ulong()
        libc.pthread_create(ctypes.byref(thread), None, libc.abort, None)
    threading.Event().wait()
with deaf_to_aborts():
    threading.Thread(target=device, daemon=True).start()
noted.wait()
if who == "systemd, while main is busy":
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGABRT})
box.stuck(["the device", "all"])
box.stuck(stuck)
written.set()
if who.startswith("systemd"): os.kill(os.getpid(), signal.SIGABRT)
threading.Event().wait()
"""


def aborted(folder: Path, who: str, *stuck: str) -> Verdict:
    """What is thought of a run that was aborted while job 7 was on the device."""
    arguments = [sys.executable, "-c", ABORT, str(folder), who, *stuck]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == -signal.SIGABRT, done.stderr
    # In a process of its own, like every other: only its answer is wanted here.
    code = (
        "import sys; from pathlib import Path; from retouchd.blackbox import BlackBox\n"
        "v = BlackBox(Path(sys.argv[1])).verdict\n"
        "print(repr((sorted(v.jobs), v.evidence, v.ended, v.excused)))"
    )
    asked = [sys.executable, "-c", code, str(folder)]
    told = subprocess.run(asked, capture_output=True, text=True, timeout=50, check=True)
    jobs, evidence, ended, excused = ast.literal_eval(told.stdout)
    return Verdict(frozenset(jobs), evidence, ended, excused)


@pytest.mark.parametrize("thread", ["device", "native"])
def test_an_abort_by_the_devices_own_threads_is_evidence(tmp_path: Path, thread: str) -> None:
    """As torch does when it meets what it holds impossible."""
    found = aborted(tmp_path, thread)
    assert found == Verdict(frozenset({7}), ABORTED, ABORTED)


@pytest.mark.parametrize("who", ["systemd", "systemd, while main is busy"])
def test_an_abort_from_outside_is_no_evidence(tmp_path: Path, who: str) -> None:
    """Who sent it and why is not known, so it still counts as an interruption."""
    assert aborted(tmp_path, who) == Verdict(frozenset({7}), None, ABORTED)


def test_the_watchdogs_abort_for_a_stuck_intake_counts_against_no_job(tmp_path: Path) -> None:
    found = aborted(tmp_path, "systemd", "the intake of lane web")
    ended = "the intake of lane web made no progress for too long"
    assert found == Verdict(frozenset({7}), None, ended, excused=True)


def test_the_watchdogs_abort_for_a_stuck_device_counts_against_what_is_on_it(
    tmp_path: Path,
) -> None:
    found = aborted(tmp_path, "systemd", DEVICE, "the intake of lane web")
    assert found.evidence == f"{DEVICE}, the intake of lane web made no progress for too long"
    assert not found.excused


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


IMPORTED = """
import runpy, sys
from pathlib import Path
from retouchd import logs
assert "numpy" not in sys.modules

def look(*_):
    assert "numpy" in sys.modules
    for task in Path("/proc/self/task").iterdir():
        (blocked,) = [w for w in (task / "status").read_text().splitlines() if "SigBlk" in w]
        print(int(blocked.split()[1], 16) >> 5 & 1)
    raise SystemExit

logs.set_up_logs = look
sys.argv = ["retouchd", "run", "--root", sys.argv[1]]
runpy.run_module("retouchd", run_name="__main__")
"""


def test_threads_that_libraries_start_leave_aborts_from_outside_to_the_first(tmp_path):
    arguments = [sys.executable, "-c", IMPORTED, str(tmp_path)]
    threads = {**os.environ, "OPENBLAS_NUM_THREADS": "3"}
    done = subprocess.run(
        arguments, capture_output=True, text=True, timeout=50, check=False, env=threads
    )
    blocked = done.stdout.split()
    assert blocked.count("0") == 1, done.stderr
    assert blocked.count("1") >= 1
