"""The pool of worker processes: each kind of harm costs one process and never the service."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retouchd.call import Call
from retouchd.errors import (
    HandDied,
    IoTrouble,
    NotAnImage,
    OutOfMemory,
    RetouchdError,
    RootLost,
    ShareHung,
    Unexpected,
)
from retouchd.hands import Hands, _understand
from retouchd.roots import Root, RootRef
from retouchd.shared import attach, put
from retouchd.tenancy import Tenant

pytestmark = pytest.mark.timeout(60)  # each starts processes, maybe on a busy machine

ROOMY = 8 << 30


@pytest.fixture
def pool() -> Iterator[Callable[..., Hands]]:
    pools: list[Hands] = []

    def make(size: int = 2, lanes: int = 1, memory: int = ROOMY) -> Hands:
        pools.append(Hands(size, lanes, memory))
        return pools[-1]

    yield make
    for made in pools:
        made.close()


def scan(ref: RootRef, lane: str = "a", within: float = 8.0) -> Call:
    us = Tenant("ledger", "machine", "host", "/lock").wire
    values = {"root": asdict(ref), "tenant": us, "ignore": [], "excluded": []}
    return Call("scan", lane, ref.path, within, values, looks=True)


def in_background(hands: Hands, call: Call) -> tuple[threading.Thread, list[object]]:
    """Start a call in a thread; what it raised or returned is put into the list."""
    heard: list[object] = []

    def work() -> None:
        try:
            heard.append(hands.call(call))
        except RetouchdError as error:
            heard.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    return thread, heard


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_task_answers_with_plain_values_even_for_names_that_are_not_utf8(
    pool: Callable[..., Hands], make_root: Callable[..., Root]
) -> None:
    root = make_root()
    Path(os.fsdecode(os.fsencode(root.ref.path) + b"/caf\xe9.png")).touch()
    answer, arrays = pool().call(scan(root.ref))
    assert [name for name, _, _ in answer["names"]] == [os.fsdecode(b"caf\xe9.png")]
    assert arrays == []


def test_an_error_in_a_hand_is_raised_as_itself_and_the_hand_goes_on(
    pool: Callable[..., Hands], make_root: Callable[..., Root]
) -> None:
    hands, root = pool(), make_root()
    Path(root.ref.path, "text.png").write_text("this is no picture, but long enough to be read")
    values = {"root": asdict(root.ref), "path": "text.png", "max_bytes": 1000}
    with pytest.raises(NotAnImage, match=r"text\.png"):
        hands.call(Call("check", "a", "text.png", 8.0, values))
    before = hands.pids()
    hands.call(scan(root.ref))
    assert hands.pids() == before


def test_a_bug_in_a_task_is_an_unexpected_error_and_costs_no_hand(
    pool: Callable[..., Hands], make_root: Callable[..., Root]
) -> None:
    hands, root = pool(), make_root()
    with pytest.raises(Unexpected, match="KeyError"):
        hands.call(Call("scan", "a", "x", 8.0, {}))
    before = hands.pids()
    hands.call(scan(root.ref))
    assert hands.pids() == before


def test_a_lost_root_keeps_its_facts_across_the_process_border(
    pool: Callable[..., Hands], tmp_path: Path
) -> None:
    ref = RootRef("holiday", "inbox", str(tmp_path / "gone"), "m")
    with pytest.raises(RootLost) as caught:
        pool().call(scan(ref, lane="holiday"))
    assert "retouchd adopt holiday" in caught.value.advice


def test_a_hand_that_hangs_is_given_up_after_the_deadline_and_replaced(
    pool: Callable[..., Hands], make_root: Callable[..., Root]
) -> None:
    hands, root = pool(), make_root()
    hands.call(scan(root.ref))
    [stuck] = hands.pids()
    os.kill(stuck, signal.SIGSTOP)
    began = time.monotonic()
    with pytest.raises(ShareHung, match=r"0\.3 s"):
        hands.call(scan(root.ref, within=0.3))
    assert time.monotonic() - began < 2
    hands.call(scan(root.ref))
    assert stuck not in hands.pids()


def test_a_hand_killed_in_the_middle_of_a_task_is_reported_and_replaced(
    pool: Callable[..., Hands], make_root: Callable[..., Root]
) -> None:
    hands, root = pool(), make_root()
    hands.call(scan(root.ref))
    [victim] = hands.pids()
    os.kill(victim, signal.SIGSTOP)
    thread, heard = in_background(hands, scan(root.ref))
    wait_until(lambda: hands._busy["a"] == 1)
    # The task has to be on its way: a hand that dies idle is replaced without a word.
    time.sleep(0.5)
    os.kill(victim, signal.SIGKILL)
    thread.join()
    assert isinstance(heard[0], HandDied)
    assert "SIGKILL, out of memory?" in heard[0].message
    hands.call(scan(root.ref))


VICTIM = """
import ctypes, os
from retouchd import tasks

def chat(values, arrays):
    for _ in range(values["times"]):
        try:
            os.write(2, b"TIFF: unknown tag \\x1b[31m{ 99\\n" * 1000)
        except OSError:
            break
    return {}, []

