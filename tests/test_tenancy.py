"""An inbox is one service's: who comes second is told whose, and who is gone is succeeded."""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from retouchd.errors import InboxHeld, InboxTaken
from retouchd.naming import OWNER
from retouchd.roots import Root, open_root
from retouchd.tenancy import Tenant, check_ours, here, look_ahead, occupy


@pytest.fixture
def inbox(make_root: Callable[..., Root]) -> Root:
    return make_root("inbox")


@pytest.fixture
def us(tmp_path: Path) -> Tenant:
    return Tenant("ours", "this machine", "here", str(tmp_path / "our" / "ledger.lock"))


@pytest.fixture
def other(tmp_path: Path) -> Tenant:
    """On the same machine, with a lock that nobody holds yet."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other/ledger.lock").touch()
    return Tenant("theirs", "this machine", "here", str(tmp_path / "other/ledger.lock"))


@contextmanager
def running(tenant: Tenant) -> Iterator[None]:
    Path(tenant.lock).parent.mkdir(exist_ok=True)
    fd = os.open(tenant.lock, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def note(inbox: Root) -> Path:
    return Path(inbox.shown(OWNER))


def check_free(inbox: Root, who: Tenant) -> None:
    """They may have it, and have it then."""
    occupy(inbox, who)
    check_ours(inbox, who)
    assert json.loads(note(inbox).read_text()) == who.wire
    assert not list(note(inbox).parent.glob(".retouchd-*.tmp"))


def test_who_comes_first_has_it_and_keeps_it(inbox: Root, us: Tenant) -> None:
    check_free(inbox, us)
    written = note(inbox).stat()
    check_free(inbox, us)
    assert note(inbox).stat().st_ino == written.st_ino


def test_while_another_runs_it_is_theirs(inbox: Root, us: Tenant, other: Tenant) -> None:
    occupy(inbox, other)
    with running(other):
        with pytest.raises(InboxTaken, match="on here with the state folder") as caught:
            occupy(inbox, us)
        with pytest.raises(InboxTaken):
            check_ours(inbox, us)
    assert f"(so says {note(inbox)}); it is running." in caught.value.message
    # Deleting the note of one that runs would let both work.
    assert "delete" not in caught.value.advice
    with pytest.raises(InboxTaken, match="it has ended meanwhile"):
        check_ours(inbox, us)
    check_free(inbox, us)
    with pytest.raises(InboxTaken):
        check_ours(inbox, other)


def test_who_looks_ahead_is_told_of_another_that_runs_and_leaves_no_trace(
    inbox: Root, us: Tenant, other: Tenant, tmp_path: Path
) -> None:
    folder = inbox.ref.path
    look_ahead(folder, us)
    look_ahead(str(tmp_path / "nothing"), us)
    assert not note(inbox).exists()
    occupy(inbox, other)
    with running(other), pytest.raises(InboxTaken, match="it is running"):
        look_ahead(folder, us)
    look_ahead(folder, us)
    assert json.loads(note(inbox).read_text()) == other.wire, "who is gone is succeeded later"
    look_ahead(folder, other)


def test_a_lock_that_can_not_be_seen_may_be_held(
    inbox: Root, us: Tenant, other: Tenant, tmp_path: Path
) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    occupy(inbox, replace(other, lock=str(tmp_path / "loop" / "ledger.lock")))
    with pytest.raises(InboxTaken, match="whether it still runs can't be seen from here"):
        occupy(inbox, us)


def test_a_state_folder_that_is_gone_runs_nothing(
    inbox: Root, us: Tenant, other: Tenant, tmp_path: Path
) -> None:
    occupy(inbox, replace(other, lock=str(tmp_path / "gone" / "ledger.lock")))
    check_free(inbox, us)


@pytest.mark.parametrize("kept", ["lock", "ledger"])
def test_what_was_moved_or_begun_anew_keeps_its_inbox(inbox: Root, us: Tenant, kept: str) -> None:
    """The same state folder with another ledger; the same ledger on another machine."""
    before = {"lock": replace(us, ledger="before"), "ledger": replace(us, machine="another")}
    occupy(inbox, before[kept])
    with running(us):
        check_free(inbox, us)


def test_on_another_machine_only_a_person_can_tell(inbox: Root, us: Tenant, other: Tenant) -> None:
    occupy(inbox, replace(other, machine="another", host="nas"))
    with pytest.raises(InboxTaken, match="on nas"):
        occupy(inbox, us)
    note(inbox).unlink()
    check_ours(inbox, us)
    check_free(inbox, us)


def test_a_person_is_told_whose_note_it_is_since_when_and_what_to_do(
    inbox: Root, us: Tenant, other: Tenant
) -> None:
    """However old it is: whoever lost the network comes back after any time."""
    occupy(inbox, replace(other, machine="another", host="nas", lock="/var/lib/x/ledger.lock"))
    written = datetime(2026, 1, 2, 3, 4).astimezone().timestamp()
    os.utime(note(inbox), (written, written))
    for ask in (occupy, check_ours):
        with pytest.raises(InboxTaken) as caught:
            ask(inbox, us)
        said = "the one on nas with the state folder /var/lib/x, since 2026-01-02 03:04"
        assert f"{said} (so says {note(inbox)}); whether it still runs" in caught.value.message
        assert "stop it, or make sure that it is gone for good, and then delete that note" in (
            caught.value.advice
        )
        assert "The lane resumes by itself" in caught.value.advice
        held = InboxHeld(**caught.value.facts)
        assert held.message == caught.value.message
        assert "Then start this one again" in held.advice


@pytest.mark.parametrize(
    "junk", [b"", b"\0" * 100, b"[" * 9000, b"{}", b'{"ledger": 1}', b'"x"', b"x" * 20_000]
)
def test_a_note_that_says_nothing_is_none(inbox: Root, us: Tenant, junk: bytes) -> None:
    note(inbox).write_bytes(junk)
    check_free(inbox, us)


def test_a_forged_note_has_nothing_opened_but_lock_files(
    inbox: Root, us: Tenant, other: Tenant, tmp_path: Path
) -> None:
    """Were it looked at, this one would be found to be locked."""
    forged = replace(other, lock=str(tmp_path / "precious"))
    note(inbox).write_text(json.dumps(forged.wire))
    with running(forged):
        check_free(inbox, us)


def test_a_forged_lock_that_is_a_pipe_holds_nobody_up(
    inbox: Root, us: Tenant, other: Tenant
) -> None:
    occupy(inbox, other)
    Path(other.lock).unlink()
    os.mkfifo(other.lock)
    check_free(inbox, us)


def test_a_link_or_a_pipe_in_its_place_is_no_note(inbox: Root, us: Tenant, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("kept")
    note(inbox).symlink_to(precious)
    check_free(inbox, us)
    note(inbox).unlink()
    os.mkfifo(note(inbox))
    check_free(inbox, us)
    assert precious.read_text() == "kept"


@pytest.mark.parametrize("before", ["nobody", "somebody who is gone"])
def test_of_many_at_once_one_has_it(
    inbox: Root, other: Tenant, tmp_path: Path, before: str
) -> None:
    """All run; it does not matter who."""
    if before != "nobody":
        occupy(inbox, other)
    locks = [str(tmp_path / f"{n}" / "ledger.lock") for n in range(8)]
    others = [Tenant(lock, other.machine, "h", lock) for lock in locks]
    got: list[Tenant] = []

    def try_it(who: Tenant) -> None:
        with running(who):
            start.wait()
            with open_root(inbox.ref) as root, suppress(InboxTaken):
                occupy(root, who)
                got.append(who)
            end.wait()

    start, end = threading.Barrier(8), threading.Barrier(8)
    threads = [threading.Thread(target=try_it, args=(who,)) for who in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 1


def test_this_machine_is_always_the_same(tmp_path: Path) -> None:
    first, second = here("a", tmp_path / "lock"), here("b", Path("lock"))
    assert (first.machine, first.host) == (second.machine, second.host)
    assert os.path.isabs(second.lock)
