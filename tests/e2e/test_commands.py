"""Every command, as a person, a script and a monitor use it."""

from __future__ import annotations

import io
import json
import re
import shlex
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import typer
import yaml
from typer.testing import CliRunner

from retouchd import __version__
from retouchd.cli.app import app, main
from retouchd.config import parse

STATES = {"waiting", "ready", "running", "published", "done", "failed", "quarantined"}
TODAY = "2*"


# --- help ---------------------------------------------------------------------------------------


def commands() -> list[tuple[str, ...]]:
    """Every command and sub-command."""
    found: list[tuple[str, ...]] = []

    def visit(command: Any, words: tuple[str, ...]) -> None:
        below = getattr(command, "commands", None)
        if below is None:
            found.append(words)
        for name, sub in (below or {}).items():
            visit(sub, (*words, name))

    visit(typer.main.get_command(app), ())
    return found


def test_there_are_all_the_verbs():
    verbs = {words[0] for words in commands()}
    assert verbs >= {
        *("run", "once", "status", "jobs", "explain", "retry", "cancel", "adopt", "prune"),
        *("sheet", "demo", "doctor", "config", "models", "service"),
    }


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_explains_itself_with_an_example(words):
    result = CliRunner().invoke(app, [*words, "--help"])
    text = " ".join(result.stdout.split())
    assert result.exit_code == 0
    assert re.search(r"Example: (sudo )?retouchd " + " ".join(words), text)


# --- what can't be understood -------------------------------------------------------------------


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


def say(*words: str) -> Said:
    """Run a command line in this process; for those that only read."""
    out, err = io.StringIO(), io.StringIO()
    with patch.object(sys, "argv", ["retouchd", *words]), redirect_stdout(out):
        with redirect_stderr(err), pytest.raises(SystemExit) as ended:
            main()
    return Said(int(ended.value.code or 0), out.getvalue(), err.getvalue())


@pytest.mark.parametrize(
    ("wrong", "where", "remedy"),
    [
        ("scan.setle=5s", "scan.setle", "Did you mean 'settle'?"),
        ("scan.settle=5", "scan.settle", "500ms"),
        ("lanes.*.mask.dilate=-1", "mask.dilate", "greater than or equal to 0"),
        ("lanes.*.mask.dilate=many", "mask.dilate", "whole number"),
        ("lanes.*.output.format=gif", "output.format", "'png'"),
        ("lanes.*.output.path=/etc/{stem}{ext}", "output.path", "relative to the outbox"),
        ("lanes.*.output.path=x.png", "output.path", "{stem}"),
        ("lanes.*.output.path=a/{stem}.txt", "output.path", "{ext}"),
        ("lanes.*.output={path: 'a/{stem}.png', format: jpeg}", "output", "{ext}"),
        ("lanes.web.mask.dilate=3", "lanes.web", "The lanes are inpaint"),
        ("lanes.inpaint.pairing.rectangles=[{width: 5}]", "height", "Add 'height'"),
        ("lanes.*.schedule.active='25:00-6:00'", "schedule.active", "22:00-06:00"),
        ("lanes.*.outbox=/r/inbox/out", "/r/inbox/out", "beside each other"),
        ("device.use=gpu", "device.use", "cuda"),
        ("colour=red", "colour", "keys here are"),
        ("scan", "--set scan", "--set section.key=value"),
        ("a=[", "--set a=[", "quotes"),
        ("Lanes=3", "Lanes", "Did you mean 'lanes'?"),
    ],
)
def test_a_wrong_setting_is_named_with_its_remedy(wrong, where, remedy):
    said = say("config", "check", "--root", "/r", "--set", wrong)
    assert said.code == 2
    assert said.out == ""
    assert where in said.err
    assert remedy in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    ("text", "where", "remedy"),
    [
        ("", "no settings", "config.example.yaml"),
        ("lanes: [", "line 1", "indentation"),
        ("state: /s\n", "lanes", "Add 'lanes'"),
        ("lanes:\n- name: a\n  root: /a\n  msk: {}\n", "line 4", "Did you mean 'mask'?"),
        ("lanes:\n- name: a\n  root: a\n", "line 3", "absolute path"),
        ("lanes:\n- {name: a, root: /a}\n- {name: a, root: /b}\n", "'a'", "own name"),
        ("lanes:\n- {name: a, root: /a}\n- {name: b, root: /a/inbox}\n", "/a/inbox", "beside"),
        ("lanes:\n- 5\n", "line 2", "config.example.yaml"),
    ],
)
def test_a_wrong_file_is_named_with_line_and_remedy(tmp_path, text, where, remedy):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    said = say("config", "check", "--config", str(path))
    assert said.code == 2
    assert str(path) in said.err
    assert where in said.err
    assert remedy in said.err


