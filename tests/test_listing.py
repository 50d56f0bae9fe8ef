"""Listing an inbox: everything that is there, or an error, but never a part of it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from retouchd.errors import IoTrouble, TransientError
from retouchd.listing import MAX_DEPTH, list_names
from retouchd.roots import Root

MakeRoot = Callable[..., Root]


@pytest.fixture
def inbox(make_root: MakeRoot) -> Root:
    return make_root("inbox")


def put(inbox: Root, *names: str) -> None:
    for name in names:
        path = Path(inbox.ref.path, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def names(inbox: Root, ignore: tuple[str, ...] = (), excluded: tuple[str, ...] = ()) -> list[str]:
    return sorted(found.path for found in list_names(inbox, ignore, excluded))


def test_files_of_all_folders_are_found_with_their_inodes(inbox: Root) -> None:
    put(inbox, "a.png", "album/b.png", "album/deep/c.png")
    found = {f.path: f.inode for f in list_names(inbox, (), ())}
    assert found == {
        name: Path(inbox.ref.path, name).stat().st_ino
        for name in ("a.png", "album/b.png", "album/deep/c.png")
    }


def test_listing_twice_through_one_descriptor_finds_the_same(inbox: Root) -> None:
    put(inbox, "a.png", "b.png")
    assert names(inbox) == names(inbox) == ["a.png", "b.png"]


def test_our_own_marker_and_copies_under_way_are_left_out(inbox: Root) -> None:
    put(inbox, "a.png", "a.png.part", ".hidden/b.png", "@eaDir/c.png", ".retouchd-x.tmp")
    assert names(inbox) == ["a.png"]


def test_a_lanes_own_patterns_and_another_lanes_inbox_are_left_out(inbox: Root) -> None:
    put(inbox, "a.png", "b.psd", "matte/c.png", "matte2/d.png")
    assert names(inbox, ("*.psd",), ("matte",)) == ["a.png", "matte2/d.png"]


def test_links_and_pipes_are_told_apart_and_links_to_folders_not_entered(
    inbox: Root, tmp_path: Path
) -> None:
    put(inbox, "a.png")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.png").touch()
    Path(inbox.ref.path, "folder").symlink_to(tmp_path / "outside")
    Path(inbox.ref.path, "loop").symlink_to(".")
    Path(inbox.ref.path, "l.png").symlink_to("a.png")
    os.mkfifo(Path(inbox.ref.path, "p.png"))
    plain = {f.path: f.plain for f in list_names(inbox, (), ())}
    assert plain == {"a.png": True, "folder": False, "loop": False, "l.png": False, "p.png": False}


def test_names_of_any_bytes_are_found(inbox: Root) -> None:
    strange = [b"caf\xe9.png", b"new\nline.png", "ü.png".encode(), b"\xff"]
    for name in strange:
        os.close(os.open(name, os.O_CREAT | os.O_WRONLY, dir_fd=inbox.fd))
    assert sorted(map(os.fsencode, names(inbox))) == sorted(strange)


def test_folders_without_end_have_an_end(inbox: Root) -> None:
    put(inbox, "/".join("d" * (MAX_DEPTH - 1)) + "/found.png")
    put(inbox, "/".join("d" * (MAX_DEPTH + 5)) + "/too-deep.png")
    assert [name.rpartition("/")[2] for name in names(inbox)] == ["found.png"]


def test_a_folder_that_vanishes_meanwhile_is_skipped(
    inbox: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(inbox, "a.png", "gone/b.png")
    _answer_for("gone", FileNotFoundError(errno.ENOENT, "gone"), monkeypatch)
    assert names(inbox) == ["a.png"]


def test_a_folder_that_can_not_be_read_fails_the_scan_and_is_named(
    inbox: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A partial listing would look as if files had been deleted."""
    put(inbox, "a.png", "bad/b.png")
    _answer_for("bad", OSError(errno.EIO, "Input/output error"), monkeypatch)
    with pytest.raises(IoTrouble, match="inbox/bad "):
        list_names(inbox, (), ())


def test_no_descriptor_stays_open_after_trouble(
    inbox: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(inbox, "x/y/bad/b.png")
    before = len(os.listdir("/proc/self/fd"))
    _answer_for("bad", OSError(errno.EIO, "Input/output error"), monkeypatch)
    with pytest.raises(TransientError):
        list_names(inbox, (), ())
    assert len(os.listdir("/proc/self/fd")) == before


def _answer_for(folder: str, error: OSError, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = os.open

    def answer(path: Any, *more: Any, **options: Any) -> int:
        if path == folder:
            raise error
        return opened(path, *more, **options)

    monkeypatch.setattr(os, "open", answer)
