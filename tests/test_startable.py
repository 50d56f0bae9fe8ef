"""`config check` says whether a service could start, where it could not, and why."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from helpers.studio import file as picture
from helpers.studio import product
from retouchd import startable
from retouchd.cli.app import app
from retouchd.config import Config, for_root, load
from retouchd.errors import ConfigInvalid, ModelUnusable
from retouchd.lane_models import models_of
from retouchd.mounts import Mount
from retouchd.startable import check_models, flaws

MATTE = "task: matte"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "c.yaml"


def write(file: Path, *lane: str) -> Config:
    lines = [f"state: {file.parent}/state", "lanes:", "- name: web", f"  root: {file.parent}/web"]
    file.write_text("\n".join([*lines, *(f"  {line}" for line in lane)]), encoding="utf-8")
    return load(file)


def check(*words: str) -> Any:
    return CliRunner().invoke(app, ["config", "check", *words])


@pytest.mark.parametrize(
    ("lane", "cause", "fix"),
    [
        (("model: lama",), "lama can't be used: there is no such model", "The models are patch"),
        (("model: clasical",), "there is no such model", "Did you mean 'classical'?"),
        (("model: cvunet-compact",), "is a model for matte", "retouchd models list"),
        (("model: classical", MATTE), "is a model for inpaint", "retouchd models list"),
        (("model: /mnt/nas/big-lama.pt",), "No such file or directory", "Check the path"),
        (
            ("model: big-lama",),
            "it is known, but not installed yet",
            "retouchd models add big-lama",
        ),
        (("model: net.onnx", MATTE), "needs an entry", "models add NAME net.onnx"),
    ],
)
def test_a_model_that_no_start_could_use_is_refused_with_line_and_key(
    file: Path, lane: tuple[str, ...], cause: str, fix: str
) -> None:
    found = write(file, *lane)
    error = check("-c", str(file)).exception

    assert isinstance(error, ConfigInvalid)
    assert error.exit_code == 2
    assert f"{file}, line 5, lanes[0] (web), model: " in error.message
    assert cause in error.message
    assert fix in error.advice
    with pytest.raises((ConfigInvalid, ModelUnusable)):
        models_of(found)


def test_weights_that_were_taken_away_or_only_promised_are_missed(file: Path) -> None:
    write(file, "model: mine")
    models = file.parent / "state" / "models"
    models.mkdir(parents=True)
    digest = hashlib.sha256(b"x").hexdigest()
    (models / "manifest.yaml").write_text(
        f"models: {{mine: {{architecture: lama, file: mine.pt, sha256: {digest}}}}}\n"
    )
    assert "mine.pt can't be read (No such file" in str(check("-c", str(file)).exception)
    (models / "mine.pt").write_bytes(b"x")
    assert check("-c", str(file)).exit_code == 0
    (models / "mine.pt").unlink()
    (models / "mine.pt").mkdir()
    assert "can't be" in str(check("-c", str(file)).exception)


def test_a_file_of_weights_is_looked_at_and_not_hashed(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have gigabytes."""
    weights = file.with_name("mine.ckpt")
    weights.write_bytes(b"x")
    write(file, f"model: {weights}")
    monkeypatch.setattr("hashlib.file_digest", lambda *given: pytest.fail("it was hashed"))
    assert check("-c", str(file)).exit_code == 0


def test_what_the_command_line_named_is_blamed_on_the_command_line(tmp_path: Path) -> None:
    error = check("--root", str(tmp_path), "--model", "lama").exception
    assert "used. --model lama: lama can't be used" in str(error)
    error = check("--root", str(tmp_path), "--set", "lanes.inpaint.model=lama").exception
    assert "used. --set lanes.inpaint.model=lama, lanes[0] (inpaint), model" in str(error)


def test_the_command_line_is_not_blamed_for_the_models_of_other_lanes(file: Path) -> None:
    root = file.parent
    file.write_text(
        f"state: {root}/state\nlanes:\n"
        f"- {{name: web, root: {root}/web}}\n"
        f"- {{name: cut, root: {root}/cut, task: matte, model: nope}}\n"
    )
    error = str(check("-c", str(file), "--model", "classical").exception)
    assert f"{file}, line 4, lanes[1] (cut), model: nope can't be used" in error
    assert "--model classical" not in error


