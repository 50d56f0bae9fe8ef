"""Fixtures around the real command; a folder of tests takes them by importing them into its
conftest."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers.commands import Commands
from helpers.notified import Notified
from helpers.pictures import blob, texture
from helpers.running import Running, eventually
from helpers.share import Share
from helpers.spool import Lanes, Spool


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


def quietly(*command: str) -> None:
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
        quietly("umount", "-l", str(folder))


@pytest.fixture
def make_share(tmp_path: Path) -> Iterator[Callable[[str], Share]]:
    """``make_share(name)`` → a share that hangs and errs on demand, at ``tmp_path/name``; ask for
    it after what starts services, so that they end when nothing hangs any more."""
    made: list[Share] = []

    def make(name: str = "share") -> Share:
        made.append(Share(tmp_path / f"{name}-beneath", tmp_path / name, tmp_path / f"{name}.is"))
        return made[-1]

    yield make
    for share in made:
        share.close()


@pytest.fixture
def notified(tmp_path: Path) -> Iterator[Notified]:
    """Listens as systemd does; ``notified.environment(seconds)`` is for the service."""
    listener = Notified(tmp_path / "notify")
    yield listener
    listener.close()


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
