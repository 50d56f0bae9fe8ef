"""Promise 17: no unverified model runs. What is not the file that was meant, is damaged or is after
something else is refused before it is used, in words, and nothing happens by it."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from helpers.bait import digest_of, models, pin, refused
from helpers.hostile_models import EXTERNAL, flipped
from helpers.running import Running
from helpers.studio import file, product
from helpers.tiny_network import install

PROMISE = "17 models that were refused, by kind"
QUIET = {"PYTHONDONTWRITEBYTECODE": "1"}
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")


def test_none_of_them_is_loaded_and_none_does_anything(bait, spool, tracer, tally):
    """One look at all of them and at two sound ones, by the loaders that the service has, and the
    kernel's word for it: no program, no connection (not even for its makers: onnxruntime asks for
    one), no file."""
    pinned = bait.flipped(spool)
    done = spool.retouchd(
        *("models", "verify", "sound", *pinned, *map(str, bait.files.values()), str(bait.lama)),
        under=tracer.under,
        environment=QUIET,
    )
    bait.check()
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    said = done.stderr.splitlines()
    for name, path in bait.files.items():
        (line,) = [line for line in said if line.startswith(f"{path}: The model")]
        assert len(line) < 1500, name
        tally.add(PROMISE, name)
    for name in pinned:
        (line,) = [line for line in said if line.startswith(f"{name}: The model")]
        assert "was expected" in line
        tally.add(PROMISE, "one bit flipped in a file that was pinned")
    assert [line.partition(",")[0] for line in done.stdout.splitlines()] == [
        "sound: good",
        f"{bait.lama}: it loads",
    ]
    assert tracer.deeds() == []
    assert tracer.opened(bait.lama), "the trace would not have shown it"


@pytest.mark.parametrize("most", [2, pytest.param(9, marks=pytest.mark.soak)])
def test_a_service_goes_on_with_what_it_loaded_and_starts_with_nothing_else(spool, bait, most):
    """Its network's file is exchanged, its manifest broken, and it is told to reload. most: how
    many of the broken manifests, and of the exchanged files."""
    install(models(spool))
    path, manifest = models(spool) / "mine.safetensors", models(spool) / "manifest.yaml"
    good, entry = path.read_bytes(), manifest.read_text()
    running = Running(spool, "--model", "mine")
    try:
        running.wait_for("watching", lane="matte")
        outputs = {drop_and_take(spool, running, 0)}
        path.write_bytes(flipped(good, 0.5))
        broken = ("models: [", "\0", f"models: {'[' * 5000}", "models: {mine: 3}", "- 1")
        for number, text in enumerate(broken[:most], 1):
            manifest.write_text(text)
            running.signal(signal.SIGHUP)
            assert running.wait_for("configuration kept", number)["remedy"]
        manifest.write_text(entry)
        running.signal(signal.SIGHUP)
        running.wait_for("configuration reloaded")
        outputs.add(drop_and_take(spool, running, 1))
        path.unlink()
        path.symlink_to(bait.files["a program"])
        outputs.add(drop_and_take(spool, running, 2))
        assert len(outputs) == 1
        assert running.stop() == 0
    finally:
        running.close()
    exchange = {
        "is a pipe": lambda: os.mkfifo(path),
        "was expected": lambda: path.write_bytes(flipped(good, 0.5)),
        "sha256": lambda: path.symlink_to(bait.files["a program"]),
        "can't be read": lambda: path.symlink_to(path),
    }
    for words, make in list(exchange.items())[: most - 1]:
        path.unlink()
        make()
        refused(spool, words)


def drop_and_take(spool, running, number):
    """What becomes of the same photo, each time under another name."""
    name = f"photo{number}.png"
    spool.drop(f"matte/{name}", file(product()))
    done = running.wait_for("published", file=name)
    running.wait_for("done", file=name)
    found = [*spool.outbox.rglob(name), *spool.review.rglob(name)]
    assert len(found) == 1, done
    return digest_of(found[0].read_bytes())


@pytest.mark.soak
@pytest.mark.parametrize("way", ["by its path", "pinned as it is", "added"])
def test_each_of_them_alone(bait, spool, tracer, tally, way):
    """Also where somebody was talked into pinning the very file."""
    for name, path in bait.files.items():
        special = not path.is_file() or path.is_symlink()
        if special and way == "pinned as it is":
            continue
        if way == "added":
            refused_to_add(spool, path, tracer)
        else:
            if way != "by its path":
                pin(spool, mine=(path, digest_of(path.read_bytes())))
            model = "mine" if way != "by its path" else str(path)
            refused(spool, "The model", model=model, under=tracer.under, environment=QUIET)
            assert_only_hands(tracer, spool)
        bait.check()
        tally.add(PROMISE, name, way=way)


def refused_to_add(spool, path, tracer, *more, origin=""):
    """`models add` ends with a sentence and leaves nothing behind."""
    before = sorted(entry.name for entry in models(spool).iterdir())
    done = spool.retouchd(
        *("models", "add", "new", origin or str(path), *more),
        under=tracer.under,
        environment=QUIET,
    )
    assert done.returncode == 2, (path, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    assert sorted(entry.name for entry in models(spool).iterdir()) == before
    assert tracer.deeds(spool.root) == []


def assert_only_hands(tracer, spool):
    """All that a start does before it knows its models: its worker processes, and its own state."""
    deeds = tracer.deeds(spool.root)
    assert [deed for deed in deeds if '"retouchd.hand"' not in deed] == []


@pytest.mark.soak
def test_a_network_gets_nothing_from_elsewhere(bait, spool, tracer, tally):
    """Where an ONNX file says that its weights lie in another, nobody opens that."""
    outside = bait.folder / EXTERNAL
    for name, content in bait.networks().items():
        path = bait.folder / "network.onnx"
        path.write_bytes(content)
        pin(spool, mine=(path, digest_of(content)))
        refused(spool, "The model", under=tracer.under, environment=QUIET)
        assert_only_hands(tracer, spool)
        assert tracer.opened(outside) == []
        refused_to_add(spool, path, tracer, "--input", "{size: 64}")
        assert tracer.opened(outside) == []
        bait.check()
        tally.add(PROMISE, f"onnx: {name}")


@pytest.mark.soak
def test_another_file_than_was_asked_for_is_not_added(bait, spool, tracer):
    whole = bait.lama.read_bytes()
    wrong = digest_of(flipped(whole, 0.5))
    refused_to_add(spool, bait.lama, tracer, "--sha256", wrong)
    refused_to_add(spool, bait.lama, tracer, "--md5", "0" * 32)
    with http_of(bait.folder) as site:
        url = f"{site}/{bait.files['a program'].name}"
        done = spool.retouchd("models", "add", "new", url, "--sha256", wrong)
        assert done.returncode == 2
        assert "Nothing was installed" in done.stderr
    assert list(models(spool).iterdir()) == []


@contextmanager
def http_of(folder):
    """A folder on a server; gives its address."""
    handler = partial(Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join(10)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format, *args):
        pass
