"""The pool of I/O worker processes.

Everything that touches a share or decodes a byte happens in one of them, so that a hung share, a
decoder that crashes and a decompression bomb each cost one process and never the service.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from retouchd import wire
from retouchd.abandoned import Abandoned, Verdict
from retouchd.call import Call
from retouchd.errors import HandDied, IoTrouble, RootLost, ShareHung, Unexpected, from_wire
from retouchd.lastwords import LastWords, cause
from retouchd.shared import SharedArray
from retouchd.shared import from_wire as array_from_wire

_STOPPING = "the service is stopping"
_STARTING = 60.0
"""Seconds in which a new hand has loaded what it needs. They are not its first task's: a deadline
that is short for a busy machine would else kill one hand after the other before it can begin."""
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""Several hands work at once; each keeps to one core, and to little address space."""
_BURIAL = 3.0  # seconds that killed hands get at the end: dying takes a while on a busy machine


@dataclass
class _Hand:
    process: subprocess.Popen[bytes]
    sock: socket.socket
    memory: int
    words: LastWords
    ready: bool = False
    lane: str | None = None  # whose task it does, None while it is idle


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
        self._abandoned = Abandoned()

    def adapt(self, size: int, lanes: int, memory: int) -> None:
        """Take the sizes of another configuration; hands at work end with the old ones."""
        with self._condition:
            self.size, self._lanes, self._memory = max(size, lanes + 1), lanes, memory
            self._condition.notify_all()

    def call(self, call: Call) -> tuple[dict[str, Any], list[SharedArray]]:
        """Have a task done and wait for it; returns its result and its arrays (to be closed).

        Raises what the task raised, HandDied, IoTrouble where no hand can start, or ShareHung after
        the deadline; at once, see ``Abandoned``, with the fact ``asked`` false if nobody tried.
        """
        hand = self._take(call)
        healthy = False
        try:
            self._await_start(hand, call)
            answer, fds = self._exchange(hand, call)
            healthy = True
        finally:
            self._give_back(hand, call, healthy)
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
            why = f"not within {_STARTING:g} s" if hung else _cause_of_death(hand)
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
            with self._condition:
                self._abandoned.doubt(call.lane)
            raise ShareHung(path=call.subject, seconds=f"{call.within:g}") from None
        except wire.Closed:
            raise HandDied(path=call.subject, cause=_cause_of_death(hand)) from None

    def _take(self, call: Call) -> _Hand:
        lane = call.lane
        with self._condition:
            self._condition.wait_for(
                lambda: self._closed or self._refused(call) or self._free_for(lane, call.long)
            )
            if self._closed:
                raise HandDied(path=lane, cause=_STOPPING)
            if refused := self._refused(call):
                raise refused
            self._busy[lane] += 1
        try:
            hand = self._healthy_idle() or self._starter.submit(self._start).result()
            hand.lane = lane
            return hand
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

    def _refused(self, call: Call) -> ShareHung | None:
        verdict = self._abandoned.verdict(call, self.size)
        if verdict is Verdict.ASK:
            return None
        error = ShareHung(path=call.subject, seconds=f"{call.within:g}")
        error.facts["asked"] = verdict is Verdict.ASKED
        return error

    def _healthy_idle(self) -> _Hand | None:
        while True:
            with self._condition:
                if not self._idle:
                    return None
                hand = self._idle.pop()
            # One that died while it was idle must not be blamed on the next file.
            if hand.process.poll() is None and hand.memory == self._memory:
                return hand
            self._abandon(hand)

    def _free_for(self, lane: str, long: bool) -> bool:
        """Whether a hand stays free for every other lane that has none, and one for what is quick
        where the task is not. Its first hand is every lane's own, whatever it is for."""
        free = self.size - self._busy.total()
        if not self._busy[lane]:
            return free > 0
        others = sum(1 for name, count in self._busy.items() if count and name != lane)
        return free > max(0, self._lanes - 1 - others) + long

    def _start(self) -> _Hand:
        words = LastWords()
        try:
            process, sock = self._spawn(words)
        except BaseException:
            words.close()
            raise
        hand = _Hand(process, sock, self._memory, words)
        with self._condition:
            self._all.append(hand)
        if self._closed:
            self._abandon(hand)
            raise HandDied(path="", cause=_STOPPING)
        return hand

    def _spawn(self, words: LastWords) -> tuple[subprocess.Popen[bytes], socket.socket]:
        ours, theirs = socket.socketpair()
        with theirs:
            numbers = (theirs.fileno(), os.getpid(), self._memory, words.fd)
            # -P keeps the working directory, which may be a drop folder, out of sys.path.
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "retouchd.hand", *map(str, numbers)],
                pass_fds=[theirs.fileno(), words.fd],
                stdin=subprocess.DEVNULL,
                # One that hangs would keep open what the command's reader waits for.
                stdout=subprocess.DEVNULL,
                # No signal from a terminal; but the service's own session, because the kernel may
                # weigh sessions first (autogroup) and then a hand's niceness would mean nothing.
                process_group=0,
                env={**os.environ, **_ONE_THREAD},
            )
        return process, ours

    def _give_back(self, hand: _Hand, call: Call, healthy: bool) -> None:
        if not healthy or self._closed:
            self._abandon(hand, call)
        with self._condition:
            if healthy:
                self._abandoned.trust(call.lane)
            hand.lane = None
            self._busy[call.lane] -= 1
            if healthy and not self._closed:
                self._idle.append(hand)
            self._condition.notify_all()

    def _abandon(self, hand: _Hand, call: Call | None = None) -> None:
        """Kill a hand without waiting: one that hangs in the kernel dies when it can."""
        with contextlib.suppress(ProcessLookupError):
            hand.process.kill()
        hand.sock.close()
        hand.words.close()
        with self._condition:
            self._all = [other for other in self._all if other is not hand]
            self._abandoned.add(hand.process, call)

    def forgive(self, lane: str) -> None:
        """Ask a lane's folders anew, because something else is mounted there now."""
        with self._condition:
            self._abandoned.forgive(lane)

    def pids(self) -> list[int]:
        """Process numbers of the hands at work or idle."""
        with self._condition:
            return [hand.process.pid for hand in self._all]

    def at_work(self) -> dict[int, str]:
        """Process numbers of the hands at work, and the lane of each."""
        with self._condition:
            return {h.process.pid: h.lane for h in self._all if h.lane is not None}

    def close(self) -> None:
        """Kill every hand; calls under way raise HandDied."""
        with self._condition:
            self._closed = True
            hands, idle, self._idle = self._all, self._idle, []
            self._condition.notify_all()
        for hand in idle:
            self._abandon(hand)
        for hand in hands:
            with contextlib.suppress(ProcessLookupError):
                hand.process.kill()
            # Whoever waits for one at work sees its line end, and closes his own side. A hand that
            # hangs in the kernel would keep the other side open, so the line is cut here.
            with contextlib.suppress(OSError):
                hand.sock.shutdown(socket.SHUT_RDWR)
        deadline = time.monotonic() + _BURIAL
        for process in [hand.process for hand in hands] + self._abandoned.processes():
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


def _cause_of_death(hand: _Hand) -> str:
    try:
        code = hand.process.wait(2.0)
    except subprocess.TimeoutExpired:
        return "it closed its line"
    return cause(code, hand.words.read())
