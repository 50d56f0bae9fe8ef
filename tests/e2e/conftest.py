"""The real command in real folders: drop, start, signal, look."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

FAST = [
    "--set",
    "scan.settle=200ms",
    "--set",
    "scan.answer_within=20s",
    "--set",
    "retry.first=200ms",
]
# Only to end what hangs: how fast things are is no claim of these tests, and the machine may be
# busy with other things.
E2E_TIMEOUT = 600
SOAK_TIMEOUT = 1200


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/e2e/" in str(item.path):
            item.add_marker(pytest.mark.e2e)
            if item.get_closest_marker("timeout") is None:
                soak = item.get_closest_marker("soak") is not None
                item.add_marker(pytest.mark.timeout(SOAK_TIMEOUT if soak else E2E_TIMEOUT))


def texture(seed: int, height: int = 160, width: int = 220) -> np.ndarray:
    """A smooth random photo, BGR."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 4), None, 0, 255, cv2.NORM_MINMAX)


def blob(height: int = 160, width: int = 220) -> np.ndarray:
    """A mask with one hole."""
    mask = np.zeros((height, width), np.uint8)
    mask[60:90, 80:120] = 255
    return mask


class Commands:
    """The command line for one configuration. where: the options that name it."""

    where: tuple[str, ...]

    def command(self, *words: str, more: tuple[str, ...] = ()) -> list[str]:
        return [sys.executable, "-m", "retouchd", *words, *self.where, *more]

    def retouchd(
        self,
        *words: str,
        fast: bool = False,
        timeout: float = 300,
        under: Sequence[str] = (),
        environment: dict[str, str] | None = None,
    ) -> Any:
        """Run one command to its end; under, environment: see ``Running``."""
        more = tuple(FAST) if fast else ()
        return subprocess.run(
            [*under, *self.command(*words, more=more)],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env={**os.environ, **(environment or {})},
        )

    def once(self, *more: str) -> Any:
        return self.retouchd("once", *more, fast=True)

    def status(self) -> dict[str, Any]:
        done = self.retouchd("status", "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def jobs(self) -> list[dict[str, Any]]:
        return json.loads(self.retouchd("jobs", "--json", "--limit", "-1").stdout)


class Spool(Commands):
    """A root with its folders. where: how a command finds it; ``--root`` if left out."""

    def __init__(self, root: Path, where: tuple[str, ...] = ()) -> None:
        self.root = root
        self.where = where or ("--root", str(root))
        self.inbox, self.outbox = root / "inbox", root / "outbox"
        self.archive, self.failed = root / "archive", root / "failed"
        self.inbox.mkdir(parents=True, exist_ok=True)
        self.dropped: dict[str, str] = {}

    def drop(self, name: str, data: np.ndarray | bytes) -> Path:
        """Put one file into the inbox."""
        path = self.inbox / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not isinstance(data, bytes):
            encoded, buffer = cv2.imencode(path.suffix, data)
            assert encoded
            data = buffer.tobytes()
        path.write_bytes(data)
        self.dropped[name] = hashlib.sha256(data).hexdigest()
        return path

    def drop_pair(self, stem: str, suffix: str = ".png", seed: int = 0) -> None:
        """Put a photo and its mask into the inbox."""
        self.drop(f"{stem}{suffix}", texture(seed))
        self.drop(f"{stem}_mask.png", blob())

    def files(self, folder: Path) -> list[str]:
        """Visible files below a folder, without the dated part of their paths."""
        if not folder.exists():
            return []
        found = [p.relative_to(folder) for p in folder.rglob("*") if not p.is_dir()]
        return sorted(str(p) for p in found if p.name != ".retouchd-root")

    def undated(self, folder: Path) -> list[str]:
        return sorted("/".join(Path(name).parts[1:]) for name in self.files(folder))

    def digests(self, folder: Path) -> dict[str, str]:
        """Content hashes by undated path."""
        return {
            "/".join(Path(name).parts[1:]): hashlib.sha256((folder / name).read_bytes()).hexdigest()
            for name in self.files(folder)
        }

    def check_exactly_once(self, expected: dict[str, str]) -> None:
        """Every pair: one output with the expected bytes, one row, originals archived whole."""
        assert self.digests(self.outbox) == expected
        assert self.files(self.inbox) == []
        assert self.digests(self.archive) == self.dropped
        done = Counter(job["name"] for job in self.jobs() if job["state"] == "done")
        assert done == Counter(dict.fromkeys(expected, 1))
        assert self.files(self.failed) == []


class Lanes(Commands):
    """A configuration file with several lanes, each with folders and options of its own."""

    def __init__(self, root: Path, **top: Any) -> None:
        self.root, self.top = root, {"state": str(root / "state"), **top}
        self.file = root / "config.yaml"
        self.where = ("--config", str(self.file))
        self.lanes: dict[str, dict[str, Any]] = {}
        root.mkdir(parents=True)

    def lane(self, name: str, **options: Any) -> Spool:
        """Add a lane, or change the options of one; returns its folders."""
        self.lanes[name] = {"name": name, "root": str(self.root / name), **options}
        tree = {**self.top, "lanes": list(self.lanes.values())}
        self.file.write_text(yaml.safe_dump(tree), encoding="utf-8")
        return Spool(self.root / name, self.where)


class Running:
    """`retouchd run` in the background, its log lines readable as they come.

    under: a command to run it with, like ``strace -D``, which must become the service: if it stayed
    its parent, signals would not reach it. environment: more variables.
    """

    def __init__(
        self,
        spool: Commands,
        *more: str,
        under: Sequence[str] = (),
        environment: dict[str, str] | None = None,
    ) -> None:
        options = (*FAST, "--set", "log.format=json", *more)
        command = [*under, *spool.command("run", more=options)]
        self.process = subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})}
        )
        self.lines: list[dict[str, Any]] = []
        self.raw: list[str] = []
        self._ended = False
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            with self._news:
                self.raw.append(line)
                if line.startswith("{"):
                    self.lines.append(json.loads(line))
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def wait_for(
        self, event: str, count: int = 1, timeout: float = 90, **facts: Any
    ) -> dict[str, Any]:
        """Wait for the ``count``-th log line with that event."""

        def matching() -> list[dict[str, Any]]:
            return [
                line
                for line in self.lines
                if line["event"] == event and facts.items() <= line.items()
            ]

        with self._news:
            found = self._news.wait_for(lambda: len(matching()) >= count or self._ended, timeout)
            got = matching()
        assert found, f"no {event} {facts} in {''.join(self.raw)}"
        assert len(got) >= count, f"it ended without {event} {facts}: {''.join(self.raw)}"
        return got[count - 1]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)
        self._reader.join(5)

    def stop(self, timeout: float = 60) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def close(self) -> None:
        """Kill it if it still runs."""
        if self.process.poll() is None:
            self.kill()
        self._reader.join(5)
        # Closing what somebody reads from would wait for ever.
        assert not self._reader.is_alive(), "another process still holds the service's stderr"
        if self.process.stderr:
            self.process.stderr.close()


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "root")


