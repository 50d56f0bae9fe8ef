"""The bound on decoded photos in memory."""

from __future__ import annotations

import threading
import time

from retouchd.budget import ByteBudget


def test_no_more_is_in_memory_than_the_budget_however_many_want() -> None:
    budget, lock = ByteBudget(100), threading.Lock()
    now = most = 0

    def work(amount: int) -> None:
        nonlocal now, most
        with budget.spend(amount):
            with lock:
                now += amount
                most = max(most, now)
            time.sleep(0.002)
            with lock:
                now -= amount

    threads = [threading.Thread(target=work, args=(n % 60 + 1,)) for n in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert not any(thread.is_alive() for thread in threads)
    assert 60 <= most <= 100


def test_what_is_larger_than_all_of_it_runs_alone() -> None:
    budget = ByteBudget(100)
    with budget.spend(10**12):
        entered = threading.Event()

        def small() -> None:
            with budget.spend(1):
                entered.set()

        thread = threading.Thread(target=small)
        thread.start()
        assert not entered.wait(0.05)
    thread.join(5)
    assert entered.is_set()


def test_a_failure_gives_its_bytes_back() -> None:
    budget = ByteBudget(100)
    for _ in range(3):
        try:
            with budget.spend(100):
                raise KeyError
        except KeyError:
            continue
    with budget.spend(100):
        pass


def test_a_job_that_needs_more_waits_until_it_is_free() -> None:
    budget = ByteBudget(100)
    order: list[str] = []
    inside, go_on = threading.Event(), threading.Event()

    def first() -> None:
        with budget.spend(40), budget.raised(30):
            inside.set()
            assert go_on.wait(5)
            order.append("first")

    def second() -> None:
        with budget.spend(20), budget.raised(30):
            order.append("second")

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    threads[0].start()
    assert inside.wait(5)
    threads[1].start()
    threads[1].join(0.1)
    assert order == []
    go_on.set()
    for thread in threads:
        thread.join(5)
    assert order == ["first", "second"]


def test_jobs_that_all_need_more_than_is_left_get_on_one_by_one() -> None:
    """Each holds what the others wait for."""
    budget, at_once, most = ByteBudget(100), [0], [0]
    everyone, lock = threading.Barrier(4), threading.Lock()

    def job() -> None:
        with budget.spend(25):
            everyone.wait(5)
            with budget.raised(60):
                with lock:
                    at_once[0] += 1
                    most[0] = max(most[0], at_once[0])
                time.sleep(0.01)
                with lock:
                    at_once[0] -= 1

    threads = [threading.Thread(target=job) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert not any(thread.is_alive() for thread in threads)
    assert most == [1]
    with budget.spend(100):
        pass


def test_a_lane_that_holds_nothing_does_not_wait_for_the_others() -> None:
    """Theirs may wait for a share that hangs; but one at a time goes over the total."""
    budget, entered = ByteBudget(100), threading.Semaphore(0)
    leave = threading.Event()

    def work(lane: str, amount: int) -> None:
        with budget.spend(amount, lane):
            entered.release()
            leave.wait(5)

    def start(lane: str, amount: int) -> bool:
        thread = threading.Thread(target=work, args=(lane, amount), daemon=True)
        threads.append(thread)
        thread.start()
        return entered.acquire(timeout=0.1)

    threads: list[threading.Thread] = []
    assert start("ill", 100)
    assert not start("ill", 1)
    assert start("well", 80)
    assert not start("well", 1)
    assert not start("third", 1)
    leave.set()
    for thread in threads:
        thread.join(5)
    assert not any(thread.is_alive() for thread in threads)
    with budget.spend(100, "ill"):
        assert not budget._fits(1)
