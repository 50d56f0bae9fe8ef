"""The command line of the training."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import torch
from models.training.export import export
from models.training.recipe import PRESETS, Recipe
from models.training.session import Session, Settings


def main(arguments: Sequence[str]) -> int:
    """Train or export; the exit code."""
    options = _parser().parse_args(arguments)
    if options.verb == "export":
        print(export(options.work, options.to))
        return 0
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)
    if options.device.startswith("cuda"):
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")
    Session(_recipe(options), _settings(options)).run()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m models.training.lama_compact")
    verbs = parser.add_subparsers(dest="verb", required=True)
    train = verbs.add_parser("train", help="begin, or go on from the last checkpoint")
    save = verbs.add_parser("export", help="write the best running average as safetensors")
    for verb in (train, save):
        verb.add_argument("--work", type=Path, required=True, help="folder of the checkpoints")
    save.add_argument("--to", type=Path, required=True)
    _add_recipe(train)
    _add_settings(train)
    return parser


def _add_recipe(train: argparse.ArgumentParser) -> None:
    train.add_argument("--preset", choices=PRESETS, default="cpu")
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


def _recipe(options: argparse.Namespace) -> Recipe:
    recipe = PRESETS[options.preset]()
    wanted = {name: getattr(options, name) for name in ("steps", "rate", "reuse", "seed")}
    recipe = replace(recipe, **{name: v for name, v in wanted.items() if v is not None})
    return recipe.with_batches(options.batch)


def _settings(options: argparse.Namespace) -> Settings:
    return Settings(
        photos=options.photos,
        work=options.work,
        begin_with=options.begin_with,
        minutes=options.minutes,
        device=torch.device(options.device),
        workers=options.workers,
        exact=options.exact,
        log_every=options.log_every,
        save_every=options.save_every,
        check_every=options.check_every,
    )
