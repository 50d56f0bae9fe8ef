"""A process that stands still is told from one that works, and from one that waits for a while."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from retouchd.stillness import Stillness

BUSY = "while True: pass"
WAITING = "import time\nwhile True: time.sleep(0.01)"
STILL = "import signal\nsignal.pause()"


@pytest.fixture
def run() -> Iterator[Callable[[str], int]]:
    started: list[subprocess.Popen[bytes]] = []

    def begin(code: str) -> int:
        ready = "print(flush=True)\n"
        process = subprocess.Popen([sys.executable, "-c", ready + code], stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout
        process.stdout.readline()
        return process.pid

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def test_only_who_has_not_run_for_so_long_stands_still(run: Callable[[str], int]) -> None:
    busy, waiting, still = run(BUSY), run(WAITING), run(STILL)
    stillness, pids = Stillness(10.0), (busy, waiting, still)
    time.sleep(0.5)
    assert stillness.look(pids, 0.0) == set()
    time.sleep(0.5)
    assert stillness.look(pids, 9.9) == set()
    assert stillness.look(pids, 10.0) == {still}


def test_who_runs_again_does_not(run: Callable[[str], int]) -> None:
    pid = run(WAITING)
    os.kill(pid, signal.SIGSTOP)
    time.sleep(0.3)
    stillness = Stillness(10.0)
    stillness.look([pid], 0.0)
    assert stillness.look([pid], 11.0) == {pid}
    os.kill(pid, signal.SIGCONT)
    time.sleep(0.3)
    assert stillness.look([pid], 12.0) == set()


def test_who_was_not_looked_at_meanwhile_is_looked_at_anew(run: Callable[[str], int]) -> None:
    pid, stillness = run(STILL), Stillness(10.0)
    time.sleep(0.3)
    stillness.look([pid], 0.0)
    stillness.look([], 1.0)
    assert stillness.look([pid], 11.0) == set()


def test_who_is_gone_does_not_count() -> None:
    stillness = Stillness(0.0)
    assert stillness.look([2**22 + 1], 0.0) == set()
