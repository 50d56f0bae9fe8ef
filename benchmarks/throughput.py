"""How much of the device's time the daemon wins for the model.

A real daemon on real photos, with a LaMa in big-lama's shape and random weights, against the sum of
the bare forwards of the very same regions on the same device in the same precision, with no file
read, no picture decoded and nothing else running. 1.0 would be a daemon that costs nothing. The
rounds alternate; start-up is not counted: the daemon has worked on some photos before.

python -m benchmarks.throughput [--photos 40] [--rounds 3] [--model PATH] [--device cpu|cuda|auto]
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from benchmarks import photos
from benchmarks.bare import Alone, Bare, recorded
from benchmarks.lama import write_random_lama
from benchmarks.running import Daemon, Round

WARM = 8
"""Photos before the first round: they start the hands and set torch up for every size."""


def main(arguments: Sequence[str] = ()) -> None:
    wish = _parsed(arguments)
    if photos.there():
        with tempfile.TemporaryDirectory() as folder:
            _measure(wish, Path(folder))


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.throughput")
    parser.add_argument("--photos", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", help="weights; without: random ones in big-lama's shape")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--set", action="append", default=[], help="for the daemon, as in `run`")
    return parser.parse_args(arguments)


def _measure(wish: argparse.Namespace, folder: Path) -> None:
    model = wish.model or str(write_random_lama(folder / "lama.safetensors"))
    photos.fill(folder / "photos", wish.photos)
    photos.fill(folder / "warm", min(WARM, wish.photos))
    photos.fill(folder / "dry" / "inbox", wish.photos)
    requests = recorded(folder / "dry", model, tuple(wish.set))
    with closing(Bare(model, wish.device, folder, requests)) as bare:
        sets = (f"device.use={wish.device}", f"lanes.*.precision={bare.precision}", *wish.set)
        pixels = sum(request.mask.size for request in requests) / 1e6
        print(f"{wish.photos} photos, {len(requests)} regions of {pixels:.1f} megapixels together,")
        print(f"on {bare.device} in {bare.precision}", flush=True)
        bare.paint()
        with closing(Daemon(folder / "root", model, sets)) as daemon:
            daemon.work(folder / "warm")
            found = []
            for number in range(wish.rounds):
                alone, worked = bare.paint(), daemon.work(folder / "photos")
                found.append((alone, worked))
                print(f"\nround {number + 1}: ", end="")
                _report(alone, worked)
    ratios = [alone.wall / worked.wall for alone, worked in found]
    print(f"\nbare / daemon, median of {wish.rounds} rounds: {statistics.median(ratios):.3f}")


def _report(alone: Alone, worked: Round) -> None:
    """Where the daemon's time goes, and what else was busy meanwhile."""
    wall, device, count = worked.wall, worked.total("device"), len(worked.courses)
    way_in = min(c.claimed + c.seconds("decode") for c in worked.courses)
    way_in -= min(c.claimed for c in worked.courses)
    ends = (c.published - c.seconds("publish") - c.seconds("encode") for c in worked.courses)
    way_out = worked.published - max(ends)
    print(
        f"bare {alone.wall:.1f} s / daemon {wall:.1f} s = {alone.wall / wall:.3f}"
        f" ({60 * count / wall:.1f} photos a minute)"
    )
    between = wall - device - way_in - way_out
    print(
        f"  the daemon's {wall:.1f} s: device busy {device:.1f} ({device - alone.wall:+.1f} against"
        f" bare), idle before the first region {way_in:.1f}, after the last {way_out:.1f},"
        f" between {between:.1f}"
    )
    stages = {
        "claimed, then decoded": worked.total("decode"),
        "waiting for the device": worked.total("model") - device,
        "on it": device,
        "encoded, checked, written": worked.total("encode"),
        "published": worked.total("publish"),
        "filed": sum(c.done - c.published for c in worked.courses),
    }
    print("  a photo, in seconds: ", end="")
    print(", ".join(f"{name} {total / count:.2f}" for name, total in stages.items()))
    cpu, cores = worked.cpu, (os.cpu_count() or 1) * worked.filed
    print(
        f"  processor seconds: bare {alone.cpu:.1f}; main {cpu.main:.1f}, which is"
        f" {cpu.main / cores:.0%} of all cores, and hands {cpu.hands:.1f} ({cpu.hands / cores:.0%},"
        f" {cpu.hands / count:.2f} a photo)"
    )


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
