"""The unit that comes with retouchd: systemd accepts it, and it gives the service little."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

import retouchd
from retouchd.config import Config, Lane
from retouchd.resources import resource

FOLDER = resource("systemd")
MOST_EXPOSURE = 2.0

needs_analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


def run(*command: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SYSTEMD_PAGER": "", "LC_ALL": "C.UTF-8"}
    return subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit as a copy whose program exists: systemd-analyze complains where it does not."""
    text = (FOLDER / "retouchd.service").read_text()
    assert "ExecStart=/opt/retouchd/bin/retouchd run" in text
    copy = tmp_path / "retouchd.service"
    copy.write_text(text.replace("/opt/retouchd/bin/retouchd", "/bin/true"))
    return copy


def add_drop_in(unit: Path, name: str) -> None:
    folder = unit.with_name("retouchd.service.d")
    folder.mkdir(exist_ok=True)
    shutil.copy(FOLDER / "retouchd.service.d" / f"{name}.conf.example", folder / f"{name}.conf")


def exposure(unit: Path) -> float:
    answer = run("systemd-analyze", "security", "--offline=true", "--no-pager", unit)
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", answer.stdout)
    assert found, answer.stdout + answer.stderr
    return float(found[1])


@pytest.fixture
def settings() -> dict[str, list[str]]:
    found = defaultdict(list)
    for line in (FOLDER / "retouchd.service").read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found[key].append(value)
    return found


@needs_analyze
def test_systemd_has_nothing_to_say_against_the_unit(unit: Path) -> None:
    answer = run("systemd-analyze", "verify", unit)

    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")


@needs_analyze
def test_a_wrong_key_would_show_in_that_test(unit: Path) -> None:
    unit.write_text(unit.read_text().replace("UMask=", "UMaks="))

    assert "UMaks" in run("systemd-analyze", "verify", unit).stderr


@needs_analyze
@pytest.mark.parametrize("name", ["cuda", "nas"])
def test_systemd_has_nothing_to_say_against_the_drop_ins(unit: Path, name: str) -> None:
    add_drop_in(unit, name)

    answer = run("systemd-analyze", "verify", unit)

    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")


@needs_analyze
def test_the_service_is_exposed_little(unit: Path) -> None:
    assert exposure(unit) <= MOST_EXPOSURE


@needs_analyze
def test_the_service_is_exposed_little_with_a_gpu_and_a_share_as_well(unit: Path) -> None:
    add_drop_in(unit, "cuda")
    add_drop_in(unit, "nas")

    assert exposure(unit) <= MOST_EXPOSURE


def test_the_service_is_restarted_for_ever_but_not_where_it_is_no_use(
    settings: dict[str, list[str]],
) -> None:
    assert settings["Restart"] == ["always"]
    assert settings["StartLimitIntervalSec"] == ["0"]
    assert settings["RestartPreventExitStatus"] == ["2 4"]


def test_systemd_waits_longer_than_the_service_drains(settings: dict[str, list[str]]) -> None:
    drain = Config.model_fields["drain"].default

    assert int(settings["TimeoutStopSec"][0]) >= 2 * drain


def test_the_user_is_the_one_that_sysusers_makes(settings: dict[str, list[str]]) -> None:
    line = (FOLDER / "retouchd-sysusers.conf").read_text().splitlines()[-1]

    assert settings["User"] == settings["Group"] == [line.split()[1]]
    assert "DynamicUser" not in settings


def test_the_code_asks_for_no_set_group_id_bit_which_the_unit_refuses(
    settings: dict[str, list[str]],
) -> None:
    assert settings["RestrictSUIDSGID"] == ["yes"]
    # mkdir(2) ignores the bit and takes it from the parent folder, but the filter refuses it.
    package = Path(retouchd.__file__).parent
    asking = [
        f"{path.relative_to(package)}: {found[0]}"
        for path in package.rglob("*.py")
        for found in re.finditer(r"0o[2-7]\d{3}\b", path.read_text(encoding="utf-8"))
    ]

    assert asking == []


def test_the_default_folders_are_made_and_can_be_written(settings: dict[str, list[str]]) -> None:
    lane = Lane.model_validate({"name": "inpaint", "root": "/srv/retouch"})
    lines = (FOLDER / "retouchd-tmpfiles.conf").read_text().splitlines()
    made = [line.split()[1] for line in lines if line.startswith("d ")]

    assert {str(folder) for folder in lane.folders.values()} <= set(made)
    assert settings["ReadWritePaths"] == ["-/srv/retouch"]


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("systemd-tmpfiles") is None,
    reason="making users and giving folders away takes root and systemd",
)
def test_user_and_folders_come_into_being_and_foreign_folders_stay(tmp_path: Path) -> None:
    theirs = tmp_path / "srv/retouch/inbox"
    theirs.mkdir(parents=True)
    theirs.chmod(0o700)
    for kind in ("sysusers", "tmpfiles"):
        folder = tmp_path / f"etc/{kind}.d"
        folder.mkdir(parents=True)
        shutil.copy(FOLDER / f"retouchd-{kind}.conf", folder / "retouchd.conf")

    users = run("systemd-sysusers", f"--root={tmp_path}", "retouchd.conf")
    folders = run("systemd-tmpfiles", f"--root={tmp_path}", "--create", "retouchd.conf")

    assert (users.returncode, folders.returncode, folders.stderr) == (0, 0, "")
    entry = next(
        line.split(":")
        for line in (tmp_path / "etc/passwd").read_text().splitlines()
        if line.startswith("retouchd:")
    )
    outbox = (tmp_path / "srv/retouch/outbox").stat()
    assert (outbox.st_uid, oct(outbox.st_mode & 0o7777)) == (int(entry[2]), "0o2775")
    assert (theirs.stat().st_uid, oct(theirs.stat().st_mode & 0o7777)) == (0, "0o700")
