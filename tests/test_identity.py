"""When two jobs are the same work."""

from __future__ import annotations

from typing import Any

import pytest

from retouchd.config import parse
from retouchd.identity import work_key

LANE = "lanes:\n  - name: a\n    root: /srv/a\n"
HASHES = {"image": "1", "mask": "2"}


def settings(*sets: str) -> dict[str, Any]:
    return parse(LANE, "x", [f"lanes.a.{item}" for item in sets]).lanes[0].work()


def key(**other: Any) -> str:
    values = {"hashes": HASHES, "source": "mask", "settings": settings(), "model": "m", **other}
    return work_key(**values)


def test_the_same_work_has_the_same_key_in_every_order_of_its_parts() -> None:
    shuffled = dict(reversed(settings().items()))
    assert key() == key(hashes={"mask": "2", "image": "1"}, settings=shuffled)


@pytest.mark.parametrize(
    "other",
    [
        {"hashes": {"image": "1", "mask": None}},
        {"hashes": {"image": "2", "mask": "1"}},
        {"source": "alpha"},
        {"model": "n"},
        {"settings": settings("mask.dilate=3")},
        {"settings": settings("output.quality=50")},
        {"settings": settings("output.strip_metadata=true")},
        {"settings": settings("pairing.rectangles=[{width: 1, height: 1}]")},
        {"settings": settings("blend=hard")},
        {"settings": settings("match.colour=false")},
        {"settings": settings("match.grain=true")},
    ],
)
def test_what_changes_pixels_or_bytes_changes_the_key(other: dict[str, Any]) -> None:
    assert key(**other) != key()


@pytest.mark.parametrize(
    "item",
    [
        "limits.max_pixels=5MP",
        "limits.max_bytes=1MiB",
        "output.path='{stem}{ext}'",
        "retention.min_free=1GiB",
    ],
)
def test_what_changes_neither_does_not(item: str) -> None:
    assert key(settings=settings(item)) == key()
