"""What the daemon leaves alone in an inbox."""

import os
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retouchd.ignoring import DEFAULTS, DOT_FILES, ignored_by

EXAMPLES = {
    ".retouchd-*": ".retouchd-17.tmp",
    "*.error.txt": "photo.jpg.error.txt",
    "*.part": "photo.jpg.part",
    "*.tmp": "photo.tmp",
    "*.partial": "photo.jpg.partial",
    "*.filepart": "photo.jpg.filepart",
    "*.crdownload": "Unconfirmed 1234.crdownload",
    "*.download": "photo.jpg.download",
    "*.opdownload": "photo.jpg.opdownload",
    "*.aria2": "photo.jpg.aria2",
    "*.!sync": "photo.jpg.!sync",
    "*.swp": "notes.swp",
    ".syncthing.*": ".syncthing.photo.jpg.x",
    "~syncthing~*": "~syncthing~photo.jpg",
    "~$*": "~$photo.jpg",
    ".~*": ".~lock.photo.jpg#",
    ".nfs*": ".nfs000000000123",
    ".smbdelete*": ".smbdeleteAAA1",
    "._*": "._photo.jpg",
    ".DS_Store": ".DS_Store",
    ".AppleDouble": ".AppleDouble",
    "Icon\r": "Icon\r",
    "Thumbs.db": "Thumbs.db",
    "ehthumbs.db": "ehthumbs.db",
    "desktop.ini": "desktop.ini",
    "*:Zone.Identifier": "photo.jpg:Zone.Identifier",
    "@eaDir": "@eaDir",
    "@Recycle": "@Recycle",
    "@Recently-Snapshot": "@Recently-Snapshot",
    ".@__thumb": ".@__thumb",
    "#recycle": "#recycle",
    "#snapshot": "#snapshot",
    "~snapshot": "~snapshot",
    "$RECYCLE.BIN": "$RECYCLE.BIN",
    "System Volume Information": "System Volume Information",
    "lost+found": "lost+found",
}
component = st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=12)


def test_every_default_rule_has_an_example_here():
    assert set(EXAMPLES) == set(DEFAULTS)


@pytest.mark.parametrize(("rule", "name"), EXAMPLES.items())
def test_each_default_rule_names_itself_whatever_the_case_and_depth(rule, name):
    assert ignored_by(name) == rule
    assert ignored_by(name.upper()) == rule
    assert ignored_by(f"a/b/{name}") == rule
    assert ignored_by(f"a/{name}/photo.jpg") == rule


@pytest.mark.parametrize(
    "name",
    [
        "photo.jpg",
        "party.jpg",
        "masks/photo.png",
        "_mask.png",
        "photo.tmp.jpg",
        "part",
        "~photo.jpg",
        "desktop.ini.png",
        "eaDir/photo.jpg",
        "recycle/#1.jpg",
        "error.txt",
        "Übersicht.png",
        os.fsdecode(b"caf\xe9.jpg"),
    ],
)
def test_ordinary_names_are_not_ignored(name):
    assert ignored_by(name) is None


@pytest.mark.parametrize("name", [".hidden.jpg", ".Trash-1000/files/photo.jpg", "a/.git/x.png"])
def test_dot_files_and_all_in_dot_folders_are_ignored(name):
    assert ignored_by(name) == DOT_FILES


@pytest.mark.parametrize(
    ("rule", "ignored", "kept"),
    [
        ("*_draft.*", "a/B_DRAFT.jpg", "a/draft.jpg"),
        ("drafts", "a/drafts/b.jpg", "a/drafts2/b.jpg"),
        ("drafts/", "drafts/b.jpg", "a/drafts"),
        ("a/drafts", "a/drafts/b.jpg", "b/a/drafts/b.jpg"),
        ("/top.jpg", "top.jpg", "a/top.jpg"),
        ("./a/*.jpg", "a/x.jpg", "b/x.jpg"),
        ("a/*.jpg", "a/b/c.jpg", "a.jpg"),
        ("**/raw/*", "raw/x.jpg", "raw.jpg"),
        ("**/raw/*", "a/raw/x.jpg", "a/raw2/x.jpg"),
        ("[ab].jpg", "b.jpg", "c.jpg"),
        ("entwürfe", unicodedata.normalize("NFD", "Entwürfe") + "/x.jpg", "entwurfe/x.jpg"),
    ],
)
def test_a_lanes_own_globs(rule, ignored, kept):
    assert ignored_by(ignored, ["never", rule]) == rule
    assert ignored_by(kept, ["never", rule]) is None


@pytest.mark.parametrize("rule", ["", "/", "./", "["])
def test_an_empty_or_broken_glob_ignores_nothing(rule):
    assert ignored_by("a/photo.jpg", [rule]) is None


@given(st.lists(component, min_size=1, max_size=4), component)
def test_whatever_ignores_a_folder_ignores_everything_in_it(parts, below):
    folder = "/".join(parts)
    rule = ignored_by(folder)
    if rule is not None:
        assert ignored_by(f"{folder}/{below}") == rule


@given(st.binary(min_size=1, max_size=30).filter(lambda b: b"\0" not in b), st.text(max_size=8))
def test_any_bytes_that_a_disk_can_hold_get_an_answer(raw, glob):
    answer = ignored_by(os.fsdecode(raw), [glob])
    assert answer is None or answer in (*DEFAULTS, DOT_FILES, glob)


def test_a_large_inbox_is_judged_quickly():
    start = time.process_time()
    for number in range(100_000):
        assert ignored_by(f"2026/client/IMG_{number}.jpg") is None
    assert time.process_time() - start < 5
