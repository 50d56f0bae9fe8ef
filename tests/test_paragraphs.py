"""Texts beside files are wrapped, and no name in them is."""

from __future__ import annotations

import pytest

from retouchd.paragraphs import wrapped

LONG = "Kollektion neu/Rot Leder 38 Sommer Kollektion 2026 Seite.jpg"


@pytest.mark.parametrize("before", range(70))
def test_a_name_is_never_broken_wherever_it_comes(before: int) -> None:
    text = wrapped(["x " * (before // 2) + f"The cut-out of {LONG} is good."], [LONG])
    assert any(LONG in line for line in text.splitlines())


def test_a_name_within_a_path_is_not_broken_either() -> None:
    path = f"/srv/the inbox of the studio/{LONG}"
    text = wrapped(
        [f"It lies where it was dropped by somebody: {path}."],
        [LONG, "/srv/the inbox of the studio"],
    )
    assert any(path in line for line in text.splitlines())


def test_other_words_are_wrapped_and_lines_end_as_notepad_wants_them() -> None:
    text = wrapped(["word " * 60, "end"], ["a b.png", "word.png"])
    lines = text.split("\r\n")
    assert max(map(len, lines)) <= 78
    assert len(lines) > 5
    assert text.count("\n") == text.count("\r\n")
    assert text.endswith("\r\n\r\nend\r\n")
