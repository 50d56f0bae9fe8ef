"""What is pruned, and what never is."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from retouchd.config.sections import Keep, Retention
from retouchd.retention import (
    BRAKE_FROM,
    CLOCK_JUMP,
    LONG_JUMP,
    ORDER,
    Decision,
    Kept,
    Volume,
    decide,
    decide_by_the_disk,
)

DAY = 86400.0
NOW = 1_800_000_000.0


def keep(age=None, size=None):
    """Keep for ``age`` days and up to ``size`` bytes."""
    return Keep.model_construct(max_age=None if age is None else age * DAY, max_size=size)


def rules(outputs=None, archive=None, failed=None, min_free=None, brake=0.5):
    forever = keep()
    return Retention.model_construct(
        outputs=outputs or forever,
        archive=archive or forever,
        failed=failed or forever,
        min_free=min_free,
        every=3600.0,
        brake=brake,
    )


def kept(file_id, days_old, size=10, role="outputs"):
    return Kept(file_id, "inpaint", role, f"{file_id}.jpg", size, NOW - days_old * DAY, file_id)


def prune(inventory, wanted, volumes=(), now=NOW, last_seen_now=NOW, **more):
    return decide(inventory, wanted, volumes, now=now, last_seen_now=last_seen_now, **more)


def ids(decision):
    return [doomed.file.file_id for doomed in decision.delete]


def everything(free):
    return [Volume(frozenset(ORDER), free)]


def test_the_default_keeps_90_days():
    assert ids(prune([kept(1, 89), kept(2, 91)], Retention())) == [2]


def test_each_role_has_its_own_age():
    inventory = [kept(i, 20, role=role) for i, role in enumerate(ORDER)]
    assert ids(prune(inventory, rules(archive=keep(age=10), outputs=keep(age=30)))) == [0]


def test_nothing_is_pruned_without_a_rule():
    assert prune([kept(1, 10_000)], rules()) == Decision(delete=())


def test_a_file_of_exactly_the_age_is_kept():
    assert ids(prune([kept(1, 10), kept(2, 10.001)], rules(outputs=keep(age=10)))) == [2]


def test_over_size_the_oldest_go_until_the_rest_fits():
    inventory = [kept(1, 1), kept(2, 3), kept(3, 2)]
    assert ids(prune(inventory, rules(outputs=keep(size=20)))) == [2]
    assert ids(prune(inventory, rules(outputs=keep(size=19)))) == [2, 3]
    assert ids(prune(inventory, rules(outputs=keep(size=30)))) == []


def test_what_goes_by_age_counts_for_the_size():
    inventory = [kept(1, 50), kept(2, 3), kept(3, 2)]
    assert ids(prune(inventory, rules(outputs=keep(age=40, size=20)))) == [1]


def test_for_free_space_archives_go_before_failures_and_outputs_last():
    inventory = [kept(1, 9), kept(2, 1, role="failed"), kept(3, 5, role="archive")]
    inventory.append(kept(4, 6, role="archive"))
    order = [4, 3, 2, 1]
    for needed in range(5):
        wanted = rules(min_free=100 + 10 * needed)
        assert ids(prune(inventory, wanted, everything(free=100))) == order[:needed]


def test_what_other_rules_free_counts_for_the_free_space():
    inventory = [kept(1, 50), kept(2, 9, role="archive")]
    wanted = rules(outputs=keep(age=40), min_free=110)
    assert ids(prune(inventory, wanted, everything(free=100))) == [1]
    apart = [Volume(frozenset({"outputs"}), 500), Volume(frozenset({"archive"}), 100)]
    assert ids(prune(inventory, wanted, apart)) == [1, 2]


def test_nothing_is_deleted_where_it_would_free_no_space_that_is_needed():
    inventory = [kept(1, 9, role="archive"), kept(2, 8, role="outputs")]
    volumes = [Volume(frozenset({"outputs"}), 0)]
    assert ids(prune(inventory, rules(min_free=5), volumes)) == [2]
    assert ids(prune(inventory, rules(min_free=5), [])) == []


def test_empty_files_do_not_go_for_space_that_they_do_not_take():
    inventory = [kept(1, 9, size=0), kept(2, 8)]
    assert ids(prune(inventory, rules(min_free=5), everything(free=0))) == [2]


def test_the_reason_says_the_rule_in_words():
    inventory = [kept(1, 50), kept(2, 3), kept(3, 2)]
    wanted = rules(outputs=keep(age=40, size=10), min_free=2048)
    reasons = [d.reason for d in prune(inventory, wanted, everything(free=2000)).delete]
    assert reasons == [
        "older than 40d",
        "outputs is over 10 B, and this is among the oldest",
        "less than 2.0 KiB is free, and this is among the oldest",
    ]


def test_files_from_the_future_have_no_age():
    wanted = rules(outputs=keep(age=0))
    assert ids(prune([kept(1, -400), kept(2, 1)], wanted)) == [2]


def test_files_from_the_future_count_as_the_newest():
    inventory = [kept(1, -400), kept(2, 1)]
    assert ids(prune(inventory, rules(outputs=keep(size=10)))) == [2]


class TestBrake:
    """A clock that jumped ahead must not empty the archive."""

    wanted = rules(outputs=keep(age=90))
    inventory = [kept(i, 10) for i in range(30)]  # noqa: RUF012
    later = NOW + 365 * DAY

    def test_a_year_ahead_deletes_nothing_and_says_why(self):
        decision = prune(self.inventory, self.wanted, now=self.later)
        assert decision.delete == ()
        assert "365 days" in decision.braked
        assert "30 of 30" in decision.braked
        assert "prune --force" in decision.braked

    def test_it_stops_the_other_rules_too(self):
        wanted = rules(outputs=keep(age=90), archive=keep(size=0), min_free=10**9)
        inventory = [*self.inventory, kept(99, 1, role="archive")]
        assert prune(inventory, wanted, everything(0), now=self.later).delete == ()

    def test_force_is_the_way_through(self):
        decision = prune(self.inventory, self.wanted, now=self.later, force=True)
        assert len(decision.delete) == 30
        assert decision.braked is None

    def test_a_first_prune_with_a_steady_clock_is_not_stopped(self):
        last = self.later - CLOCK_JUMP
        assert len(prune(self.inventory, self.wanted, now=self.later, last_seen_now=last).delete)

    @pytest.mark.parametrize("last_seen_now", [None, 0.0])
    def test_a_ledger_without_a_past_knows_no_jump(self, last_seen_now):
        decision = prune(self.inventory, self.wanted, (), self.later, last_seen_now)
        assert decision.braked is None

    def test_a_few_files_are_not_stopped_after_a_holiday(self):
        few = [kept(i, 80) for i in range(BRAKE_FROM)]
        back = {"now": NOW + 21 * DAY}
        assert len(prune(few[1:], self.wanted, **back).delete) == BRAKE_FROM - 1
        assert prune(few, self.wanted, **back).braked

    def test_after_a_jump_of_a_year_even_one_file_is_stopped(self):
        assert prune(self.inventory[:1], self.wanted, now=self.later).braked

    def test_the_lesser_half_is_not_stopped(self):
        half = self.inventory + [kept(100 + i, -300) for i in range(30)]
        assert len(prune(half, self.wanted, now=self.later).delete) == 30
        assert prune(half[:-1], self.wanted, now=self.later).braked

    def test_what_is_finished_by_the_wrong_clock_does_not_let_go_of_the_brake(self):
        later = [kept(100 + i, -365) for i in range(300)]
        both = [*self.inventory, *later]
        decision = prune(both, self.wanted, now=self.later, newest_seen=NOW)
        assert "30 of 30" in decision.braked

    def test_all_of_the_archive_is_too_much_however_many_outputs_stay(self):
        for_ever = rules(archive=keep(age=90))
        archived = [kept(i, 10, role="archive") for i in range(30)]
        outputs = [kept(100 + i, 10) for i in range(300)]
        decision = prune(archived + outputs, for_ever, now=self.later)
        assert "30 of 30" in decision.braked

    def test_a_brake_of_one_is_none(self):
        wanted = rules(outputs=keep(age=90), brake=1.0)
        assert len(prune(self.inventory, wanted, now=self.later).delete) == 30


inventories = st.lists(
    st.builds(
        Kept,
        file_id=st.integers(0, 10**6),
        lane=st.just("inpaint"),
        role=st.sampled_from(ORDER),
        path=st.just("x"),
        size=st.integers(0, 50),
        completed_at=st.floats(NOW - 100 * DAY, NOW + 50 * DAY),
        job=st.integers(0, 5),
    ),
    max_size=40,
    unique_by=lambda file: file.file_id,
)
ages = st.none() | st.floats(0, 100)
sizes = st.none() | st.integers(0, 500)
keeps = st.builds(keep, ages, sizes)
retentions = st.builds(rules, keeps, keeps, keeps, min_free=sizes)
frees = st.integers(0, 300)


@given(inventories, st.floats(0, 100), st.floats(-DAY, 400 * DAY), st.booleans())
def test_the_age_rule_never_takes_what_is_younger(inventory, days, jump, force):
    wanted = rules(*[keep(age=days)] * 3)
    decision = prune(inventory, wanted, now=NOW + jump, force=force)
    for doomed in decision.delete:
        assert NOW + jump - doomed.file.completed_at > days * DAY
    if not decision.braked:
        left = set(inventory) - {doomed.file for doomed in decision.delete}
        assert all(NOW + jump - file.completed_at <= days * DAY for file in left)


@given(inventories, st.integers(0, 500))
def test_the_size_rule_takes_the_oldest_and_no_more_than_needed(inventory, limit):
    gone = [d.file for d in prune(inventory, rules(outputs=keep(size=limit))).delete]
    outputs = [file for file in inventory if file.role in ("outputs", "review")]
    assert set(gone) <= set(outputs)
    left = [file for file in outputs if file not in gone]
    total = sum(file.size for file in left)
    assert total <= limit
    assert all(a.completed_at <= b.completed_at for a in gone for b in left if b.size)
    if gone:
        assert total + gone[-1].size > limit


@given(inventories, st.integers(0, 500), frees)
def test_the_free_rule_takes_no_more_than_needed(inventory, min_free, free):
    gone = [d.file for d in prune(inventory, rules(min_free=min_free), everything(free)).delete]
    freed = free + sum(file.size for file in gone)
    assert freed >= min_free or {f for f in inventory if f.size} == set(gone)
    if gone:
        assert freed - gone[-1].size < min_free
    assert [ORDER.index(file.role) for file in gone] == sorted(
        ORDER.index(file.role) for file in gone
    )


@given(inventories, retentions, frees, st.randoms())
def test_a_decision_is_the_same_for_any_order_and_names_no_file_twice(inventory, wanted, free, rng):
    decision = prune(inventory, wanted, everything(free))
    shuffled = rng.sample(inventory, len(inventory))
    assert prune(shuffled, wanted, everything(free)) == decision
    assert len(set(ids(decision))) == len(decision.delete)


@given(inventories, st.integers(4, 1000), retentions, frees)
def test_after_a_clock_jump_an_automatic_prune_never_takes_most_by_age(
    inventory, jump_days, wanted, free
):
    decision = prune(inventory, wanted, everything(free), now=NOW + jump_days * DAY)
    by_age = [d for d in decision.delete if d.rule == "max_age"]
    few = len(by_age) < BRAKE_FROM and jump_days * DAY <= LONG_JUMP
    assert few or len(by_age) <= len(inventory) / 2
    assume(decision.braked is None)
    assert decision == prune(
        inventory, wanted, everything(free), now=NOW + jump_days * DAY, force=True
    )


@given(inventories, retentions, frees, st.sets(st.integers(0, 40)), st.booleans())
def test_a_decision_by_the_disk_is_that_of_an_inventory_without_what_is_gone(
    inventory, wanted, free, places, force
):
    gone = {inventory[place].file_id for place in places if place < len(inventory)}

    def missing(asked):
        return [file for file in asked if file.file_id in gone]

    moment = {"now": NOW, "last_seen_now": NOW, "force": force}
    found = decide_by_the_disk(inventory, wanted, everything(free), missing, **moment)
    left = [file for file in inventory if file.file_id not in gone]
    assert found.delete == decide(left, wanted, everything(free), **moment).delete
    assert {file.file_id for file in found.gone} <= gone