def test_what_is_sound_is_valid(file: Path, tmp_path: Path) -> None:
    write(file, MATTE)
    assert check("-c", str(file)).output == "the configuration is valid; lanes: web\n"
    assert flaws(for_root(tmp_path)) == []


def test_a_missing_background_pauses_a_lane_and_is_a_warning(file: Path) -> None:
    write(file, MATTE, "matte:", "  fill: 0.5", f"  background: {file.parent}/nope.jpg")
    said = check("-c", str(file))
    assert said.exit_code == 0
    assert f"line 8, lanes[0] (web), matte.background: {file.parent}/nope.jpg" in said.output
    assert "is not there" in said.output
    (file.parent / "nope.jpg").write_bytes(picture(product()))
    assert "warning" not in check("-c", str(file)).output


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"hello", "is not an image that can be read"),
        (picture(Image.new("CMYK", (9, 9)), "JPEG"), "it is a CMYK JPEG.\n"),
        (picture(product(), "JPEG")[:-300], "is incomplete"),
    ],
)
def test_a_background_that_no_photo_can_be_put_on_is_a_warning(
    file: Path, content: bytes, cause: str
) -> None:
    wall = file.with_name("wall")
    wall.write_bytes(content)
    write(file, MATTE, f"matte: {{background: {wall}}}")
    said = check("-c", str(file))
    assert said.exit_code == 0
    assert f"matte.background: The background {wall} can't be used: " in said.output
    assert cause in said.output


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_a_background_that_is_no_file_is_a_warning_and_not_waited_for(
    file: Path, make: Callable[[Path], None]
) -> None:
    wall = file.with_name("wall")
    make(wall)
    write(file, MATTE, f"matte: {{background: {wall}}}")
    assert f"{wall} is no file" in check("-c", str(file)).output


def test_what_lies_on_a_share_is_left_to_doctor(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = write(file, MATTE, "matte: {background: /nope.jpg}")
    assert len(flaws(found)) == 1
    monkeypatch.setattr(startable, "read_mounts", lambda: [Mount("/", "nfs4", "nas:/")])
    assert flaws(found) == []


def test_a_running_service_looks_at_no_share(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may hang, and all lanes with it."""
    found = write(file, "model: /mnt/nas/big-lama.pt")
    with pytest.raises(ConfigInvalid, match=r"lane web, model: .* No such file|can't be read"):
        check_models(found)
    monkeypatch.setattr(startable, "read_mounts", lambda: [Mount("/mnt", "nfs4", "nas:/")])
    check_models(found)


def test_a_running_service_opens_no_file_on_a_share_that_its_manifest_names(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = write(file, "model: mine")
    found.models_folder.mkdir(parents=True)
    (found.models_folder / "manifest.yaml").write_text(
        f"models: {{mine: {{architecture: lama, file: /mnt/nas/w.ckpt, sha256: {'a' * 64}}}}}\n"
    )
    with pytest.raises(ConfigInvalid, match=r"w\.ckpt can't be read"):
        check_models(found)
    monkeypatch.setattr(startable, "read_mounts", lambda: [Mount("/mnt", "nfs4", "nas:/")])
    check_models(found)


@pytest.fixture
def closed(file: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """A lane whose weights this user may not read."""
    weights = file.with_name("mine.ckpt")
    weights.write_bytes(b"x")

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("retouchd.weightfile.opened", refuse)
    return write(file, f"model: {weights}")


def test_a_running_service_that_may_not_read_a_model_asks_for_the_right(closed: Config) -> None:
    with pytest.raises(ConfigInvalid, match="Permission denied") as error:
        check_models(closed)
    assert error.value.advice == "Give the service's user the right to read it."


@pytest.mark.usefixtures("closed")
def test_what_this_user_may_not_see_is_a_warning(file: Path) -> None:
    """An administrator need not be the service's user, whose folder is closed to others."""
    said = check("-c", str(file))
    assert said.exit_code == 0
    assert "Permission denied" in said.output
    assert "sudo -u retouchd" in said.output