@pytest.mark.parametrize("verb", ["run", "once", "status", "jobs", "prune"])
def test_without_a_place_to_work_it_says_what_to_do(monkeypatch, verb):
    monkeypatch.delenv("RETOUCHD_CONFIG", raising=False)
    monkeypatch.setattr("retouchd.cli.options.DEFAULT_CONFIG", Path("/nowhere/config.yaml"))
    said = say(verb)
    assert said.code == 2
    assert "--root DIR" in said.err


@pytest.mark.parametrize("verb", ["status", "jobs"])
def test_a_mistyped_root_is_not_taken_for_a_healthy_one(tmp_path, verb):
    """Nor is one that was just made, and in which nothing has worked yet, taken for a mistake."""
    said = say(verb, "--root", str(tmp_path / "typo"))
    assert said.code == 2
    assert "there is no such folder" in said.err
    assert f"`retouchd run --root {tmp_path}/typo` would make it" in said.err
    assert say(verb, "--root", str(tmp_path)).code == 0
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    assert "there is no folder: --root" in say(verb, "--root", str(tmp_path / "file")).err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("once", "--root", "/r", "--config", "/c"), "exclude each other"),
        (("status", "--config", "/nowhere.yaml"), "Check the path"),
        (("jobs", "--root", "/r", "--state", "sleepy"), "'quarantined'"),
        (("retry", "--root", "/r", "1"), "next `retouchd run`"),
        (("prune", "--root", "/r"), "next `retouchd run`"),
        (
            ("models", "verify", "--root", "/r", "nosuch"),
            "The models are patchmatch, classical, flat",
        ),
        (("explain", "--root", "/r", "/etc/passwd"), "The inboxes are /r/inbox"),
        (("frobnicate",), "No such command"),
        (("cancel", "--root", "/r"), "JOB"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_command_that_can_not_be_carried_out_says_why(words, expected):
    said = say(*words)
    assert said.code == 2
    assert expected in said.err
    assert "Traceback" not in said.err


def test_what_nobody_foresaw_is_a_sentence_too(tmp_path):
    (tmp_path / "state").write_text("a file where a folder should be")
    said = say("status", "--root", str(tmp_path), "--state-dir", str(tmp_path / "state"))
    assert "Traceback" not in said.err


def test_the_version():
    assert say("--version") == Said(0, f"retouchd {__version__}\n", "")


def test_config_show_reads_back_to_the_same_configuration():
    sets = [
        "lanes.*.limits.max_pixels=123.456789MP",
        "lanes.*.retention.min_free=1.5GiB",
        "lanes.*.schedule.active='22:00-06:00'",
        "lanes.inpaint.pairing.rectangles=[{width: 40, height: 20, x: 5}]",
        "lanes.*.ignore=['*.bak', 'draft/']",
        "retry.first=1500ms",
        "scan.settle=2.3s",
    ]
    words = ["--root", "/srv/pics", *(word for item in sets for word in ("--set", item))]
    text = say("config", "show", *words).out
    plain = json.loads(say("config", "show", "--json", *words).out)
    again = parse(text, "shown").model_dump(mode="json")
    assert again == plain
    assert plain["lanes"][0]["limits"]["max_pixels"] == 123_456_789
    assert yaml.safe_load(text)["lanes"][0]["schedule"]["active"] == "22:00-06:00"


def test_models_can_be_listed_and_verified(tmp_path, make_lama):
    root = ("--root", str(tmp_path))
    names = {model["name"] for model in json.loads(say("models", "list", "--json", *root).out)}
    assert names >= {"patchmatch", "classical", "flat"}
    assert say("models", "verify", *root).code == 0
    weights = make_lama()
    assert "it loads" in say("models", "verify", str(weights), *root).out
    weights.write_bytes(weights.read_bytes()[:-100])
    broken = say("models", "verify", str(weights), *root)
    assert broken.code == 2
    assert str(weights) in broken.err


@pytest.mark.parametrize(
    "words",
    [
        ("status",),
        ("jobs",),
        ("explain", "ROOT/inbox/a.png"),
        ("retry", "--failed"),
        ("cancel", "1"),
        ("prune", "--dry-run"),
        ("config", "show"),
        ("models", "list"),
    ],
    ids=" ".join,
)
def test_small_commands_start_without_torch(tmp_path, words):
    root = tmp_path / "root"
    (root / ".retouchd").mkdir(parents=True)
    line = [word.replace("ROOT", str(root)) for word in words]
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "retouchd", *line, "--root", str(root)],
        capture_output=True,
        text=True,
        check=False,
    )
    modules = set(re.findall(r"\| +([\w.]+)$", done.stderr, re.MULTILINE))
    assert "retouchd.cli.app" in modules
    assert not modules & {"torch", "watchdog", "retouchd.local_engine"}
    if words[0] != "prune":
        assert not modules & {"cv2", "numpy", "PIL"}


