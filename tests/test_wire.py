"""Messages between the service and its hands, which may be hostile."""

from __future__ import annotations

import json
import os
import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from retouchd import wire

Ends = tuple[socket.socket, socket.socket]


@pytest.fixture
def ends() -> Iterator[Ends]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


def test_a_message_arrives_as_it_was_sent(ends: Ends) -> None:
    message = {"name": os.fsdecode(b"\xff\xfe.png"), "n": 1, "none": None, "text": "ü\n\x00"}
    wire.send(ends[0], message)
    assert wire.receive(ends[1]) == (message, [])


def test_a_message_larger_than_the_socket_buffer_arrives(ends: Ends) -> None:
    message = {"names": ["x" * 100] * 50_000}
    sender = threading.Thread(target=wire.send, args=(ends[0], message))
    sender.start()
    received, _ = wire.receive(ends[1])
    sender.join()
    assert received == message


def test_descriptors_arrive_in_order_and_are_not_inherited(ends: Ends) -> None:
    pipes = [os.pipe() for _ in range(3)]
    wire.send(ends[0], {}, [w for _, w in pipes])
    _, fds = wire.receive(ends[1])
    for number, fd in enumerate(fds):
        assert not os.get_inheritable(fd)
        os.write(fd, bytes([number]))
        assert os.read(pipes[number][0], 1) == bytes([number])
    for fd in [*fds, *(fd for pair in pipes for fd in pair)]:
        os.close(fd)


def test_an_end_of_the_line_is_closed_wherever_it_comes(ends: Ends) -> None:
    header = struct.pack("!QI", 50, 0)
    whole = header + b"{" + b" " * 48 + b"}"
    for cut in (0, 5, 12, 40):
        one, other = socket.socketpair()
        with other:
            one.sendall(whole[:cut])
            one.close()
            with pytest.raises(wire.Closed):
                wire.receive(other)


def test_sending_to_nobody_is_closed(ends: Ends) -> None:
    ends[1].close()
    with pytest.raises(wire.Closed):
        wire.send(ends[0], {"x": "y" * 1_000_000})


@pytest.mark.parametrize(
    "body", [b"not json", b"[1, 2]", b"\xff\xfe", b"[" * 100_000, b'"text"', b""]
)
def test_what_is_no_message_counts_as_closed(ends: Ends, body: bytes) -> None:
    ends[0].sendall(struct.pack("!QI", len(body), 0) + body)
    with pytest.raises(wire.Closed):
        wire.receive(ends[1])


def test_a_length_beyond_reason_is_refused_before_memory_is_taken(ends: Ends) -> None:
    ends[0].sendall(struct.pack("!QI", 1 << 62, 0))
    with pytest.raises(wire.Closed):
        wire.receive(ends[1])


def test_a_wrong_number_of_descriptors_closes_those_that_came(ends: Ends) -> None:
    before = len(os.listdir("/proc/self/fd"))
    body = json.dumps({}).encode()
    socket.send_fds(ends[0], [struct.pack("!QI", len(body), 2) + body], [0])
    with pytest.raises(wire.Closed):
        wire.receive(ends[1])
    assert len(os.listdir("/proc/self/fd")) == before


def test_silence_is_a_timeout(ends: Ends) -> None:
    ends[1].settimeout(0.05)
    with pytest.raises(TimeoutError):
        wire.receive(ends[1])


def test_a_sender_that_dribbles_is_as_hung_as_one_that_is_silent() -> None:
    ours, theirs = socket.socketpair()
    stop = threading.Event()

    def dribble() -> None:
        theirs.sendall((1000).to_bytes(8, "big") + bytes(4))
        while not stop.wait(0.05):
            theirs.sendall(b" ")

    thread = threading.Thread(target=dribble)
    with ours, theirs:
        ours.settimeout(0.3)
        thread.start()
        try:
            with pytest.raises(TimeoutError):
                wire.receive(ours)
        finally:
            stop.set()
            thread.join()


def test_a_reader_that_dribbles_is_as_hung_as_one_that_does_not_read() -> None:
    """The time-out is the whole message's, however many pieces of it get through."""
    ours, theirs = socket.socketpair()
    stop = threading.Event()

    def sip() -> None:
        while not stop.wait(0.05):
            for _ in range(4):
                theirs.recv(1 << 18)

    thread = threading.Thread(target=sip)
    with ours, theirs:
        ours.settimeout(0.3)
        theirs.settimeout(5)
        thread.start()
        try:
            with pytest.raises(TimeoutError):
                wire.send(ours, {"x": "y" * (16 << 20)})
        finally:
            stop.set()
            ours.close()
            thread.join()
