"""A real SMB server on the loopback interface, with one folder for guests."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

_SETTINGS = """\
[global]
server role = standalone server
smb ports = {port}
interfaces = 127.0.0.1/8
bind interfaces only = yes
disable netbios = yes
load printers = no
map to guest = Bad User
guest account = root
log file = {state}/log
private dir = {state}
lock directory = {state}
state directory = {state}
cache directory = {state}
pid directory = {state}
ncalrpc dir = {state}/ncalrpc
[drop]
path = {folder}
read only = no
guest ok = yes
force user = root
"""


class Samba:
    """Serves ``folder``. Skips the test, with the reason, where that does not work."""

    def __init__(self, folder: Path, state: Path) -> None:
        for command in ("smbd", "smbclient"):
            if shutil.which(command) is None:
                pytest.skip(f"there is no {command}")
        if os.geteuid() != 0:
            pytest.skip("serving a folder by SMB needs root")
        state.mkdir(parents=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self._settings = state / "smb.conf"
        self._settings.write_text(_SETTINGS.format(port=self._port, state=state, folder=folder))
        self._server = subprocess.Popen(
            ["smbd", "-F", "--no-process-group", "-s", str(self._settings)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + 30
        while self.client("ls").wait(30):
            if time.monotonic() > deadline or self._server.poll() is not None:
                self.close()
                pytest.skip("smbd does not work here")
            time.sleep(0.2)

    def client(self, command: str) -> subprocess.Popen[bytes]:
        """Start smbclient with a command of its own."""
        where = ["//127.0.0.1/drop", "-p", str(self._port), "-N", "-s", str(self._settings)]
        return subprocess.Popen(
            ["smbclient", *where, "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def put(self, local: Path, name: str) -> subprocess.Popen[bytes]:
        """Begin to upload a file."""
        return self.client(f'put "{local}" "{name}"')

    def close(self) -> None:
        """End the server and those that it started for its clients."""
        self._server.terminate()
        try:
            self._server.wait(20)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait(20)
