"""What a hand is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from retouchd.shared import SharedArray


@dataclass(frozen=True)
class Call:
    """One task for a hand.

    lane: whose share it touches; a lane that hangs can't take the last hand from the others.
    subject: the file or folder it is about, for messages. within: seconds until it counts as hung.
    long: it may take all that time although nothing hangs; such tasks leave a hand to the others.
    looks: it is to find out whether the share answers; nothing else is asked of one that may hang.
    """

    task: str
    lane: str
    subject: str
    within: float
    arguments: dict[str, Any] = field(default_factory=dict)
    arrays: Sequence[SharedArray] = ()
    long: bool = False
    looks: bool = False
