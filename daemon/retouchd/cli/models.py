"""`models list`, `models verify` and `models add`."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from retouchd.cli.downloading import downloading
from retouchd.cli.options import (
    ConfigOption,
    JsonOption,
    RootOption,
    SetOption,
    StateOption,
    choose,
)
from retouchd.errors import ModelUnusable
from retouchd.loadable import check_loadable
from retouchd.manifest import (
    Entry,
    ModelSpec,
    available,
    entries,
    parse_part,
    resolve,
    verify,
)

app = typer.Typer(help="List, verify and add models.", no_args_is_help=True)


@app.command("list")
def list_models(
    config: ConfigOption = None,
    root: RootOption = None,
    state: StateOption = None,
    sets: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the models: usable, or to be added. Example: retouchd models list --root DIR"""
    found = choose(config, root, sets, state).read()
    specs = available(found.models_folder)
    known = entries(found.models_folder).items()
    addable = {name: entry for name, entry in known if not entry.usable}
    if as_json:
        usable = [_plain(spec) for spec in specs.values()]
        offered = [_offered(name, entry) for name, entry in addable.items()]
        typer.echo(json.dumps([*usable, *offered], indent=2))
        return
    for spec in specs.values():
        where = spec.path or "built in, no weights"
        typer.echo(f"{spec.name}: {spec.architecture}, {where}")
        typer.echo(f"  licence {spec.licence or 'unknown'}; {' '.join(spec.notes.split())}")
    for name, entry in addable.items():
        typer.echo(f"{name}: {entry.architecture}, to be added with `retouchd models add {name}`")
        typer.echo(f"  licence {entry.licence or 'unknown'}; {' '.join(entry.notes.split())}")


@app.command("add")
def add_model(
    name: Annotated[str, typer.Argument(help="What the configuration will call it.")],
    origin: Annotated[
        str, typer.Argument(metavar="[FILE|URL]", help="Not needed for a well-known name.")
    ] = "",
    sha256: Annotated[str, typer.Option(help="Of the file as it is published.")] = "",
    md5: Annotated[str, typer.Option(help="Likewise, where there is nothing better.")] = "",
    licence: Annotated[str, typer.Option(help="SPDX identifier, like Apache-2.0.")] = "",
    like: Annotated[str, typer.Option(help="A known ONNX model that it is used as.")] = "",
    takes: Annotated[
        str, typer.Option("--input", help="For ONNX, as in a manifest: '{size: 1024, mean: 0.5}'.")
    ] = "",
    gives: Annotated[str, typer.Option("--output", help="Likewise: '{activation: sigmoid}'.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Replace a model of that name.")] = False,
    config: ConfigOption = None,
    root: RootOption = None,
    state: StateOption = None,
    sets: SetOption = None,
) -> None:
    """Fetch, check and install a model. Example: retouchd models add big-lama --root DIR

    Takes .ckpt, TorchScript .pt and .safetensors files of a LaMa, the original folder with
    models/best.ckpt, or a URL. None of the code in them is run; what is installed is safetensors.
    Networks for matting are .safetensors of retouchd's own training, and .onnx files, which see
    one picture before they are installed.
    """
    folder = choose(config, root, sets, state).read().models_folder
    from retouchd.adding import Wish, add

    parts = {"input": parse_part(name, takes), "output": parse_part(name, gives)}
    wish = Wish(name, origin, sha256, md5, licence, force, like, **parts)
    with downloading(name, shown=sys.stderr.isatty()) as tell:
        spec = add(wish, folder, tell)
    typer.echo(f"{name}: installed as {spec.path}, sha256 {spec.sha256}")
    typer.echo(f"  licence {spec.licence or 'unknown'}; use it with --model {name}, or as a")
    typer.echo("  lane's `model` in the configuration; a service that runs needs a restart.")


@app.command("verify")
def verify_models(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME|PATH]...")] = None,
    config: ConfigOption = None,
    root: RootOption = None,
    state: StateOption = None,
    sets: SetOption = None,
) -> None:
    """Check that weights are what their manifest says. Example: retouchd models verify --root DIR

    Without a name, every model that the configuration uses. Each is loaded, too.
    """
    found = choose(config, root, sets, state).read()
    wanted = names or sorted({lane.model for lane in found.lanes})
    bad = 0
    for name in wanted:
        try:
            spec = resolve(name, found.models_folder)
            verify(spec)
            check_loadable(spec)
        except ModelUnusable as error:
            typer.echo(f"{name}: {error.message} {error.advice}", err=True)
            bad = error.exit_code
        else:
            typer.echo(f"{name}: {_found(spec, known=name in available(found.models_folder))}")
    raise typer.Exit(bad)


def _found(spec: ModelSpec, *, known: bool) -> str:
    if spec.path is None:
        return "built in, it has no weights to verify"
    good = "good" if known else "it loads, but no manifest says what it should be"
    return f"{good}, sha256 {spec.sha256}"


def _plain(spec: ModelSpec) -> dict[str, str | bool | None]:
    return {
        "name": spec.name,
        "architecture": spec.architecture,
        "path": str(spec.path) if spec.path else None,
        "sha256": spec.sha256,
        "installed": True,
        "licence": spec.licence,
        "source": spec.source,
        "notes": " ".join(spec.notes.split()),
    }


def _offered(name: str, entry: Entry) -> dict[str, str | bool | None]:
    return {
        "name": name,
        "architecture": entry.architecture,
        "path": None,
        "sha256": None,
        "installed": False,
        "licence": entry.licence,
        "source": entry.url,
        "notes": " ".join(entry.notes.split()),
    }
