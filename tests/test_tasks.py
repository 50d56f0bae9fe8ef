"""What a hand does with folders: the tasks of intake and filing."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from retouchd import files
from retouchd.errors import (
    FileBusy,
    IoTrouble,
    NotAnImage,
    NotARegularFile,
    RootLost,
    TooLarge,
    Truncated,
)
from retouchd.job import FileStat
from retouchd.roots import MARKER, Root
from retouchd.tasks import TASKS
from retouchd.tasks.values import Original, stat_of, stat_to_wire
from retouchd.tenancy import Tenant

US = Tenant("ledger", "machine", "host", "/state/ledger.lock")
MakeRoot = Callable[..., Root]
HIDDEN = ".retouchd-t.tmp"


def do(task: str, **values: Any) -> dict[str, Any]:
    """Do a task as a hand does: values cross as JSON."""
    result, arrays = TASKS[task](json.loads(json.dumps(values)), [])
    assert not arrays
    back: dict[str, Any] = json.loads(json.dumps(result))
    return back


@pytest.fixture
def inbox(make_root: MakeRoot) -> Root:
    return make_root("inbox")


@pytest.fixture
def outbox(make_root: MakeRoot) -> Root:
    return make_root("outbox")


def inside(root: Root, name: str) -> Path:
    return Path(root.ref.path, name)


def written(root: Root, name: str, data: bytes) -> str:
    path = inside(root, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


# Intake.


def test_a_folder_is_set_up_once_and_only_checked_after_that(tmp_path: Path) -> None:
    values = {"lane": "a", "role": "inbox", "path": str(tmp_path / "inbox")}
    ref = do("set_up", **values, known=None)
    assert do("set_up", **values, known=ref) == ref
    os.rename(tmp_path / "inbox", tmp_path / "unmounted")
    with pytest.raises(RootLost):
        do("set_up", **values, known=ref)
    assert not (tmp_path / "inbox").exists()


def test_a_scan_names_what_is_there(inbox: Root) -> None:
    written(inbox, "album/a.png", b"x")
    answer = do("scan", root=asdict(inbox.ref), tenant=US.wire, ignore=[], excluded=[])
    inode = inside(inbox, "album/a.png").stat().st_ino
    assert answer["names"] == [["album/a.png", inode, True]]


def test_a_share_that_vanishes_during_a_scan_is_not_an_empty_folder(
    inbox: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    from retouchd.tasks import looking

    def vanish(*_: object) -> list[object]:
        inside(inbox, MARKER).unlink()
        return []

    monkeypatch.setattr(looking, "list_names", vanish)
    with pytest.raises(RootLost):
        do("scan", root=asdict(inbox.ref), tenant=US.wire, ignore=[], excluded=[])


def test_a_look_tells_what_is_gone(inbox: Root) -> None:
    written(inbox, "a.png", b"xyz")
    answer = do("look", root=asdict(inbox.ref), paths=["a.png", "b.png"])
    assert stat_of(answer["stats"][0]) == files.stat(inbox, "a.png")
    assert answer["stats"][1] is None


def test_a_check_estimates_what_a_photo_takes_in_memory(inbox: Root) -> None:
    Image.new("RGB", (40, 30)).save(inside(inbox, "rgb.png"))
    Image.new("RGBA", (40, 30)).save(inside(inbox, "rgba.png"))
    Image.new("I;16", (40, 30)).save(inside(inbox, "deep.png"))
    decoded = {
        name: do("check", root=asdict(inbox.ref), path=name, max_bytes=10_000)["decoded"]
        for name in ("rgb.png", "rgba.png", "deep.png")
    }
    assert decoded == {"rgb.png": 3600, "rgba.png": 4800, "deep.png": 2400}


def test_a_check_tells_the_ways_in_which_a_file_is_bad_apart(inbox: Root) -> None:
    Image.effect_noise((100, 100), 50).save(inside(inbox, "whole.png"))
    whole = inside(inbox, "whole.png").read_bytes()
    written(inbox, "cut.png", whole[: len(whole) // 2])
    written(inbox, "text.png", b"this is a text, and quite a long one, but no picture at all")
    inside(inbox, "link.png").symlink_to("whole.png")
    for name, kind in (
        ("cut.png", Truncated),
        ("text.png", NotAnImage),
        ("link.png", NotARegularFile),
        ("gone.png", FileBusy),
    ):
        with pytest.raises(kind):
            do("check", root=asdict(inbox.ref), path=name, max_bytes=1 << 20)
    with pytest.raises(TooLarge):
        do("check", root=asdict(inbox.ref), path="whole.png", max_bytes=100)


def test_a_probe_writes_as_much_as_is_needed_and_leaves_nothing(
    outbox: Root, make_root: MakeRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, sizes = make_root("archive"), []
    write = files.write_temporary

    def watch(root: Root, name: str, data: bytes) -> str:
        sizes.append(len(data))
        # Zeros fit into any quota of a file system that compresses.
        assert len(set(data)) > 100
        return write(root, name, data)

    monkeypatch.setattr(files, "write_temporary", watch)
    do("probe", roots=[asdict(outbox.ref), asdict(archive.ref)], needed=3_000_000)
    assert sizes == [3_000_000, 4096]
    assert os.listdir(outbox.ref.path) == os.listdir(archive.ref.path) == [MARKER]


def test_what_a_probe_could_not_delete_goes_with_the_next_one(
    outbox: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever hand makes it."""

    def fails(root: Root, name: str) -> bool:
        raise IoTrouble(path=name, cause="the share is gone")

    with monkeypatch.context() as broken:
        broken.setattr(files, "delete", fails)
        with pytest.raises(IoTrouble):
            do("probe", roots=[asdict(outbox.ref)], needed=0)
    assert len(os.listdir(outbox.ref.path)) == 2
    monkeypatch.setattr(os, "getpid", lambda: 1)
    do("probe", roots=[asdict(outbox.ref)], needed=0)
    assert os.listdir(outbox.ref.path) == [MARKER]


