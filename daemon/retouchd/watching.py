"""All the lanes' intakes, and the inotify watches that wake them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial

from retouchd.call import Call
from retouchd.clock import Clock
from retouchd.config import Config, Lane
from retouchd.errors import InboxHeld, InboxTaken, TransientError
from retouchd.intake import REDO_AFTER, Intake
from retouchd.lanes import LaneState
from retouchd.ledger import Trouble, lock_of
from retouchd.machinery import Machinery, Say
from retouchd.mounts import Mount, MountChanges, mount_of, read_mounts
from retouchd.tenancy import here
from retouchd.watch import Watch

HASTY = 5.0
"""Seconds that ``once`` gives an incomplete file before it is set aside."""
_STUCK = 120.0
_GOODBYE = 1.0
"""Seconds that all intakes together get to end; one that waits for a share may never."""


class Watching:
    """Starts and stops one intake per lane. hasty: for ``once``, which can't wait for uploads."""

    def __init__(self, parts: Machinery, clock: Clock, say: Say, *, hasty: bool) -> None:
        self._parts, self._clock, self._say, self._hasty = parts, clock, say, hasty
        self._watch = Watch(self.wake)
        self._intakes: dict[str, Intake] = {}
        self._mount_changes = MountChanges()
        self._mounted: dict[str, list[int]] = {}
        self._answer_within = 60.0

    def look_ahead(self) -> None:
        """Before the models are loaded: raise InboxHeld where another service has an inbox of ours.

        On local disks only, which can't keep the start waiting; the others are seen by and by.
        """
        ledger, mounts = self._parts.ledger, read_mounts()
        tenant = here(ledger.id, lock_of(ledger.path)).wire
        for lane in self._parts.lanes:
            path = str(lane.config.inbox)
            mount = mount_of(path, mounts)
            if mount is None or mount.remote:
                continue
            values = {"path": path, "tenant": tenant}
            try:
                self._parts.hands.call(
                    Call("look_ahead", lane.name, path, self._answer_within, values, looks=True)
                )
            except InboxTaken as error:
                raise InboxHeld(**error.facts) from None
            except TransientError:
                continue  # The intake of the lane meets it again, and says so.

    def start(self, config: Config) -> None:
        """Have exactly the configured lanes watched."""
        self._stop_intakes()
        self._answer_within = config.scan.answer_within
        mounts = read_mounts()
        for lane in self._parts.lanes:
            self._mounted[lane.name] = _numbers(lane.config, mounts)
            # Until its intake has looked: the watch ended with the one before.
            lane.watching = ""
            patience = config.scan.incomplete_after
            intake = Intake(
                lane,
                self._parts.ledger,
                self._parts.hands,
                config.scan,
                clock=self._clock,
                say=self._say,
                patience=min(patience, HASTY) if self._hasty else patience,
                excluded=_excluded(lane.config, config.lanes),
                redo_after=0.0 if self._hasty else REDO_AFTER,
                wake_pipeline=self._parts.wake,
            )
            intake.on_ready = partial(self._look, choice=config.scan.watch)
            self._intakes[lane.name] = intake
            intake.start()

    def _look(self, lane: LaneState, choice: str) -> None:
        """Choose events or scanning for a lane, and say so."""
        inbox = str(lane.config.inbox)
        mount = mount_of(inbox, read_mounts())
        before = lane.watching, lane.file_system
        lane.file_system = mount.kind if mount else "unknown"
        remote = mount is None or mount.remote
        lane.watching = "scan"
        if choice == "events" or (choice == "auto" and not remote):
            problem = self._watch.add(lane.name, inbox)
            if problem is None:
                lane.watching = "events"
            else:
                self._say("watch failed", level="warning", lane=lane.name, cause=problem)
        if (lane.watching, lane.file_system) != before:
            self._say(
                "watching", lane=lane.name, inbox=inbox, by=lane.watching, on=lane.file_system
            )

    def wake(self, lane: str, path: str | None = None) -> None:
        """Have a lane scanned soon; ``path`` was touched."""
        intake = self._intakes.get(lane)
        if intake:
            intake.wake(path)

    def forget(self, lane: str, paths: list[str]) -> None:
        """Have a lane scanned soon; these files settle anew."""
        for path in paths:
            self.wake(lane, path)
        self.wake(lane)

    def check(self) -> None:
        """Fall back to scanning where a watch died, and look anew where something was mounted or
        unmounted, which no watch tells."""
        for lane in self._parts.lanes:
            if lane.watching == "events" and not self._watch.alive(lane.name):
                lane.watching = "scan"
                self._say("watch lost", level="warning", lane=lane.name)
                self.wake(lane.name)
        if self._mount_changes.seen():
            self._look_anew()

    def _look_anew(self) -> None:
        mounts = read_mounts()
        for lane, intake in self._pairs():
            before, now = self._mounted.get(lane.name), _numbers(lane.config, mounts)
            self._mounted[lane.name] = now
            if now != before:
                # Hands that hang do so in what was mounted there before.
                self._parts.hands.forgive(lane.name)
            intake.look_anew()

    def stuck(self, now: float) -> list[str]:
        """The intakes that made no progress; a call may have waited for hands that work."""
        limit = _STUCK + 12 * self._answer_within
        return [
            f"the intake of lane {name}"
            for name, intake in self._intakes.items()
            if not intake.is_alive() or now - intake.beat >= limit
        ]

    def _pairs(self) -> list[tuple[LaneState, Intake]]:
        found = ((lane, self._intakes.get(lane.name)) for lane in self._parts.lanes)
        return [(lane, intake) for lane, intake in found if intake]

    def quiet(self) -> bool:
        """Whether every lane that can work has been scanned and nothing is arriving."""
        return all(
            intake.idle or intake.failures > 0 or (lane.pause is not None and lane.relapses > 1)
            for lane, intake in self._pairs()
        )

    def ledger_trouble(self) -> Trouble | None:
        """What an intake heard from the ledger in its last look; None where all was well."""
        return next((i.ledger_trouble for _, i in self._pairs() if i.ledger_trouble), None)

    def troubled(self) -> list[str]:
        """The lanes that can't work, or can't be scanned."""
        return [lane.name for lane, intake in self._pairs() if lane.pause or intake.failures > 0]

    def tried_again(self) -> bool:
        """Whether each lane in trouble was looked at twice, so that it is not a blink."""
        return all(
            intake.failures > 1 or lane.relapses > 1
            for lane, intake in self._pairs()
            if lane.pause or intake.failures > 0
        )

    def _stop_intakes(self) -> None:
        for name, intake in self._intakes.items():
            intake.stop()
            self._watch.remove(name)
        deadline = self._clock.monotonic() + _GOODBYE
        for intake in self._intakes.values():
            intake.join(max(0.0, deadline - self._clock.monotonic()))
        self._intakes = {}

    def stop(self) -> None:
        """Stop watching; a scan that hangs is left to the hands' end."""
        self._stop_intakes()
        self._watch.close()
        self._mount_changes.close()


def _numbers(lane: Lane, mounts: Sequence[Mount]) -> list[int]:
    """On which mounts the lane's folders lie."""
    found = (mount_of(str(folder), mounts) for folder in lane.folders.values())
    return [mount.number if mount else 0 for mount in found]


def _excluded(lane: Lane, lanes: Sequence[Lane]) -> tuple[str, ...]:
    """Other lanes' inboxes below this one's, relative to it."""
    inbox = os.path.normpath(lane.inbox)
    others = [os.path.normpath(other.inbox) for other in lanes if other is not lane]
    return tuple(os.path.relpath(o, inbox) for o in others if o.startswith(inbox + os.sep))
