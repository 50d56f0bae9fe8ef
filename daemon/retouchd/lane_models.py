"""Which models the lanes name, and whether each is for its lane's task."""

from __future__ import annotations

from collections.abc import Mapping

from retouchd.config import Config, Lane
from retouchd.errors import ConfigInvalid
from retouchd.manifest import ModelSpec, Task, resolve


def models_of(config: Config) -> dict[str, ModelSpec]:
    """The models of all lanes, by the names that lanes have for them.

    Raises ModelUnusable, and ConfigInvalid for a model that is for another task than its lane.
    """
    names = sorted({lane.model for lane in config.lanes})
    specs = {name: resolve(name, config.models_folder) for name in names}
    check_tasks(config, {name: spec.task for name, spec in specs.items()})
    return specs


def check_tasks(config: Config, tasks: Mapping[str, Task]) -> None:
    """Raise ConfigInvalid for a lane whose model is for another task. tasks: by model."""
    for lane in config.lanes:
        if tasks[lane.model] != lane.task:
            cause, fix = wrong_task(lane, tasks[lane.model])
            raise ConfigInvalid(where=f"lane {lane.name}, model", cause=cause, fix=fix)


def wrong_task(lane: Lane, task: Task) -> tuple[str, str]:
    """What is wrong with a model for another task than its lane's, and what to do about it."""
    return (
        f"{lane.model} is a model for {task}, and the lane's task is {lane.task}",
        "`retouchd models list` tells what each model is for.",
    )
