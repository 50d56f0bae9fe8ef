"""Messages between the service and its hands: JSON, with descriptors beside it.

JSON and not pickle, because a hand works on hostile files: whatever takes it over may lie, but
can't make the service run code.
"""

from __future__ import annotations

import json
import math
import os
import socket
import struct
import time
from collections.abc import Sequence
from typing import Any

_HEADER = struct.Struct("!QI")
_MAX_FDS = 250
_MAX_MESSAGE = 1 << 30
_BLOCK = 1 << 20
Message = dict[str, Any]


class Closed(Exception):
    """The other side is gone."""


def send(sock: socket.socket, message: Message, fds: Sequence[int] = ()) -> None:
    """Send one message; raises Closed, or TimeoutError under the socket's time-out."""
    ends = _end_of_patience(sock)
    body = json.dumps(message)  # in ASCII, so that a letter is a byte
    header = _HEADER.pack(len(body), len(fds))
    try:
        socket.send_fds(sock, [header], list(fds))
        # A photo's metadata may be long, and several come at once: not all of it twice.
        for start in range(0, len(body), _BLOCK):
            if time.monotonic() > ends:
                raise TimeoutError
            sock.sendall(body[start : start + _BLOCK].encode("ascii"))
    except (BrokenPipeError, ConnectionResetError):
        raise Closed from None


def receive(sock: socket.socket) -> tuple[Message, list[int]]:
    """Receive one message and the descriptors that came along.

    Raises Closed (also for what can't be understood), or TimeoutError under the socket's time-out.
    """
    fds: list[int] = []
    try:
        header, fds, _, _ = socket.recv_fds(sock, _HEADER.size, _MAX_FDS)
        for fd in fds:
            os.set_inheritable(fd, False)
        header += _exactly(sock, _HEADER.size - len(header)) if header else b""
        if not header:
            raise Closed
        length, count = _HEADER.unpack(header)
        if length > _MAX_MESSAGE or count != len(fds):
            raise Closed
        # Decoded here, so that its bytes are gone before it is taken apart.
        message = json.loads(_exactly(sock, length).decode())
        if not isinstance(message, dict):
            raise Closed
        return message, fds
    except (ConnectionResetError, ValueError, RecursionError):
        _close_all(fds)
        raise Closed from None
    except BaseException:
        _close_all(fds)
        raise


def _close_all(fds: Sequence[int]) -> None:
    for fd in fds:
        os.close(fd)


def _exactly(sock: socket.socket, count: int) -> bytes:
    """So many bytes, all of them within the socket's time-out: a sender that dribbles is hung."""
    ends = _end_of_patience(sock)
    data = bytearray(count)
    view = memoryview(data)
    while view:
        if time.monotonic() > ends:
            raise TimeoutError
        got = sock.recv_into(view, min(len(view), _BLOCK))
        if got == 0:
            raise Closed
        view = view[got:]
    return bytes(data)


def _end_of_patience(sock: socket.socket) -> float:
    """When the socket's time-out is over; infinite without one. By itself it begins anew with each
    piece of a message."""
    patience = sock.gettimeout()
    return math.inf if patience is None else time.monotonic() + patience
