"""Pruning that is killed."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

from helpers.inventory import Inventory
from helpers.shim import KILL, Fault, Shim
from helpers.snapshot import snapshot
from helpers.storeroom import Storeroom
from helpers.tally import Tally
from helpers.wall_clock import WallClock


class Killed:
    """An inventory whose pruning is killed, and what may be gone by then."""

    def __init__(
        self, store: Storeroom, folder: Path, shim: Shim, seed: int, *, aged_only: bool = False
    ) -> None:
        self.inventory = Inventory(store, WallClock(folder), seed, aged_only=aged_only)
        self.store, self.shim = store, shim
        self.under = str(store.top.parent)
        self.due = self.inventory.expected(time.time(), force=True)
        self._places = {n: store.place(filed) for n, filed in self.inventory.files.items()}
        self._before = snapshot(store.top)

    def strike(self, call: str, number: int) -> bool:
        """One prune that is killed at the n-th such call; gives whether it was."""
        with self.shim.fault(Fault((call,), KILL, self.under, number)):
            command = self._prune()
            self.shim.serve(command.pid)
            code = command.wait(300)
        assert code in (0, -signal.SIGKILL)
        self.check_meanwhile()
        return code == -signal.SIGKILL

    def strike_at(self, seconds: float) -> bool:
        """One prune that is killed so long after its first deletion, or look."""
        command = self._prune()
        deadline = time.monotonic() + 2 + seconds
        while command.poll() is None and not self.gone() and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(seconds)
        lived = command.poll() is None
        command.kill()
        command.wait(30)
        self.check_meanwhile()
        return lived

    def _prune(self) -> subprocess.Popen[bytes]:
        lanes, shim = self.store.lanes, self.shim
        environment = {**self.inventory.clock.environment, **shim.environment}
        words = [f"{name}={value}" for name, value in environment.items()]
        command = ["env", *words, *lanes.command("prune", "--force")]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def gone(self) -> set[int]:
        """What is due and no longer there."""
        return {number for number in self.due if not self._places[number].exists()}

    def check_meanwhile(self) -> None:
        """Nothing is gone that may not, and what is due and still there is not forgotten."""
        gone = self.gone()
        known = {filed.id for filed in self.store.filed()}
        assert self.due - gone <= known
        assert self.inventory.files.keys() - self.due - self.inventory.changed <= known
        top, now = self.store.top, snapshot(self.store.top)
        doomed = {str(self._places[number].relative_to(top)) for number in self.due}
        lost = {path for path in self._before.keys() - now.keys() if path not in doomed}
        # Of the rest only folders that became empty.
        assert all(len(self._before[path]) == 1 for path in lost)
        for path, entry in now.items():
            before = self._before.get(path)
            # A service puts its own notes beside.
            assert before or "/.retouchd-" in path
            # A second name of a file that is gone has one link less.
            assert not before or (before[:2], before[3:]) == (entry[:2], entry[3:])

    def finish(self, tally: Tally) -> set[int]:
        """A clean prune does the rest, exactly; gives what was due before and is still there."""
        self.inventory.changed |= self.gone()
        # A forced prune that got far enough lets nothing lie in the future any more.
        known = {filed.id: filed for filed in self.store.filed()}
        began, files = self.inventory.now, self.inventory.files
        self.inventory.files = {n: known[n] for n in files if n in known}
        for number, filed in self.inventory.files.items():
            assert filed.at == files[number].at or files[number].at > filed.at >= began
        for name, lane in self.inventory.lanes.items():
            lane.files = [f for f in self.inventory.files.values() if f.lane == name]
        left = {n: self._places[n] for n in self.due if n in self.inventory.files}
        self.inventory.step(0.0, force=True, tally=tally)
        return {n for n, place in left.items() if place.exists()}
