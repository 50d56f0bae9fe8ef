"""Durations, sizes and hours of the day as people write them."""

from __future__ import annotations

import re
from datetime import time
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator

_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_MANY = 100
"""Of no unit people read so many at a glance."""
_BYTES = {
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
_NUMBER = r"(\d{1,15}(?:\.\d{1,15})?)\s*"


def _text(value: Any) -> str:
    # As it stands in the file: YAML's true is Python's True.
    return str(value).lower() if isinstance(value, bool) else str(value).strip()


def parse_duration(value: Any) -> float:
    """Seconds from ``"30d"``, ``"1h30m"``, ``"500ms"``; a bare number is refused."""
    text = _text(value)
    parts = re.findall(_NUMBER + r"(ms|s|m|h|d|w)", text)
    if not parts or "".join(f"{n}{u}" for n, u in parts) != text.replace(" ", ""):
        raise ValueError(f"{text!r} is not a duration; write it like 500ms, 10s, 5m, 2h, 30d or 1w")
    return float(sum(Decimal(number) * _MS[unit] for number, unit in parts) / 1000)


def parse_size(value: Any) -> int:
    """Bytes from ``"2GiB"`` or ``"500MB"``; a bare number is refused."""
    match = re.fullmatch(_NUMBER + r"([kKMGT]i?B|B)", _text(value))
    if not match or match[2] not in _BYTES:
        raise ValueError(f"{_text(value)!r} is not a size; write it like 500KB, 20MiB or 2GiB")
    return int(Decimal(match[1]) * _BYTES[match[2]])


def parse_pixels(value: Any) -> int:
    """Pixels from ``"200MP"``."""
    match = re.fullmatch(_NUMBER + r"MP", _text(value))
    if not match:
        raise ValueError(
            f"{_text(value)!r} is not a number of pixels; write it like 0.5MP or 200MP"
        )
    return int(Decimal(match[1]) * 1_000_000)


def parse_hours(value: Any) -> tuple[time, time]:
    """Start and end of a daily window from ``"22:00-06:00"``; it may cross midnight."""
    match = re.fullmatch(r"\s*(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})\s*", str(value))
    try:
        if not match:
            raise ValueError
        start, end = time(int(match[1]), int(match[2])), time(int(match[3]), int(match[4]))
    except ValueError:
        raise ValueError(f"{value!r} is not a daily window; write it like 22:00-06:00") from None
    if start == end:
        raise ValueError(f"{value!r} is an empty window; leave schedule.active out to work always")
    return start, end


def show_duration(seconds: float) -> str:
    """The exact way to write a duration that people read best and ``parse_duration`` reads back:
    ``"1w"``, ``"36h"``, ``"90s"``, ``"23h59m"``, ``"1500ms"``."""
    exact = Decimal(repr(seconds)) * 1000
    for unit in ("w", "d", "h", "m", "s"):
        count = exact / _MS[unit]
        if count == int(count) and 1 <= count < _MANY:
            return f"{int(count)}{unit}"
    if exact < _MS["s"] or exact != int(exact) or exact % _MS["s"]:
        return f"{exact.normalize():f}ms"
    return _in_parts(int(exact))


def _in_parts(left: int) -> str:
    """Milliseconds as days, hours, minutes and seconds, without those of which there are none."""
    parts = []
    for unit in ("d", "h", "m", "s"):
        count, left = divmod(left, _MS[unit])
        parts += [f"{count}{unit}"] if count else []
    return "".join(parts)


def show_pixels(pixels: int) -> str:
    """The way to write a number of pixels that ``parse_pixels`` reads back."""
    return f"{(Decimal(pixels) / 1_000_000).normalize():f}MP"


def show_size(size: int) -> str:
    """A size for people, in binary units: ``"1.5 GiB"``."""
    amount = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


Duration = Annotated[float, BeforeValidator(parse_duration)]
Size = Annotated[int, BeforeValidator(parse_size)]
PixelCount = Annotated[int, BeforeValidator(parse_pixels)]
Hours = Annotated[tuple[time, time], BeforeValidator(parse_hours)]
