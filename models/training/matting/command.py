"""The command line of the training of cvunet-compact."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from models.training.command import parsers, prepare, recipe_of, settings_of
from models.training.matting.export import export
from models.training.matting.recipe import PRESETS
from models.training.matting.session import MattingSettings, Session


def main(arguments: Sequence[str]) -> int:
    """Train or export; the exit code."""
    parser, train = parsers("cvunet_compact", PRESETS)
    train.add_argument("--cutouts", type=Path, required=True, help="folder of RGBA cut-outs")
    options = parser.parse_args(arguments)
    if options.verb == "export":
        print(export(options.work, options.to))
        return 0
    prepare(options)
    settings = MattingSettings(**settings_of(options), cutouts=options.cutouts)
    Session(recipe_of(options, PRESETS), settings).run()
    return 0