# Publication.


def test_publishing_checks_first_that_the_originals_are_still_the_same(
    inbox: Root, outbox: Root
) -> None:
    written(inbox, "p.png", b"original")
    stat = files.stat(inbox, "p.png")
    assert stat is not None
    original = Original(inbox.ref, "p.png", stat).to_wire()
    values = {"root": asdict(outbox.ref), "temporary": HIDDEN, "final": "d/p.png"}
    written(outbox, HIDDEN, b"result")
    written(inbox, "p.png", b"replaced by a person")
    with pytest.raises(FileBusy):
        do("publish", **values, originals=[original])
    assert not inside(outbox, "d/p.png").exists()
    answer = do("publish", **values, originals=[])
    assert stat_of(answer["stat"]) == files.stat(outbox, "d/p.png")
    written(outbox, HIDDEN, b"another")
    assert do("publish", **values, originals=[]) == {"stat": None}


def test_how_far_a_publication_came_is_seen_by_content(outbox: Root) -> None:
    def reached(sha256: str) -> str:
        values = {"root": asdict(outbox.ref), "temporary": HIDDEN, "final": "d/p.png"}
        return str(do("resume", **values, sha256=sha256)["reached"])

    sha256 = written(outbox, HIDDEN, b"result")
    assert reached("0" * 64) == "nothing"
    assert not inside(outbox, HIDDEN).exists(), "what is not ours to publish is not kept"
    written(outbox, HIDDEN, b"result")
    assert reached(sha256) == "written"
    files.publish(outbox, HIDDEN, "d/p.png")
    assert reached(sha256) == "published"
    assert reached("0" * 64) == "nothing"


def test_a_publication_by_link_that_was_cut_in_the_middle_is_published(outbox: Root) -> None:
    sha256 = written(outbox, HIDDEN, b"result")
    inside(outbox, "d").mkdir()
    os.link(inside(outbox, HIDDEN), inside(outbox, "d/p.png"))
    values = {"root": asdict(outbox.ref), "temporary": HIDDEN, "final": "d/p.png"}
    assert do("resume", **values, sha256=sha256)["reached"] == "published"
    assert not inside(outbox, HIDDEN).exists()


def test_a_strangers_file_of_that_name_is_not_taken_for_the_output(outbox: Root) -> None:
    sha256 = written(outbox, HIDDEN, b"result")
    written(outbox, "d/p.png", b"a stranger")
    values = {"root": asdict(outbox.ref), "temporary": HIDDEN, "final": "d/p.png"}
    assert do("resume", **values, sha256=sha256)["reached"] == "written"


def test_an_earlier_output_is_copied_only_if_it_is_unchanged(outbox: Root) -> None:
    sha256 = written(outbox, "d/p.png", b"result")
    values = {"root": asdict(outbox.ref), "path": "d/p.png", "temporary": HIDDEN}
    assert do("copy_output", **values, sha256=sha256) == {"sha256": sha256, "size": 6}
    assert inside(outbox, HIDDEN).read_bytes() == b"result"
    do("discard", root=asdict(outbox.ref), temporaries=[HIDDEN])
    written(outbox, "d/p.png", b"edited")
    with pytest.raises(IoTrouble):
        do("copy_output", **values, sha256=sha256)
    inside(outbox, "d/p.png").unlink()
    with pytest.raises(IoTrouble):
        do("copy_output", **values, sha256=sha256)
    assert not inside(outbox, HIDDEN).exists()


