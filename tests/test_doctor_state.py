"""`doctor` says what keeps a service from writing its ledger."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from retouchd import doctor
from retouchd.config import for_root
from retouchd.doctor.looks import Look
from retouchd.doctor.state import judge_paused, judge_rights, judge_state_folder, open_reader
from retouchd.errors import DiskFull
from retouchd.ledger import Ledger

FULL = {"trouble": "The ledger /l can't be written: it is full.", "remedy": "Free some space."}


def test_what_the_running_service_hears_from_its_ledger_is_a_problem() -> None:
    (told,) = judge_paused({"ledger": FULL, "lanes": {"a": {}}})
    assert (told.check, told.level) == ("ledger, service", "problem")
    assert (told.message, told.remedy) == (FULL["trouble"], FULL["remedy"])
    assert judge_paused({"ledger": {}, "lanes": {}}) == judge_paused(None) == []


@pytest.mark.parametrize(
    ("mode", "user", "groups", "may"),
    [
        (0o640, True, (), True),
        (0o440, True, (), False),
        (0o466, True, (), False),
        (0o660, False, (True,), True),
        (0o640, False, (True,), False),
        (0o606, False, (True,), False),
        (0o666, False, (), True),
        (0o640, False, (), False),
    ],
)
def test_a_ledger_that_the_service_user_may_not_write_is_a_problem(
    tmp_path: Path, mode: int, user: bool, groups: tuple[bool, ...], may: bool
) -> None:
    file = tmp_path / "ledger.sqlite3"
    file.touch()
    os.chown(file, 1001 if os.geteuid() == 0 else -1, -1)
    file.chmod(mode)
    owner, group = file.stat().st_uid, file.stat().st_gid
    identity = (owner if user else 4242, 4242, tuple(group for _ in groups))
    found = judge_rights(file, identity)
    assert (found is None) is may
    if found:
        assert found.level == "problem"
        assert f"sudo chown retouchd: {file}*" in (found.remedy or "")


def test_a_ledger_that_may_not_be_written_can_be_asked_all_the_same(tmp_path: Path) -> None:
    config = for_root(tmp_path / "root", state=tmp_path / "state")
    Ledger(config.state / "ledger.sqlite3").close()
    for identity, level in ((None, "ok"), ((4242, 4242, ()), "problem")):
        reader, findings = open_reader(config, identity)
        assert reader is not None
        reader.close()
        assert findings[0].level == level


def test_where_the_ledgers_disk_is_full_no_retention_helps(tmp_path: Path) -> None:
    full = DiskFull(path=tmp_path, cause="No space left on device")
    found = judge_state_folder(tmp_path, Look(exists=True, trouble=full), None)
    assert found.level == "problem"
    assert "No space left on device" in found.message
    assert "Free some space" in (found.remedy or "")
    assert "retention" not in (found.remedy or "")


def test_root_asks_whether_the_service_user_may_write_the_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = for_root(tmp_path / "root", state=tmp_path / "state")
    Ledger(config.state / "ledger.sqlite3").close()
    monkeypatch.setattr(doctor, "identity_of", lambda user: (4242, 4242, ()))
    monkeypatch.setattr(doctor, "look_into", lambda wanted, *_: dict.fromkeys(wanted, Look()))
    found = {finding.check: finding for finding in doctor.examine(config)}
    assert found["ledger"].level == "problem"
