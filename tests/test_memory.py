"""How much memory there is, also in a container."""

from __future__ import annotations

from pathlib import Path

import pytest

from retouchd import memory

MACHINE = memory.there_is(Path("/nowhere"), Path("/nowhere"))


def told(folder: Path, groups: str, **limits: str) -> int:
    """limits: content of a control file by its path, ``_`` for a slash."""
    (folder / "groups").write_text(groups)
    for name, text in limits.items():
        path = folder / "control" / name.replace("__", "/").replace("_max", ".max")
        path = path.with_name(path.name.replace("_limit", ".limit"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return memory.there_is(folder / "groups", folder / "control")


def test_a_machine_without_limits_has_what_it_has(tmp_path: Path) -> None:
    assert MACHINE > 64 << 20
    assert told(tmp_path, "0::/\n") == MACHINE
    assert told(tmp_path, "0::/a\n", a__memory_max="max\n") == MACHINE
    assert told(tmp_path, "no such line") == MACHINE


@pytest.mark.parametrize("limit", ["1048576", "1048576\n"])
def test_the_limit_of_a_container_counts(tmp_path: Path, limit: str) -> None:
    assert told(tmp_path, "0::/\n", memory_max=limit) == 1 << 20


def test_the_least_of_all_groups_around_counts(tmp_path: Path) -> None:
    found = told(
        tmp_path,
        "0::/a/b\n",
        a__b__memory_max="max",
        a__memory_max="2097152",
        memory_max="4194304",
    )
    assert found == 2 << 20


def test_groups_of_the_first_version_count_as_well(tmp_path: Path) -> None:
    groups = "9:cpu,cpuacct:/x\n4:memory:/x\n0::/\n"
    assert told(tmp_path, groups, memory__x__memory_limit_in_bytes="3145728") == 3 << 20
    # A container sees its own group at the top, under the host's path.
    inside = tmp_path / "inside"
    inside.mkdir()
    assert told(inside, groups, memory__memory_limit_in_bytes="5242880") == 5 << 20


def test_no_limit_in_the_first_version_is_a_huge_number(tmp_path: Path) -> None:
    groups = "4:memory:/\n"
    assert told(tmp_path, groups, memory__memory_limit_in_bytes=str((1 << 63) - 4096)) == MACHINE