def die(values, arrays):
    os.write(2, values["words"].encode())
    buffer = ctypes.create_string_buffer(64)
    ctypes.CDLL(None).free(ctypes.c_void_p(ctypes.addressof(buffer) + 8))

tasks.TASKS = {**tasks.TASKS, "chat": chat, "die": die}
"""


@pytest.fixture
def mortal(
    pool: Callable[..., Hands], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Hands]:
    """Hands with the tasks ``chat``, which complains, and ``die``, which glibc ends."""
    (tmp_path / "sitecustomize.py").write_text(VICTIM)
    paths = (str(tmp_path), os.environ.get("PYTHONPATH", ""))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    return pool


def how_it_dies(hands: Hands, words: str = "") -> str:
    with pytest.raises(HandDied) as caught:
        hands.call(Call("die", "a", "photo.tif", 20.0, {"words": words}))
    return str(caught.value.facts["cause"])


def test_what_a_hand_says_at_its_end_is_told_and_not_what_it_said_before(
    mortal: Callable[..., Hands],
) -> None:
    """Otherwise nobody would ever know why."""
    hands = mortal(1)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(2):
        hands.call(Call("chat", "a", "x", 20.0, {"times": 2}))
        assert how_it_dies(hands) == "SIGABRT: free(): invalid pointer"
    # On a line of its own, after what it was complaining of just then.
    assert how_it_dies(hands, "bad tag\n\n").endswith(": bad tag / free(): invalid pointer")
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_words_of_a_hand_are_bounded_and_can_be_printed(mortal: Callable[..., Hands]) -> None:
    hands = mortal(1)
    hands.call(Call("chat", "a", "x", 20.0, {"times": 1000}))
    [words] = [hand.words for hand in hands._all]
    assert os.fstat(words.fd).st_size <= 1 << 20
    assert words.read() == ""
    cause = how_it_dies(hands, "\x1b[31m{path}" + "y" * 5000 + "\n")
    assert len(cause) < 250
    error = HandDied(path="photo.tif", cause="SIGABRT: \x1b[31m{path}")
    assert "\x1b" not in error.message
    assert "{path}" in error.message


def test_a_hand_that_died_while_idle_is_not_blamed_on_the_next_file(
    pool: Callable[..., Hands], make_root: Callable[..., Root]
) -> None:
    hands, root = pool(), make_root()
    hands.call(scan(root.ref))
    [victim] = hands.pids()
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: hands._all[0].process.poll() is not None)
    hands.call(scan(root.ref))
    assert victim not in hands.pids()


def test_the_time_that_a_hand_takes_to_start_is_not_its_first_tasks(
    pool: Callable[..., Hands], make_root: Callable[..., Root]
) -> None:
    """On a busy machine it can be longer than a share's deadline; else each new hand would be
    killed before it could begin, for ever."""
    hands, root = pool(), make_root()
    thread, heard = in_background(hands, scan(root.ref, within=1.5))
    wait_until(lambda: len(hands.pids()) == 1)
    [slow] = hands.pids()
    os.kill(slow, signal.SIGSTOP)
    time.sleep(2)
    os.kill(slow, signal.SIGCONT)
    thread.join()
    assert isinstance(heard[0], tuple), heard[0]
    assert hands.pids() == [slow]


def test_a_hand_that_dies_while_it_starts_is_not_blamed_on_its_first_file(
    pool: Callable[..., Hands], make_root: Callable[..., Root]
) -> None:
    """Else a broken installation would set every photo aside."""
    hands, root = pool(), make_root()
    thread, heard = in_background(hands, scan(root.ref))
    wait_until(lambda: len(hands.pids()) == 1)
    os.kill(hands.pids()[0], signal.SIGKILL)
    thread.join()
    assert isinstance(heard[0], IoTrouble)
    assert "did not start (SIGKILL" in heard[0].message
    hands.call(scan(root.ref))


def test_lanes_that_hang_leave_a_hand_to_the_lane_that_does_not(
    pool: Callable[..., Hands], make_root: Callable[..., Root]
) -> None:
    """Three lanes share four hands; however the first two behave, the third gets one."""
    hands, root = pool(4, lanes=3), make_root()
    threads = []
    for number, lane in enumerate("aabb"):
        threads.append(in_background(hands, scan(root.ref, lane, 8.0))[0])
        if number < 3:
            # Each of them is stopped as soon as it runs, as if its share hung.
            wait_until(lambda: len(hands.pids()) > number)  # noqa: B023
            os.kill(hands.pids()[number], signal.SIGSTOP)
    answer, _ = hands.call(scan(root.ref, "c"))
    assert answer["names"] == []
    hands.close()
    for thread in threads:
        thread.join()


def test_a_lane_that_hangs_leaves_a_hand_to_the_work_of_the_other(
    pool: Callable[..., Hands], make_root: Callable[..., Root]
) -> None:
    """Work leaves a hand to what is quick; but not if it is the lane's first."""
    hands, root = pool(3, lanes=2), make_root()
    threads = []
    for number in range(2):
        ill = replace(scan(root.ref, "ill"), long=number == 0)
        threads.append(in_background(hands, ill)[0])
        wait_until(lambda: len(hands.pids()) > number)  # noqa: B023
        os.kill(hands.pids()[number], signal.SIGSTOP)
    answer, _ = hands.call(replace(scan(root.ref, "well"), long=True))
    assert answer["names"] == []
    hands.close()
    for thread in threads:
        thread.join()


