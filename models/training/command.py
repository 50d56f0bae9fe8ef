"""The command lines of the trainings: what they share, and that of lama-compact."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import cv2
import torch
from models.training.export import export
from models.training.recipe import PRESETS
from models.training.run import Settings
from models.training.schedule import Schedule
from models.training.session import Session

R = TypeVar("R", bound=Schedule)


def main(arguments: Sequence[str]) -> int:
    """Train or export lama-compact; the exit code."""
    options = parsers("lama_compact", PRESETS)[0].parse_args(arguments)
    if options.verb == "export":
        print(export(options.work, options.to))
        return 0
    prepare(options)
    Session(recipe_of(options, PRESETS), Settings(**settings_of(options))).run()
    return 0


def parsers(
    name: str, presets: Mapping[str, Any]
) -> tuple[argparse.ArgumentParser, argparse.ArgumentParser]:
    """(the command of a recipe, its verb ``train``)."""
    parser = argparse.ArgumentParser(prog=f"python -m models.training.{name}")
    verbs = parser.add_subparsers(dest="verb", required=True)
    train = verbs.add_parser("train", help="begin, or go on from the last checkpoint")
    save = verbs.add_parser("export", help="write the best running average as safetensors")
    for verb in (train, save):
        verb.add_argument("--work", type=Path, required=True, help="folder of the checkpoints")
    save.add_argument("--to", type=Path, required=True)
    _add_recipe(train, presets)
    _add_settings(train)
    return parser, train


def _add_recipe(train: argparse.ArgumentParser, presets: Mapping[str, Any]) -> None:
    train.add_argument("--preset", choices=presets, default="cpu")
    train.add_argument("--steps", type=int, help="in all; the stages scale with it")
    train.add_argument("--rate", type=float, help="highest learning rate")
    train.add_argument("--batch", type=float, default=1.0, help="factor on every batch")
    train.add_argument("--reuse", type=int, help="steps that see the same sample")
    train.add_argument("--seed", type=int)


def _add_settings(train: argparse.ArgumentParser) -> None:
    gpu = torch.cuda.is_available()
    train.add_argument("--photos", type=Path, required=True, help="folder of training photos")
    train.add_argument("--begin-with", type=Path, help="exported weights, for the very first step")
    train.add_argument("--minutes", type=float, default=float("inf"), help="then save and stop")
    train.add_argument("--device", default="cuda" if gpu else "cpu")
    train.add_argument("--threads", type=int, default=torch.get_num_threads())
    train.add_argument("--workers", type=int, default=0, help="processes that make samples")
    train.add_argument("--exact", action="store_true", help="float32 instead of bfloat16")
    train.add_argument("--log-every", type=int, default=20)
    train.add_argument("--save-every", type=int, default=100)
    train.add_argument("--check-every", type=int, default=250)


def prepare(options: argparse.Namespace) -> None:
    """Threads and precision of this process."""
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)
    if options.device.startswith("cuda"):
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")


def recipe_of(options: argparse.Namespace, presets: Mapping[str, Callable[[], R]]) -> R:
    """The preset with what the options change."""
    recipe = presets[options.preset]()
    wanted = {name: getattr(options, name) for name in ("steps", "rate", "reuse", "seed")}
    recipe = replace(recipe, **{name: v for name, v in wanted.items() if v is not None})
    return recipe.with_batches(options.batch)


def settings_of(options: argparse.Namespace) -> dict[str, Any]:
    """The fields of ``Settings``."""
    names = ("photos", "work", "begin_with", "minutes", "workers", "exact")
    steps = ("log_every", "save_every", "check_every")
    found = {name: getattr(options, name) for name in (*names, *steps)}
    return {**found, "device": torch.device(options.device)}
