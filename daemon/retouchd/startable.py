"""Whether a service could start with a configuration, as far as a glance tells: nothing is hashed
or loaded, and torch is not imported. `doctor` looks closer."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from retouchd.config import Config, KeyPath, Lane
from retouchd.errors import BackgroundMissing, ConfigInvalid, ModelUnusable
from retouchd.lane_models import wrong_task
from retouchd.manifest import Task, builtin_entries, entries, resolve
from retouchd.mounts import mount_of, read_mounts
from retouchd.weightfile import open_weights


@dataclass(frozen=True)
class Flaw:
    """Something that a valid configuration asks for and that is not there.

    path: of its key. fatal: no service starts with it; else a lane pauses, or nobody can tell.
    """

    path: KeyPath
    cause: str
    fix: str
    fatal: bool = True


def flaws(config: Config) -> list[Flaw]:
    """Everything that a glance finds."""
    return [
        flaw
        for number, lane in enumerate(config.lanes)
        for flaw in (*_model(lane, number, config), *_background(lane, number))
    ]


def check_models(config: Config) -> None:
    """Raise ConfigInvalid for the first model that no service could start with. For a running
    service: it looks at no share, which may hang."""
    for number, lane in enumerate(config.lanes):
        if not _is_far(lane.model, config.models_folder):
            for flaw in _model(lane, number, config):
                where = f"lane {lane.name}, model"
                # What it may not read, no restart of it may either.
                fix = flaw.fix if flaw.fatal else "Give the service's user the right to read it."
                raise ConfigInvalid(where=where, cause=flaw.cause, fix=fix)


def glance(model: str, models_folder: Path) -> Task:
    """What a model is for; raises ModelUnusable where a start would, its content aside."""
    spec = resolve(model, models_folder, digest=lambda path: "0" * 64)
    if spec.path is not None:
        open_weights(model, spec.path).close()
    if spec.architecture == "onnx":
        from retouchd.onnx_session import check_runtime

        check_runtime(model)
    return spec.task


def _is_far(model: str, models_folder: Path) -> bool:
    """Whether a share would have to answer before anything is known of a model."""
    mounts = read_mounts()

    def is_far(place: Path) -> bool:
        mount = mount_of(os.path.abspath(place), mounts)
        return mount is not None and mount.remote

    if is_far(Path(model).expanduser()) or is_far(models_folder):
        return True
    # Only now: the entry stands in that folder.
    return is_far(models_folder / (_file_of(model, models_folder) or model))


def _file_of(model: str, models_folder: Path) -> str | None:
    """The weights file that a manifest names, None where none does."""
    try:
        entry = entries(models_folder).get(model)
    except (ModelUnusable, OSError):
        return None  # Whoever looks closer meets it again, and tells.
    return entry.file if entry else None


def _model(lane: Lane, number: int, config: Config) -> Iterator[Flaw]:
    path: KeyPath = ("lanes", number, "model")
    try:
        task = glance(lane.model, config.models_folder)
    except ModelUnusable as error:
        cause = f"{lane.model} can't be used: {error.facts.get('cause')}"
        hidden = isinstance(error.__context__, PermissionError)
        yield _hidden(path, cause) if hidden else Flaw(path, cause, error.advice)
    except OSError as error:
        if lane.model not in builtin_entries():
            yield _hidden(path, f"{error.filename} can't be read ({error.strerror})")
    else:
        if task != lane.task:
            yield Flaw(path, *wrong_task(lane, task))


def _hidden(path: KeyPath, cause: str) -> Flaw:
    """What this user may not see, another may."""
    fix = "Ask as the user that the service runs as: sudo -u retouchd retouchd config check."
    return Flaw(path, cause, fix, fatal=False)


def _background(lane: Lane, number: int) -> Iterator[Flaw]:
    wanted = lane.matte.background
    if wanted is None:
        return
    mount = mount_of(str(wanted), read_mounts())
    # A share may hang; `doctor` looks there, through a process that it can leave behind.
    if mount is None or mount.remote:
        return
    path: KeyPath = ("lanes", number, "matte", "background")
    fix = "Put a picture there that the service user may read; until then the lane pauses."
    if not os.path.isfile(wanted) or not os.access(wanted, os.R_OK):
        # Opened, a pipe might wait for ever.
        there = "is no file" if os.path.exists(wanted) else "is not there"
        cause = "can't be read" if os.path.isfile(wanted) else there
        yield Flaw(path, f"{wanted} {cause}", fix, fatal=False)
        return
    # Only now: few lanes have one, and codecs take their time to load.
    from retouchd.tasks.backgrounds import look_at_background

    try:
        look_at_background(str(wanted))
    except BackgroundMissing as error:
        yield Flaw(path, error.message.removesuffix("."), error.advice, fatal=False)