@pytest.fixture
def start(spool: Spool) -> Iterator[Callable[..., Running]]:
    """Starts `run` on the spool; whatever still runs is killed at the end."""
    started: list[Running] = []

    def begin(*more: str, **how: Any) -> Running:
        started.append(Running(spool, *more, **how))
        return started[-1]

    yield begin
    for running in started:
        running.close()


@pytest.fixture(scope="module")
def make_lanes(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Lanes]:
    """A configuration with lanes for a whole module: ``make_lanes(**top_level_keys)``."""
    return lambda **top: Lanes(tmp_path_factory.mktemp("lanes") / "root", **top)


@pytest.fixture(scope="module")
def make_spool(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Spool]:
    """Spools for a whole module."""
    return lambda: Spool(tmp_path_factory.mktemp("spool") / "root")


@pytest.fixture(scope="module")
def start_all() -> Iterator[Callable[..., Running]]:
    """Starts `run` for a whole module: ``start_all(spool_or_lanes, *options)``."""
    started: list[Running] = []

    def begin(what: Commands, *more: str, **how: Any) -> Running:
        started.append(Running(what, *more, **how))
        return started[-1]

    yield begin
    for running in started:
        running.close()


@pytest.fixture(scope="module")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[Callable[[Spool], None]], dict[str, str]]:
    """What an undisturbed run makes of the same drops: content hashes by name, worked out once."""
    known: dict[Callable[[Spool], None], dict[str, str]] = {}

    def run(fill: Callable[[Spool], None]) -> dict[str, str]:
        if fill not in known:
            other = Spool(tmp_path_factory.mktemp("undisturbed") / "root")
            fill(other)
            done = other.once()
            assert done.returncode == 0, done.stderr
            known[fill] = other.digests(other.outbox)
        return known[fill]

    return run


def eventually(claim: Callable[[], bool], timeout: float = 60) -> bool:
    """Whether a claim becomes true in time."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if claim():
            return True
        time.sleep(0.1)
    return claim()


@pytest.fixture(name="eventually", scope="session")
def eventually_fixture() -> Callable[..., bool]:
    return eventually


@pytest.fixture(scope="session")
def pictures() -> Any:
    """texture(seed) and blob(): a photo and a mask."""

    class Pictures:
        texture = staticmethod(texture)
        blob = staticmethod(blob)

    return Pictures


def _quietly(*command: str) -> None:
    subprocess.run(command, capture_output=True, timeout=30, check=False)


@pytest.fixture
def mount() -> Iterator[Callable[..., Path]]:
    """``mount(folder, "size=1m")`` puts a tmpfs on a folder; ``mount(folder, source=other)`` makes
    another folder appear there. Everything is unmounted at the end."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    mounted: list[Path] = []

    def on(folder: Path, options: str = "size=64m", *, source: Path | None = None) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        what = ["--bind", str(source)] if source else ["-t", "tmpfs", "-o", options, "tmpfs"]
        done = subprocess.run(
            ["mount", *what, str(folder)], capture_output=True, text=True, timeout=30, check=False
        )
        if done.returncode:
            pytest.skip(f"mounting does not work here: {done.stderr}")
        mounted.append(folder)
        return folder

    yield on
    for folder in reversed(mounted):
        _quietly("umount", "-l", str(folder))


