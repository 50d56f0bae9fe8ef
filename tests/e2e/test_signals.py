"""Signals, systemd's protocol, and the end: in time, whatever hangs."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import time
from datetime import datetime, timedelta

import pytest

from helpers.pictures import texture
from helpers.tiny_network import install

PAIRS = 6


def fill(spool, first=0, count=PAIRS):
    for number in range(first, first + count):
        spool.drop_pair(f"photo{number}", seed=number)


def states(spool):
    return {job["name"]: job["state"] for job in spool.jobs()}


def stop(running, number=signal.SIGTERM):
    """End it; returns the exit code and the seconds that it took."""
    began = time.monotonic()
    running.signal(number)
    return running.process.wait(60), time.monotonic() - began


class TestStopping:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_what_is_under_way_is_finished_and_the_rest_is_kept(
        self, spool, start, undisturbed, number
    ):
        expected = undisturbed(fill)
        fill(spool)
        running = start("--set", "hands=1")
        running.wait_for("running", lane="inpaint")
        code, took = stop(running, number)
        assert code == 0
        assert took < 25
        assert set(states(spool).values()) <= {"done", "ready"}
        assert spool.once().returncode == 0
        spool.check_exactly_once(expected)
        assert {job["interrupted"] for job in spool.jobs()} == {0}

    def test_a_hand_that_does_not_answer_does_not_hold_it_up(
        self, spool, start, children, undisturbed
    ):
        """Its job is handed back, with the attempt."""
        expected = undisturbed(fill)
        running = start("--set", "drain=2s")
        fill(spool)
        running.wait_for("running", lane="inpaint")
        for pid in children(running.process.pid):
            os.kill(pid, signal.SIGSTOP)
        code, took = stop(running)
        assert code == 0
        assert took < 20
        assert {job["attempts"] for job in spool.jobs() if job["state"] == "ready"} <= {0}
        assert "running" not in states(spool).values()
        assert spool.once().returncode == 0
        spool.check_exactly_once(expected)

    def test_a_share_that_hangs_for_ever_does_not_hold_it_up(self, spool, start, frozen_disk):
        """Not even SIGKILL ends who waits for such a share; the service leaves him behind."""
        outbox = frozen_disk(spool.outbox)
        running = start("--set", "drain=1s", "--set", "scan.answer_within=1h")
        spool.drop_pair("photo0")
        running.wait_for("done")
        outbox.freeze()
        fill(spool, first=1, count=3)
        running.wait_for("running", 3, lane="inpaint")
        time.sleep(1)
        code, took = stop(running)
        assert code == 0
        assert took < 25
        outbox.thaw()
        assert spool.once().returncode == 0
        assert spool.undated(spool.outbox) == [f"photo{n}.png" for n in range(4)]
        assert set(states(spool).values()) == {"done"}

    def test_it_stops_while_it_waits_for_a_disk(self, spool, start, mount):
        mount(spool.outbox, "size=64k")
        running = start()
        running.wait_for("watching")
        with contextlib.suppress(OSError):
            (spool.outbox / "filler").write_bytes(bytes(1 << 20))
        fill(spool)
        running.wait_for("lane paused")
        code, took = stop(running)
        assert code == 0
        assert took < 15

    def test_once_does_not_say_that_there_is_nothing_while_files_are_still_settling(
        self, spool, start
    ):
        fill(spool, count=1)
        running = start("--set", "scan.settle=1h", verb="once")
        running.wait_for("watching", lane="inpaint")
        code, _ = stop(running, signal.SIGINT)
        ended = running.wait_for("ended")
        assert (code, ended["code"], ended["result"]) == (75, 75, "nothing done")
        assert "before every inbox had been looked at" in ended["reasons"]
        assert spool.once().returncode == 0
        assert states(spool) == {"photo0.png": "done"}


class TestHanging:
    @pytest.mark.soak
    def test_a_share_that_hangs_pauses_its_lane_only_and_comes_back(
        self, make_lanes, start_all, frozen_disk, eventually
    ):
        lanes = make_lanes()
        well, ill = lanes.lane("well"), lanes.lane("ill")
        disk = frozen_disk(ill.outbox)
        running = start_all(lanes, "--set", "scan.answer_within=2s")
        running.wait_for("watching", 2)
        ill.drop_pair("photo")
        running.wait_for("done", lane="ill")
        disk.freeze()
        fill(ill, count=2)
        paused = running.wait_for("lane paused", lane="ill")
        assert "did not answer within" in paused["reason"]
        began = time.monotonic()
        fill(well, count=3)
        running.wait_for("done", 3, lane="well")
        assert time.monotonic() - began < 40
        assert not [
            line
            for line in running.lines
            if line["event"] == "lane paused" and line["lane"] == "well"
        ]
        assert eventually(
            lambda: [lane["paused"] is None for lane in lanes.status()["lanes"]] == [True, False]
        )
        disk.thaw()
        running.wait_for("done", 3, lane="ill")
        assert running.stop() == 0
        assert ill.undated(ill.outbox) == ["photo.png", "photo0.png", "photo1.png"]
        attempts = {job["attempts"] for job in lanes.jobs()}
        assert attempts == {1}

    @pytest.mark.soak
    def test_a_share_that_hangs_for_long_does_not_fill_the_memory_with_hands(
        self, spool, start, frozen_disk, children
    ):
        disk = frozen_disk(spool.outbox)
        running = start("--set", "scan.answer_within=1s", "--set", "hands=2")
        spool.drop_pair("first")
        running.wait_for("done")
        disk.freeze()
        fill(spool)
        running.wait_for("lane paused")
        time.sleep(60)
        assert len(children(running.process.pid)) <= 6
        disk.thaw()
        running.wait_for("done", PAIRS + 1)


@pytest.fixture(scope="module")
def running_lane(make_lanes, start_all):
    lanes = make_lanes()
    lane = lanes.lane("only")
    running = start_all(lanes, "--model", "classical")
    running.wait_for("watching")
    return lanes, lane, running


@pytest.fixture(scope="module")
def by_its_file(make_lanes, start_all):
    """A service that takes everything from its file."""
    lanes = make_lanes()
    lanes.lane("only")
    running = start_all(lanes)
    running.wait_for("watching")
    return lanes, running


def times_kept(running):
    """How often a configuration was refused so far."""
    return sum(line["event"] == "configuration kept" for line in running.lines)


def refused(lanes, running, text):
    """What is logged at a reload of a file with that text; the file is as it was afterwards."""
    good = lanes.file.read_text(encoding="utf-8")
    count = times_kept(running)
    lanes.file.write_text(text, encoding="utf-8")
    running.signal(signal.SIGHUP)
    kept = running.wait_for("configuration kept", count + 1)
    lanes.file.write_text(good, encoding="utf-8")
    return kept


class TestReloading:
    def test_a_new_lane_and_a_new_option_are_taken_up(self, make_lanes, start_all):
        lanes = make_lanes()
        first = lanes.lane("first")
        running = start_all(lanes)
        running.wait_for("watching", lane="first")
        first.drop_pair("before")
        running.wait_for("done", file="before.png")
        second = lanes.lane("second")
        lanes.lane("first", output={"format": "webp"})
        running.signal(signal.SIGHUP)
        running.wait_for("configuration reloaded")
        running.wait_for("watching", lane="second")
        second.drop_pair("there")
        first.drop_pair("after")
        running.wait_for("done", file="there.png")
        running.wait_for("done", file="after.png")
        assert first.undated(first.outbox) == ["after.webp", "before.png"]
        assert running.stop() == 0

    def test_how_much_is_logged_is_taken_up(self, make_lanes, start_all, eventually):
        lanes = make_lanes()
        lanes.top["log"] = {"level": "error"}
        lane = lanes.lane("only")
        running = start_all(lanes)
        lane.drop_pair("photo")
        assert eventually(lambda: lane.undated(lane.outbox) == ["photo.png"])
        assert running.lines == []
        lanes.top["log"] = {"level": "info"}
        lanes.lane("only")
        running.signal(signal.SIGHUP)
        running.wait_for("configuration reloaded", timeout=20)
        assert running.stop() == 0

    @pytest.mark.parametrize(
        "text",
        ["lanes: [", "lanes: 5\n", "lanes: null\n", "", "- 1\n", "state: 1\nlanes: []\n", "\0"],
    )
    def test_a_wrong_file_keeps_the_old_configuration_and_says_so(self, running_lane, text):
        lanes, lane, running = running_lane
        kept = refused(lanes, running, text)
        assert kept["cause"]
        assert kept["remedy"]
        number = times_kept(running)
        lane.drop_pair(f"photo{number}", seed=number)
        running.wait_for("done", file=f"photo{number}.png")

    def test_drops_are_told_by_events_as_before(self, running_lane, eventually):
        lanes, _, running = running_lane
        running.signal(signal.SIGHUP)
        running.wait_for("configuration reloaded")
        told = lambda: [one["watching"] for one in lanes.status()["lanes"]]  # noqa: E731
        assert eventually(lambda: told() == ["events"])
        time.sleep(2.5)  # a beat of the service, in which it sees whether its watches live
        assert told() == ["events"]
        assert not any(line["event"] == "watch lost" for line in running.lines)

    def test_what_needs_a_restart_is_refused(self, make_lanes, start_all):
        lanes = make_lanes()
        lanes.lane("only")
        running = start_all(lanes)
        running.wait_for("watching")
        lanes.top["state"] = str(lanes.root / "elsewhere")
        lanes.lane("only")
        running.signal(signal.SIGHUP)
        assert "Restart" in running.wait_for("configuration kept")["remedy"]

    @pytest.mark.parametrize(
        ("model", "cause", "remedy"),
        [
            ("lama", "there is no such model", "The models are"),
            ("big-lama", "not installed yet", "models add big-lama"),
            ("trimap", "a model for matte", "models list"),
            ("flat", "flat is not loaded", "Restart the service"),
        ],
    )
    def test_nobody_is_told_to_restart_with_what_can_not_start(
        self, by_its_file, model, cause, remedy
    ):
        lanes, running = by_its_file
        good = lanes.file.read_text(encoding="utf-8")
        kept = refused(lanes, running, good.replace("classical", model))
        assert cause in kept["cause"]
        assert remedy in kept["remedy"]
        assert ("Restart" in kept["remedy"]) == (model == "flat")

    def test_status_tells_what_runs_whatever_its_file_says(self, by_its_file, eventually):
        lanes, running = by_its_file
        good = lanes.file.read_text(encoding="utf-8")
        count = times_kept(running)

        def told(*words):
            lane = lanes.status()["lanes"][0]
            assert (lane["name"], lane["model"]) == ("only", "classical")
            return all(word in (lanes.status()["differs"] or "") for word in words)

        assert eventually(lambda: lanes.status()["differs"] is None)
        lanes.file.write_text(f"{good}drain: 9s\n", encoding="utf-8")
        assert told("was changed since")
        lanes.file.write_text(f"{good}lanes: [", encoding="utf-8")
        assert told("can't be used", "not valid YAML")
        running.signal(signal.SIGHUP)
        running.wait_for("configuration kept", count + 1)
        assert eventually(lambda: told("was rejected", "not valid YAML"))
        lanes.file.write_text(good, encoding="utf-8")
        assert eventually(lambda: lanes.status()["differs"] is None)

    def test_what_waits_in_an_inbox_that_is_none_any_more_is_told_where_it_lies(
        self, make_lanes, start_all
    ):
        lanes = make_lanes()
        before = lanes.lane("only")
        before.drop("photo.png", texture(1))
        running = start_all(lanes)
        running.wait_for("waiting", file="photo.png")
        lanes.lane("only", inbox=str(lanes.root / "elsewhere"))
        running.signal(signal.SIGHUP)
        why = running.wait_for("cancelled", file="photo.png")["why"]
        assert str(before.inbox) in why
        assert before.files(before.inbox) == ["photo.png"]
        (before.inbox / "photo.png").rename(lanes.root / "elsewhere" / "photo.png")
        running.wait_for("waiting", 2, file="photo.png")
        (lanes.root / "elsewhere" / "photo.png").unlink()
        assert "taken out" in running.wait_for("cancelled", 2, file="photo.png")["why"]

    def test_a_lane_that_was_taken_out_rests_and_goes_on_later(self, make_lanes, start_all):
        lanes = make_lanes()
        lanes.lane("stays")
        goes = lanes.lane("goes")
        running = start_all(lanes)
        running.wait_for("watching", 2)
        kept = lanes.lanes.pop("goes")
        lanes.lane("stays")
        running.signal(signal.SIGHUP)
        running.wait_for("configuration reloaded")
        goes.drop_pair("photo")
        time.sleep(2)
        assert goes.files(goes.inbox) == ["photo.png", "photo_mask.png"]
        lanes.lanes["goes"] = kept
        lanes.lane("stays")
        running.signal(signal.SIGHUP)
        running.wait_for("done", lane="goes")


def test_systemd_hears_what_it_needs(spool, start, notified, eventually):
    """Ready only when models and lanes are, a sign of life three times per period, every status
    line, the reload, and the stop."""
    running = start(environment=notified.environment(3))
    running.wait_for("watching")
    assert eventually(lambda: bool(notified.times(READY="1")))
    (loading,) = notified.times(STATUS="loading the models")
    assert loading < notified.times(READY="1")[0]
    fill(spool, count=1)
    running.wait_for("done")
    assert eventually(lambda: any("1 done" in f.get("STATUS", "") for _, f in notified.seen))
    pings = notified.times(WATCHDOG="1")
    assert eventually(lambda: len(notified.times(WATCHDOG="1")) >= len(pings) + 2, 5)
    pings = notified.times(WATCHDOG="1")
    assert max(b - a for a, b in itertools.pairwise(pings)) < 2.5
    running.signal(signal.SIGHUP)
    assert eventually(lambda: bool(notified.times(RELOADING="1")))
    assert eventually(lambda: len(notified.times(READY="1")) == 2)
    assert stop(running)[0] == 0
    assert eventually(lambda: bool(notified.times(STOPPING="1")), 2)


def test_models_that_still_load_do_not_hold_up_the_end(make_lanes, start_all, notified, eventually):
    """As a shutdown has it: nothing was begun, so there is nothing to finish."""
    lanes = make_lanes()
    install(lanes.root / "state" / "models")
    lanes.lane("cutouts", task="matte", model="mine")
    running = start_all(lanes, environment=notified.environment(60))
    assert eventually(lambda: bool(notified.times(STATUS="loading the models")))
    assert stop(running)[0] == -signal.SIGTERM
    assert not notified.times(READY="1")


def test_a_dead_service_sends_no_sign_of_life(spool, start, notified, eventually):
    """SIGSTOP is the hang of a whole process: systemd has to find out by silence."""
    running = start(environment=notified.environment(1.5))
    running.wait_for("watching")
    assert eventually(lambda: bool(notified.times(WATCHDOG="1")))
    running.signal(signal.SIGSTOP)
    time.sleep(0.3)
    count = len(notified.seen)
    time.sleep(2)
    assert len(notified.seen) == count
    running.signal(signal.SIGCONT)
    assert eventually(lambda: len(notified.seen) > count, 5)


def hours(start_in, end_in):
    """A window of hours, from and to so many hours from now."""
    now = datetime.now()
    start, end = now + timedelta(hours=start_in), now + timedelta(hours=end_in)
    return f"{start:%H:%M}-{end:%H:%M}"


def test_outside_its_hours_a_lane_only_takes_in(spool, start, eventually):
    closed = ("--set", f"lanes.*.schedule.active={hours(3, 5)}")
    fill(spool, count=2)
    done = spool.once(*closed)
    assert done.returncode == 75
    assert set(states(spool).values()) == {"ready"}
    running = start(*closed)
    running.wait_for("watching")
    time.sleep(2)
    assert set(states(spool).values()) == {"ready"}
    assert running.stop() == 0
    assert spool.once("--set", f"lanes.*.schedule.active={hours(-1, 1)}").returncode == 0
    assert set(states(spool).values()) == {"done"}
