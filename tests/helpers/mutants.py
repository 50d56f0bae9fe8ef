"""Pictures that somebody damaged on purpose: bits, lengths, and the parts of containers."""

from __future__ import annotations

import random
from dataclasses import dataclass

from helpers.kinds import Kind, masks, photos
from helpers.surgery import SURGERY, put_odd


@dataclass(frozen=True)
class Mutant:
    """kind: of the file that it was. how: what was done to it."""

    kind: str
    how: str
    suffix: str
    data: bytes


def mutant(seed: int) -> Mutant:
    """The mutant of that number; every tenth was a mask."""
    chance = random.Random(seed)
    kinds = masks() if seed % 10 == 9 else photos()
    kind = kinds[chance.choice(sorted(kinds))]
    ways = (*WAYS, *(SURGERY[kind.suffix] for _ in range(4)))
    data, how = kind.data, []
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        way = chance.choice(ways)
        data = way(data, chance, kind) if data else data
        how.append(way.__name__.strip("_"))
    return Mutant(kind.name, " + ".join(how), kind.suffix, data)


def _flipped_bits(data: bytes, chance: random.Random, _: Kind) -> bytes:
    out = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8, 64))):
        out[_place(out, chance)] ^= 1 << chance.randrange(8)
    return bytes(out)


def _odd_numbers(data: bytes, chance: random.Random, _: Kind) -> bytes:
    out = bytearray(data)
    for _ in range(chance.randint(1, 3)):
        put_odd(out, _place(out, chance), chance)
    return bytes(out)


def _cut_off(data: bytes, chance: random.Random, _: Kind) -> bytes:
    return data[: chance.randrange(len(data))]


def _taken_out(data: bytes, chance: random.Random, _: Kind) -> bytes:
    at = _place(data, chance)
    return data[:at] + data[at + chance.randint(1, 64) :]


def _doubled(data: bytes, chance: random.Random, _: Kind) -> bytes:
    at = _place(data, chance)
    end = at + chance.choice((1, 4, 32, len(data)))
    return data[:end] + data[at:end] * chance.randint(1, 4) + data[end:]


def _blank(data: bytes, chance: random.Random, _: Kind) -> bytes:
    at = _place(data, chance)
    end = min(len(data), at + chance.choice((2, 16, 512, len(data))))
    return data[:at] + bytes([chance.choice((0, 0, 255))]) * (end - at) + data[end:]


def _spliced(data: bytes, chance: random.Random, kind: Kind) -> bytes:
    """With the end of another file of that kind, or of any."""
    alike = [k for k in photos().values() if k.suffix == kind.suffix] or [kind]
    other = chance.choice(alike if chance.random() < 0.7 else list(photos().values())).data
    return data[: chance.randrange(len(data))] + other[chance.randrange(len(other)) :]


WAYS = (_flipped_bits, _odd_numbers, _cut_off, _taken_out, _doubled, _blank, _spliced)


def _place(data: bytes | bytearray, chance: random.Random) -> int:
    """Mostly in what is likely to be a header."""
    top = len(data) if chance.random() < 0.4 else min(len(data), 400)
    return chance.randrange(max(1, top))
