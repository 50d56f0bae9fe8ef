"""`make bench`: run all benchmarks, or those that are named; or one, with its options.

python -m benchmarks [throughput] [peers] [plain] [scan] [start] [lama] [gpu] [seams] [memory]
    [stages] [matte-stages] [mattes] [matting] [inpainting-quality] [matting-quality]
python -m benchmarks inpainting-quality --help
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from benchmarks import (
    gpu,
    inpainting_quality,
    lama,
    machine,
    matte_stages,
    mattes,
    matting,
    matting_quality,
    memory,
    peers,
    plain,
    scan,
    seams,
    stages,
    start,
    throughput,
)

ALL: dict[str, Callable[[], None]] = {
    "throughput": throughput.main,
    "peers": peers.main,
    "plain": plain.main,
    "scan": scan.main,
    "start": start.main,
    "lama": lama.main,
    "gpu": gpu.main,
    "seams": seams.main,
    "memory": memory.main,
    "stages": stages.main,
    "matte-stages": matte_stages.main,
    "mattes": mattes.main,
    "matting": matting.main,
    "inpainting-quality": inpainting_quality.main,
    "matting-quality": matting_quality.main,
}
WITH_OPTIONS: dict[str, Callable[[list[str]], None]] = {
    "throughput": throughput.main,
    "peers": peers.main,
    "mattes": mattes.main,
    "inpainting-quality": inpainting_quality.main,
    "matting-quality": matting_quality.main,
}


def main(arguments: list[str]) -> int:
    if len(arguments) > 1 and arguments[0] in ALL and arguments[1].startswith("-"):
        return _one(arguments[0], arguments[1:])
    unknown = [name for name in arguments if name not in ALL]
    if unknown:
        print(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(ALL)}")
        return 2
    print(machine.describe())
    for name in arguments or ALL:
        print(f"\n{name}")
        ALL[name]()
    return 0


def _one(name: str, options: list[str]) -> int:
    if name not in WITH_OPTIONS:
        print(f"here {name} has no options; {', '.join(WITH_OPTIONS)} do")
        return 2
    if "--help" not in options and "-h" not in options:
        print(f"{machine.describe()}\n\n{name}")
    WITH_OPTIONS[name](options)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
