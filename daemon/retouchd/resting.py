"""Which jobs rest because their surroundings failed them.

Such trouble burns no attempt, so the ledger has no reason to make the job wait. But a job whose
own corner is the trouble (one folder without the right to write) must not stop its lane over and
over. The memory lasts as long as the service: a restart tries everything at once.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass

from retouchd.config import RetryPolicy
from retouchd.retry import backoff


@dataclass(frozen=True)
class _Rest:
    lane: str
    times: int
    until: float
    recoveries: int


class Resting:
    """Jobs that rest. Its methods may be called from any thread; ``now`` is monotonic seconds.

    recoveries: how often the trouble of the job's lane was seen to pass (see ``LaneState``); once
    more than at the time of the failure means that there is nothing to rest for any longer.
    """

    def __init__(self) -> None:
        self._rests: dict[int, _Rest] = {}
        self._lock = threading.Lock()

    def rest(
        self,
        job: int,
        lane: str,
        now: float,
        *,
        recoveries: int,
        policy: RetryPolicy,
        jitter: float,
    ) -> float:
        """Let a job rest, longer from time to time, up to ``policy.longest``; returns how long."""
        with self._lock:
            times = self._rests[job].times + 1 if job in self._rests else 1
            wait = backoff(times, policy, jitter)
            self._rests[job] = _Rest(lane, times, now + wait, recoveries)
            return wait

    def forget(self, job: int) -> None:
        """The job got through."""
        with self._lock:
            self._rests.pop(job, None)

    def resting(self, now: float, recoveries: Mapping[str, int]) -> dict[int, float]:
        """The jobs that must not be started yet, and for how long.

        recoveries: of each lane that may work, as it is now.
        """
        with self._lock:
            return {
                job: rest.until - now
                for job, rest in self._rests.items()
                if now < rest.until and recoveries.get(rest.lane) == rest.recoveries
            }
