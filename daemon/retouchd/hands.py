"""The pool of I/O worker processes.

Everything that touches a share or decodes a byte happens in one of them, so that a hung share, a
decoder that crashes and a decompression bomb each cost one process and never the service.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from retouchd import wire
from retouchd.errors import HandDied, ShareHung, from_wire
from retouchd.shared import SharedArray
from retouchd.shared import from_wire as array_from_wire


@dataclass(frozen=True)
class Call:
    """One task for a hand.

    lane: whose share it touches; a lane that hangs can't take the last hand from the others.
    subject: the file or folder it is about, for messages. within: seconds until it counts as hung.
    """

    task: str
    lane: str
    subject: str
    within: float
    arguments: dict[str, Any] = field(default_factory=dict)
    arrays: Sequence[SharedArray] = ()


@dataclass
class _Hand:
    process: subprocess.Popen[bytes]
    sock: socket.socket


class Hands:
    """``size`` worker processes, started when first needed.

    lanes: number of lanes; with more than one, each lane leaves a hand to every other lane.
    memory: address space per hand in bytes.
    """

    def __init__(self, size: int, lanes: int, memory: int) -> None:
        self.size = max(size, lanes + 1)
        self._per_lane = self.size - (lanes - 1)
        self._memory = memory
        self._condition = threading.Condition()
        self._idle: list[_Hand] = []
        self._all: list[_Hand] = []
        self._busy: Counter[str] = Counter()
        self._closed = False
        # A child dies with the *thread* that started it (PR_SET_PDEATHSIG), so one thread that
        # lives as long as the pool starts them all.
        self._starter = ThreadPoolExecutor(1, "hand-starter")
        self._abandoned: list[subprocess.Popen[bytes]] = []

    def call(self, call: Call) -> tuple[dict[str, Any], list[SharedArray]]:
        """Have a task done and wait for it; returns its result and its arrays (to be closed).

        Raises what the task raised, ShareHung after the deadline, or HandDied.
        """
        hand = self._take(call.lane)
        healthy = False
        try:
            answer, fds = self._exchange(hand, call)
            healthy = True
        finally:
            self._give_back(hand, call.lane, healthy)
        if "error" in answer:
            raise from_wire(answer)
        arrays = [array_from_wire(fd, w) for fd, w in zip(fds, answer["arrays"], strict=True)]
        return answer["result"], arrays

    def _exchange(self, hand: _Hand, call: Call) -> tuple[wire.Message, list[int]]:
        message = {
            "task": call.task,
            "arguments": call.arguments,
            "arrays": [array.to_wire() for array in call.arrays],
        }
        hand.sock.settimeout(call.within)
        try:
            wire.send(hand.sock, message, [array.fd for array in call.arrays])
            return wire.receive(hand.sock)
        except TimeoutError:
            raise ShareHung(path=call.subject, seconds=f"{call.within:g}") from None
        except wire.Closed:
            raise HandDied(path=call.subject, cause=_cause_of_death(hand.process)) from None

    def _take(self, lane: str) -> _Hand:
        with self._condition:
            self._condition.wait_for(lambda: self._closed or self._free_for(lane))
            if self._closed:
                raise HandDied(path=lane, cause="the service is stopping")
            self._busy[lane] += 1
            if self._idle:
                return self._idle.pop()
        try:
            return self._starter.submit(self._start).result()
        except BaseException:
            with self._condition:
                self._busy[lane] -= 1
                self._condition.notify_all()
            raise

    def _free_for(self, lane: str) -> bool:
        return self._busy.total() < self.size and self._busy[lane] < self._per_lane

    def _start(self) -> _Hand:
        ours, theirs = socket.socketpair()
        with theirs:
            arguments = [str(theirs.fileno()), str(os.getpid()), str(self._memory)]
            # -P keeps the working directory, which may be a drop folder, out of sys.path.
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "retouchd.hand", *arguments],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        hand = _Hand(process, ours)
        with self._condition:
            self._all.append(hand)
        return hand

    def _give_back(self, hand: _Hand, lane: str, healthy: bool) -> None:
        if not healthy:
            self._abandon(hand)
        with self._condition:
            self._busy[lane] -= 1
            if healthy and not self._closed:
                self._idle.append(hand)
            self._condition.notify_all()

    def _abandon(self, hand: _Hand) -> None:
        """Kill a hand without waiting: one that hangs in the kernel dies when it can."""
        with contextlib.suppress(ProcessLookupError):
            hand.process.kill()
        hand.sock.close()
        with self._condition:
            self._all = [other for other in self._all if other is not hand]
            self._abandoned = [p for p in self._abandoned if p.poll() is None]
            self._abandoned.append(hand.process)

    @property
    def hung(self) -> int:
        """Hands that were killed and can't die yet."""
        with self._condition:
            self._abandoned = [p for p in self._abandoned if p.poll() is None]
            return len(self._abandoned)

    def pids(self) -> list[int]:
        """Process numbers of the hands at work or idle."""
        with self._condition:
            return [hand.process.pid for hand in self._all]

    def close(self) -> None:
        """Kill every hand; calls under way raise HandDied."""
        with self._condition:
            self._closed = True
            hands, self._all, self._idle = self._all, [], []
            self._condition.notify_all()
        for hand in hands:
            with contextlib.suppress(ProcessLookupError):
                hand.process.kill()
        deadline = time.monotonic() + 1.0
        for hand in hands:
            with contextlib.suppress(subprocess.TimeoutExpired):
                hand.process.wait(max(0.0, deadline - time.monotonic()))
        self._starter.shutdown(wait=False)


def _cause_of_death(process: subprocess.Popen[bytes]) -> str:
    try:
        code = process.wait(2.0)
    except subprocess.TimeoutExpired:
        return "it closed its line"
    if code >= 0:
        return f"exit status {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    return f"{name}, out of memory?" if -code == signal.SIGKILL else name