# Filing.


def test_the_inbox_keeps_its_folders_and_the_quarantine_does_not(
    inbox: Root, make_root: MakeRoot
) -> None:
    failed, archive = make_root("failed"), make_root("archive")
    written(inbox, "album/p.png", b"x")

    def move(source: Root, path: str, target: Root, where: str) -> str:
        ref, stat = asdict(source.ref), stat_to_wire(files.stat(source, path))
        values = {"source": ref, "path": path, "stat": stat, "token": "t", "max_bytes": 1000}
        return str(do("relocate", **values, target=asdict(target.ref), where=where)["outcome"])

    assert move(inbox, "album/p.png", failed, "d/album/p.png") == "moved"
    assert inside(inbox, "album").is_dir()
    assert move(failed, "d/album/p.png", archive, "d/album/p.png") == "moved"
    assert os.listdir(failed.ref.path) == [MARKER]


def test_sweeping_takes_what_nobody_goes_on_with_and_nothing_else(outbox: Root) -> None:
    stays = [
        ".retouchd-me-7.tmp",  # a job that goes on
        ".retouchd-me-7-12_to.tmp",
        ".retouchd-other-8.tmp",  # another ledger's
        ".retouchd-meadow.tmp",
        "photo.tmp",
    ]
    goes = [
        ".retouchd-me-8.tmp",
        ".retouchd-me-8-14.tmp",
        ".retouchd-me-8-14_to.tmp",
        ".retouchd-me-8-text.tmp",
        ".retouchd-probe-123.tmp",
        ".retouchd-marker-0123456789abcdef.tmp",  # a first start that was killed
    ]
    for name in (*stays, *goes):
        written(outbox, name, b"x")
    swept = do("sweep", root=asdict(outbox.ref), ledger="me", keep=[7])["swept"]
    assert sorted(swept) == sorted(goes)
    assert sorted(os.listdir(outbox.ref.path)) == sorted([MARKER, *stays])


def test_an_error_text_is_written_once_and_never_over_another(outbox: Root) -> None:
    values = {"root": asdict(outbox.ref), "temporary": HIDDEN, "path": "d/p.png.error.txt"}
    first = do("explain", **values, text="why")["stat"]
    assert do("explain", **values, text="why")["stat"] == first
    assert do("explain", **values, text="another reason") == {"stat": None}
    assert inside(outbox, "d/p.png.error.txt").read_bytes() == b"why"
    assert not inside(outbox, HIDDEN).exists()


def test_pruning_tells_for_each_file_whether_it_went(outbox: Root) -> None:
    written(outbox, "d/a.png", b"x")
    written(outbox, "e/b.png", b"y")
    stat = files.stat(outbox, "d/a.png")
    wires = [
        {"path": "d/a.png", "stat": stat_to_wire(stat)},
        {"path": "e/b.png", "stat": stat_to_wire(FileStat(9, 9, 0))},
        {"path": "gone.png", "stat": None},
    ]
    done = do("prune", root=asdict(outbox.ref), files=wires, seconds=8)
    assert done == {"deleted": [True, False, False]}
    assert sorted(os.listdir(outbox.ref.path)) == [MARKER, "e"]


def test_pruning_stops_in_time_but_gets_somewhere(outbox: Root) -> None:
    """A share so slow that a batch took too long would be given up, and the batch begun anew."""
    wires = []
    for name in ("a/a.png", "b/b.png"):
        written(outbox, name, b"x")
        wires.append({"path": name, "stat": None})
    assert do("prune", root=asdict(outbox.ref), files=wires, seconds=0) == {"deleted": [True]}
    assert sorted(os.listdir(outbox.ref.path)) == [MARKER, "b"]


@pytest.mark.parametrize("left", ["d/album/p.png", "d/album", "d"])
def test_pruning_that_was_cut_off_is_completed_by_repeating_it(outbox: Root, left: str) -> None:
    """Down to the folders, whichever of them was the last that it came to."""
    inside(outbox, left).parent.mkdir(parents=True, exist_ok=True)
    if left.endswith(".png"):
        written(outbox, left, b"x")
    else:
        inside(outbox, left).mkdir()
    wires = [{"path": "d/album/p.png", "stat": None}]
    do("prune", root=asdict(outbox.ref), files=wires, seconds=8)
    assert os.listdir(outbox.ref.path) == [MARKER]


def test_free_space_tells_its_file_system(outbox: Root, inbox: Root) -> None:
    one, other = (do("free", root=asdict(root.ref)) for root in (inbox, outbox))
    assert one["device"] == other["device"]
    assert one["free"] > 0
