"""Options that the commands share, and the configuration that they mean."""

from __future__ import annotations

import os
import shlex
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from retouchd import config as configuration
from retouchd.config import Config, Written
from retouchd.errors import ConfigInvalid, WrongRequest
from retouchd.ledger import Ledger, LedgerReader
from retouchd.manifest import task_named

DEFAULT_CONFIG = Path("/etc/retouchd/config.yaml")

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="YAML file; /etc/retouchd/config.yaml if it exists."),
]
RootOption = Annotated[
    Path | None,
    typer.Option("--root", "-r", help="Work in DIR/inbox, DIR/outbox, … with no config file."),
]
StateOption = Annotated[
    Path | None,
    typer.Option("--state-dir", help="Folder of the ledger, on a local disk."),
]
ModelOption = Annotated[
    str | None,
    typer.Option("--model", "-m", help="A model's name (see `models list`) or a weights file."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", help="Override one key: --set 'lanes.*.mask.dilate=20'."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


@dataclass(frozen=True)
class Choice:
    """Where a command finds its configuration; ``read`` may be repeated after a SIGHUP."""

    config: Path | None
    root: Path | None
    state: Path | None = None
    model: str | None = None
    sets: tuple[str, ...] = ()

    def read(self) -> Config:
        """The configuration; raises ConfigInvalid."""
        return configuration.checked(self.written())

    def written(self) -> Written:
        """The configuration as it was written; raises ConfigInvalid."""
        overrides = list(self.sets)
        if self.state is not None:
            overrides.append(f"state={_quoted(os.path.abspath(self.state))}")
        if self.config and self.root:
            raise WrongRequest(
                cause="--config and --root exclude each other",
                fix="Give one of them; a config file names its own folders.",
            )
        found = self._written(overrides)
        if self.model is None:
            return found
        return self._written(_with_model(configuration.checked(found), self.model, overrides))

    def file(self) -> Path | None:
        """The configuration file, absolute; None with ``--root``."""
        return None if self.root else Path(os.path.abspath(self.config or _default()))

    def check_place(self) -> None:
        """Raise WrongRequest for a ``--root`` that is no folder; one that was just made is fine."""
        try:
            if self.root is None or stat.S_ISDIR(os.stat(self.root).st_mode):
                return
            what, fix = "no folder", "Name the folder that holds inbox and outbox."
        except (FileNotFoundError, NotADirectoryError):
            what = "no such folder"
            fix = f"Check its spelling; `{self.command('run')}` would make it."
        except OSError:
            return  # What is wrong with it is told by who works with it.
        raise WrongRequest(cause=f"there is {what}: --root {self.root}", fix=fix)

    def command(self, *words: str) -> str:
        """A command line for the same configuration, to be copied by a person."""
        places = {"--root": self.root, "--config": self.config, "--state-dir": self.state}
        given = [part for name, path in places.items() if path for part in (name, str(path))]
        given += [part for item in self.sets for part in ("--set", item)]
        return shlex.join(["retouchd", *words, *given])

    def _written(self, overrides: list[str]) -> Written:
        if self.root:
            return configuration.written_for_root(self.root, overrides)
        return configuration.read(self.config or _default(), overrides)


def choose(
    config: Path | None,
    root: Path | None,
    sets: list[str] | None = None,
    state: Path | None = None,
    model: str | None = None,
) -> Choice:
    """The choice that the options of a command make."""
    return Choice(config, root, state, model, tuple(sets or ()))


def _default() -> Path:
    named = os.environ.get("RETOUCHD_CONFIG")
    if named:
        return Path(named)
    if DEFAULT_CONFIG.exists():
        return DEFAULT_CONFIG
    raise WrongRequest(
        cause=f"it is not said where to work: there is neither --root nor --config, and no "
        f"{DEFAULT_CONFIG}",
        fix=f"`{_asked()} --root DIR` needs no configuration at all; "
        f"`{_asked()} --config FILE` names one.",
    )


def _asked() -> str:
    """The command line that is being carried out."""
    return shlex.join(["retouchd", *sys.argv[1:]])


def _with_model(config: Config, model: str, overrides: list[str]) -> list[str]:
    """Have every lane of the model's task use it."""
    task = task_named(model, config.models_folder)
    lanes = [lane.name for lane in config.lanes if lane.task == task]
    if not lanes:
        raise ConfigInvalid(
            where="the command line, --model",
            cause=f"{model} is a model for {task}, and no lane has that task",
            fix="Add such a lane, or name another model.",
        )
    return [*overrides, *(f"lanes.{lane}.model={_quoted(model)}" for lane in lanes)]


def _quoted(value: str) -> str:
    return "'" + str(value).replace("'", "''") + "'"


def reader(config: Config) -> LedgerReader | None:
    """The ledger for reading, None before the first start."""
    return ledger_in(config.state)


def ledger_in(state: Path) -> LedgerReader | None:
    """The ledger of a state folder for reading, None before the first start."""
    path = state / "ledger.sqlite3"
    return LedgerReader(path) if path.exists() else None


def writer(config: Config) -> Ledger:
    """The ledger for a small change beside a running service; raises LedgerUnusable."""
    LedgerReader(config.state / "ledger.sqlite3").close()
    return Ledger(config.state / "ledger.sqlite3")