# --- what they say about real work --------------------------------------------------------------


@dataclass
class Story:
    """One configuration after a run, and what the commands said then."""

    lanes: Any
    spools: dict[str, Any]
    said: dict[str, Any]
    first: Any

    def job(self, lane: str, name: str) -> dict[str, Any]:
        return next(j for j in self.said["jobs"] if (j["lane"], j["name"]) == (lane, name))


@pytest.fixture(scope="module")
def story(make_lanes, pictures) -> Story:
    """Lanes for reading, for trying again, for cancelling and for pruning, after one `once`."""
    lanes = make_lanes(scan={"incomplete_after": "1s"}, retry={"attempts": 1})
    spools = {name: lanes.lane(name) for name in ("read", "again", "stop", "old")}
    spools["read"] = lanes.lane("read", ignore=["drafts/"])
    read = spools["read"]
    read.drop_pair("good", ".jpg")
    read.drop("lonely.png", pictures.texture(1))
    read.drop("half.png.part", b"...")
    read.drop("drafts/sketch.png", pictures.texture(2))
    read.drop("broken.png", b"this is no picture")
    small = np.zeros((80, 110), np.uint8)
    for name in ("one", "two"):
        spools["again"].drop(f"{name}.png", pictures.texture(3))
        spools["again"].drop(f"{name}_mask.png", small)
    for name in ("unwanted", "regretted"):
        spools["stop"].drop(f"{name}.png", pictures.texture(4))
    for name in ("a", "b"):
        spools["old"].drop_pair(name, seed=5)
    first = lanes.once()
    story = Story(lanes, spools, {}, first)
    story.said = listen(story)
    return story


def listen(story: Story) -> dict[str, Any]:
    """Ask everything while nothing changes."""
    read, again = story.spools["read"], story.spools["again"]
    read.drop("new.png", b"\x89PNG\r\n\x1a\n")
    paths = {
        "ignored": read.inbox / "half.png.part",
        "own rule": read.inbox / "drafts/sketch.png",
        "waiting": read.inbox / "lonely.png",
        "done": read.inbox / "good.jpg",
        "output": next(read.outbox.glob("*/good.jpg")),
        "archived": next(read.archive.glob("*/good_mask.png")),
        "quarantined": read.inbox / "broken.png",
        "set aside": next(read.failed.glob("*/broken.png")),
        "pair": next(again.failed.glob("*/two_mask.png")),
        "new": read.inbox / "new.png",
        "missing": read.inbox / "nothing.png",
        "stranger": read.outbox / "nothing.png",
    }
    found: dict[str, Any] = {
        "status": story.lanes.status(),
        "status text": say("status", *story.lanes.where).out,
        "jobs": story.lanes.jobs(),
        "jobs text": story.lanes.retouchd("jobs").stdout,
        "two states": json.loads(
            say("jobs", "--json", *story.lanes.where, "--state", "waiting", "--state", "done").out
        ),
    }
    for key, path in paths.items():
        said = say("explain", "--json", str(path), *story.lanes.where)
        assert said.code == (2 if key == "missing" else 0), said.err
        found[f"explain {key}"] = json.loads(said.out)
    (read.inbox / "new.png").unlink()
    assert again.files(again.inbox) == []
    return found


def test_once_says_by_its_exit_code_that_files_were_set_aside(story):
    assert story.first.returncode == 3


