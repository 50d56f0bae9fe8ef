"""`doctor` says what keeps a service from writing its ledger."""

from __future__ import annotations

from retouchd.doctor.state import judge_paused

FULL = {"trouble": "The ledger /l can't be written: it is full.", "remedy": "Free some space."}


def test_what_the_running_service_hears_from_its_ledger_is_a_problem() -> None:
    (told,) = judge_paused({"ledger": FULL, "lanes": {"a": {}}})
    assert (told.check, told.level) == ("ledger, service", "problem")
    assert (told.message, told.remedy) == (FULL["trouble"], FULL["remedy"])
    assert judge_paused({"ledger": {}, "lanes": {}}) == judge_paused(None) == []
