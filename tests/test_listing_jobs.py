"""`jobs` and `explain` on a ledger: what a person reads, and what a pipe gets."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from retouchd.cli import jobs
from retouchd.cli.app import app
from retouchd.errors import RetouchdError
from retouchd.job import AFRESH, FileStat, Place, Role, State
from retouchd.ledger import Ledger, NewDrop, RootRow

STAT = FileStat(1, 1, 1)
WIDE = "a very long name of a photo that was taken at night by the sea, the third of them.jpg"


class House:
    """Two lanes that share a ledger, without any service."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "config.yaml"
        self.ledger = Ledger(folder / "state" / "ledger.sqlite3")
        self.configure("web", "shop")

    def configure(self, *lanes: str) -> None:
        listed = "".join(f"- {{name: {name}, root: {self.folder}/{name}}}\n" for name in lanes)
        self.config.write_text(f"state: {self.folder}/state\nlanes:\n{listed}")

    def put(self, lane: str, name: str, state: State, role: Role = Role.IMAGE) -> int:
        drops = [NewDrop(role, name, STAT)]
        first = State.WAITING if state is State.WAITING else State.READY
        number = self.ledger.add(
            lane=lane, task="inpaint", source="mask", state=first, drops=drops, now=1.0
        )
        if state is State.QUARANTINED:
            facts = {"error": "It is no picture.", "remedy": "Export it anew."}
            self.ledger.change(number, state, now=2.0, **facts)
        elif state is not first:
            self.ledger.change(number, state, now=2.0)
        return number

    def say(self, *words: str) -> Any:
        return CliRunner().invoke(app, [*words, "--config", str(self.config)])

    def refused(self, *words: str) -> RetouchdError:
        result = self.say(*words)
        assert isinstance(result.exception, RetouchdError), result.output
        return result.exception


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.ledger.close()


# --- jobs ---------------------------------------------------------------------------------------


def test_off_a_terminal_a_job_is_one_line_of_six_fields(house: House) -> None:
    number = house.put("web", WIDE, State.QUARANTINED)
    (line,) = house.say("jobs").stdout.splitlines()
    fields = line.split("\t")
    assert fields[:4] == [str(number), "quarantined", "web", WIDE]
    assert fields[5] == "It is no picture."
    assert len(fields) == 6


def test_of_a_cancelled_job_it_is_said_why(house: House) -> None:
    number = house.put("web", "photo.jpg", State.READY)
    assert json.loads(house.say("jobs", "--json").stdout)[0]["why"] is None
    why = "its files were taken out of the inbox"
    house.ledger.change(number, State.CANCELLED, now=3.0, why=why)
    (line,) = house.say("jobs").stdout.splitlines()
    assert line.split("	")[5] == why
    assert json.loads(house.say("jobs", "--json").stdout)[0]["why"] == why


