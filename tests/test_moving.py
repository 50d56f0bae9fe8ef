"""Moving an original: exactly once, whatever happens in between, and never over another file."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from retouchd import files, moving
from retouchd.errors import FileBusy, FolderLocked, NotARegularFile, TooLarge
from retouchd.job import FileStat
from retouchd.moving import Outcome, move
from retouchd.roots import MARKER, Root

MakeRoot = Callable[..., Root]
TOKEN = "ledger-7-1"
DST = "2026-11-21/photo.png"


@dataclass
class Place:
    """Two roots and a photo in the first."""

    source: Root
    target: Root
    stat: FileStat

    def move(self, dst: str = DST) -> Outcome:
        return move(self.source, "photo.png", self.target, dst, self.stat, TOKEN).outcome

    @property
    def here(self) -> Path:
        return Path(self.source.ref.path, "photo.png")

    @property
    def there(self) -> Path:
        return Path(self.target.ref.path, DST)

    def put_an_equal_file(self) -> None:
        """A file of somebody else under the same name, with the same bytes and the same time."""
        self.there.parent.mkdir()
        shutil.copy2(self.here, self.there)

    def leftovers(self) -> list[str]:
        return [name for name in os.listdir(self.target.ref.path) if name.endswith(".tmp")]


@pytest.fixture(params=["same file system", "another file system"])
def place(request: pytest.FixtureRequest, make_root: MakeRoot) -> Iterator[Place]:
    source = make_root("inbox")
    folder = None
    if request.param == "another file system":
        if os.stat("/dev/shm").st_dev == os.fstat(source.fd).st_dev:
            pytest.skip("/dev/shm is not a file system of its own here")
        folder = Path(tempfile.mkdtemp(dir="/dev/shm", prefix="retouchd-test-"))
    target = make_root("archive", folder)
    Path(source.ref.path, "photo.png").write_bytes(b"pixels" * 1000)
    stat = files.stat(source, "photo.png")
    assert stat is not None
    yield Place(source, target, stat)
    if folder:
        shutil.rmtree(folder)


def test_a_move_takes_content_and_time_along(place: Place) -> None:
    moved = move(place.source, "photo.png", place.target, DST, place.stat, TOKEN)
    assert moved.outcome is Outcome.MOVED
    assert moved.stat == files.stat(place.target, DST)
    assert place.there.read_bytes() == b"pixels" * 1000
    assert place.there.stat().st_mtime_ns == place.stat.mtime_ns
    assert not place.here.exists()
    assert place.leftovers() == []


def test_repeating_a_finished_move_says_moved(place: Place) -> None:
    """As after a crash between the rename and the commit."""
    place.move()
    assert place.move() is Outcome.MOVED
    assert place.there.exists()


def test_a_name_that_another_file_has_is_taken(place: Place) -> None:
    place.there.parent.mkdir()
    place.there.write_bytes(b"another")
    assert place.move() is Outcome.TAKEN
    assert place.there.read_bytes() == b"another"
    assert place.here.exists()
    assert place.leftovers() == []
    assert place.move("2026-11-21/photo (1).png") is Outcome.MOVED


def test_an_equal_file_of_somebody_else_is_another_file(place: Place) -> None:
    """The same photo dropped twice, or a person's own copy: bytes and times prove nothing."""
    place.put_an_equal_file()
    assert place.move() is Outcome.TAKEN
    assert place.here.exists()
    assert place.there.exists()
    assert place.move("2026-11-21/photo (1).png") is Outcome.MOVED
    assert sorted(os.listdir(place.there.parent)) == ["photo (1).png", "photo.png"]
    assert place.leftovers() == []


def test_a_file_that_was_taken_away_is_gone(place: Place) -> None:
    place.here.unlink()
    assert place.move() is Outcome.GONE


def test_a_file_that_was_replaced_stays(place: Place) -> None:
    place.here.write_bytes(b"a new one")
    assert place.move() is Outcome.REPLACED
    assert place.here.read_bytes() == b"a new one"
    assert not place.there.exists()