def test_running_out_of_memory_fails_the_task_and_not_the_hand(
    pool: Callable[..., Hands], make_root: Callable[..., Root]
) -> None:
    hands, root = pool(memory=450 << 20), make_root("outbox")
    values = {"roots": [asdict(root.ref)], "needed": 256 << 20}
    with pytest.raises(OutOfMemory, match="probe"):
        hands.call(Call("probe", "a", root.ref.path, 8.0, values))
    before = hands.pids()
    hands.call(scan(root.ref))
    assert hands.pids() == before
    assert os.listdir(root.ref.path) == [".retouchd-root"]


def test_a_hand_starts_without_torch_and_keeps_to_one_thread(
    pool: Callable[..., Hands], make_root: Callable[..., Root]
) -> None:
    hands, root = pool(), make_root()
    hands.call(scan(root.ref))
    folder = Path("/proc", str(hands.pids()[0]))
    assert "libtorch" not in (folder / "maps").read_text()
    assert len(list((folder / "task").iterdir())) == 1


def test_a_hand_gives_way_to_the_service_and_the_terminal_does_not_reach_it(
    pool: Callable[..., Hands], make_root: Callable[..., Root]
) -> None:
    """Its niceness counts only within a session, where the kernel shares the cores by session."""
    hands, root = pool(), make_root()
    hands.call(scan(root.ref))
    [hand] = hands.pids()
    assert os.getpriority(os.PRIO_PROCESS, hand) > os.getpriority(os.PRIO_PROCESS, 0)
    assert os.getsid(hand) == os.getsid(0)
    assert os.getpgid(hand) == hand


def test_the_signals_that_end_the_service_do_not_end_its_hands(
    pool: Callable[..., Hands], make_root: Callable[..., Root]
) -> None:
    """Ctrl-C reaches the whole process group, but work under way is to be finished."""
    hands, root = pool(), make_root()
    hands.call(scan(root.ref))
    before = hands.pids()
    os.kill(before[0], signal.SIGINT)
    os.kill(before[0], signal.SIGTERM)
    hands.call(scan(root.ref))
    assert hands.pids() == before


def test_hands_die_with_their_service() -> None:
    code = (
        "import time\n"
        "from retouchd.errors import RetouchdError\n"
        "from retouchd.call import Call\n"
        "from retouchd.hands import Hands\n"
        "hands = Hands(2, 1, 8 << 30)\n"
        "try: hands.call(Call('nothing', 'a', 'x', 8.0))\n"
        "except RetouchdError: print(hands.pids()[0], flush=True)\n"
        "time.sleep(60)\n"
    )
    service = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert service.stdout is not None
    hand = int(service.stdout.readline())
    assert _alive(hand)
    service.kill()
    service.communicate()
    wait_until(lambda: not _alive(hand))


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_closing_ends_calls_under_way_and_refuses_new_ones(
    pool: Callable[..., Hands], make_root: Callable[..., Root]
) -> None:
    hands, root = pool(), make_root()
    hands.call(scan(root.ref))
    [pid] = hands.pids()
    os.kill(pid, signal.SIGSTOP)
    thread, heard = in_background(hands, scan(root.ref))
    wait_until(lambda: hands._busy["a"] == 1)
    hands.close()
    thread.join()
    assert isinstance(heard[0], HandDied)
    assert not _alive(pid)
    with pytest.raises(HandDied, match="stopping"):
        hands.call(scan(root.ref))


def test_what_a_hand_makes_up_is_refused_without_leaking_descriptors() -> None:
    before = len(os.listdir("/proc/self/fd"))
    answers: tuple[dict[str, Any], ...] = (
        {"result": {}},
        {"result": {}, "arrays": 5},
        {"result": {}, "arrays": [{"shape": [9, 9], "dtype": "object"}]},
        {"result": {}, "arrays": [{"shape": [1 << 33, 1 << 33], "dtype": "uint8"}]},
        {"error": "TooLarge", "facts": "none"},
        {"error": "exec", "facts": {"self": 1}},
    )
    for answer in answers:
        shared = put(np.zeros((2, 2), np.uint8))
        with pytest.raises(Unexpected):
            _understand(answer, [shared.fd])
    assert len(os.listdir("/proc/self/fd")) == before


def test_arrays_that_a_hand_sends_back_are_readable() -> None:
    shared = put(np.arange(6, dtype=np.uint8).reshape(2, 3))
    _, [array] = _understand({"result": {}, "arrays": [shared.to_wire()]}, [shared.fd])
    assert attach(array).tolist() == [[0, 1, 2], [3, 4, 5]]
    array.close()
