"""Names of outputs: inside the outbox, and safe on every system that may see the share."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from retouchd.naming import (
    NameFacts,
    check_template,
    expand,
    numbered,
    safe_component,
    temporary,
)

DATE = datetime(2026, 11, 21, 13, 5, 9, tzinfo=UTC)
DEFAULT = "{date:%Y-%m-%d}/{relative_dir}/{stem}{ext}"
BYTES = st.binary(max_size=300).map(lambda b: os.fsdecode(b.replace(b"\0", b"")))
NAME = (st.text(max_size=300) | BYTES).map(lambda t: t.replace("\0", ""))
TEMPLATES = st.sampled_from(
    [
        DEFAULT,
        "{relative_dir}/{stem}{ext}",
        "{stem}{ext}",
        "outputs_{date:%Y%m%d%H%M%S}/{stem}.png",
        "{lane}/{date:%Y}/{date:%m}/{job}-{stem}{ext}",
    ]
)


def facts(relative_dir: str = "", stem: str = "photo", ext: str = ".jpg") -> NameFacts:
    return NameFacts(DATE, relative_dir, stem, ext, "a", 7)


@pytest.mark.parametrize(
    ("template", "relative_dir", "path"),
    [
        (DEFAULT, "", "2026-11-21/photo.jpg"),
        (DEFAULT, "album/day 1", "2026-11-21/album/day 1/photo.jpg"),
        ("outputs_{date:%Y%m%d%H%M%S}/{stem}.png", "", "outputs_20261121130509/photo.png"),
        ("{lane}/{job}{ext}", "album", "a/7.jpg"),
    ],
)
def test_a_template_makes_a_path(template: str, relative_dir: str, path: str) -> None:
    check_template(template)
    assert expand(template, facts(relative_dir)) == path


def _is_safe(component: str) -> None:
    assert component not in ("", ".", "..")
    assert not re.search(r'[<>:"/\\|?*\x00-\x1f]', component)
    assert component[-1] not in ". "
    assert len(component.encode()) <= 255
    device = component.split(".", maxsplit=1)[0].rstrip().lower()
    assert device not in {"con", "prn", "aux", "nul", "conin$", "conout$"}
    assert not re.fullmatch("(com|lpt)[1-9¹²³]", device)


@given(TEMPLATES, st.lists(NAME, max_size=4).map("/".join), NAME, NAME.map(lambda t: "." + t))
@example(DEFAULT, "../..", "..", "")
@example(DEFAULT, "", ".", "")
@example(DEFAULT, "con", "CON ", ".jpg")
@example(DEFAULT, "a/../b", "x" * 300, ".jpg")
def test_an_output_never_leaves_the_outbox_and_is_safe_on_windows(
    template: str, relative_dir: str, stem: str, ext: str
) -> None:
    path = expand(template, facts(relative_dir, stem, ext))
    assert not path.startswith("/")
    for component in path.split("/"):
        _is_safe(component)
        _is_safe(numbered(component, 9999))
    if template == DEFAULT:
        assert path.startswith("2026-11-21/"), "the file is named like its folder"


@given(NAME)
def test_a_safe_name_stays_as_it_is(name: str) -> None:
    once = safe_component(name)
    _is_safe(once)
    assert safe_component(once) == once


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("photo.jpg", "photo.jpg"),
        ("Büro – 2.jpg", "Büro – 2.jpg"),
        ("a:b?.jpg", "a_b_.jpg"),
        ("nul.jpg", "_nul.jpg"),
        ("Com1", "_Com1"),
        ("COM²", "_COM²"),
        ("con .jpg", "_con .jpg"),
        ("console.jpg", "console.jpg"),
        ("photo. . ", "photo"),
        ("...", "_"),
        (os.fsdecode(b"caf\xe9.jpg"), "caf_.jpg"),
    ],
)
def test_names_that_windows_refuses_are_mended(name: str, safe: str) -> None:
    assert safe_component(name) == safe


def test_a_name_that_is_too_long_keeps_its_ending_and_whole_characters() -> None:
    safe = safe_component("ü" * 200 + ".jpeg")
    assert safe.endswith("ü.jpeg")
    assert len(safe.encode()) <= 200


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{stem}", "must end in"),
        ("{date:%Y}/{stem}", "must end in"),
        ("{date}/{stem}{ext}", "needs a format"),
        ("{stem:>9}{ext}", "takes no such format"),
        ("{date:{stem}}/{stem}{ext}", "takes no such format"),
        ("{name}{ext}", "is not a field; there are date, ext, job, lane"),
        ("{stem!r}{ext}", "is not a field"),
        ("{stem.__class__}{ext}", "is not a field"),
        ("{}{ext}", "is not a field"),
        ("fixed{ext}", "needs {stem} or {job}"),
        ("/{stem}{ext}", "can't leave it"),
        ("a/../../{stem}{ext}", "can't leave it"),
        ("{stem", "expected '}'"),
    ],
)
def test_a_template_that_makes_no_good_names_is_refused(template: str, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        check_template(template)


@pytest.mark.parametrize(
    ("path", "number", "expected"),
    [
        ("a/photo.jpg", 0, "a/photo.jpg"),
        ("a/photo.jpg", 1, "a/photo (1).jpg"),
        ("a.b/photo", 12, "a.b/photo (12)"),
        ("photo.jpg.error.txt", 2, "photo.jpg (2).error.txt"),
    ],
)
def test_a_name_that_is_taken_gets_a_number(path: str, number: int, expected: str) -> None:
    assert numbered(path, number) == expected


@given(st.integers(0, 9999), st.integers(1, 255), st.sampled_from([b"x", b"\xff", "ü".encode()]))
def test_a_number_and_a_text_beside_fit_into_every_file_system(
    number: int, length: int, letter: bytes
) -> None:
    """A name of 255 bytes is legal in the inbox; its error text must be, too."""
    stem = (letter * 255)[: length - len(letter) + 1]
    name = os.fsdecode(b"album/" + stem + b".jpg.error.txt")
    found = os.fsencode(numbered(name, number))
    folder, _, base = found.partition(b"/")
    assert folder == b"album"
    assert len(base) <= 255
    assert base.endswith(b".error.txt")


def test_a_temporary_name_is_hidden_and_ignored() -> None:
    from retouchd.ignoring import ignored_by

    assert temporary("ab12-7").startswith(".retouchd-")
    assert ignored_by(temporary("ab12-7"))
