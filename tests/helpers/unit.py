"""The retouchd unit in a container, as `service install` makes it, steered by systemctl."""

from __future__ import annotations

import contextlib
import json
import shlex
import shutil
import time
from typing import Any

import yaml

from helpers.container import Container
from helpers.running import eventually
from helpers.spool import Spool
from helpers.standing import rows

COMMAND = "/opt/retouchd/bin/retouchd"
CONFIG = "/etc/retouchd/config.yaml"
STATE = "/var/lib/retouchd"
LANE = {"name": "inpaint", "root": "/srv/retouch", "model": "classical"}
QUICK = {"scan": {"settle": "200ms"}, "retry": {"first": "200ms"}}
"""So that tests need not wait: every other setting is the default."""


class Unit:
    """The installed service, which is not started yet.

    spool: its inpainting lane's folders, seen from this machine.
    """

    def __init__(self, container: Container) -> None:
        self.container, self.run = container, container.run
        self.install()
        self.state = container.root / STATE.lstrip("/")
        self.reset()

    def install(self) -> None:
        """What an administrator does: the command, and then the commands that it names, up to
        those that start the service."""
        done = self.run(COMMAND, "service", "install")
        _, _, named = done.stdout.partition("now run:\n")
        self.named = [shlex.split(line) for line in named.splitlines()]
        for command in self.named:
            if command[0].startswith("systemd-"):
                self.run(*command)

    def reset(self) -> None:
        """As it was when it was installed: no drop-ins, no jobs, no files, not running."""
        self.run("systemctl", "stop", "retouchd", check=False)
        self.run("systemctl", "reset-failed", "retouchd", check=False)
        root = self.container.root
        shutil.rmtree(root / "etc/systemd/system/retouchd.service.d", ignore_errors=True)
        for folder in (root / "srv/retouch", self.state):
            shutil.rmtree(folder, ignore_errors=True)
        self.run("systemd-tmpfiles", "--create", "retouchd.conf")
        self.configure()
        self.run("systemctl", "daemon-reload")
        where = ("--root", str(root / "srv/retouch"), "--state-dir", str(self.state))
        self.spool = Spool(root / "srv/retouch", where)
        self._since = self.run("date", "+%s.%N").stdout.strip()

    def configure(self, *lanes: dict[str, Any], **top: Any) -> None:
        """Write the configuration: the inpainting lane and others."""
        tree = {**QUICK, **top, "lanes": [LANE, *lanes]}
        (self.container.root / CONFIG.lstrip("/")).write_text(yaml.safe_dump(tree))

    def drop_in(self, *lines: str) -> None:
        """Settings over those of the unit, section headings included."""
        folder = self.container.root / "etc/systemd/system/retouchd.service.d"
        folder.mkdir(exist_ok=True)
        (folder / f"{len(list(folder.iterdir()))}.conf").write_text("\n".join(lines) + "\n")
        self.run("systemctl", "daemon-reload")

    def systemctl(self, verb: str, *, check: bool = True) -> tuple[int, float]:
        """Waits as systemctl does; its exit status and how long it took."""
        began = time.monotonic()
        done = self.run("systemctl", verb, "retouchd", check=check, timeout=300)
        return done.returncode, time.monotonic() - began

    def show(self, *names: str) -> dict[str, str]:
        """Properties, as systemctl shows them."""
        wanted = [f"--property={name}" for name in names]
        lines = self.run("systemctl", "show", *wanted, "retouchd").stdout.splitlines()
        return dict(line.split("=", 1) for line in lines)

    def get(self, name: str) -> str:
        return self.show(name)[name]

    @property
    def restarts(self) -> int:
        return int(self.get("NRestarts"))

    @property
    def main(self) -> int:
        """Its main process's number in the container, 0 while there is none."""
        return int(self.get("MainPID"))

    def is_active(self) -> bool:
        return self.get("ActiveState") == "active"

    @property
    def failed(self) -> bool:
        return self.get("ActiveState") == "failed"

    def processes(self) -> list[int]:
        """All that run in its control group, by their numbers in the container."""
        group = self.get("ControlGroup")
        listed = self.run("sh", "-c", f"cat /sys/fs/cgroup{group}/cgroup.procs", check=False)
        return [int(pid) for pid in listed.stdout.split()] if group else []

    def hands(self) -> list[int]:
        return [pid for pid in self.processes() if pid != self.main]

    def kill(self, signal: str, *pids: int) -> None:
        # 0 and negative numbers are groups.
        for pid in (pid for pid in pids if pid > 0):
            self.run("sh", "-c", f"kill -{signal} {pid}", check=False)

    def journal(self) -> list[dict[str, Any]]:
        """What the journal has of it, since it was reset; the service's own lines are parsed."""
        done = self.run(
            *("journalctl", "--unit=retouchd", "--output=json", f"--since=@{self._since}"),
            "--no-pager",
        )
        return [_understood(json.loads(line)) for line in done.stdout.splitlines()]

    def said(self, event: str, **wanted: Any) -> list[dict[str, Any]]:
        """The service's own lines of a kind."""
        return [
            line
            for line in self.journal()
            if line.get("event") == event
            and all(line.get(key) == value for key, value in wanted.items())
        ]

    def told(self, text: str) -> list[str]:
        """systemd's lines about it in which a text occurs."""
        lines = (line for line in self.journal() if line.get("SYSLOG_IDENTIFIER") == "systemd")
        return [line["MESSAGE"] for line in lines if text in line["MESSAGE"]]

    def wait_for(self, event: str, count: int = 1, timeout: float = 60, **wanted: Any) -> None:
        """Until the service has said something so often."""
        assert eventually(lambda: len(self.said(event, **wanted)) >= count, timeout), self.story()

    def drop_pairs(self, count: int, first: int = 0) -> None:
        """photo0, photo1 … with their masks."""
        for number in range(first, first + count):
            self.spool.drop_pair(f"photo{number}", seed=number)

    def back(self, restarts: int, within: float) -> None:
        """Wait until it is ready again after so many restarts."""
        came = eventually(lambda: self.restarts >= restarts and self.is_active(), within)
        assert came, self.story()
        assert self.restarts == restarts

    def check(self, expected: dict[str, str]) -> None:
        """Each pair exactly once, and no job is blamed for anything. expected: of the outputs,
        content hashes by name; waits until they are there."""
        assert eventually(lambda: self._finished() >= len(expected), 120), self.story()
        jobs, found = self.spool.jobs(), self.spool.digests(self.spool.outbox)
        assert [n for n in {*found, *expected} if found.get(n) != expected.get(n)] == [], (
            self.story()
        )
        self.spool.check_exactly_once(expected)
        assert {job["crashes"] for job in jobs} == {0}
        assert not list(self.spool.root.rglob(".retouchd-*.tmp"))

    def _finished(self) -> int:
        return sum(row.state == "done" for row in rows(self.state))

    def story(self) -> str:
        lines = self.run("journalctl", "--no-pager", "-o", "cat", "-n", "60").stdout
        status = self.run("systemctl", "status", "--no-pager", "retouchd", check=False).stdout
        return f"{lines}\n{status}"


def _understood(entry: dict[str, Any]) -> dict[str, Any]:
    with contextlib.suppress(ValueError, TypeError):
        said = json.loads(entry["MESSAGE"])
        if isinstance(said, dict):
            return {**entry, **said}
    return entry
