"""A file that kills or starves whoever decodes it costs that file, and nothing else."""

from __future__ import annotations

import os
import resource
import signal
import struct
import time
import zlib

import pytest


def text_beside(spool, name):
    """The explanation that lies in the quarantine beside a file."""
    (path,) = spool.failed.rglob(f"{name}.error.txt")
    return " ".join(path.read_text(encoding="utf-8").split())


def states(spool):
    return {job["name"]: job["state"] for job in spool.jobs()}


@pytest.mark.soak  # tests/faults has it, quicker and at more places
def test_a_file_whose_decoding_kills_its_process_is_set_aside(spool, start, inject, eventually):
    """Every process that reads it dies of a segmentation fault, at once."""
    spool.drop_pair("poison", seed=9)
    for number in range(4):
        spool.drop_pair(f"good{number}", seed=number)
    bad = spool.inbox / "poison.png"
    running = start(under=inject("read:signal=SIGSEGV", path=bad))
    aside = running.wait_for("quarantined", file="poison.png")
    assert "SIGSEGV" in aside["why"]
    running.wait_for("done", 4)
    attempts = [line for line in running.lines if line["event"] == "running"]
    assert sum(line["file"] == "poison.png" for line in attempts) <= 3
    assert sum(line["file"] != "poison.png" for line in attempts) == 4
    assert eventually(lambda: spool.undated(spool.failed)[-1:] == ["poison_mask.png"])
    assert running.process.poll() is None
    assert running.stop() == 0
    assert spool.undated(spool.outbox) == [f"good{n}.png" for n in range(4)]
    assert "made its process die 2 times (SIGSEGV)" in text_beside(spool, "poison.png")
    assert spool.digests(spool.failed)["poison.png"] == spool.dropped["poison.png"]


@pytest.mark.soak
def test_what_was_counted_before_a_restart_counts_after_it(spool, start, inject):
    spool.drop_pair("poison", seed=9)
    fault = inject("read:signal=SIGSEGV", path=spool.inbox / "poison.png")
    running = start("--set", "retry.first=20s", under=fault)
    running.wait_for("failed", file="poison.png")
    running.kill()
    assert spool.jobs()[0]["crashes"] == 1
    running = start("--set", "retry.first=20s", under=fault)
    running.wait_for("quarantined", file="poison.png")
    assert sum(line["event"] == "running" for line in running.lines) == 1


@pytest.mark.soak
def test_a_photo_that_was_replaced_is_not_blamed_for_the_one_before(spool, start, inject, pictures):
    spool.drop_pair("poison", seed=9)
    fault = inject("read:signal=SIGSEGV", path=spool.inbox / "poison.png")
    patient = ("--set", "retry.first=10m")
    running = start(*patient, under=fault)
    running.wait_for("failed", file="poison.png")
    running.kill()
    (job,) = spool.jobs()
    assert (job["attempts"], job["crashes"]) == (1, 1)
    spool.drop("mended.png", pictures.texture(3)).rename(spool.inbox / "poison.png")
    # At once, too: the wait was for the old one.
    running = start(*patient)
    running.wait_for("done", file="poison.png")
    (job,) = spool.jobs()
    assert (job["attempts"], job["crashes"], job["error"]) == (1, 0, None)


def png(width, height, bits, colour, rows):
    def chunk(kind, data):
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + checksum

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def black(width, height):
    """A black 1-bit PNG of any size, a few kilobytes long."""
    packer = zlib.compressobj(9)
    row = b"\0" + bytes((width + 7) // 8)
    rows = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    return png(width, height, 1, 0, rows)


def test_a_decompression_bomb_is_turned_away_unopened(spool, pictures):
    """30,000 × 30,000 pixels in 110 KB: over the limit, so not one of them is decoded."""
    data = black(30_000, 30_000)
    assert len(data) < 200_000
    spool.drop("bomb.png", data)
    spool.drop("bomb_mask.png", pictures.blob())
    spool.drop_pair("good")
    began = time.monotonic()
    done = spool.once()
    assert done.returncode == 3, done.stderr
    assert time.monotonic() - began < 60
    assert states(spool) == {"bomb.png": "quarantined", "good.png": "done"}
    text = text_beside(spool, "bomb.png")
    assert "over this lane's limit: it has 30000 × 30000 pixels" in text
    assert "limits.max_pixels" in text


def starve(pids, megabytes):
    """Let processes take only so much more memory than they have."""
    for pid in pids:
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:
            used = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        limit = used + (megabytes << 20)
        resource.prlimit(pid, resource.RLIMIT_AS, (limit, limit))


def test_a_photo_beyond_the_memory_limit_says_so(spool, start, pictures, children):
    """Within the pixel limit, but a hand can't hold it: tried again, then set aside in words that
    don't call the photo damaged."""
    running = start("--set", "retry.attempts=2", "--set", "hands=1")
    spool.drop_pair("first")
    running.wait_for("done", file="first.png")
    starve(children(running.process.pid), 24)
    spool.drop("large.png", pictures.texture(1, 3000, 4000))
    spool.drop("large_mask.png", pictures.blob(3000, 4000))
    running.wait_for("quarantined", file="large.png")
    spool.drop_pair("small")
    running.wait_for("done", file="small.png")
    assert running.stop() == 0
    text = text_beside(spool, "large.png")
    assert "not enough memory" in text
    assert "damaged" not in text
    assert spool.digests(spool.failed)["large.png"] == spool.dropped["large.png"]


@pytest.mark.soak
def test_a_hand_that_hangs_on_a_file_costs_that_file(spool, start, inject):
    """A decoder that never ends looks like a share that hangs; but the share answers."""
    spool.drop_pair("endless", seed=9)
    fault = inject("read:signal=SIGSTOP", path=spool.inbox / "endless.png")
    running = start("--set", "scan.answer_within=4s", under=fault)
    aside = running.wait_for("quarantined", file="endless.png", timeout=200)
    assert "no answer within 40 s" in aside["why"]
    assert not [line for line in running.lines if line["event"] == "lane paused"]
    spool.drop_pair("good")
    running.wait_for("done", file="good.png")
    assert running.stop() == 0


def test_hands_killed_from_outside_are_replaced(spool, start, children):
    spool.drop_pair("photo0")
    running = start()
    running.wait_for("done")
    for number in range(1, 4):
        for pid in children(running.process.pid):
            os.kill(pid, signal.SIGKILL)
        spool.drop_pair(f"photo{number}", seed=number)
        running.wait_for("done", number + 1)
    assert running.stop() == 0
    assert spool.files(spool.failed) == []
