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
