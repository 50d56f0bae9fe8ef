"""`service install`: what is written, and what is never written over."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from retouchd.config import Config, parse
from retouchd.errors import CannotInstall, ConfigInvalid
from retouchd.installing import (
    FIRST_CONFIG,
    PlannedFile,
    Surroundings,
    apply,
    config_to_install,
    look_around,
    next_commands,
    plan_install,
    preview,
    remarks,
)
from retouchd.mounts import Mount
from retouchd.unitfile import quoted, writable

CONFIG_PATH = Path("/etc/retouchd/config.yaml")
EXECUTABLE = Path("/opt/retouchd/bin/retouchd")


def config_of(*lanes: str, state: str = "/var/lib/retouchd") -> Config:
    return parse(f"state: {state}\nlanes: [{', '.join(lanes)}]", "test")


ONE = config_of("{name: one, root: /srv/one}")


@pytest.fixture
def around() -> Surroundings:
    """The real texts on a machine with one local disk."""
    return replace(look_around(), mounts=(Mount("/", "ext4", "/dev/sda"),), reads=())


def contents(
    config: Config, around: Surroundings, user: str = "retouchd", executable: Path = EXECUTABLE
) -> dict[str, str]:
    files = plan_install(config, CONFIG_PATH, executable, user, Path("/"), surroundings=around)
    return {str(file.path): file.content for file in files}


def unit_of(config: Config, around: Surroundings, **more: object) -> dict[str, str]:
    text = contents(config, around, **more)["/etc/systemd/system/retouchd.service"]
    pairs = (line.partition("=") for line in text.splitlines() if not line.startswith("#"))
    return {key: value for key, equals, value in pairs if equals}


def tmpfiles_of(config: Config, around: Surroundings) -> list[str]:
    lines = contents(config, around)["/etc/tmpfiles.d/retouchd.conf"].splitlines()
    return [line for line in lines if not line.startswith("#")]


def test_the_default_installation_is_the_unit_that_comes_with_retouchd(
    around: Surroundings,
) -> None:
    first = parse(FIRST_CONFIG, "first")
    written = contents(first, around)

    assert written["/etc/systemd/system/retouchd.service"] == around.unit
    assert written["/etc/sysusers.d/retouchd.conf"] == around.sysusers
    assert written["/etc/tmpfiles.d/retouchd.conf"] == around.tmpfiles
    assert written[str(CONFIG_PATH)] == FIRST_CONFIG


def test_everything_lands_below_the_prefix_and_speaks_of_the_real_paths(
    tmp_path: Path, around: Surroundings
) -> None:
    files = plan_install(ONE, CONFIG_PATH, EXECUTABLE, "me", tmp_path, surroundings=around)

    assert all(file.path.is_relative_to(tmp_path) for file in files)
    assert not any(str(tmp_path) in file.content for file in files)


def test_the_unit_starts_the_program_that_installed_it(around: Surroundings) -> None:
    unit = unit_of(ONE, around, executable=Path("/usr/local/my tools/retouchd"), user="photos")

    assert unit["ExecStart"] == (
        '"/usr/local/my tools/retouchd" run --config /etc/retouchd/config.yaml'
    )
    assert unit["User"] == unit["Group"] == "photos"


def test_folders_beside_each_other_are_opened_together_so_that_renames_work() -> None:
    config = config_of(
        "{name: one, root: /srv/one}",
        "{name: two, root: /srv/two, outbox: /data/out}",
        "{name: three, inbox: /srv/a, outbox: /srv/b, archive: /srv/c, failed: /srv/d}",
    )

    shown = [str(path) for path in writable(config)]

    assert shown == ["/data/out", "/srv/a", "/srv/b", "/srv/c", "/srv/d", "/srv/one", "/srv/two"]


def test_a_state_folder_of_ones_own_is_opened_and_made(around: Surroundings) -> None:
    config = config_of("{name: one, root: /srv/one}", state="/data/ledger")
    unit = unit_of(config, around)

    assert unit["ReadWritePaths"] == "-/data/ledger -/srv/one"
    assert unit["WorkingDirectory"] == "-/data/ledger"
    assert "StateDirectory" not in unit
    assert "d /data/ledger :0750 :retouchd :retouchd -" in tmpfiles_of(config, around)


@pytest.mark.parametrize(
    ("root", "home", "private"),
    [
        ("/srv/one", "yes", "yes"),
        ("/home/anna/retouch", "read-only", "yes"),
        ("/tmp/one", "yes", "no"),
    ],
)
def test_home_and_temporary_folders_are_hidden_unless_the_lanes_are_there(
    around: Surroundings, root: str, home: str, private: str
) -> None:
    unit = unit_of(config_of(f"{{name: one, root: {root}}}"), around)

    assert (unit["ProtectHome"], unit["PrivateTmp"]) == (home, private)


def test_home_folders_are_not_hidden_from_a_program_that_lies_there(around: Surroundings) -> None:
    around = replace(around, reads=(Path("/home/anna/venv"),))

    assert unit_of(ONE, around)["ProtectHome"] == "read-only"


def test_folders_on_a_file_server_are_not_made_below_its_mount_point(
    around: Surroundings,
) -> None:
    away = Mount("/mnt/nas", "nfs4", "nas:/photos")
    around = replace(around, mounts=(*around.mounts, away))
    config = config_of("{name: one, root: /srv/one, outbox: /mnt/nas/out}")

    assert not any("/mnt/nas" in line for line in tmpfiles_of(config, around))
    assert any("/srv/one/inbox" in line for line in tmpfiles_of(config, around))
    (remark,) = remarks(config, CONFIG_PATH, EXECUTABLE, around)
    assert "/mnt/nas/out is on a file server (nfs4)" in remark


def test_a_program_that_the_service_user_can_not_reach_is_remarked(around: Surroundings) -> None:
    (remark,) = remarks(ONE, CONFIG_PATH, Path("/root/venv/bin/retouchd"), around)

    assert "/root/venv/bin/retouchd" in remark


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("/srv/retouch", "/srv/retouch"),
        ("/srv/my photos", '"/srv/my photos"'),
        ("/srv/100%", "/srv/100%%"),
        ('/srv/a"b', '"/srv/a\\"b"'),
        ("/srv/a\\b", '"/srv/a\\\\b"'),
        ("/srv/ä", "/srv/ä"),
    ],
)
def test_names_are_quoted_as_systemd_reads_them(text: str, written: str) -> None:
    assert quoted(text) == written


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)
def test_systemd_has_nothing_to_say_against_a_unit_with_odd_names(
    tmp_path: Path, around: Surroundings
) -> None:
    odd = tmp_path / 'odd "50%" $HOME \\ name'
    program = tmp_path / "odd 50% $HOME" / "retouchd"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    lane = {"name": "one", "root": str(odd)}
    config = Config.model_validate({"state": str(odd / "state"), "lanes": [lane]})
    config_path = odd / "config.yaml"
    files = plan_install(config, config_path, program, "root", tmp_path, surroundings=around)
    apply(files)

    answer = subprocess.run(
        ["systemd-analyze", "verify", str(files[0].path)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")


@pytest.mark.parametrize("user", ["", "Anna B", "a:b", "-x", "a\nExecStart=/bin/evil"])
def test_a_name_that_no_user_can_have_is_refused(around: Surroundings, user: str) -> None:
    with pytest.raises(ConfigInvalid, match="--user"):
        contents(ONE, around, user=user)


def test_a_folder_with_a_line_break_can_not_add_lines_to_the_unit(around: Surroundings) -> None:
    lane = {"name": "one", "root": "/srv/a\nExecStartPre=/bin/evil"}
    config = Config.model_validate({"lanes": [lane]})

    with pytest.raises(ConfigInvalid, match="such characters"):
        contents(config, around)


def test_a_program_that_systemd_would_not_start_is_refused(around: Surroundings) -> None:
    with pytest.raises(ConfigInvalid, match="quotes or backslashes"):
        contents(ONE, around, executable=Path('/opt/re"touchd'))


def test_a_relative_path_is_refused(around: Surroundings) -> None:
    with pytest.raises(ConfigInvalid, match="not an absolute path"):
        contents(ONE, around, executable=Path("bin/retouchd"))
    with pytest.raises(ConfigInvalid, match=r"--config: 'config\.yaml' is not an absolute path"):
        config_to_install(Path("config.yaml"), Path("/"))


def test_files_are_written_with_their_folders_and_a_second_time_nothing_happens(
    tmp_path: Path,
) -> None:
    file = PlannedFile(tmp_path / "etc/a.conf", "new\n")

    assert apply([file]) == (f"wrote {file.path}",)
    assert file.path.read_text() == "new\n"
    assert oct(file.path.stat().st_mode & 0o777) == "0o644"
    assert apply([file]) == (f"left {file.path}, which is right already",)
    assert os.listdir(tmp_path / "etc") == ["a.conf"]


def test_what_was_there_is_kept_under_another_name_every_time(tmp_path: Path) -> None:
    path = tmp_path / "a.conf"
    path.write_text("mine\n")

    assert apply([PlannedFile(path, "one\n")]) == (f"replaced {path}; the old one is {path}.bak",)
    assert apply([PlannedFile(path, "two\n")]) == (f"replaced {path}; the old one is {path}.2.bak",)

    texts = {name: (tmp_path / name).read_text() for name in os.listdir(tmp_path)}
    assert texts == {"a.conf": "two\n", "a.conf.bak": "mine\n", "a.conf.2.bak": "one\n"}


def test_a_configuration_that_is_there_is_never_touched(tmp_path: Path) -> None:
    there = tmp_path / "etc/retouchd/config.yaml"
    there.parent.mkdir(parents=True)
    there.write_text("lanes: [{name: mine, root: /data/mine}]\n")

    config = config_to_install(CONFIG_PATH, tmp_path)
    files = plan_install(
        config, CONFIG_PATH, EXECUTABLE, "retouchd", tmp_path, surroundings=look_around()
    )
    done = apply(files)

    assert there.read_text() == "lanes: [{name: mine, root: /data/mine}]\n"
    assert f"kept {there}, which is yours" in done
    assert "ReadWritePaths=-/data/mine" in files[0].content


def test_the_first_configuration_is_used_where_there_is_none(tmp_path: Path) -> None:
    assert config_to_install(CONFIG_PATH, tmp_path) == parse(FIRST_CONFIG, "first")


def test_a_masked_unit_is_kept_as_the_link_that_it_is(tmp_path: Path) -> None:
    path = tmp_path / "retouchd.service"
    path.symlink_to("/dev/null")

    apply([PlannedFile(path, "unit\n")])

    assert path.read_text() == "unit\n"
    assert os.readlink(f"{path}.bak") == "/dev/null"


def test_a_preview_says_the_same_and_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old\n")
    files = [PlannedFile(tmp_path / "old", "new\n"), PlannedFile(tmp_path / "x/new", "new\n")]

    shown = preview(files)

    assert os.listdir(tmp_path) == ["old"]
    assert shown == apply(files)


def test_a_place_that_can_not_be_written_is_told_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "etc").write_text("a file where a folder should be")

    with pytest.raises(CannotInstall, match="can't be written") as caught:
        apply([PlannedFile(tmp_path / "etc/a.conf", "x")])

    assert "--prefix" in caught.value.advice


def test_the_next_commands_are_those_of_a_running_system() -> None:
    commands = next_commands(CONFIG_PATH, EXECUTABLE, "retouchd", Path("/"))

    assert [re.split(r"[ /]", command)[0] for command in commands] == [
        "systemd-sysusers",
        "systemd-tmpfiles",
        "sudo",
        "systemctl",
        "systemctl",
    ]
    assert commands[-1] == "systemctl enable --now retouchd"


def test_a_service_that_was_there_before_is_restarted() -> None:
    commands = next_commands(CONFIG_PATH, EXECUTABLE, "retouchd", Path("/"), again=True)

    assert commands[-1] == "systemctl restart retouchd"


def test_for_a_prefix_the_commands_leave_this_system_alone() -> None:
    commands = next_commands(CONFIG_PATH, EXECUTABLE, "retouchd", Path("/mnt/my image"))

    assert all("--root='/mnt/my image'" in command for command in commands)
