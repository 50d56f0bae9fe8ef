"""A hand between two tasks."""

from __future__ import annotations

import socket

import pytest

from retouchd import hand


@pytest.mark.parametrize(("waiting", "times"), [(False, 1), (True, 0)])
def test_freed_memory_is_given_back_only_when_no_task_waits(
    waiting: bool, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[bool] = []
    monkeypatch.setattr(hand, "_IDLE", 0.01)
    monkeypatch.setattr(hand, "give_back", lambda: given.append(True))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        if waiting:
            theirs.send(b"a task")
        hand._tidy_when_idle(ours)
    assert len(given) == times
