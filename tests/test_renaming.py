"""One contract over the three ways to rename without replacing."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from retouchd import renaming

Rename = Callable[[int, str, int, str], None]


def _no_renameat2(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a file system that does not know RENAME_NOREPLACE, like NFS."""

    def refuse(*_: Any) -> int:
        import ctypes

        ctypes.set_errno(errno.EINVAL)
        return -1

    monkeypatch.setattr(renaming, "_renameat2", lambda: refuse)


def _no_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on one that knows no hard links either, like exFAT."""
    _no_renameat2(monkeypatch)

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)


@pytest.fixture(params=["renameat2", "link", "look", "no libc function"])
def rename(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Rename:
    if request.param == "link":
        _no_renameat2(monkeypatch)
    elif request.param == "look":
        _no_links(monkeypatch)
    elif request.param == "no libc function":
        monkeypatch.setattr(renaming, "_renameat2", lambda: None)
    return renaming.rename_without_replacing


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


def test_the_file_has_its_new_name_and_only_that(
    rename: Rename, folder: int, tmp_path: Path
) -> None:
    (tmp_path / "old").write_bytes(b"data")
    inode = (tmp_path / "old").stat().st_ino
    rename(folder, "old", folder, "new")
    assert os.listdir(tmp_path) == ["new"]
    assert (tmp_path / "new").read_bytes() == b"data"
    assert (tmp_path / "new").stat().st_ino == inode


def test_it_moves_between_folders(rename: Rename, folder: int, tmp_path: Path) -> None:
    (tmp_path / "old").touch()
    (tmp_path / "sub").mkdir()
    sub = os.open(tmp_path / "sub", os.O_RDONLY)
    rename(folder, "old", sub, "new")
    os.close(sub)
    assert (tmp_path / "sub" / "new").exists()


@pytest.mark.parametrize("taken", ["file", "folder", "dangling link", "same inode"])
def test_a_name_that_is_taken_stays_as_it_is(
    rename: Rename, folder: int, tmp_path: Path, taken: str
) -> None:
    (tmp_path / "old").write_bytes(b"ours")
    new = tmp_path / "new"
    if taken == "file":
        new.write_bytes(b"theirs")
    elif taken == "folder":
        new.mkdir()
    elif taken == "dangling link":
        new.symlink_to("nowhere")
    else:
        try:
            os.link(tmp_path / "old", new)
        except PermissionError:
            pytest.skip("this stand-in is for file systems without hard links")
    before = new.lstat()
    with pytest.raises(FileExistsError):
        rename(folder, "old", folder, "new")
    assert new.lstat().st_ino == before.st_ino
    assert (tmp_path / "old").read_bytes() == b"ours"


def test_a_source_that_is_gone_says_so(rename: Rename, folder: int) -> None:
    with pytest.raises(FileNotFoundError):
        rename(folder, "old", folder, "new")


def test_names_that_are_not_utf8_work(rename: Rename, folder: int, tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    (tmp_path / name).touch()
    rename(folder, name, folder, name + "2")
    assert os.listdir(os.fsencode(tmp_path)) == [b"caf\xe92"]


def test_a_link_itself_is_renamed_and_not_its_target(
    rename: Rename, folder: int, tmp_path: Path
) -> None:
    (tmp_path / "old").symlink_to("nowhere")
    rename(folder, "old", folder, "new")
    assert os.readlink(tmp_path / "new") == "nowhere"


def test_another_file_system_is_told_apart(rename: Rename, folder: int, tmp_path: Path) -> None:
    """The caller then copies; any other errno would be taken for trouble."""
    if os.stat("/dev/shm").st_dev == tmp_path.stat().st_dev:
        pytest.skip("/dev/shm is not a file system of its own here")
    (tmp_path / "old").touch()
    other = os.open("/dev/shm", os.O_RDONLY)
    with pytest.raises(OSError) as caught:  # noqa: PT011
        rename(folder, "old", other, "retouchd-test-new")
    os.close(other)
    assert caught.value.errno == errno.EXDEV
