"""Reading and writing below a root: nothing leads out of it, nothing is torn, nothing replaced."""

from __future__ import annotations

import errno
import hashlib
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from retouchd import files
from retouchd.errors import (
    DiskFull,
    FileBusy,
    InTheWay,
    IoTrouble,
    NotARegularFile,
    OutputWrong,
    TooLarge,
    TransientError,
)
from retouchd.job import FileStat
from retouchd.roots import MARKER, Root
from retouchd.walking import check_way

MakeRoot = Callable[..., Root]


@pytest.fixture
def root(make_root: MakeRoot) -> Root:
    return make_root("inbox")


def inside(root: Root, name: str) -> Path:
    return Path(root.ref.path, name)


def drop(root: Root, name: str, data: bytes = b"content") -> FileStat:
    path = inside(root, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    stat = files.stat(root, name)
    assert stat is not None
    return stat


# Names


@pytest.mark.parametrize(
    "name", ["../x", "a/../../x", "/etc/passwd", "", "a//b", "./x", "a/", ".."]
)
def test_a_path_that_is_not_plainly_below_the_root_is_refused(root: Root, name: str) -> None:
    with pytest.raises(TransientError):
        files.read_drop(root, name, 100, FileStat(1, 1, 1))
    with pytest.raises(TransientError):
        files.write_temporary(root, name, b"x")
    assert not inside(root, "../x").exists()


def test_names_that_are_not_utf8_are_read_and_written(root: Root) -> None:
    name = os.fsdecode(b"caf\xe9/\xff.png")
    files.write_temporary(root, name, b"data")
    stat = files.stat(root, name)
    assert stat is not None
    assert files.read_drop(root, name, 100, stat) == b"data"


# Reading what people dropped


def test_a_link_is_not_followed(root: Root, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    inside(root, "photo.png").symlink_to(secret)
    with pytest.raises(NotARegularFile), files.open_drop(root, "photo.png"):
        pass


def test_a_linked_folder_on_the_way_is_not_followed(root: Root, tmp_path: Path) -> None:
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "photo.png").write_bytes(b"secret")
    inside(root, "album").symlink_to(tmp_path / "private")
    with pytest.raises(NotARegularFile), files.open_drop(root, "album/photo.png"):
        pass
    with pytest.raises(TransientError):
        files.write_temporary(root, "album/out.png", b"x")
    assert os.listdir(tmp_path / "private") == ["photo.png"]
    assert files.stat(root, "album/photo.png") is None
    assert files.delete(root, "album/photo.png") is False


def test_a_hard_link_is_refused(root: Root, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    os.link(tmp_path / "secret", inside(root, "photo.png"))
    with pytest.raises(NotARegularFile, match="hard link"), files.open_drop(root, "photo.png"):
        pass


def test_pipes_sockets_devices_and_folders_are_refused_without_waiting(root: Root) -> None:
    os.mkfifo(inside(root, "pipe.png"))
    inside(root, "folder.png").mkdir()
    names = ["pipe.png", "folder.png"]
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(inside(root, "socket.png")))
        names.append("socket.png")
        if os.geteuid() == 0:
            os.mknod(inside(root, "zero.png"), 0o600 | 0o020000, os.makedev(1, 5))
            names.append("zero.png")
        for name in names:
            with pytest.raises(NotARegularFile), files.open_drop(root, name):
                pass
            assert files.sha256(root, name) is None


def test_swapping_a_file_for_a_link_leaks_nothing(root: Root, tmp_path: Path) -> None:
    """A race between the look and the open must never read what lies outside."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"SECRET!")
    stat = drop(root, "photo.png", b"content")
    link, plain, target = inside(root, "l"), inside(root, "p"), inside(root, "photo.png")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            link.symlink_to(secret)
            os.rename(link, target)
            plain.write_bytes(b"content")
            os.rename(plain, target)

    swapper = threading.Thread(target=swap)
    swapper.start()
    seen = set()
    for _ in range(2000):
        try:
            with files.open_drop(root, "photo.png") as (fd, _):
                seen.add(os.read(fd, 100))
        except (NotARegularFile, FileBusy):
            continue
    stop.set()
    swapper.join()
    assert seen <= {b"content", b""}
    assert stat.size == 7


def test_a_file_over_the_limit_is_not_read(root: Root) -> None:
    stat = drop(root, "photo.png", b"x" * 101)
    with pytest.raises(TooLarge, match="100 are allowed"):
        files.read_drop(root, "photo.png", 100, stat)


def test_a_replaced_file_is_busy_even_when_it_is_now_too_large(root: Root) -> None:
    stat = drop(root, "photo.png")
    drop(root, "photo.png", b"x" * 101)
    with pytest.raises(FileBusy):
        files.read_drop(root, "photo.png", 100, stat)


def test_a_file_that_is_gone_is_busy(root: Root) -> None:
    with pytest.raises(FileBusy):
        files.read_drop(root, "photo.png", 100, FileStat(1, 1, 1))


def test_a_file_that_grows_while_it_is_read_is_busy(
    root: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    stat = drop(root, "photo.png")
    read = os.read

    def read_and_append(fd: int, size: int) -> bytes:
        found = read(fd, size)
        with inside(root, "photo.png").open("ab") as file:
            file.write(b"more")
        return found

    monkeypatch.setattr(os, "read", read_and_append)
    with pytest.raises(FileBusy):
        files.read_drop(root, "photo.png", 1 << 20, stat)


# Writing what nobody may see torn


def test_a_temporary_file_holds_what_was_written_and_tells_its_hash(root: Root) -> None:
    data = os.urandom(100_000)
    assert files.write_temporary(root, "x/.t.tmp", data) == hashlib.sha256(data).hexdigest()
    assert inside(root, "x/.t.tmp").read_bytes() == data


def test_a_leftover_of_a_crash_is_replaced(root: Root) -> None:
    drop(root, ".t.tmp", b"torn")
    files.write_temporary(root, ".t.tmp", b"whole")
    assert inside(root, ".t.tmp").read_bytes() == b"whole"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_write_that_fails_leaves_nothing_behind(
    root: Root, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(fd: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(IoTrouble if number == errno.EIO else DiskFull) as caught:
        files.write_temporary(root, ".t.tmp", b"12345")
    assert os.listdir(root.ref.path) == [MARKER]
    assert caught.value.facts["needed"] == 5


def test_what_reads_back_differently_is_not_kept(
    root: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "sha256_at", lambda folder, name: "0" * 64)
    with pytest.raises(OutputWrong):
        files.write_temporary(root, ".t.tmp", b"data")
    assert os.listdir(root.ref.path) == [MARKER]


def test_a_full_disk_is_told_as_such_and_cleaned_up(make_root: MakeRoot) -> None:
    """/dev/full answers every write with ENOSPC; a link to it stands for nothing here, so the
    limit on file sizes plays the full disk."""
    import resource
    import signal

    root = make_root("outbox")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(TransientError):
            files.write_temporary(root, ".t.tmp", b"x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert os.listdir(root.ref.path) == [MARKER]


def test_publishing_makes_the_file_visible_under_its_name(root: Root) -> None:
    files.write_temporary(root, ".t.tmp", b"data")
    stat = files.publish(root, ".t.tmp", "2026-11-21/album/photo.png")
    assert stat == files.stat(root, "2026-11-21/album/photo.png")
    assert not inside(root, ".t.tmp").exists()


def test_publishing_never_replaces(root: Root) -> None:
    drop(root, "photo.png", b"theirs")
    files.write_temporary(root, ".t.tmp", b"ours")
    assert files.publish(root, ".t.tmp", "photo.png") is None
    assert inside(root, "photo.png").read_bytes() == b"theirs"
    assert inside(root, ".t.tmp").read_bytes() == b"ours"


def test_publishing_does_not_replace_a_dangling_link_either(root: Root, tmp_path: Path) -> None:
    inside(root, "photo.png").symlink_to(tmp_path / "nowhere")
    files.write_temporary(root, ".t.tmp", b"ours")
    assert files.publish(root, ".t.tmp", "photo.png") is None
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    ("kind", "said"),
    [("link", "a link to"), ("dangling", "a link to"), ("file", "a file"), ("pipe", "a pipe")],
)
@pytest.mark.parametrize("at", ["2026-11-21", "2026-11-21/album"])
def test_what_is_no_folder_where_one_is_needed_is_named_and_not_followed(
    root: Root, tmp_path: Path, kind: str, said: str, at: str
) -> None:
    """Whoever reads it has to find it, and to know that deleting it is enough."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    put(inside(root, at), kind, elsewhere)
    files.write_temporary(root, ".t.tmp", b"data")
    with pytest.raises(InTheWay, match=said) as caught:
        files.publish(root, ".t.tmp", "2026-11-21/album/photo.png")
    assert f"A folder is needed at {inside(root, at)}, " in caught.value.message
    assert "Move it away or delete it" in caught.value.advice
    assert (caught.value.facts["role"], caught.value.facts["folder"]) == ("inbox", at)
    with pytest.raises(InTheWay, match=said):
        check_way(root, "2026-11-21/album")
    assert os.listdir(elsewhere) == []
    inside(root, at).unlink()
    check_way(root, "2026-11-21/album")
    assert files.publish(root, ".t.tmp", "2026-11-21/album/photo.png")
    check_way(root, "2026-11-21/album")
    check_way(root, "")


def put(path: Path, kind: str, elsewhere: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    if kind == "file":
        path.touch()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(elsewhere if kind == "link" else elsewhere / "nowhere")


def test_looking_at_the_way_makes_nothing(root: Root) -> None:
    before = os.listdir(root.ref.path)
    check_way(root, "2026-11-21/album")
    assert os.listdir(root.ref.path) == before


def test_publishing_a_file_that_is_gone_is_trouble(root: Root) -> None:
    with pytest.raises(IoTrouble):
        files.publish(root, ".t.tmp", "photo.png")


def test_data_is_durable_before_the_name_and_the_name_before_the_answer(
    root: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    """fsync of the file, rename, fsync of the folder, in this order; new folders are synced by
    their parents."""
    steps: list[str] = []
    fsync, mkdir, rename = os.fsync, os.mkdir, files.rename_without_replacing

    def on_fsync(fd: int) -> None:
        steps.append("fsync " + os.path.relpath(os.readlink(f"/proc/self/fd/{fd}"), root.ref.path))
        fsync(fd)

    def on_mkdir(name: str, *more: Any, **options: Any) -> None:
        mkdir(name, *more, **options)
        steps.append(f"mkdir {name}")

    def on_rename(*names: Any) -> None:
        rename(*names)
        steps.append("rename")

    monkeypatch.setattr(os, "fsync", on_fsync)
    monkeypatch.setattr(os, "mkdir", on_mkdir)
    monkeypatch.setattr(files, "rename_without_replacing", on_rename)
    files.write_temporary(root, ".t.tmp", b"data")
    files.publish(root, ".t.tmp", "a/b.png")
    assert steps == ["fsync .t.tmp", "mkdir a", "fsync .", "rename", "fsync a"]


def test_a_share_that_can_not_sync_folders_is_still_written_to(
    root: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some FUSE and VM file systems answer EINVAL; failing there for ever would help nobody."""
    fsync = os.fsync

    def only_files(fd: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{fd}"):
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(fd)

    monkeypatch.setattr(os, "fsync", only_files)
    files.write_temporary(root, ".t.tmp", b"data")
    assert files.publish(root, ".t.tmp", "a/b.png")


# Deleting


def test_only_the_version_that_is_meant_is_deleted(root: Root) -> None:
    stat = drop(root, "old.png")
    os.utime(inside(root, "old.png"), ns=(1, 1))
    assert files.delete(root, "old.png", stat) is False
    now = files.stat(root, "old.png")
    assert now is not None
    assert files.delete(root, "old.png", FileStat(now.size, now.mtime_ns, now.inode + 1)) is False
    assert files.delete(root, "old.png", FileStat(now.size, now.mtime_ns, 0)) is True
    assert files.delete(root, "old.png") is False


def test_links_and_folders_are_never_deleted(root: Root, tmp_path: Path) -> None:
    inside(root, "folder").mkdir()
    inside(root, "link").symlink_to(tmp_path)
    assert files.delete(root, "folder") is False
    assert files.delete(root, "link") is False


def test_emptied_folders_go_up_to_the_root_and_no_further(root: Root) -> None:
    drop(root, "a/b/c/photo.png")
    drop(root, "a/kept.png")
    files.delete(root, "a/b/c/photo.png")
    files.remove_empty_folders(root, "a/b/c/photo.png")
    assert not inside(root, "a/b").exists()
    assert inside(root, "a").exists()
    files.delete(root, "a/kept.png")
    files.remove_empty_folders(root, "a/kept.png")
    assert os.listdir(root.ref.path) == [MARKER]


def test_free_bytes_are_those_of_the_file_system(root: Root) -> None:
    assert 0 < files.free_bytes(root) <= os.statvfs(root.ref.path).f_blocks * 4096 * 1024


def test_no_descriptor_stays_open(root: Root, tmp_path: Path) -> None:
    stat = drop(root, "a/photo.png")
    inside(root, "link").symlink_to(tmp_path)
    before = len(os.listdir("/proc/self/fd"))
    files.read_drop(root, "a/photo.png", 100, stat)
    for name in ("link/x", "a/photo.png/x", "no/x", "../x"):
        for act in (files.write_temporary, lambda r, n, d: files.read_drop(r, n, 9, stat)):
            try:
                act(root, name, b"x")
            except (TransientError, NotARegularFile):
                continue
    assert len(os.listdir("/proc/self/fd")) == before
