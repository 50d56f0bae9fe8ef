"""`models add`: fetched, checked, converted and written down; or nothing is."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from retouchd import adding, downloads
from retouchd.adding import Wish, add
from retouchd.cli.app import app
from retouchd.downloads import Part, download
from retouchd.errors import ModelUnusable
from retouchd.manifest import Entry, available, parse_manifest, resolve, verify
from retouchd.own_manifest import with_entry
from retouchd.weights import load_lama

MakeLama = Callable[..., Path]


@dataclass
class Site:
    """What the server below does, and what it was asked."""

    content: bytes = b""
    etag: str | None = '"1"'
    ranges: bool = True
    stops_after: list[int] = field(default_factory=list)  # bytes per answer, then it hangs up
    silent: threading.Event | None = None  # set by the test to let a stalled answer go
    status: int = 0
    redirect: str = ""
    asked: list[str | None] = field(default_factory=list)
    url: str = ""

    def digest(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    site: Site

    def do_GET(self) -> None:
        site = self.site
        self.site.asked.append(self.headers["Range"])
        if site.status or site.redirect:
            self.send_response(site.status or 302)
            if site.redirect:
                self.send_header("Location", site.redirect)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start = self._start()
        if start and start >= len(site.content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(site.content)}")
            self.end_headers()
            return
        rest = site.content[start or 0 :]
        self.send_response(200 if start is None else 206)
        if start is not None:
            last = len(site.content) - 1
            self.send_header("Content-Range", f"bytes {start}-{last}/{len(site.content)}")
        if site.etag:
            self.send_header("ETag", site.etag)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest[: site.stops_after.pop(0)] if site.stops_after else rest)
        if site.silent:
            self.wfile.flush()
            site.silent.wait(5)

    def _start(self) -> int | None:
        """Where the answer begins; None for the whole."""
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
        condition = self.headers["If-Range"]
        fresh = condition is None or condition == self.site.etag
        return int(asked[1]) if asked and fresh and self.site.ranges else None

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def site(make_lama: MakeLama, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A web site on this machine with one LaMa on it, whatever the path that is asked for."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    site = Site(content=make_lama("published").read_bytes())
    handler = type("Handler", (_Handler,), {"site": site})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        site.url = f"http://127.0.0.1:{server.server_port}/tiny.safetensors"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield site
        server.shutdown()
        thread.join()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state/models"


def quiet(here: int, total: int | None) -> None:
    """Tells nobody."""


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# --- from a file --------------------------------------------------------------------------------


def test_what_was_added_is_safetensors_pinned_and_paints_the_same(
    make_lama: MakeLama, folder: Path, tmp_path: Path
) -> None:
    plain = load_file(make_lama())
    torch.save({"state_dict": {f"generator.{k}": v for k, v in plain.items()}}, tmp_path / "a.ckpt")

    spec = add(Wish("mine", str(tmp_path / "a.ckpt"), licence="MIT"), folder, quiet)

    assert spec == resolve("mine", folder)
    assert spec.path is not None
    assert (spec.path.parent, spec.path.suffix) == (folder, ".safetensors")
    assert spec.licence == "MIT"
    assert hashlib.sha256((tmp_path / "a.ckpt").read_bytes()).hexdigest() in spec.notes
    verify(spec)
    stored = load_file(spec.path)
    assert stored.keys() == plain.keys()
    assert all(torch.equal(stored[key], plain[key]) for key in plain)
    assert names(folder) == {"manifest.yaml", spec.path.name}


@pytest.mark.parametrize("file", ["models/best.ckpt", "models/best_pl.ckpt", "big-lama.pt", ""])
def test_every_format_becomes_the_same_file(
    samples: Path, folder: Path, file: str, tmp_path: Path
) -> None:
    source = samples / "lama-tiny"
    if not source.is_dir():
        pytest.skip(f"{source} is absent")

    first = add(Wish("a", str(source / "generator.safetensors")), folder, quiet)
    second = add(Wish("b", str(source / file)), folder, quiet)

    assert first.sha256 == second.sha256


def test_others_may_read_what_was_added_whatever_the_umask(
    make_lama: MakeLama, folder: Path
) -> None:
    """The administrator adds it, the service's user loads it."""
    before = os.umask(0o077)
    try:
        spec = add(Wish("mine", str(make_lama())), folder, quiet)
    finally:
        os.umask(before)

    assert spec.path is not None
    for path in (spec.path, folder / "manifest.yaml"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755


def test_an_own_manifest_keeps_its_mode(make_lama: MakeLama, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "manifest.yaml").touch(0o600)
    (folder / "manifest.yaml").chmod(0o640)

    add(Wish("mine", str(make_lama())), folder, quiet)

    assert stat.S_IMODE((folder / "manifest.yaml").stat().st_mode) == 0o640


def test_what_a_crash_left_half_written_is_cleared_away(make_lama: MakeLama, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / ".retouchd-new-abc.tmp").write_bytes(b"half")

    spec = add(Wish("mine", str(make_lama())), folder, quiet)

    assert spec.path is not None
    assert names(folder) == {"manifest.yaml", spec.path.name}


def test_a_name_is_not_taken_twice_without_force(make_lama: MakeLama, folder: Path) -> None:
    first = add(Wish("mine", str(make_lama("one"))), folder, quiet)

    with pytest.raises(ModelUnusable, match="already") as caught:
        add(Wish("mine", str(make_lama("two", seed=2))), folder, quiet)

    assert "--force" in caught.value.advice
    assert resolve("mine", folder) == first


def test_force_replaces_the_model_and_takes_its_weights_away(
    make_lama: MakeLama, folder: Path
) -> None:
    first = add(Wish("mine", str(make_lama("one"))), folder, quiet)
    second = add(Wish("mine", str(make_lama("two", seed=2)), force=True), folder, quiet)

    assert first.path is not None
    assert second.path is not None
    assert resolve("mine", folder).sha256 == second.sha256 != first.sha256
    assert names(folder) == {"manifest.yaml", second.path.name}


def test_force_leaves_weights_that_a_person_put_there(make_lama: MakeLama, folder: Path) -> None:
    folder.mkdir(parents=True)
    content = make_lama("theirs").read_bytes()
    (folder / "theirs.safetensors").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    entry = f"{{architecture: lama, file: theirs.safetensors, sha256: {digest}}}"
    (folder / "manifest.yaml").write_text(f"models:\n  mine: {entry}\n")

    add(Wish("mine", str(make_lama("two", seed=2)), force=True), folder, quiet)

    assert (folder / "theirs.safetensors").read_bytes() == content


def test_adding_the_same_again_with_force_changes_nothing(
    make_lama: MakeLama, folder: Path
) -> None:
    first = add(Wish("mine", str(make_lama())), folder, quiet)

    assert add(Wish("mine", str(make_lama()), force=True), folder, quiet) == first
    verify(first)


@pytest.mark.parametrize(
    ("wish", "complaint"),
    [
        (Wish("../evil", "{lama}"), "no name for a model"),
        (Wish("-x", "{lama}"), "no name for a model"),
        (Wish("classical", "{lama}"), "already"),
        (Wish("mine"), "knows where to find"),
        (Wish("mine", "{lama}", sha256="abc"), "no sha256"),
        (Wish("mine", "{lama}", sha256="0" * 64), "was expected"),
        (Wish("mine", "{lama}", md5="0" * 32), "was expected"),
        (Wish("big-lama", "{lama}"), "was expected"),
        (Wish("mine", "/nowhere/best.ckpt"), "can't be read"),
        (Wish("mine", "ftp://example.org/a.pt"), "can't be fetched"),
        (Wish("mine", "http://example.org/a.pt"), "may have been altered"),
        (Wish("mine", __file__), "can't be loaded"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_refused_leaves_nothing_behind(
    make_lama: MakeLama, folder: Path, wish: Wish, complaint: str
) -> None:
    wish = replace(wish, origin=wish.origin.format(lama=make_lama()))

    with pytest.raises(ModelUnusable, match=complaint) as caught:
        add(wish, folder, quiet)

    assert caught.value.advice
    assert not folder.exists() or names(folder) == set()


def test_weights_that_are_not_numbers_are_refused(make_lama: MakeLama, folder: Path) -> None:
    path = make_lama()
    tensors = load_file(path)
    tensors["model.1.ffc.convl2l.weight"][0, 0, 0, 0] = float("nan")
    save_file(tensors, path)

    with pytest.raises(ModelUnusable, match="not finite"):
        add(Wish("mine", str(path)), folder, quiet)


def test_a_file_url_is_a_file(make_lama: MakeLama, folder: Path) -> None:
    path = make_lama("with blank")

    add(Wish("mine", path.as_uri()), folder, quiet)

    verify(resolve("mine", folder))


def test_a_well_known_name_checks_a_file_that_was_fetched_by_hand(
    make_lama: MakeLama, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_lama()
    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    known = Entry(
        architecture="lama", url="https://x/y", md5=md5, licence="MIT", source="https://z"
    )
    monkeypatch.setattr(adding, "builtin_entries", lambda: {"known": known})

    spec = add(Wish("known", str(path)), folder, quiet)

    assert (spec.licence, spec.source) == ("MIT", "https://z")


def test_a_crash_before_the_manifest_is_written_leaves_no_weights(
    make_lama: MakeLama, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(adding, "_write_down", full)

    with pytest.raises(ModelUnusable, match="No space left"):
        add(Wish("mine", str(make_lama())), folder, quiet)
    assert names(folder) == set()


def test_two_at_a_time_are_refused(make_lama: MakeLama, folder: Path) -> None:
    with adding._alone_in("other", folder):
        with pytest.raises(ModelUnusable, match="another `retouchd models add`"):
            add(Wish("mine", str(make_lama())), folder, quiet)


# --- from a URL ---------------------------------------------------------------------------------


def test_a_download_is_checked_and_told_of_and_leaves_no_partial_file(
    site: Site, folder: Path
) -> None:
    told: list[tuple[int, int | None]] = []

    spec = add(Wish("mine", site.url, site.digest()), folder, lambda *numbers: told.append(numbers))

    assert told[-1] == (len(site.content), len(site.content))
    assert spec.source == site.url
    assert spec.path is not None
    assert names(folder) == {"manifest.yaml", spec.path.name}


def test_a_connection_that_breaks_is_taken_up_where_it_broke(site: Site, folder: Path) -> None:
    site.stops_after = [1000, 2000]

    add(Wish("mine", site.url, site.digest()), folder, quiet)

    assert site.asked == [None, "bytes=1000-", "bytes=3000-"]


def test_the_next_call_goes_on_with_what_is_here(
    site: Site, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "_FRUITLESS", 1)
    site.stops_after = [5000, 0]
    with pytest.raises(ModelUnusable, match="broke off after 5000 bytes") as caught:
        add(Wish("mine", site.url, site.digest()), folder, quiet)
    assert "goes on from there" in caught.value.advice

    add(Wish("mine", site.url, site.digest()), folder, quiet)

    assert site.asked[-1] == "bytes=5000-"
    verify(resolve("mine", folder))


def test_a_file_that_changed_meanwhile_is_fetched_anew(
    site: Site, folder: Path, make_lama: MakeLama
) -> None:
    folder.mkdir(parents=True)
    part = Part(folder, site.url, pinned=False)
    part.start_over({"ETag": '"0"'})
    part.path.write_bytes(b"of another version")

    download("mine", site.url, part, quiet)

    assert part.path.read_bytes() == site.content


@pytest.mark.parametrize(("etag", "pinned"), [(None, False), ("W/1", False)])
def test_parts_of_unknown_versions_are_never_joined(
    site: Site, folder: Path, etag: str | None, pinned: bool
) -> None:
    folder.mkdir(parents=True)
    site.etag = etag
    part = Part(folder, site.url, pinned=pinned)
    part.path.write_bytes(b"of which version?")

    download("mine", site.url, part, quiet)

    assert site.asked == [None]
    assert part.path.read_bytes() == site.content


def test_a_server_without_ranges_sends_it_whole_again(site: Site, folder: Path) -> None:
    site.ranges, site.stops_after = False, [1000]

    add(Wish("mine", site.url, site.digest()), folder, quiet)

    assert site.asked == [None, "bytes=1000-"]


@pytest.mark.parametrize("surplus", [0, 5])
def test_a_partial_file_that_is_complete_or_too_long_ends_well(
    site: Site, folder: Path, surplus: int
) -> None:
    folder.mkdir(parents=True)
    part = Part(folder, site.url, pinned=True)
    part.path.write_bytes(site.content + b"x" * surplus)

    download("mine", site.url, part, quiet)

    assert part.path.read_bytes() == site.content


def test_a_wrong_checksum_installs_nothing_and_forgets_the_bytes(site: Site, folder: Path) -> None:
    with pytest.raises(ModelUnusable, match="was expected"):
        add(Wish("mine", site.url, "0" * 64), folder, quiet)

    assert names(folder) == set()


def test_a_server_that_falls_silent_is_given_up_in_time(site: Site, folder: Path) -> None:
    folder.mkdir(parents=True)
    site.silent, site.stops_after = threading.Event(), [0, 0, 0]
    part = Part(folder, site.url, pinned=True)

    with pytest.raises(ModelUnusable, match=r"no byte came for 0\.1 s"):
        download("mine", site.url, part, quiet, patience=0.1)
    site.silent.set()


@pytest.mark.parametrize(("status", "complaint"), [(404, "answered 404"), (503, "answered 503")])
def test_what_the_server_says_is_passed_on(
    site: Site, folder: Path, status: int, complaint: str
) -> None:
    site.status = status

    with pytest.raises(ModelUnusable, match=complaint):
        add(Wish("mine", site.url, site.digest()), folder, quiet)

    assert len(site.asked) == (1 if status == 404 else 3)


def test_no_network_is_said_plainly(folder: Path, site: Site) -> None:
    with pytest.raises(ModelUnusable, match="can't be reached") as caught:
        add(Wish("mine", "http://127.0.0.1:1/a.pt", "0" * 64), folder, quiet)

    assert "fetch it elsewhere" in caught.value.advice


def test_a_redirect_to_a_local_file_is_not_followed(site: Site, folder: Path) -> None:
    site.redirect = "file:///etc/passwd"

    with pytest.raises(ModelUnusable, match="can't be"):
        add(Wish("mine", site.url, site.digest()), folder, quiet)


def test_a_download_larger_than_any_lama_is_refused_at_once(
    site: Site, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "MAX_WEIGHTS_BYTES", 1000)

    with pytest.raises(ModelUnusable, match="larger than"):
        add(Wish("mine", site.url, site.digest()), folder, quiet)

    assert names(folder) == set()


# --- the manifest -------------------------------------------------------------------------------

NEW = Entry(architecture="lama", file="new.safetensors", sha256="a" * 64, notes="it's: new # or so")
OLD = f"{{architecture: lama, file: a.safetensors, sha256: {'b' * 64}}}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# only a comment",
        "models:\n",
        "models: {}\n",
        f"models:\n  a: {OLD}",
        f"# first\nmodels:\n  # about a\n  a: {OLD}  # more\n\n# last\n",
        "models:\n    a:\n        architecture: flat\n        notes: >-\n            two\n",
        f"models: {{a: {OLD}}}\n",
        f"models:\r\n  a: {OLD}\r\n",
        "models:\n  a: {architecture: flat,\n    notes: x}\n  # end\n",
    ],
)
def test_an_entry_more_leaves_the_others_as_they_are(text: str, tmp_path: Path) -> None:
    before = parse_manifest(text, tmp_path)

    after = with_entry(text, "new", NEW, tmp_path)

    assert parse_manifest(after, tmp_path) == {**before, "new": NEW}
    assert list(parse_manifest(after, tmp_path))[-1] == "new"


def test_comments_and_order_stay(tmp_path: Path) -> None:
    text = f"# mine\nmodels:\n  # about a\n  a: {OLD}  # more\n  # about b\n  b: {OLD}\n\n# last\n"

    added = with_entry(text, "new", NEW, tmp_path)
    replaced = with_entry(text, "a", NEW, tmp_path)

    kept = [line for line in added.splitlines() if line in text.splitlines()]
    assert kept == text.splitlines()
    assert replaced.index("# about a") < replaced.index("new.safetensors")
    assert replaced.index("new.safetensors") < replaced.index("# about b")
    assert "# last" in replaced


def test_a_broken_manifest_is_never_written_over(make_lama: MakeLama, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "manifest.yaml").write_text("models: [")

    with pytest.raises(ModelUnusable, match="not valid YAML"):
        add(Wish("mine", str(make_lama())), folder, quiet)

    assert (folder / "manifest.yaml").read_text() == "models: ["


# --- the command --------------------------------------------------------------------------------


def test_the_command_adds_lists_and_verifies(make_lama: MakeLama, tmp_path: Path) -> None:
    root = ["--root", str(tmp_path)]

    added = CliRunner().invoke(app, ["models", "add", "mine", str(make_lama()), *root])
    listed = CliRunner().invoke(app, ["models", "list", *root])
    verified = CliRunner().invoke(app, ["models", "verify", "mine", *root])

    assert added.exit_code == 0, added.output
    assert "mine: installed as" in added.output
    assert "mine: lama" in listed.output
    assert "big-lama: lama, to be added with `retouchd models add big-lama`" in listed.output
    assert "mine: good" in verified.output
    folder = tmp_path / ".retouchd/models"
    assert load_lama(available(folder)["mine"]).shape.ngf == 4
    assert list(yaml.safe_load((folder / "manifest.yaml").read_text())["models"]) == ["mine"]
