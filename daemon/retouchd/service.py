"""The service: start, loop, drain. `run` and `once` are the same loop with another end."""

from __future__ import annotations

import contextlib
import math
import os
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass

from retouchd.blackbox import DEVICE
from retouchd.clock import Clock
from retouchd.config import Config
from retouchd.ending import Ending, ending
from retouchd.errors import InboxHeld, InboxTaken, RetouchdError, StartError
from retouchd.job import State
from retouchd.ledger import Condition
from retouchd.live import LOADING, write_live
from retouchd.machinery import Machinery, Say
from retouchd.memory import give_back
from retouchd.notify import Notifier
from retouchd.origin import Origin
from retouchd.status import jobs_a_minute, live_facts
from retouchd.stillness import Stillness
from retouchd.watching import Watching

TICK = 0.5
HEARTBEAT = 2.0
DEVICE_PATIENCE = 600.0
_SHORT_WAIT = 15.0
_STILL = 4.0
"""Seconds without a sign of work after which nobody waits for a hand at the end."""
_FULL_EVERY = 60.0
"""Seconds from one round of pruning to the next while a lane has no space left."""
_TIDY_EVERY = 60.0
"""Seconds from one giving back of memory to the next while work goes on."""


@dataclass
class Wish:
    """What signal handlers ask for; they only set flags."""

    stop: bool = False
    reload: bool = False


