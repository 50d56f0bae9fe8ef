"""`run` and `once`: the service in the foreground."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

import typer

from retouchd.cli.options import (
    Choice,
    ConfigOption,
    ModelOption,
    RootOption,
    SetOption,
    StateOption,
    choose,
)
from retouchd.clock import Clock
from retouchd.origin import Origin

if TYPE_CHECKING:
    from retouchd.ending import Ending
    from retouchd.service import Service


def run(
    config: ConfigOption = None,
    root: RootOption = None,
    state: StateOption = None,
    model: ModelOption = None,
    sets: SetOption = None,
) -> None:
    """Watch the folders until told to stop. Example: retouchd run --root /srv/retouch"""
    _serve(choose(config, root, sets, state, model), once=False)


def once(
    config: ConfigOption = None,
    root: RootOption = None,
    state: StateOption = None,
    model: ModelOption = None,
    sets: SetOption = None,
) -> None:
    """Do what is there, then exit. Example: retouchd once --root ~/retouch

    The last line says what was done, what waits for what, and what was set aside. Exit codes:
    0 everything done that can be done, 3 done but some files were set aside, 4 another instance is
    running, 75 not finished, for a reason that passes and is told (disk full, share lost, outside
    the lane's hours, stopped), 2 wrong configuration.
    """
    _serve(choose(config, root, sets, state, model), once=True)


def _serve(choice: Choice, *, once: bool) -> None:
    origin = Origin(choice.file())
    config = choice.read()
    # Heavy parts only now, so that a wrong configuration is told at once.
    from retouchd.blackbox import BlackBox, deaf_to_aborts

    with deaf_to_aborts():
        from retouchd import logs
        from retouchd.cli.progress import progress
        from retouchd.lane_models import models_of
        from retouchd.ledger import InstanceLock
        from retouchd.local_engine import LocalEngine
        from retouchd.machinery import Machinery, open_ledger
        from retouchd.service import Service

    logs.set_up_logs(config.log)
    specs = models_of(config)
    clock = Clock()
    with InstanceLock(config.state / "ledger.sqlite3"):
        ledger = open_ledger(config)
        box = BlackBox(config.state)
        engine = LocalEngine(specs, config.device, on_device=box.on_device)
        try:
            with progress(shown=once and sys.stderr.isatty()) as on_tick:
                parts = Machinery(config, ledger, engine, box, clock, logs.say)
                parts.set_up_logs = logs.set_up_logs
                service = Service(
                    config,
                    parts,
                    clock,
                    parts.count_and_say,
                    once=once,
                    read_config=choice.read,
                    origin=origin,
                    on_tick=on_tick,
                )
                with _signals(service):
                    code = service.run()
        finally:
            engine.close(timeout=1.0)
    if once:
        _conclude(choice, service.ending, code, log=logs.structured(config.log))
    if parts.abandoned:
        # Leaving as usual would wait for threads that wait for the device.
        sys.stderr.flush()
        os._exit(code)
    raise typer.Exit(code)


def _conclude(choice: Choice, ending: Ending | None, code: int, *, log: bool) -> None:
    """The last words of `once`: what came of it, and why that is not all."""
    from retouchd import logs

    line, reasons = "stopped", ["The ledger can't be written; the log says why."]
    if ending:
        line = ending.line(choice.command("jobs", "--state", "quarantined"))
        reasons = list(ending.reasons)
    if log:
        logs.say("ended", result=line, reasons=" ".join(reasons), code=code)
        return
    typer.echo("\n".join((f"retouchd: {line}", *reasons)), err=True)


@contextmanager
def _signals(service: Service) -> Iterator[None]:
    """Handlers that only set flags; the old ones come back afterwards. Until the models are loaded
    SIGTERM ends the process, as it does before."""

    # Not even waking the loop: the lock of its event may be held by the very code interrupted.
    def stop(number: int, frame: FrameType | None) -> None:
        service.wish.stop = True
        if number == signal.SIGTERM and service.loading:
            # Loading can take minutes, and Python would wait for the thread that does it.
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    def reload(number: int, frame: FrameType | None) -> None:
        service.wish.reload = True

    wanted = {signal.SIGTERM: stop, signal.SIGINT: stop, signal.SIGHUP: reload}
    before = {number: signal.signal(number, handler) for number, handler in wanted.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
