"""Whether systemd shall try again depends on who has to mend what keeps the ledger from opening."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from retouchd.cli import app
from retouchd.errors import LedgerStuck
from retouchd.ledger import Condition, Ledger
from retouchd.ledger.trouble import unusable


def verdict(path: Path, error: OSError | sqlite3.Error) -> bool:
    """Whether trying again later may help."""
    return isinstance(unusable(path, error, "mend it"), LedgerStuck)


def sqlite_error(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("unable to open database file")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.ESTALE])
def test_a_disk_that_errs_may_be_well_again(tmp_path: Path, number: int) -> None:
    assert verdict(tmp_path / "ledger.sqlite3", OSError(number, "trouble"))


def test_a_right_that_lacks_does_not_come_by_itself(tmp_path: Path) -> None:
    assert not verdict(tmp_path / "ledger.sqlite3", OSError(errno.EACCES, "no"))


@pytest.mark.parametrize("code", [sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY])
class TestWhereSqliteHidesWhatTheSystemSaid:
    """A single EIO at the start must not keep the service down until a person comes."""

    def test_it_was_the_disk_if_nothing_else_is_wrong(self, tmp_path: Path, code: int) -> None:
        (tmp_path / "ledger.sqlite3").touch()
        assert verdict(tmp_path / "ledger.sqlite3", sqlite_error(code))

    @pytest.mark.parametrize("ending", ["", "-wal", "-shm", "-journal"])
    def test_another_thing_in_its_place_stays(self, tmp_path: Path, code: int, ending: str) -> None:
        (tmp_path / f"ledger.sqlite3{ending}").mkdir()
        assert not verdict(tmp_path / "ledger.sqlite3", sqlite_error(code))

    def test_a_folder_that_is_not_there_stays(self, tmp_path: Path, code: int) -> None:
        assert not verdict(tmp_path / "none" / "ledger.sqlite3", sqlite_error(code))


class TestTheConditionOfTheLedger:
    """A service says once what holds it up, and what to do; its log is not filled with it."""

    FULL = sqlite3.OperationalError("database or disk is full")
    FULL.sqlite_errorcode = sqlite3.SQLITE_FULL

    @pytest.fixture
    def said(self) -> list[dict[str, str]]:
        return []

    @pytest.fixture
    def condition(self, tmp_path: Path, said: list[dict[str, str]]) -> Condition:
        return Condition(
            tmp_path / "ledger.sqlite3", lambda event, **facts: said.append({"": event, **facts})
        )

    def test_it_is_said_when_it_changes(
        self, condition: Condition, said: list[dict[str, str]]
    ) -> None:
        for error in (None, self.FULL, self.FULL, sqlite_error(1), self.FULL, None, None):
            condition.hear(error, 5.0)
        trouble = ["ledger trouble"] * 2
        assert [one[""] for one in said] == [*trouble, "ledger works again"]
        assert said[0]["cause"] == "database or disk is full"
        assert "Free some space" in said[0]["remedy"]

    def test_other_processes_are_told_what_and_what_to_do(self, condition: Condition) -> None:
        assert condition.facts is None
        condition.hear(self.FULL, 5.0)
        assert condition.facts is not None
        assert "can't be written at the moment" in condition.facts["trouble"]
        assert "Free some space" in condition.facts["remedy"]

    def test_its_patience_counts_from_the_first_time(self, condition: Condition) -> None:
        assert not condition.over_patience(100.0, 15.0)
        condition.hear(self.FULL, 5.0)
        condition.hear(self.FULL, 19.0)
        assert not condition.over_patience(20.0, 15.0)
        assert condition.over_patience(21.0, 15.0)


_AS_NOBODY_SPECIAL = (
    "setpriv",
    "--bounding-set=-dac_override,-dac_read_search,-fowner",
    "--inh-caps=-all",
)


@pytest.mark.parametrize("closed", ["", "-wal"])
def test_a_ledger_that_may_not_be_written_is_not_opened_for_writing(
    tmp_path: Path, closed: str
) -> None:
    """SQLite opens it without a word, and a service would be ready and do nothing."""
    as_root = os.geteuid() == 0
    if as_root and not shutil.which("setpriv"):
        pytest.skip("root may write everything, and there is no setpriv")
    path = tmp_path / "ledger.sqlite3"
    ledger = Ledger(path)
    Path(f"{path}{closed}").chmod(0o444)
    opens = f"""
from pathlib import Path
from retouchd.errors import LedgerUnusable
from retouchd.ledger import Ledger
try:
    Ledger(Path({str(path)!r}))
except LedgerUnusable as error:
    print(error.exit_code, error.message, error.advice)
"""
    command = [*(_AS_NOBODY_SPECIAL if as_root else ()), sys.executable, "-c", opens]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    ledger.close()
    assert done.stdout.startswith("2 "), done.stderr
    assert f"sudo chown retouchd: {path}*" in done.stdout


@pytest.mark.parametrize(
    ("code", "exit_code", "remedy"),
    [
        (sqlite3.SQLITE_FULL, 75, "Free some space"),
        (sqlite3.SQLITE_IOERR | 3 << 8, 75, "mend the disk"),
        (sqlite3.SQLITE_CORRUPT, 2, "retouchd doctor"),
    ],
)
def test_a_command_that_the_ledger_fails_says_so_with_a_remedy(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    code: int,
    exit_code: int,
    remedy: str,
) -> None:
    def fails() -> None:
        raise sqlite_error(code)

    monkeypatch.setattr(app, "app", fails)
    with pytest.raises(SystemExit) as end:
        app.main()
    assert end.value.code == exit_code
    said = capsys.readouterr().err
    assert remedy in said
    assert "Something went wrong" not in said
