"""A system call of a hand that fails, once or until further notice: never a false `done`, never a
lost or a changed original; and once the fault is gone, every pair is finished exactly once, by
itself, in the same service."""

from __future__ import annotations

import hashlib
import itertools
import subprocess
import time
from collections import Counter
from contextlib import contextmanager

import pytest

CALLS = ("fsync", "renameat2", "write", "openat", "unlinkat", "read", "mkdirat")
ERRORS = ("EIO", "ENOSPC", "EROFS", "ESTALE")
# The first, the second and the third call of each hand, or every one from there on.
MOMENTS = ("1", "2", "3", "1+", "2+", "3+")
QUICK = [("renameat2", "ESTALE", "2+"), ("write", "ENOSPC", "1+"), ("openat", "EIO", "3")]
"""Beside those of tests/faults."""
SWEEP = [case for case in itertools.product(CALLS, ERRORS, MOMENTS) if case not in QUICK]


class Plant:
    """One service for all cases; each drops pairs of its own."""

    def __init__(self, spool, running, children):
        self.spool, self.running, self._children = spool, running, children
        self.expected: dict[str, str] = {}
        self._product = {}
        self._cases = 0

    def warm_up(self):
        """Start every hand, and see what becomes of the pairs without a fault."""
        self.drop(6)
        self.running.wait_for("done", 6)
        for name, digest in self.spool.digests(self.spool.outbox).items():
            self._product[name.rpartition(".")[2]] = digest
            self.expected[name] = digest

    def drop(self, pairs=2):
        """Drop pairs that are alike but for their names."""
        self._cases += 1
        for number in range(pairs):
            stem, suffix = f"case{self._cases}-{number}", (".png", ".jpg")[number % 2]
            self.spool.drop_pair(stem, suffix, seed=7)
            if self._product:
                self.expected[f"{stem}{suffix}"] = self._product[suffix[1:]]

    @contextmanager
    def fault(self, call, what, when):
        """Let a system call of the hands fail, as they are now."""
        pids = [
            word for pid in self._children(self.running.process.pid) for word in ("-p", f"{pid}")
        ]
        inject = ["-e", f"trace={call}", "-e", f"inject={call}:{what}:when={when}"]
        strace = subprocess.Popen(
            ["strace", "-f", "-o", "/dev/null", *inject, *pids], stderr=subprocess.PIPE, text=True
        )
        try:
            assert strace.stderr
            assert "attached" in strace.stderr.readline()
            yield
        finally:
            strace.terminate()
            strace.wait(10)
            strace.stderr.close()

    def check_nothing_false(self):
        """What is said to be done is out, whole, and nothing else is; originals are all there."""
        done = {job["name"] for job in self.spool.jobs() if job["state"] == "done"}
        out = {name: d for name, d in self.spool.digests(self.spool.outbox).items() if name}
        assert set(out.items()) <= set(self.expected.items())
        assert done <= set(out)
        found = Counter(
            hashlib.sha256(path.read_bytes()).hexdigest()
            for folder in (self.spool.inbox, self.spool.archive, self.spool.failed)
            for path in folder.rglob("*")
            if path.is_file() and not path.name.startswith(".")
        )
        assert found == Counter(self.spool.dropped.values())

    def check_all_done(self, timeout=120):
        def settled():
            jobs = self.spool.jobs()
            return Counter(job["name"] for job in jobs if job["state"] == "done") == Counter(
                dict.fromkeys(self.expected, 1)
            )

        deadline = time.monotonic() + timeout
        while not settled() and time.monotonic() < deadline:
            time.sleep(0.3)
        assert not self.spool.files(self.spool.failed)
        self.spool.check_exactly_once(self.expected)


@pytest.fixture(scope="module")
def plant(make_spool, start_all, children, inject):
    inject()  # for its check that strace works
    spool = make_spool()
    plant = Plant(spool, start_all(spool, "--set", "retry.crashes=10"), children)
    plant.warm_up()
    return plant


def noticed(plant, before):
    return [line for line in plant.running.lines[before:] if line["level"] == "warning"]


def play(plant, call, what, when, patience=2.5):
    """patience: seconds in which the fault is felt, if it is at all."""
    before = len(plant.running.lines)
    with plant.fault(call, what, when):
        plant.drop()
        deadline = time.monotonic() + patience
        while not noticed(plant, before) and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(0.5)
        plant.check_nothing_false()
    plant.check_all_done()


@pytest.mark.parametrize(("call", "error", "when"), QUICK)
def test_a_call_that_fails(plant, call, error, when):
    before = len(plant.running.lines)
    play(plant, call, f"error={error}", when, patience=40)
    assert noticed(plant, before), "the fault was not felt"


@pytest.mark.soak
@pytest.mark.parametrize(("call", "error", "when"), SWEEP)
def test_any_call_that_fails(plant, call, error, when):
    play(plant, call, f"error={error}", when)


@pytest.mark.soak
@pytest.mark.parametrize("when", ["1", "2", "3", "4"])
@pytest.mark.parametrize("call", CALLS)
def test_a_hand_that_dies_at_any_call(plant, call, when):
    play(plant, call, "signal=SIGKILL", when)


@pytest.mark.soak
@pytest.mark.parametrize("when", MOMENTS)
@pytest.mark.parametrize("call", ["fdatasync", "pwrite64"])
def test_a_ledger_that_fails(plant, call, when):
    """The service's own calls: commits fail while the folders are well."""
    plant._children, of_hands = lambda pid: [pid], plant._children
    try:
        play(plant, call, "error=EIO", when)
    finally:
        plant._children = of_hands
