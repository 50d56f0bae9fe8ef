"""Options that the commands share, and the configuration that they mean."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from retouchd import config as configuration
from retouchd.config import Config
from retouchd.errors import ConfigInvalid
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
        overrides = list(self.sets)
        if self.state is not None:
            overrides.append(f"state={_quoted(os.path.abspath(self.state))}")
        if self.config and self.root:
            raise ConfigInvalid(
                where="the command line",
                cause="--config and --root exclude each other",
                fix="Give one of them; a config file names its own folders.",
            )
        found = self._read(overrides)
        return (
            found if self.model is None else self._read(_with_model(found, self.model, overrides))
        )

    def _read(self, overrides: list[str]) -> Config:
        if self.root:
            return configuration.for_root(self.root, overrides)
        path = self.config or _default()
        return configuration.load(path, overrides)


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
    raise ConfigInvalid(
        where="the command line",
        cause=f"there is neither --root nor --config, and no {DEFAULT_CONFIG}",
        fix="Say where to work: `retouchd run --root DIR` needs no configuration at all.",
    )


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
    path = config.state / "ledger.sqlite3"
    return LedgerReader(path) if path.exists() else None


def writer(config: Config) -> Ledger:
    """The ledger for a small change beside a running service; raises LedgerUnusable."""
    LedgerReader(config.state / "ledger.sqlite3").close()
    return Ledger(config.state / "ledger.sqlite3")
