"""Every error reads as a sentence, says what to do, and survives the way out of a process."""

from __future__ import annotations

import ast
import errno
import inspect
import json
import os
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retouchd import errors
from retouchd.errors import (
    DiskFull,
    EnvironmentTrouble,
    IoTrouble,
    MaskSizeWrong,
    NotAnImage,
    OutOfMemory,
    PermanentError,
    ReadOnly,
    RetouchdError,
    RootLost,
    StartError,
    TransientError,
    Unexpected,
    crossing,
    from_os_error,
    from_wire,
    printable,
)

PACKAGE = Path(errors.__file__).parents[1]
KNOWN = crossing._known()
CLASSES = sorted(KNOWN.values(), key=lambda kind: kind.__name__)


def facts_of(kind: type[RetouchdError]) -> set[str]:
    template = (inspect.getdoc(kind) or "") + kind.remedy
    return {name for _, name, _, _ in Formatter().parse(template) if name}


def raised() -> Iterator[tuple[str, type[RetouchdError], set[str]]]:
    """Each place that makes an error by name, with the facts that it gives."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            given = {keyword.arg for keyword in node.keywords}
            if name in KNOWN and None not in given:
                place = f"{path.relative_to(PACKAGE)}:{node.lineno}"
                yield place, KNOWN[name], {str(fact) for fact in given}


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_an_error_is_a_sentence_with_a_remedy(kind: type[RetouchdError]) -> None:
    error = kind(**{fact: f"the {fact}" for fact in facts_of(kind)})
    assert error.message.endswith((".", "the cause"))
    assert error.advice
    assert "<" not in error.message + error.advice
    assert "\n" not in error.message + error.advice
    for fact in facts_of(kind):
        assert f"the {fact}" in error.message + error.advice


def test_every_place_that_raises_gives_all_the_facts() -> None:
    places = list(raised())
    lacking = [
        f"{place}: {kind.__name__} without {sorted(facts_of(kind) - given)}"
        for place, kind, given in places
        if facts_of(kind) - given
    ]
    assert lacking == []
    assert len(places) > 30


def test_a_fact_that_is_missing_shows_and_does_not_raise() -> None:
    assert "<path>" in NotAnImage(cause="x").message


def test_exit_codes_tell_the_kinds_apart() -> None:
    codes = {kind.exit_code for kind in CLASSES}
    assert codes == {1, 2, 4, 75}
    assert StartError.exit_code == 2
    assert all(kind.exit_code == 75 for kind in CLASSES if issubclass(kind, TransientError))


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_an_error_is_the_same_on_the_other_side_of_a_process(kind: type[RetouchdError]) -> None:
    error = kind(**{fact: f"the {fact}" for fact in facts_of(kind)}, needed=5)
    other = from_wire(json.loads(json.dumps(error.to_wire())))
    assert type(other) is kind
    assert (other.message, other.advice, other.facts) == (error.message, error.advice, error.facts)


def test_facts_that_are_no_plain_values_cross_as_text() -> None:
    error = NotAnImage(path=Path("/a/b.png"), cause=OSError(5, "broken"))
    other = from_wire(json.loads(json.dumps(error.to_wire())))
    assert other.message == error.message


@pytest.mark.parametrize(
    "wire",
    [
        {},
        {"error": "os.system", "facts": {"cause": "rm"}},
        {"error": "NotAnImage"},
        {"error": "NotAnImage", "facts": [1]},
        {"error": ["NotAnImage"], "facts": {}},
    ],
)
def test_what_is_no_error_becomes_unexpected(wire: dict[str, object]) -> None:
    assert type(from_wire(wire)) is Unexpected


def test_facts_of_any_name_are_taken() -> None:
    """A process that was taken over may send anything."""
    assert type(from_wire({"error": "NotAnImage", "facts": {"self": 1, "a b": 2}})) is NotAnImage


def test_names_of_any_bytes_are_printable() -> None:
    name = os.fsdecode(b"caf\xe9\n\x1b[31m.png")
    message = NotAnImage(path=name, cause="x").message
    assert message.isprintable()
    assert message.encode().startswith(rb"caf\udce9\n\x1b[31m.png is not an image")


@given(st.text() | st.binary().map(os.fsdecode))
def test_anything_is_printable(text: str) -> None:
    assert printable(text).isprintable()
    printable(text).encode()


def test_two_blanks_in_a_name_stay_two() -> None:
    assert NotAnImage(path="a  b.png", cause="x").message.startswith("a  b.png ")


def test_braces_in_a_name_are_no_template() -> None:
    assert "{cause}" in NotAnImage(path="{cause}.png", cause="x").message


def test_an_empty_hint_leaves_no_blank() -> None:
    error = MaskSizeWrong(mask="m", path="p", mask_size="1x1", size="2x2", hint="")
    assert error.advice.endswith("same size.")


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, DiskFull),
        (errno.EDQUOT, DiskFull),
        (errno.EROFS, ReadOnly),
        (errno.EACCES, ReadOnly),
        (errno.ESTALE, RootLost),
        (errno.ENOTCONN, RootLost),
        (errno.ETIMEDOUT, RootLost),
        (errno.ENOMEM, OutOfMemory),
        (errno.EIO, IoTrouble),
        (errno.EBUSY, IoTrouble),
    ],
)
def test_what_the_system_says_has_a_meaning(
    number: int, kind: type[TransientError], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("INVOCATION_ID", raising=False)
    error = from_os_error(OSError(number, os.strerror(number)), "/srv/x")
    assert type(error) is kind
    assert "/srv/x" in error.message
    assert "<" not in error.message + error.advice


@pytest.mark.parametrize(
    ("number", "path"), [(errno.EROFS, "/srv/new"), (errno.EACCES, "/home/anna/new")]
)
def test_under_systemd_the_cure_of_a_new_folder_is_named(
    number: int, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sandbox makes all folders read-only that the unit does not name, and hides homes."""
    monkeypatch.setenv("INVOCATION_ID", "0" * 32)
    error = from_os_error(OSError(number, os.strerror(number)), path)
    assert isinstance(error, ReadOnly)
    assert "`retouchd service install` again" in error.advice
    assert path in error.message
    monkeypatch.delenv("INVOCATION_ID")
    elsewhere = from_os_error(OSError(number, os.strerror(number)), path)
    assert "service install" not in elsewhere.advice


def test_a_right_that_lacks_is_no_matter_of_the_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVOCATION_ID", "0" * 32)
    error = from_os_error(PermissionError(errno.EACCES, "Permission denied"), "/srv/new")
    assert "service install" not in error.advice


def test_only_the_environment_pauses_and_only_drops_are_set_aside() -> None:
    for kind in CLASSES:
        assert not (issubclass(kind, EnvironmentTrouble) and issubclass(kind, PermanentError))
    assert not issubclass(IoTrouble, EnvironmentTrouble)
    assert not issubclass(OutOfMemory, EnvironmentTrouble)