def test_a_new_file_dropped_after_the_move_stays(place: Place) -> None:
    place.move()
    place.here.write_bytes(b"the next photo of that name")
    assert place.move() is Outcome.MOVED
    assert place.here.exists()


def test_a_drop_that_never_settled_is_moved_as_it_is(place: Place) -> None:
    place.here.write_bytes(b"changed")
    moved = move(place.source, "photo.png", place.target, DST, None, TOKEN)
    assert moved.outcome is Outcome.MOVED
    assert place.there.read_bytes() == b"changed"


def test_a_link_in_the_target_is_never_followed(place: Place, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    Path(place.target.ref.path, "2026-11-21").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Exception, match="2026-11-21"):
        place.move()
    assert place.here.exists()
    assert os.listdir(tmp_path / "elsewhere") == []


class Cut(BaseException):
    """The process dies here."""


STEPS: list[tuple[object, str]] = [
    (os, "mkdir"),
    (os, "fsync"),
    (os, "utime"),
    (os, "unlink"),
    (moving, "rename_without_replacing"),
    (files, "rename_without_replacing"),
    (moving, "sync_folder"),
    (files, "sync_folder"),
    (files, "sha256_at"),
]


@pytest.fixture(params=["before", "after"])
def cut_move(
    request: pytest.FixtureRequest, place: Place, monkeypatch: pytest.MonkeyPatch
) -> Callable[[object, str, int], None]:
    """Begins a move and dies before or after the so many-th call of a function."""

    def begin(module: object, name: str, number: int) -> None:
        real, calls = getattr(module, name), 0

        def cut(*arguments: Any, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == number and request.param == "before":
                raise Cut
            result = real(*arguments, **options)
            if calls == number:
                raise Cut
            return result

        with monkeypatch.context() as patched, contextlib.suppress(Cut):
            patched.setattr(module, name, cut)
            place.move()

    return begin


@pytest.mark.parametrize(("module", "name"), STEPS)
@pytest.mark.parametrize("number", range(1, 7))
def test_a_move_cut_off_anywhere_is_completed_by_repeating_it(
    place: Place, cut_move: Callable[..., None], module: object, name: str, number: int
) -> None:
    """The photo exists whole at every moment, and in the end exactly once."""
    cut_move(module, name, number)
    whole = [p for p in (place.here, place.there) if p.exists()]
    assert all(p.read_bytes() == b"pixels" * 1000 for p in whole)
    assert whole
    assert place.move() is Outcome.MOVED
    assert place.there.read_bytes() == b"pixels" * 1000
    assert not place.here.exists()
    assert sorted(os.listdir(place.target.ref.path)) == [MARKER, "2026-11-21"]
    assert os.listdir(place.there.parent) == ["photo.png"]


@pytest.mark.parametrize(("module", "name"), STEPS)
@pytest.mark.parametrize("number", range(1, 7))
def test_a_move_cut_off_anywhere_never_takes_an_equal_file_for_its_own(
    place: Place, cut_move: Callable[..., None], module: object, name: str, number: int
) -> None:
    place.put_an_equal_file()
    theirs = place.there.stat()
    cut_move(module, name, number)
    assert place.move() is Outcome.TAKEN
    assert place.move("2026-11-21/photo (1).png") is Outcome.MOVED
    assert not place.here.exists()
    assert place.there.stat().st_ino == theirs.st_ino
    assert sorted(os.listdir(place.there.parent)) == ["photo (1).png", "photo.png"]
    assert place.leftovers() == []


# Only across file systems.


@pytest.fixture
def far(place: Place) -> Place:
    if os.fstat(place.source.fd).st_dev == os.fstat(place.target.fd).st_dev:
        pytest.skip("only across file systems")
    return place


def test_a_torn_copy_of_a_crash_is_replaced(far: Place) -> None:
    Path(far.target.ref.path, f".retouchd-{TOKEN}.tmp").write_bytes(b"pix")
    assert far.move() is Outcome.MOVED
    assert far.there.read_bytes() == b"pixels" * 1000
    assert far.leftovers() == []


def test_a_file_system_with_coarse_times_is_no_other_file(
    far: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAT cuts the copy's time to 2 s; the copy must still be known again."""
    with monkeypatch.context() as patched:
        patched.setattr(files, "delete", lambda *a: False)
        far.move()
    coarse = far.stat.mtime_ns // 2_000_000_000 * 2_000_000_000
    os.utime(far.there, ns=(coarse, coarse))
    assert far.move() is Outcome.MOVED
    assert not far.here.exists()
    assert far.move() is Outcome.MOVED
    assert os.listdir(far.there.parent) == ["photo.png"]


def test_a_copy_that_a_person_edited_meanwhile_is_theirs(
    far: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The source stays until its bytes are safe under another name."""
    with monkeypatch.context() as patched:
        patched.setattr(files, "delete", lambda *a: False)
        far.move()
    far.there.write_bytes(b"retouched by hand")
    assert far.move() is Outcome.TAKEN
    assert far.move("2026-11-21/photo (1).png") is Outcome.MOVED
    assert far.there.read_bytes() == b"retouched by hand"
    assert far.there.with_name("photo (1).png").read_bytes() == b"pixels" * 1000


def test_a_copy_is_not_made_twice_when_only_the_source_could_not_be_removed(
    far: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "delete", lambda *a: False)
    far.move()
    monkeypatch.undo()

    def never(*_: object) -> None:
        raise AssertionError("copied again")

    monkeypatch.setattr(files, "copy_to_temporary", never)
    assert far.move() is Outcome.MOVED
    assert not far.here.exists()


def test_a_file_that_changes_while_it_is_copied_is_busy_and_stays(
    far: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = os.read

    def read_and_append(fd: int, size: int) -> bytes:
        found = read(fd, size)
        with far.here.open("ab") as file:
            file.write(b"more")
        return found

    monkeypatch.setattr(os, "read", read_and_append)
    with pytest.raises(FileBusy):
        far.move()
    monkeypatch.undo()
    assert far.here.exists()
    assert not far.there.exists()
    assert far.leftovers() == []


def test_a_link_is_not_copied_as_what_it_points_to(far: Place, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    far.here.unlink()
    far.here.symlink_to(tmp_path / "secret")
    with pytest.raises(NotARegularFile):
        move(far.source, "photo.png", far.target, DST, None, TOKEN)
    assert not far.there.exists()


def test_a_terabyte_of_nothing_is_not_written_to_another_disk(far: Place) -> None:
    with far.here.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(TooLarge, match="holes"):
        move(far.source, "photo.png", far.target, DST, None, TOKEN, 1 << 30)
    assert far.leftovers() == []


def test_copying_takes_no_more_memory_than_a_part_of_the_file(far: Place) -> None:
    """A film dropped by mistake is set aside as well, however large it is."""
    import tracemalloc

    with far.here.open("wb") as file:
        file.truncate(96 << 20)
    tracemalloc.start()
    moved = move(far.source, "photo.png", far.target, DST, None, TOKEN)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert moved.outcome is Outcome.MOVED
    assert peak < 48 << 20


def test_a_folder_that_lets_nothing_out_is_the_one_that_is_named(make_root: MakeRoot) -> None:
    """People make folders in an inbox, by default for nobody else to write in."""
    source, target = make_root("inbox"), make_root("archive")
    theirs = Path(source.ref.path, "theirs")
    theirs.mkdir()
    (theirs / "photo.png").write_bytes(b"pixels")
    theirs.chmod(0o555)
    Path(target.ref.path).chmod(0o777)
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)  # nothing is denied to root
    try:
        with pytest.raises(FolderLocked) as caught:
            move(source, "theirs/photo.png", target, DST, None, TOKEN)
    finally:
        os.seteuid(before)
        theirs.chmod(0o755)
    told = caught.value
    assert told.message.startswith(f"Nothing can be moved out of the folder {theirs}")
    assert told.facts["folder"] == "theirs"
    assert (theirs / "photo.png").exists()