def test_on_a_terminal_no_name_is_broken_and_reasons_are_folded(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.put("web", WIDE, State.QUARANTINED)
    monkeypatch.setattr(jobs, "_on_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    heading, row, *reason = house.say("jobs").stdout.splitlines()
    assert heading.split() == ["job", "state", "lane", "file", "when"]
    assert WIDE in row
    assert [line.strip() for line in reason] == ["It is no picture."]


def test_names_can_not_forge_lines_or_fields(house: House) -> None:
    house.put("web", "a\tb\nc.jpg", State.WAITING)
    assert len(house.say("jobs").stdout.splitlines()) == 1


def test_a_waiting_job_says_what_it_waits_for(house: House) -> None:
    house.put("web", "skier.jpg", State.WAITING)
    house.put("web", "skier_mask_v2.png", State.WAITING)
    house.put("shop", "skier mask.png", State.WAITING)
    text = house.say("jobs").stdout
    assert "this looks like a mask of skier.jpg; call it skier_mask.png" in text
    assert "skier_mask_v2.png looks like one" in text
    assert "(for example skier mask_mask.png beside it)" in text, "that lane has no such photo"


def test_jobs_of_one_lane(house: House) -> None:
    house.put("web", "a.jpg", State.WAITING)
    house.put("shop", "b.jpg", State.WAITING)
    assert "a.jpg" not in house.say("jobs", "--lane", "shop").stdout
    assert "b.jpg" in house.say("jobs", "--lane", "shop").stdout
    error = house.refused("jobs", "--lane", "shoop")
    assert error.message == "there is no lane 'shoop'."
    assert error.advice == "The lanes are web, shop."


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_a_list_that_was_cut_says_so(house: House, more: tuple[str, ...]) -> None:
    for number in range(3):
        house.put("web", f"{number}.jpg", State.WAITING)
    cut = house.say("jobs", "--limit", "2", "--state", "waiting", *more)
    assert cut.stderr == "2 of 3 jobs; --limit 0 lists all\n"
    whole = house.say("jobs", "--limit", "0", *more)
    assert whole.stderr == ""
    assert all(f"{number}.jpg" in whole.stdout for number in range(3))
    if more:
        assert len(json.loads(cut.stdout)) == 2


def test_less_than_no_jobs_is_refused(house: House) -> None:
    assert house.say("jobs", "--limit", "-1").exit_code == 2


def test_that_there_are_no_jobs_is_told_to_people_and_is_no_line_for_a_pipe(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    never_started = ("--state-dir", f"{house.folder}/new")
    for where in ((), never_started):
        piped = house.say("jobs", *where)
        assert (piped.stdout, piped.stderr) == ("", "no jobs\n")
        assert house.say("jobs", "--json", *where).stdout == "[]\n"
    monkeypatch.setattr(jobs, "_on_terminal", lambda: True)
    for where in ((), never_started):
        assert house.say("jobs", *where).stdout == "no jobs\n"


def test_who_looks_for_failed_jobs_is_led_to_the_quarantined_ones(house: House) -> None:
    house.put("web", "a.jpg", State.QUARANTINED)
    said = house.say("jobs", "--state", "failed")
    assert "one is quarantined" in said.stderr
    assert f"`retouchd jobs --state quarantined --config {house.config}`" in said.stderr
    elsewhere = house.say("jobs", "--state", "failed", "--lane", "shop")
    assert elsewhere.stderr == "no jobs\n"


def test_a_command_to_be_copied_means_the_same_configuration(house: House) -> None:
    house.put("web", "a.jpg", State.QUARANTINED)
    there = f"state={house.folder}/a folder"
    (house.folder / "state").rename(house.folder / "a folder")
    said = house.say("jobs", "--state", "failed", "--set", there).stderr
    command = shlex.split(said.split("`")[1])
    assert command[-4:] == ["--config", str(house.config), "--set", there]
    copied = CliRunner().invoke(app, command[1:])
    assert "a.jpg" in copied.stdout


def test_a_job_of_a_lane_that_is_gone_says_what_to_do(house: House) -> None:
    number = house.put("web", "a.jpg", State.WAITING)
    house.configure("shop")
    text = house.say("jobs", "--lane", "web").stdout
    assert "lane web is no longer configured" in text
    assert f"`retouchd cancel {number} --config {house.config}`" in text


def test_status_names_the_retry_of_the_same_configuration(house: House) -> None:
    house.put("web", "a.jpg", State.QUARANTINED)
    assert f"`retouchd retry --failed --config {house.config}`" in house.say("status").stdout


# --- explain ------------------------------------------------------------------------------------


def test_a_file_in_a_folder_of_a_lane_that_is_gone_is_explained(house: House) -> None:
    house.put("web", "album/a.jpg", State.WAITING)
    inbox = f"{house.folder}/web/inbox"
    house.ledger.set_root(RootRow("web", "inbox", inbox, "marker"))
    house.configure("shop")
    said = house.say("explain", f"{inbox}/album/a.jpg").stdout
    assert "lane web is no longer configured" in said
    assert f"`retouchd cancel 1 --config {house.config}`" in said
    assert "lies in no lane's folder" in house.refused("explain", f"{inbox}/b.jpg").message


def test_what_lies_in_the_inbox_of_a_renamed_lane_is_the_new_ones(house: House) -> None:
    """Its originals elsewhere are still told by the name that they were filed under."""
    number = house.put("old", "a.jpg", State.QUARANTINED)
    (drop,) = house.ledger.job(number).drops  # type: ignore[union-attr]
    house.ledger.moved(drop.id, Place.FAILED, "d/a.jpg")
    for role in ("inbox", "failed"):
        house.ledger.set_root(RootRow("old", role, f"{house.folder}/web/{role}", "marker"))
    (house.folder / "web/inbox").mkdir(parents=True)
    (house.folder / "web/inbox/a.jpg").touch()
    assert "not recorded yet" in house.say("explain", f"{house.folder}/web/inbox/a.jpg").stdout
    aside = house.say("explain", f"{house.folder}/web/failed/d/a.jpg").stdout
    assert f"Job {number} of lane old: quarantined." in aside
    assert "Lane old is no longer configured." in aside


def test_a_file_in_a_folder_that_lanes_share_is_told_by_the_lane_that_put_it_there(
    house: House,
) -> None:
    root = str(house.folder)
    state = ("--state-dir", f"{house.folder}/state")
    for lane, name in (("inpaint", "d/a.jpg"), ("matte", "d/b.jpg"), ("matte", "d/a.jpg")):
        number = house.put(lane, name, State.QUARANTINED)
        (drop,) = house.ledger.job(number).drops  # type: ignore[union-attr]
        house.ledger.moved(drop.id, Place.FAILED, name)
        words = ["explain", f"{root}/failed/{name}", "--root", root, *state]
        said = CliRunner().invoke(app, words).stdout
        assert f"Job {number} of lane {lane}: quarantined." in said
    stranger = ["explain", f"{root}/failed/d/c.jpg", "--root", root, *state]
    assert "The ledger knows no file" in CliRunner().invoke(app, stranger).stdout


def test_what_is_no_file_of_a_lane_is_not_blamed_on_the_configuration(house: House) -> None:
    inbox = house.folder / "web" / "inbox"
    inbox.mkdir(parents=True)
    folder, stranger = house.refused("explain", str(inbox)), house.refused("explain", "/etc/passwd")
    assert folder.message == f"{inbox} is a folder."
    assert f"`retouchd jobs --config {house.config}`" in folder.advice
    assert stranger.message == "/etc/passwd lies in no lane's folder."
    assert f"{inbox}" in stranger.advice


def test_without_a_service_no_progress_is_promised(house: House) -> None:
    number = house.put("web", "a.jpg", State.RUNNING)
    path = f"{house.folder}/web/inbox/a.jpg"
    assert "was being worked on when the service ended" in house.say("explain", path).stdout
    error = {"error": "No memory.", "next_attempt_at": 9.0, **AFRESH}
    house.ledger.change(number, State.FAILED, now=3.0, **error)
    text = house.say("explain", path).stdout
    assert "It will be" not in text
    assert "It is to be tried again at 1970" in text
    assert f"start one with `retouchd run --config {house.config}`" in text


# --- retry, adopt -------------------------------------------------------------------------------


def test_what_can_not_be_tried_again_as_it_is_is_told_its_own_remedy(house: House) -> None:
    """A spreadsheet is not helped by a mask."""
    number = house.put("web", "x.xlsx", State.QUARANTINED, Role.OTHER)
    (drop,) = house.ledger.job(number).drops  # type: ignore[union-attr]
    house.ledger.moved(drop.id, Place.FAILED, "d/x.xlsx")
    said = house.refused("retry", str(number)).message
    assert (
        said == f"Job {number} is quarantined, so it can't be tried again as it is. Export it anew."
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("retry",), "no job is named."),
        (("adopt", "nope"), "there is no lane 'nope'."),
    ],
)
def test_a_slip_on_the_command_line_is_not_blamed_on_the_configuration(
    house: House, words: tuple[str, ...], message: str
) -> None:
    error = house.refused(*words)
    assert (error.message, error.exit_code) == (message, 2)


@pytest.mark.parametrize("words", [(), ("jobs",), ("models", "verify")])
def test_help_has_its_short_form(words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*words, "-h"])
    assert result.exit_code == 0
    assert "Usage" in result.stdout


def test_a_model_without_weights_has_no_hash(house: House) -> None:
    said = house.say("models", "verify", "patchmatch").stdout
    assert said == "patchmatch: built in, it has no weights to verify\n"