def test_once_says_in_its_last_line_what_came_of_it(story):
    *_, last = story.first.stderr.splitlines()
    assert last.startswith("retouchd: 3 done, 3 wait for a mask, 3 set aside: see `retouchd jobs ")
    assert last.endswith("`")
    command = shlex.split(last.split("`")[1])
    assert command[:4] == ["retouchd", "jobs", "--state", "quarantined"]
    found = say(*command[1:])
    assert found.code == 0
    assert len(found.out.splitlines()) == 3


def test_that_a_file_is_quarantined_is_logged_once(story):
    lines = [line for line in story.first.stderr.splitlines() if "broken.png" in line]
    assert sum("] quarantined" in line for line in lines) == 1
    assert sum("] set aside" in line for line in lines) == 1


def test_status_keeps_its_contract(story):
    status = story.said["status"]
    assert status.keys() >= {"jobs", "lanes", "device", "version"}
    assert status["jobs"].keys() >= STATES
    assert status["version"] == __version__
    assert [lane["name"] for lane in status["lanes"]] == ["read", "again", "stop", "old"]
    for lane in status["lanes"]:
        assert lane.keys() >= {"name", "inbox", "task", "model", "watching", "paused"}
        assert lane["inbox"] == str(story.spools[lane["name"]].inbox)
        assert (lane["task"], lane["model"]) == ("inpaint", "classical")
        assert lane["watching"] in ("events", "scan")
        assert lane["paused"] is None


def test_status_counts_jobs(story):
    jobs = story.said["status"]["jobs"]
    assert {state: count for state, count in jobs.items() if count} == {
        "done": 3,
        "waiting": 3,
        "quarantined": 3,
    }
    text = story.said["status text"]
    assert "not running" in text
    assert "3 done" in text


def test_jobs_can_be_listed_by_state(story):
    found = story.said["two states"]
    assert {job["state"] for job in found} == {"waiting", "done"}
    assert len(found) == 6
    assert len(story.said["jobs"]) == 9
    text = story.said["jobs text"]
    assert "broken.png" in text
    assert "not an image" in " ".join(text.split())


@pytest.mark.parametrize(
    ("key", "verdict", "words"),
    [
        ("ignored", "ignored", "the rule '*.part'"),
        ("own rule", "ignored", "the rule 'drafts/'"),
        ("waiting", "waiting", "It waits for its mask (for example lonely_mask.png beside it)"),
        ("done", "done", "The output is "),
        ("output", "done", "Original good.jpg: "),
        ("archived", "done", "Original good_mask.png: "),
        ("quarantined", "quarantined", "is not an image that can be read"),
        ("set aside", "quarantined", "export it anew"),
        ("pair", "quarantined", "retouchd retry"),
        ("new", "not_running", "no service runs. Start one with `retouchd run --config "),
        ("missing", "missing", "There is no file"),
        ("stranger", "unknown", "The ledger knows no file"),
    ],
)
def test_explain_says_why_a_file_is_not_done(story, key, verdict, words):
    said = story.said[f"explain {key}"]
    assert said["verdict"] == verdict
    assert words in " ".join(said["text"])


@pytest.mark.parametrize(
    ("verb", "name", "why"),
    [
        ("retry", "good.jpg", "is done, so it can't be tried again"),
        ("cancel", "good.jpg", "is done, so it can't be cancelled"),
        ("retry", "broken.png", "can't be tried again as it is. Open it in a photo program"),
    ],
)
def test_what_can_not_be_tried_again_is_refused(story, verb, name, why):
    said = story.lanes.retouchd(verb, str(story.job("read", name)["id"]))
    assert said.returncode == 2
    assert why in said.stderr


@pytest.fixture(scope="module")
def second(story, pictures) -> dict[str, Any]:
    """After mending, retrying, cancelling and pruning, and another `once`."""
    lanes, again, stop = story.lanes, story.spools["again"], story.spools["stop"]
    folder = next(again.failed.glob(TODAY))
    # Mended where it lies, and one that is not.
    good = again.drop("mend.png", pictures.blob()).read_bytes()
    (again.inbox / "mend.png").unlink()
    (folder / "one_mask.png").write_bytes(good)
    again.dropped["one_mask.png"] = again.dropped.pop("mend.png")
    one = story.job("again", "one.png")["id"]
    unwanted = story.job("stop", "unwanted.png")["id"]
    found = {
        "retry": lanes.retouchd("retry", str(one)),
        "cancel": lanes.retouchd("cancel", str(unwanted)),
    }
    stop.drop("unwanted_mask.png", pictures.blob())
    stop.drop("regretted_mask.png", pictures.blob())
    found["once"] = lanes.once()
    found["jobs"] = {(j["lane"], j["name"]): j for j in lanes.jobs()}
    found["explain"] = lanes.retouchd("explain", "--json", str(stop.inbox / "unwanted.png"))
    return found


