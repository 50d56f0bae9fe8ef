"""One I/O worker process: takes a task, does it, answers, until the service hangs up.

It starts without torch, dies with the service, and may be killed at any moment: everything that
must survive is in the ledger.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import select
import signal
import socket
import sys

from retouchd import lastwords, wire
from retouchd.errors import OutOfMemory, RetouchdError, Unexpected, from_os_error
from retouchd.memory import give_back
from retouchd.shared import SharedArray
from retouchd.shared import from_wire as array_from_wire
from retouchd.tasks import TASKS

_STDERR = 2
_PR_SET_PDEATHSIG = 1
READY: wire.Message = {"ready": True}
"""The first message: all is loaded, and from now on time is a task's."""
_NICENESS = 15
"""Beside a model that computes on all cores a hand at equal rights holds up each of its steps, and
costs twice the time that it takes itself. At 15 it lives on what the model leaves, and on 3 %."""


_IDLE = 1.0
"""Seconds without a task after which freed memory is given back."""


def main() -> None:
    """Serve the socket whose descriptor is the first argument.

    Arguments: descriptor, the service's process number, memory limit in bytes, and the descriptor
    of the memory for the last words.
    """
    fd, service, memory, words = (int(argument) for argument in sys.argv[1:5])
    _die_with(service)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    _offer_itself()
    _hush_decoders(words)
    _one_thread()
    with socket.socket(fileno=fd) as sock:
        _give_way()
        with contextlib.suppress(wire.Closed):
            wire.send(sock, READY)
        serve(sock)


def _die_with(service: int) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != service:
        sys.exit(1)


def _offer_itself() -> None:
    """When memory ends, the kernel shall take a hand and not the service."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("500")


def _hush_decoders(words: int) -> None:
    """Let nobody but Python write where the service logs.

    Libraries warn there in pieces, in the middle of the service's lines, and in words that a file
    may have put into their mouths. What matters of it, the readers of containers check; what a
    hand dies with, the service finds in ``words``.
    """
    own = os.dup(_STDERR)
    os.dup2(words, _STDERR)
    os.close(words)
    sys.stderr = os.fdopen(own, "w", buffering=1, errors="backslashreplace")


def _one_thread() -> None:
    """Several hands work at once; each keeps to one core."""
    import cv2

    cv2.setNumThreads(1)


def _give_way() -> None:
    """Leave the cores to the model; but not while loading, which somebody waits for."""
    with contextlib.suppress(OSError):
        os.nice(_NICENESS)


def serve(sock: socket.socket) -> None:
    """Answer messages until the other side closes."""
    while True:
        try:
            message, fds = wire.receive(sock)
        except wire.Closed:
            return
        lastwords.forget(_STDERR)
        answer, arrays = perform(message, fds)
        try:
            _answer(sock, answer, arrays)
        except wire.Closed:
            return
        finally:
            for array in arrays:
                array.close()
        _tidy_when_idle(sock)


def _tidy_when_idle(sock: socket.socket) -> None:
    """Not between two tasks: what is given back costs as much as a decode to have again."""
    ready, _, _ = select.select([sock], [], [], _IDLE)
    if not ready:
        give_back()


def _answer(sock: socket.socket, answer: wire.Message, arrays: list[SharedArray]) -> None:
    try:
        wire.send(sock, answer, [array.fd for array in arrays])
    except (TypeError, ValueError) as error:
        # Nothing was sent yet: the answer can't be written as JSON.
        wire.send(sock, Unexpected(cause=f"an answer that can't be sent: {error}").to_wire())


def perform(message: wire.Message, fds: list[int]) -> tuple[wire.Message, list[SharedArray]]:
    """Do one task; every failure becomes an answer."""
    try:
        given = [array_from_wire(fd, w) for fd, w in zip(fds, message["arrays"], strict=True)]
        result, arrays = TASKS[message["task"]](message["arguments"], given)
        return {"result": result, "arrays": [array.to_wire() for array in arrays]}, list(arrays)
    except RetouchdError as error:
        return error.to_wire(), []
    except MemoryError:
        return OutOfMemory(what=message["task"]).to_wire(), []
    except OSError as error:
        return from_os_error(error, _subject(error, message)).to_wire(), []
    except Exception as error:
        cause = f"{type(error).__name__} in {message['task']}: {error}"
        return Unexpected(cause=cause).to_wire(), []
    finally:
        for fd in fds:
            os.close(fd)


def _subject(error: OSError, message: wire.Message) -> str:
    # The name may also be a descriptor's number.
    name = error.filename
    return os.fsdecode(name) if isinstance(name, (str, bytes)) else str(message["task"])


if __name__ == "__main__":
    main()
