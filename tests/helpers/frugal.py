"""Work that may take only so much memory."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable


def answer_within(megabytes: int, work: Callable[[], str], seconds: int | None = None) -> str:
    """What a copy of this process answers, or the name of what it raises; "" if it is killed.

    megabytes: MiB of address space that it may take beside what it has. seconds: of processor time
    that it may take. What it writes to stderr is lost. For a process with one thread.
    """
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        _limit(megabytes, seconds)
        try:
            answer = work()
        except BaseException as error:
            answer = type(error).__name__
        os.write(writer, answer.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        answer = file.read()
    os.wait()
    return answer


def _limit(megabytes: int, seconds: int | None) -> None:
    with open("/proc/self/statm", encoding="ascii") as file:
        used = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    limit = used + (megabytes << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    if seconds is not None:
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
