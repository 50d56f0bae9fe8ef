"""One I/O worker process: takes a task, does it, answers, until the service hangs up.

It starts without torch, dies with the service, and may be killed at any moment: everything that
must survive is in the ledger.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import socket
import sys

from retouchd import wire
from retouchd.errors import OutOfMemory, RetouchdError, Unexpected, from_os_error
from retouchd.shared import SharedArray
from retouchd.shared import from_wire as array_from_wire
from retouchd.tasks import TASKS

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Serve the socket whose descriptor is the first argument.

    Arguments: descriptor, the service's process number, memory limit in bytes.
    """
    fd, service, memory = (int(argument) for argument in sys.argv[1:4])
    _die_with(service)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    _offer_itself()
    _one_thread()
    with socket.socket(fileno=fd) as sock:
        serve(sock)


def _die_with(service: int) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != service:
        sys.exit(1)


def _offer_itself() -> None:
    """When memory ends, the kernel shall take a hand and not the service."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("500")


def _one_thread() -> None:
    """Several hands work at once; each keeps to one core."""
    import cv2

    cv2.setNumThreads(1)


def serve(sock: socket.socket) -> None:
    """Answer messages until the other side closes."""
    while True:
        try:
            message, fds = wire.receive(sock)
        except wire.Closed:
            return
        answer, arrays = perform(message, fds)
        try:
            _answer(sock, answer, arrays)
        except wire.Closed:
            return
        finally:
            for array in arrays:
                array.close()


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
