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
from retouchd.errors import HandDied, IoTrouble, RootLost, ShareHung, Unexpected, from_wire
from retouchd.shared import SharedArray
from retouchd.shared import from_wire as array_from_wire

_STOPPING = "the service is stopping"
_DYING = 1.0
"""Seconds in which a killed process is gone, unless it hangs in the kernel."""
_STARTING = 60.0
"""Seconds in which a new hand has loaded what it needs. They are not its first task's: a deadline
that is short for a busy machine would else kill one hand after the other before it can begin."""
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""Several hands work at once; each keeps to one core, and to little address space."""
_BURIAL = 3.0  # seconds that killed hands get at the end: dying takes a while on a busy machine


@dataclass(frozen=True)
class Call:
    """One task for a hand.

    lane: whose share it touches; a lane that hangs can't take the last hand from the others.
    subject: the file or folder it is about, for messages. within: seconds until it counts as hung.
    long: it may take all that time although nothing hangs; such tasks leave a hand to the others.
    """

    task: str
    lane: str
    subject: str
    within: float
    arguments: dict[str, Any] = field(default_factory=dict)
    arrays: Sequence[SharedArray] = ()
    long: bool = False


@dataclass
class _Hand:
    process: subprocess.Popen[bytes]
    sock: socket.socket
    memory: int
    ready: bool = False


@dataclass(frozen=True)
class _Abandoned:
    process: subprocess.Popen[bytes]
    lane: str
    at: float


class Hands:
    """``size`` worker processes, started when first needed.

    lanes: number of lanes; no lane takes a second hand that another lane needs as its first.
    memory: address space per hand in bytes.
    """

    def __init__(self, size: int, lanes: int, memory: int) -> None:
        self.size = max(size, lanes + 1)
        self._lanes = lanes
        self._memory = memory
        self._condition = threading.Condition()
        self._idle: list[_Hand] = []
        self._all: list[_Hand] = []
        self._busy: Counter[str] = Counter()
        self._closed = False
        # A child dies with the *thread* that started it (PR_SET_PDEATHSIG), so one thread that
        # lives as long as the pool starts them all.
        self._starter = ThreadPoolExecutor(1, "hand-starter")
        self._abandoned: list[_Abandoned] = []

    def adapt(self, size: int, lanes: int, memory: int) -> None:
        """Take the sizes of another configuration; hands at work end with the old ones."""
        with self._condition:
            self.size, self._lanes, self._memory = max(size, lanes + 1), lanes, memory
            self._condition.notify_all()

    def call(self, call: Call) -> tuple[dict[str, Any], list[SharedArray]]:
        """Have a task done and wait for it; returns its result and its arrays (to be closed).

        Raises what the task raised, ShareHung after the deadline (at once while as many hands hang
        in this lane as there are hands at all), HandDied, or IoTrouble where no hand can start.
        """
        hand = self._take(call)
        healthy = False
        try:
            self._await_start(hand, call)
            answer, fds = self._exchange(hand, call)
            healthy = True
        finally:
            self._give_back(hand, call.lane, healthy)
        try:
            return _understand(answer, fds)
        except RootLost as error:
            # Who met it knew only a path.
            error.facts["lane"] = call.lane
            raise

    def _await_start(self, hand: _Hand, call: Call) -> None:
        """See a new hand ready; whatever keeps it from that is not the doing of its first task."""
        if hand.ready:
            return
        hand.sock.settimeout(_STARTING)
        try:
            wire.receive(hand.sock)
            hand.ready = True
        except (TimeoutError, wire.Closed) as error:
            if self._closed:
                raise HandDied(path=call.subject, cause=_STOPPING) from None
            hung = isinstance(error, TimeoutError)
            why = f"not within {_STARTING:g} s" if hung else _cause_of_death(hand.process)
            cause = f"the worker process for it did not start ({why})"
            raise IoTrouble(path=call.subject, cause=cause) from None

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

    def _take(self, call: Call) -> _Hand:
        lane = call.lane
        with self._condition:
            self._condition.wait_for(lambda: self._closed or self._free_for(lane, call.long))
            if self._closed:
                raise HandDied(path=lane, cause=_STOPPING)
            if self._undead(lane) >= self.size:
                # More of them would fill the memory until the share is back.
                raise ShareHung(path=call.subject, seconds=f"{call.within:g}")
            self._busy[lane] += 1
        try:
            # One that died while it was idle must not be blamed on the next file.
            while hand := self._next_idle():
                if hand.process.poll() is None and hand.memory == self._memory:
                    return hand
                self._abandon(hand, lane)
            return self._starter.submit(self._start).result()
        except BaseException as error:
            with self._condition:
                self._busy[lane] -= 1
                self._condition.notify_all()
            if self._closed:
                raise HandDied(path=lane, cause=_STOPPING) from error
            if isinstance(error, OSError):
                cause = f"no worker process can be started ({error})"
                raise IoTrouble(path=call.subject, cause=cause) from error
            raise

    def _next_idle(self) -> _Hand | None:
        with self._condition:
            return self._idle.pop() if self._idle else None

    def _free_for(self, lane: str, long: bool) -> bool:
        """Whether a hand stays free for every other lane that has none, and one for what is quick
        where the task is not."""
        free = self.size - self._busy.total() - long
        others = sum(1 for name, count in self._busy.items() if count and name != lane)
        kept = self._lanes - 1 - others if self._busy[lane] else 0
        return free > max(0, kept)

    def _start(self) -> _Hand:
        ours, theirs = socket.socketpair()
        with theirs:
            arguments = [str(theirs.fileno()), str(os.getpid()), str(self._memory)]
            # -P keeps the working directory, which may be a drop folder, out of sys.path.
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "retouchd.hand", *arguments],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                # No signal from a terminal; but the service's own session, because the kernel may
                # weigh sessions first (autogroup) and then a hand's niceness would mean nothing.
                process_group=0,
                env={**os.environ, **_ONE_THREAD},
            )
        hand = _Hand(process, ours, self._memory)
        with self._condition:
            self._all.append(hand)
        if self._closed:
            self._abandon(hand, "")
            raise HandDied(path="", cause=_STOPPING)
        return hand

    def _give_back(self, hand: _Hand, lane: str, healthy: bool) -> None:
        if not healthy or self._closed:
            self._abandon(hand, lane)
        with self._condition:
            self._busy[lane] -= 1
            if healthy and not self._closed:
                self._idle.append(hand)
            self._condition.notify_all()

    def _abandon(self, hand: _Hand, lane: str) -> None:
        """Kill a hand without waiting: one that hangs in the kernel dies when it can."""
        with contextlib.suppress(ProcessLookupError):
            hand.process.kill()
        hand.sock.close()
        with self._condition:
            self._all = [other for other in self._all if other is not hand]
            self._bury()
            self._abandoned.append(_Abandoned(hand.process, lane, time.monotonic()))

    def _bury(self) -> None:
        self._abandoned = [one for one in self._abandoned if one.process.poll() is None]

    def _undead(self, lane: str) -> int:
        """Hands of a lane that were killed and don't die, because the share holds them."""
        self._bury()
        since = time.monotonic() - _DYING
        return sum(1 for one in self._abandoned if one.lane == lane and one.at < since)

    @property
    def hung(self) -> int:
        """Hands that were killed and can't die yet."""
        with self._condition:
            self._bury()
            return len(self._abandoned)

    def pids(self) -> list[int]:
        """Process numbers of the hands at work or idle."""
        with self._condition:
            return [hand.process.pid for hand in self._all]

    def close(self) -> None:
        """Kill every hand; calls under way raise HandDied."""
        with self._condition:
            self._closed = True
            hands, idle, self._idle = self._all, self._idle, []
            self._condition.notify_all()
        for hand in idle:
            self._abandon(hand, "")
        for hand in hands:
            with contextlib.suppress(ProcessLookupError):
                hand.process.kill()
            # Whoever waits for one at work sees its line end, and closes his own side. A hand that
            # hangs in the kernel would keep the other side open, so the line is cut here.
            with contextlib.suppress(OSError):
                hand.sock.shutdown(socket.SHUT_RDWR)
        deadline = time.monotonic() + _BURIAL
        abandoned = [one.process for one in self._abandoned]
        for process in [hand.process for hand in hands] + abandoned:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
        self._starter.shutdown(wait=False)


def _understand(answer: wire.Message, fds: list[int]) -> tuple[dict[str, Any], list[SharedArray]]:
    """The result and the arrays of an answer, which a hand that was taken over may have made up."""
    try:
        if "error" in answer:
            raise from_wire(answer)
        arrays = [array_from_wire(fd, w) for fd, w in zip(fds, answer["arrays"], strict=True)]
        return dict(answer["result"]), arrays
    except BaseException as error:
        for fd in fds:
            os.close(fd)
        if isinstance(error, (KeyError, TypeError, ValueError)):
            raise Unexpected(cause=f"a worker process answered nonsense ({error!r})") from None
        raise


def _cause_of_death(process: subprocess.Popen[bytes]) -> str:
    try:
        code = process.wait(2.0)
    except subprocess.TimeoutExpired:
        return "it closed its line"
    if code >= 0:
        return f"exit status {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    return f"{name}, out of memory?" if -code == signal.SIGKILL else name