def test_a_mended_original_can_be_tried_again_where_it_lies(story, second):
    again = story.spools["again"]
    assert second["retry"].returncode == 0
    assert "will be tried again" in second["retry"].stdout
    job = second["jobs"]["again", "one.png"]
    assert (job["state"], job["error"], job["error_file"]) == ("done", None, None)
    assert again.undated(again.outbox) == ["one.png"]
    assert {"one.png", "one_mask.png"} == set(again.undated(again.archive))
    assert again.digests(again.archive)["one_mask.png"] == again.dropped["one_mask.png"]
    assert again.undated(again.failed) == ["two.png", "two.png.error.txt", "two_mask.png"]


def test_a_cancelled_job_leaves_its_files_alone_for_good(story, second):
    stop = story.spools["stop"]
    assert second["cancel"].returncode == 0
    assert "its files stay where they are" in second["cancel"].stdout
    assert "unwanted.png" in stop.files(stop.inbox)
    assert stop.undated(stop.outbox) == ["regretted.png"]
    assert second["jobs"]["stop", "unwanted.png"]["state"] == "cancelled"
    said = json.loads(second["explain"].stdout)
    assert said["verdict"] == "cancelled"
    assert "It was cancelled" in " ".join(said["text"])


def test_once_with_nothing_wrong_ends_with_zero(second):
    assert second["once"].returncode == 0, second["once"].stderr


@pytest.fixture(scope="module")
def third(story, second, pictures) -> dict[str, Any]:
    """After `retry --failed`, a new file in place of the cancelled one, and a prune."""
    lanes, stop, old = story.lanes, story.spools["stop"], story.spools["old"]
    found: dict[str, Any] = {"retry": lanes.retouchd("retry", "--failed")}
    (stop.inbox / "unwanted.png").unlink()
    stop.drop("unwanted.png", pictures.texture(9))
    found["once"] = lanes.once()
    found["jobs"] = {j["id"]: j for j in lanes.jobs()}
    due = ("--set", "lanes.old.retention.outputs.max_age=0s")
    found["before"] = set(old.files(old.outbox))
    found["dry"] = lanes.retouchd("prune", "--dry-run", "--json", *due)
    found["between"] = set(old.files(old.outbox))
    found["wet"] = lanes.retouchd("prune", "--json", *due)
    found["after"] = set(old.files(old.outbox))
    found["again"] = lanes.retouchd("prune", "--json", *due)
    return found


def test_retry_failed_tries_everything_that_was_set_aside(story, third):
    assert third["retry"].stdout.count("will be tried again") == 1
    assert "can't be tried again as it is. Open it in a photo" in third["retry"].stderr
    states = {job["name"]: job["state"] for job in third["jobs"].values() if job["lane"] == "again"}
    assert states == {"one.png": "done", "two.png": "quarantined"}
    again, read = story.spools["again"], story.spools["read"]
    assert again.undated(again.failed) == ["two.png", "two.png.error.txt", "two_mask.png"]
    assert read.undated(read.failed) == ["broken.png", "broken.png.error.txt"]
    assert third["once"].returncode == 3


def test_a_new_file_under_a_cancelled_name_is_new_work(story, third):
    stop = story.spools["stop"]
    states = [j["state"] for j in third["jobs"].values() if j["name"] == "unwanted.png"]
    assert sorted(states) == ["cancelled", "done"]
    assert stop.undated(stop.outbox) == ["regretted.png", "unwanted.png"]


def test_prune_deletes_exactly_what_the_dry_run_lists(story, third):
    old = story.spools["old"]
    dry, wet = json.loads(third["dry"].stdout), json.loads(third["wet"].stdout)
    assert third["before"] == third["between"]
    assert [f["path"] for f in dry["files"]] == [f["path"] for f in wet["files"]]
    assert {f["path"] for f in wet["files"]} == {str(old.outbox / n) for n in third["before"]}
    assert third["after"] == set()
    assert json.loads(third["again"].stdout)["files"] == []
    assert sorted(old.undated(old.archive)) == ["a.png", "a_mask.png", "b.png", "b_mask.png"]


