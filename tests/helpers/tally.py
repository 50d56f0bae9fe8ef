"""What a fault campaign did, counted for its report."""

from __future__ import annotations

import json
import os
from collections import Counter, defaultdict


class Tally:
    """Counts by promise and kind. Where the variable RETOUCHD_FAULT_LOG names a file, each event is
    appended to it as well, so that a long campaign can be watched."""

    def __init__(self) -> None:
        self.counts: dict[str, Counter[str]] = defaultdict(Counter)
        self._log = os.environ.get("RETOUCHD_FAULT_LOG")

    def add(self, promise: str, what: Counter[str] | str, **facts: object) -> None:
        self.counts[promise].update(what if isinstance(what, Counter) else [what])
        if self._log:
            line = {"promise": promise, "what": what, **facts}
            with open(self._log, "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")

    def lines(self) -> list[str]:
        """A histogram for each promise."""
        found = []
        for promise, counter in sorted(self.counts.items()):
            found.append(f"{promise} ({sum(counter.values())})")
            found += [f"  {count:6} {what}" for what, count in counter.most_common()]
        return found