class Service:
    """Runs until told to stop or, with ``once``, until nothing is left to do.

    read_config: reads the configuration again, for a reload. origin: the file that it is in.
    on_tick: called about twice a second, for progress. loading: whether nothing was begun yet, so
    that its end costs nothing. ending: after ``run`` with ``once``, what came of it; None where the
    ledger could not be written.
    """

    def __init__(
        self,
        config: Config,
        parts: Machinery,
        clock: Clock,
        say: Say,
        *,
        once: bool,
        read_config: Callable[[], Config],
        origin: Origin | None = None,
        on_tick: Callable[[Machinery], None] = lambda parts: None,
    ) -> None:
        self._config, self._parts, self._clock = config, parts, clock
        self._say, self._once = say, once
        self._read_config, self._on_tick = read_config, on_tick
        self._origin = origin or Origin()
        self._notifier = Notifier()
        self._watching = Watching(parts, clock, say, hasty=once)
        self.wish = Wish()
        self.loading = True
        self._wake = threading.Event()
        parts.wake = self.wake
        parts.forget = self._watching.forget
        self._since = clock.now()
        self._next_beat = self._next_ping = 0.0
        self._pruned_at = self._tidied_at = -math.inf
        self._untidy = self._begun = False
        self._refusal: InboxTaken | None = None
        self._ledger = Condition(config.state / "ledger.sqlite3", say)
        self.ending: Ending | None = None

    def wake(self) -> None:
        """Something may be due."""
        self._wake.set()

    def run(self) -> int:
        """Everything from warm-up to the last commit; returns the exit code."""
        self._notifier.send(STATUS="loading the models")
        self._publish(LOADING)
        try:
            self._watching.look_ahead()
            self._parts.engine.warm_up()
            self.loading = False
            facts = self._parts.engine.describe()
            # What the self-check measured: precision, speed-up and error of each network.
            chosen = {"chosen": facts["auto"]} if facts.get("auto") else {}
            self._say("ready", device=facts["device"], **chosen)
            self._watching.start(self._config)
            self._notifier.send(READY=1)
            while not self._refused() and not self.wish.stop:
                if self._once and self._finished():
                    break
                self._step()
                self._wake.wait(TICK)
                self._wake.clear()
            troubled = self._watching.troubled()
            cut = self.wish.stop and not self._watching.quiet()
            self._drain()
            if refusal := self._refused():
                raise InboxHeld(**refusal.facts)
            return self._exit_code(troubled, cut=cut)
        finally:
            self._parts.close()
            if self.wish.stop:
                self._say("stopped")

    def _refused(self) -> InboxTaken | None:
        """At a start: who works with an inbox of ours already. Later that only pauses its lane."""
        if not self._begun:
            lanes = [(lane.pause, lane.ready) for lane in self._parts.lanes]
            taken = (pause.taken for pause, _ in lanes if pause and pause.taken)
            self._refusal = next(taken, None)
            self._begun = all(pause or ready for pause, ready in lanes)
        return self._refusal

    def _step(self) -> None:
        if self.wish.reload:
            self.wish.reload = False
            self._reload()
        try:
            self._untidy |= self._parts.pipeline.start_due() > 0
            self._prune()
            self._beat()
            self._on_tick(self._parts)
            heard = self._parts.pipeline.ledger_trouble or self._watching.ledger_trouble()
        except sqlite3.Error as error:
            heard = error
        self._ledger.hear(heard, self._clock.monotonic())

    def _reload(self) -> None:
        self._notifier.send(RELOADING=1, MONOTONIC_USEC=int(self._clock.monotonic() * 1e6))
        self._origin.offer()
        try:
            config = self._read_config()
            self._parts.check_reload(self._config, config)
        except StartError as error:
            self._origin.refuse(error)
            self._say("configuration kept", level="error", cause=error.message, remedy=error.advice)
        else:
            self._config = config
            self._origin.take()
            self._parts.reload(config)
            self._watching.start(config)
            self._say("configuration reloaded")
        self._next_beat = 0.0
        self._notifier.send(READY=1)

    def _prune(self) -> None:
        now = self._clock.monotonic()
        if self._once or self._parts.background_busy or now < self._pruned_at + self._prune_every():
            return
        if any(not lane.ready and not lane.pause for lane in self._parts.lanes):
            return  # Still being set up; skipping them would cost a whole round.
        self._pruned_at, self._untidy = now, True
        self._parts.in_background(self._prune_all)

    def _prune_every(self) -> float:
        every = min(lane.retention.every for lane in self._config.lanes)
        full = any(lane.pause and lane.pause.full for lane in self._parts.lanes)
        return min(every, _FULL_EVERY) if full else every

    def _prune_all(self) -> None:
        lanes = [
            lane.config
            for lane in self._parts.lanes
            if lane.ready and not ((pause := lane.pause) and not pause.full)
        ]
        try:
            for pruned in self._parts.pruning.prune_all(lanes, self._clock.now()):
                for said in pruned.said():
                    self._say(**said)
        except (RetouchdError, sqlite3.Error) as error:
            self._say("prune trouble", level="warning", cause=str(error))

    def _beat(self) -> None:
        """Publish live facts, and tell systemd that we live if we do."""
        now = self._clock.monotonic()
        if now >= self._next_beat:
            self._next_beat = now + HEARTBEAT
            self._watching.check()
            self._publish(str(self._parts.engine.describe()["device"]))
            self._notifier.send(STATUS=self._summary())
            self._tidy(now)
        seconds = self._notifier.watchdog_seconds()
        if seconds and now >= self._next_ping and self._alive(now):
            self._next_ping = now + seconds / 3
            self._notifier.send(WATCHDOG=1)

    def _publish(self, device: str) -> None:
        """Write the live facts."""
        watch, origin = self._config.scan.watch, self._origin.facts()
        lanes, pid, ledger = self._parts.lanes, os.getpid(), self._ledger.facts
        facts = live_facts(
            lanes, device, pid, self._since, watch=watch, origin=origin, ledger=ledger
        )
        write_live(self._config.state, facts)

    def _tidy(self, now: float) -> None:
        """Give back what work and pruning took: each of the many threads would keep the most that
        it ever needed."""
        at_rest = not self._parts.pipeline.busy and not self._parts.background_busy
        if self._untidy and (at_rest or now >= self._tidied_at + _TIDY_EVERY):
            self._untidy, self._tidied_at = not at_rest, now
            give_back()

    def _alive(self, now: float) -> bool:
        """Whether the device thread and every intake made progress; the loop and the ledger did,
        or we would not be here. Who did not is noted, so that the end that systemd is going to
        make is not blamed on the jobs that happen to be on the device."""
        device = now - self._parts.engine.last_beat() < DEVICE_PATIENCE
        stuck = [*([] if device else [DEVICE]), *self._watching.stuck(now)]
        self._parts.note_stuck(stuck)
        return not stuck

    def _summary(self) -> str:
        counts = self._parts.ledger.counts()
        queue = counts[State.READY] + counts[State.RUNNING] + counts[State.FAILED]
        rate = jobs_a_minute(self._parts.ledger, self._since, self._clock.now())
        paused = [lane.name for lane in self._parts.lanes if lane.pause]
        text = f"{queue} in the queue, {counts[State.DONE]} done, {rate:.1f} a minute"
        text += "; the changed configuration was rejected" if self._origin.refused else ""
        if self._ledger.trouble:
            return f"{text}; paused: the ledger can't be written"
        return f"{text}; paused: {', '.join(paused)}" if paused else text

    def _finished(self) -> bool:
        """For ``once``: nothing is under way and nothing can be done without waiting long."""
        if self._ledger.trouble:
            return self._ledger.over_patience(self._clock.monotonic(), _SHORT_WAIT)
        try:
            if not self._watching.quiet() or self._parts.pipeline.has_work():
                return False
            wait = self._parts.pipeline.due_in()
        except sqlite3.Error as error:
            self._ledger.hear(error, self._clock.monotonic())
            return False
        if wait is not None and wait <= _SHORT_WAIT:
            return False
        return not self._watching.troubled() or self._watching.tried_again()

    def _exit_code(self, troubled: list[str], *, cut: bool) -> int:
        if not self._once:
            return 0
        if not self._ledger.trouble:
            parts, local = self._parts, self._clock.local()
            said = {"done": parts.done, "set_aside": parts.quarantined}
            self.ending = ending(parts.lanes, parts.ledger, local, **said, unseen=troubled, cut=cut)
        return self.ending.code if self.ending else 75

    def _drain(self) -> None:
        """Stop intake, finish within the deadline, then abandon: the ledger makes that safe."""
        self._notifier.send(STOPPING=1, STATUS="finishing what is under way")
        if self.wish.stop:
            self._say("stopping", under_way=self._parts.pipeline.busy)
        self._watching.stop()
        self._parts.pipeline.stop()
        deadline, still = self._clock.monotonic() + self._config.drain, Stillness(_STILL)
        while self._worth_waiting(still) and self._clock.monotonic() < deadline:
            self._notifier.send(EXTEND_TIMEOUT_USEC=int((TICK + 10) * 1e6), WATCHDOG=1)
            self._wake.wait(TICK)
            self._wake.clear()
        with contextlib.suppress(sqlite3.Error):
            self._on_tick(self._parts)

    def _worth_waiting(self, still: Stillness) -> bool:
        """Whether a job is under way in a lane whose share does not hang, as far as one can see."""
        at_work = self._parts.hands.at_work()
        hanging = {at_work[pid] for pid in still.look(at_work, self._clock.monotonic())}
        return bool(self._parts.pipeline.busy_lanes - hanging)