@pytest.fixture
def frozen_disk(tmp_path: Path) -> Iterator[Any]:
    """A file system that can be made to hang, so that even SIGKILL can't end who waits for it.

    ``frozen_disk(folder)`` puts it on a folder; its ``freeze()`` and ``thaw()`` do what they say.
    """
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    disks: list[FrozenDisk] = []

    def on(folder: Path) -> FrozenDisk:
        disks.append(FrozenDisk(folder, tmp_path / f"disk{len(disks)}.img"))
        return disks[-1]

    yield on
    for disk in disks:
        disk.thaw()
        _quietly("umount", "-l", str(disk.folder))


class FrozenDisk:
    """An ext4 in a file; freezing it blocks every writer in the kernel."""

    def __init__(self, folder: Path, image: Path) -> None:
        self.folder, self.image = folder, image
        folder.mkdir(parents=True, exist_ok=True)
        with image.open("wb") as file:
            file.truncate(32 << 20)
        self._run("mkfs.ext4", "-q", "-O", "^has_journal", str(image))
        self.mount()
        (folder / "lost+found").rmdir()

    def _run(self, *command: str) -> None:
        if shutil.which(command[0]) is None:
            pytest.skip(f"there is no {command[0]}")
        done = subprocess.run(command, capture_output=True, timeout=30, check=False)
        if done.returncode:
            pytest.skip(f"{command[0]} does not work here: {done.stderr.decode()}")

    def mount(self) -> None:
        self._run("mount", "-o", "loop", str(self.image), str(self.folder))

    def unmount(self) -> None:
        subprocess.run(["umount", str(self.folder)], timeout=30, check=True)

    def freeze(self) -> None:
        subprocess.run(["fsfreeze", "-f", str(self.folder)], timeout=30, check=True)

    def thaw(self) -> None:
        _quietly("fsfreeze", "-u", str(self.folder))


@pytest.fixture(scope="session")
def inject() -> Callable[..., list[str]]:
    """``inject("fsync:error=EIO:when=2", path=a_file)`` → the strace command that makes system
    calls of a service and its hands fail, or skips the test where there is none."""
    if shutil.which("strace") is None:
        pytest.skip("there is no strace")
    tried = subprocess.run(
        ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=none", "true"],
        capture_output=True,
        timeout=30,
        check=False,
    )
    if tried.returncode:
        pytest.skip(f"strace does not work here: {tried.stderr.decode()}")

    def command(*faults: str, path: Path | None = None) -> list[str]:
        names = ",".join(fault.partition(":")[0] for fault in faults)
        injected = [word for fault in faults for word in ("-e", f"inject={fault}")]
        only = ["-P", str(path)] if path else []
        # -D: the service itself is the child, so that signals reach it. No --seccomp-bpf: it would
        # be fast, but lets neither paths nor signals through.
        quietly = ["strace", "-D", "-f", "-qq", "-o", "/dev/null"]
        return [*quietly, *only, "-e", f"trace={names}", *injected]

    return command


@pytest.fixture(scope="session")
def days_later() -> Callable[[int], dict[str, str]]:
    """``days_later(400)`` → the environment in which a command takes today for another day.

    By the library itself: the command `faketime` stays the parent of what it starts, so that a
    signal for the service would end the command and leave the service behind.
    """
    if shutil.which("faketime") is None:
        pytest.skip("there is no faketime")
    shown = subprocess.run(
        ["faketime", "-f", "+1d", "env"], capture_output=True, text=True, timeout=30, check=False
    )
    (library,) = [line for line in shown.stdout.splitlines() if line.startswith("LD_PRELOAD=")]

    def environment(days: int) -> dict[str, str]:
        return {
            "LD_PRELOAD": library.partition("=")[2],
            "FAKETIME": f"+{days}d",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    return environment


@pytest.fixture(scope="session")
def children() -> Callable[[int], list[int]]:
    """The process numbers of a process's children: the hands of a service."""

    def of(pid: int) -> list[int]:
        found = []
        for task in os.listdir(f"/proc/{pid}/task"):
            with (
                contextlib.suppress(OSError),
                open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file,
            ):
                found += [int(child) for child in file.read().split()]
        return found

    return of


os.environ.setdefault("PYTHONPATH", str(Path(__file__).parents[2] / "daemon"))
