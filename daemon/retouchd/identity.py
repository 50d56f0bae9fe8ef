"""Pure: when two jobs are the same work."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

_LIMITS = ("max_pixels", "max_bytes")


def work_key(
    hashes: Mapping[str, str | None], source: str, settings: Mapping[str, Any], model: str
) -> str:
    """The sha256 over everything that decides an output's pixels and bytes.

    hashes: content of image and mask, and of a background. settings: see ``config.Lane.work``;
    limits don't count. model: the model's own sha256.
    """
    decisive = {key: value for key, value in settings.items() if key not in _LIMITS}
    text = json.dumps([dict(hashes), source, decisive, model], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
