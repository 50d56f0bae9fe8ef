"""Tells systemd how the service is: the datagrams of sd_notify(3)."""

from __future__ import annotations

import contextlib
import os
import socket


class Notifier:
    """Sends to ``NOTIFY_SOCKET``; does nothing where there is none."""

    def __init__(self, address: str | None = None) -> None:
        found = address or os.environ.get("NOTIFY_SOCKET")
        # An address that starts with @ lives in the abstract namespace.
        self._address = "\0" + found[1:] if found and found.startswith("@") else found

    def send(self, **fields: str | int) -> None:
        """Send variables such as ``READY=1``; trouble is ignored, systemd will time out."""
        if not self._address:
            return
        # One line is one variable: a line break in a value would start another.
        text = "\n".join(f"{name}={' '.join(str(v).split())}" for name, v in fields.items())
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock,
        ):
            sock.sendto(text.encode(), self._address)

    @staticmethod
    def watchdog_seconds() -> float | None:
        """How often systemd wants to hear from this process, None if it does not watch it."""
        microseconds = os.environ.get("WATCHDOG_USEC", "")
        pid = os.environ.get("WATCHDOG_PID", str(os.getpid()))
        if not microseconds.isdigit() or pid != str(os.getpid()):
            return None
        return int(microseconds) / 1_000_000
