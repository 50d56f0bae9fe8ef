"""What systemd is told."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from retouchd.notify import Notifier


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(1.0)
        yield sock


def test_variables_arrive_one_a_line(systemd: socket.socket) -> None:
    Notifier(systemd.getsockname()).send(READY=1, STATUS="3 in the queue")
    assert systemd.recv(1000) == b"READY=1\nSTATUS=3 in the queue"


def test_a_text_can_not_smuggle_a_variable_in(systemd: socket.socket) -> None:
    Notifier(systemd.getsockname()).send(STATUS="trouble\nSTOPPING=1")
    assert systemd.recv(1000) == b"STATUS=trouble STOPPING=1"


def test_the_address_comes_from_the_environment(
    systemd: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", systemd.getsockname())
    Notifier().send(WATCHDOG=1)
    assert systemd.recv(1000) == b"WATCHDOG=1"


def test_an_abstract_address_is_understood() -> None:
    name = f"retouchd-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("\0" + name)
        sock.settimeout(1.0)
        Notifier("@" + name).send(READY=1)
        assert sock.recv(1000) == b"READY=1"


def test_without_systemd_nothing_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    Notifier().send(READY=1)
    Notifier(str(tmp_path / "nobody")).send(READY=1)


@pytest.mark.parametrize(
    ("usec", "pid", "seconds"),
    [
        ("3000000", None, 3.0),
        ("3000000", "self", 3.0),
        ("3000000", "1", None),
        ("", None, None),
        ("soon", None, None),
    ],
)
def test_the_watchdog_is_only_ours_if_it_says_so(
    monkeypatch: pytest.MonkeyPatch, usec: str, pid: str | None, seconds: float | None
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    if pid:
        monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()) if pid == "self" else pid)
    assert Notifier.watchdog_seconds() == seconds
