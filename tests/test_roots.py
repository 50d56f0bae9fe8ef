"""A lane's folder is known again by its marker, and never mistaken for another."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from retouchd.errors import IoTrouble, ReadOnly, RootLost
from retouchd.roots import MARKER, Root, establish, open_root


def test_setting_up_makes_the_folder_and_remembers_it(tmp_path: Path) -> None:
    ref = establish("lane", "inbox", str(tmp_path / "a" / "inbox"))
    assert Path(ref.path, MARKER).read_text().strip() == ref.marker
    with open_root(ref) as root:
        assert root.ref == ref
    assert os.listdir(ref.path) == [MARKER]


def test_setting_up_twice_gives_the_same_root(tmp_path: Path) -> None:
    assert establish("lane", "inbox", str(tmp_path)) == establish("lane", "inbox", str(tmp_path))


def test_lanes_that_set_up_a_shared_folder_at_once_agree_on_it(tmp_path: Path) -> None:
    """Otherwise the one that came second would never find its own marker again."""
    for attempt in range(20):
        folder, markers = tmp_path / str(attempt), []
        folder.mkdir()
        barrier = threading.Barrier(4)

        def set_up(folder: Path = folder, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            markers.append(establish("lane", "outbox", str(folder)).marker)  # noqa: B023

        threads = [threading.Thread(target=set_up) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(markers)) == 1
        assert os.listdir(folder) == [MARKER]


def test_an_empty_marker_left_by_a_power_cut_is_written_anew(tmp_path: Path) -> None:
    (tmp_path / MARKER).touch()
    with open_root(establish("lane", "inbox", str(tmp_path))):
        pass


def test_a_folder_that_is_gone_is_a_lost_root(tmp_path: Path) -> None:
    ref = establish("lane", "inbox", str(tmp_path / "inbox"))
    Path(ref.path, MARKER).unlink()
    Path(ref.path).rmdir()
    with pytest.raises(RootLost, match="it is not there"), open_root(ref):
        pass


def test_an_empty_mount_point_is_a_lost_root(tmp_path: Path) -> None:
    """What a share leaves behind when it vanishes: the folder is there, the marker is not."""
    ref = establish("lane", "inbox", str(tmp_path / "inbox"))
    Path(ref.path, MARKER).unlink()
    with pytest.raises(RootLost, match="no marker"), open_root(ref):
        pass


def test_another_share_in_its_place_is_a_lost_root(tmp_path: Path) -> None:
    ref = establish("lane", "inbox", str(tmp_path))
    with pytest.raises(RootLost, match="another folder's marker") as caught:
        with open_root(replace(ref, marker="f" * 32)):
            pass
    assert "retouchd adopt lane" in caught.value.advice


def test_a_file_in_the_place_of_a_root_is_a_lost_root(tmp_path: Path) -> None:
    ref = establish("lane", "inbox", str(tmp_path / "inbox"))
    Path(ref.path, MARKER).unlink()
    Path(ref.path).rmdir()
    Path(ref.path).touch()
    with pytest.raises(RootLost), open_root(ref):
        pass


def test_a_marker_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    ref = establish("lane", "inbox", str(tmp_path / "inbox"))
    marker = Path(ref.path, MARKER)
    marker.rename(tmp_path / "elsewhere")
    marker.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(IoTrouble), open_root(ref):
        pass


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_a_marker_that_is_no_file_neither_blocks_nor_counts(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    ref = establish("lane", "inbox", str(tmp_path / "inbox"))
    Path(ref.path, MARKER).unlink()
    make(Path(ref.path, MARKER))
    with pytest.raises((RootLost, IoTrouble)), open_root(ref):
        pass


def test_a_descriptor_stays_on_the_folder_that_was_checked(
    make_root: Callable[..., Root], tmp_path: Path
) -> None:
    root = make_root("inbox")
    os.rename(root.ref.path, tmp_path / "moved")
    os.mkdir(root.ref.path)
    os.close(os.open("here", os.O_CREAT | os.O_WRONLY, dir_fd=root.fd))
    assert (tmp_path / "moved" / "here").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a read-only place that root can't write to")
def test_a_place_that_can_not_be_written_is_said_to_be_read_only() -> None:
    with pytest.raises((ReadOnly, IoTrouble)):
        establish("lane", "inbox", "/proc/retouchd")


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    ref = establish("lane", "inbox", str(tmp_path))
    for bad in (ref, replace(ref, marker="x"), replace(ref, path=str(tmp_path / "no"))):
        try:
            with open_root(bad):
                pass
        except RootLost:
            continue
    assert len(os.listdir("/proc/self/fd")) == before
