"""`make bench`: run all benchmarks, or those that are named.

python -m benchmarks [throughput] [peers] [plain] [scan] [start] [lama] [gpu] [seams] [memory]
    [stages] [mattes]
"""

from __future__ import annotations

import sys

from benchmarks import (
    gpu,
    lama,
    machine,
    mattes,
    memory,
    peers,
    plain,
    scan,
    seams,
    stages,
    start,
    throughput,
)

ALL = {
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
    "mattes": mattes.main,
}


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in ALL]
    if unknown:
        print(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(ALL)}")
        return 2
    print(machine.describe())
    for name in names or ALL:
        print(f"\n{name}")
        ALL[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