# --- beside a running service -------------------------------------------------------------------


@pytest.fixture(scope="module")
def service(make_spool, start_all, pictures):
    spool = make_spool()
    running = start_all(spool, "--model", "flat")
    running.wait_for("watching")
    spool.drop_pair("first")
    running.wait_for("done")
    return spool, running


def test_status_of_a_running_service(service, eventually):
    spool, running = service
    status = spool.status()
    assert status["running"]
    assert status["pid"] == running.process.pid
    assert status["device"] == "cpu"
    assert status["jobs"]["done"] == 1
    assert status["lanes"][0]["model"] == "flat", "that of the service, not of this command"
    assert {job["model"] for job in spool.jobs()} == {"flat"}
    assert status["jobs"].keys() >= STATES
    assert status["lanes"][0]["watching"] == "events"
    assert status["lanes"][0]["paused"] is None
    assert f"running (process {running.process.pid}) on cpu" in spool.retouchd("status").stdout


def test_a_second_instance_is_refused(service):
    spool, running = service
    for verb in ("run", "once"):
        refused = spool.retouchd(verb)
        assert refused.returncode == 4
        assert str(running.process.pid) in refused.stderr
        assert "--root" in refused.stderr
        assert "Traceback" not in refused.stderr


def test_explain_of_a_file_that_is_still_arriving(service, pictures):
    spool, _ = service
    (spool.inbox / "arriving.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    said = json.loads(spool.retouchd("explain", "--json", str(spool.inbox / "arriving.png")).stdout)
    assert said["verdict"] == "settling"
    (spool.inbox / "arriving.png").unlink()


def test_a_name_that_comes_again_is_explained_as_the_new_file(service):
    spool, _ = service
    path = spool.inbox / "first.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n")
    said = json.loads(spool.retouchd("explain", "--json", str(path)).stdout)
    path.unlink()
    assert said["verdict"] == "settling"


def test_cancel_and_retry_beside_the_service(service, pictures, eventually):
    spool, running = service
    spool.drop("later.png", pictures.texture(6))
    number = running.wait_for("waiting", file="later.png")["job"]
    assert spool.retouchd("cancel", str(number)).returncode == 0
    spool.drop("later_mask.png", pictures.blob())
    mask = running.wait_for("waiting", file="later_mask.png")["job"]
    assert mask != number
    assert spool.retouchd("retry", str(number)).returncode == 0
    running.wait_for("done", file="later.png")
    assert "later.png" in spool.undated(spool.outbox)
    assert spool.files(spool.inbox) == []


def test_the_service_ends_in_order(service):
    spool, running = service
    assert running.stop() == 0
    running._reader.join(10)
    assert [line["event"] for line in running.lines][-2:] == ["stopping", "stopped"]
    status = spool.status()
    assert (status["running"], status["pid"], status["device"]) == (False, None, "not running")


# --- the environment's fault --------------------------------------------------------------------


@pytest.fixture(scope="module")
def paused(make_spool, pictures) -> tuple[Any, Any]:
    """A lane whose outbox was replaced, after `once`."""
    spool = make_spool()
    assert spool.once("--model", "flat").returncode == 0
    spool.drop_pair("photo")
    (spool.outbox / ".retouchd-root").unlink()
    return spool, spool.once("--model", "flat")


def test_once_tells_a_paused_lane_by_its_exit_code(paused):
    spool, done = paused
    assert done.returncode == 75
    assert "Traceback" not in done.stderr
    (said,) = [line for line in done.stderr.splitlines() if line.startswith("Lane inpaint is paus")]
    assert "retouchd adopt inpaint" in said
    assert spool.files(spool.inbox) == ["photo.png", "photo_mask.png"]
    assert spool.files(spool.outbox) == []


def test_a_replaced_folder_can_be_adopted(paused):
    spool, _ = paused
    assert spool.retouchd("adopt", "inpaint").returncode == 0
    assert spool.once("--model", "flat").returncode == 0
    assert spool.undated(spool.outbox) == ["photo.png"]
