"""Installing a model: fetch, check, convert or try it, and only then write it down.

Weights get a name of their own content, so the manifest's rename alone decides which are used,
and a crash at any moment leaves the old model or the new one.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from retouchd import __version__
from retouchd.downloads import Part, Tell, download
from retouchd.errors import ModelUnusable
from retouchd.installable import Description, architecture_of, described_by, installable, like
from retouchd.manifest import (
    LARGEST,
    Entry,
    ModelSpec,
    builtin_entries,
    entries,
    read_manifest,
    resolve,
)
from retouchd.onnx_session import check_runtime
from retouchd.own_manifest import with_entry
from retouchd.roots import sync_folder
from retouchd.weightfile import read_weights, weights_in

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_NEW = ".retouchd-new-"


@dataclass(frozen=True)
class Wish:
    """What is to be installed.

    name: what the configuration will call it. origin: path, folder or URL of the weights; empty
    for a well-known name. sha256, md5: in hexadecimal, of what ``origin`` leads to.
    licence: SPDX identifier, where known. force: an entry of that name is replaced.
    like: a known model that it is used as. input, output: what a manifest's keys of those names
    are to say of an ONNX network; they go before what ``like``, the known name and the file say.
    """

    name: str
    origin: str = ""
    sha256: str = ""
    md5: str = ""
    licence: str = ""
    force: bool = False
    like: str = ""
    input: Mapping[str, Any] = field(default_factory=dict)
    output: Mapping[str, Any] = field(default_factory=dict)


def add(wish: Wish, models_folder: Path, tell: Tell) -> ModelSpec:
    """Install a model; raises ModelUnusable, and then nothing but a partial download is left.

    tell: called with the bytes that are here, and all if known, while something is fetched.
    """
    try:
        _check_name(wish, models_folder)
        known = _offer(wish, models_folder)
        wish = _completed(wish, known)
        _check_origin(wish)
        described = _described(wish, known, models_folder)
        with _alone_in(wish.name, models_folder):
            _check_name(wish, models_folder)
            return _install(wish, known, described, models_folder, tell)
    except OSError as error:
        cause = f"{error.filename or models_folder} can't be written ({error.strerror or error})"
        fix = "Free some space, or run it as a user who may write there (`sudo -u retouchd …`)."
        raise ModelUnusable(model=wish.name, cause=cause, fix=fix) from None


def _check_name(wish: Wish, folder: Path) -> None:
    if not _NAME.fullmatch(wish.name):
        raise ModelUnusable(
            model=wish.name,
            cause="that is no name for a model",
            fix="Use up to 64 letters, digits, dots, dashes and underscores.",
        )
    there = entries(folder).get(wish.name)
    if there and there.usable and not wish.force:
        raise ModelUnusable(
            model=wish.name,
            cause="there is a model of that name already",
            fix="Choose another name, or replace it with --force.",
        )


def _offer(wish: Wish, folder: Path) -> Entry | None:
    """The well-known entry that a name stands for; None where a checksum says otherwise."""
    found = (known.get(wish.name) for known in (entries(folder), builtin_entries()))
    offer = next((entry for entry in found if entry and not entry.usable), None)
    if offer is None and not wish.origin:
        raise ModelUnusable(
            model=wish.name,
            cause="it is not one of those that retouchd knows where to find",
            fix=f"Give its file or URL: `retouchd models add {wish.name} FILE`.",
        )
    return None if wish.origin and (wish.sha256 or wish.md5) else offer


def _completed(wish: Wish, offer: Entry | None) -> Wish:
    """The wish with what is known of a well-known model, also for a file fetched by hand."""
    if offer is None:
        return wish
    return replace(
        wish,
        origin=wish.origin or offer.url or "",
        sha256=wish.sha256 or offer.sha256 or "",
        md5=wish.md5 or offer.md5 or "",
        licence=wish.licence or offer.licence,
    )


def _check_origin(wish: Wish) -> None:
    for kind, given, digits in (("sha256", wish.sha256, 64), ("md5", wish.md5, 32)):
        if given and not re.fullmatch(f"[0-9a-fA-F]{{{digits}}}", given):
            cause = f"{given} is no {kind}"
            fix = f"It has {digits} hexadecimal digits."
            raise ModelUnusable(model=wish.name, cause=cause, fix=fix)
    scheme = _scheme(wish.origin)
    if scheme not in ("", "file", "http", "https"):
        cause = f"{scheme}:// can't be fetched"
        fix = "Give a file, or an address that begins with https://."
        raise ModelUnusable(model=wish.name, cause=cause, fix=fix)
    if scheme == "http" and not (wish.sha256 or wish.md5):
        raise ModelUnusable(
            model=wish.name,
            cause="what comes over http:// may have been altered on its way",
            fix="Give its checksum with --sha256, or an address that begins with https://.",
        )


def _scheme(origin: str) -> str:
    return urlsplit(origin).scheme.lower() if "://" in origin else ""


@contextmanager
def _alone_in(model: str, folder: Path) -> Iterator[None]:
    """Keeps a second `models add` out, which would write the same partial file and manifest."""
    if not folder.is_dir():
        folder.mkdir(parents=True)
        folder.chmod(
            0o755
        )  # the service's user must get in, whatever the umask of the one who adds
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            cause = f"another `retouchd models add` works in {folder}"
            raise ModelUnusable(model=model, cause=cause, fix="Wait until it is done.") from None
        for left_by_a_crash in folder.glob(f"{_NEW}*.tmp"):
            left_by_a_crash.unlink()
        yield
    finally:
        os.close(fd)


def _described(wish: Wish, offer: Entry | None, folder: Path) -> Description:
    """What is known of the file before it is fetched; raises ModelUnusable."""
    base = like(wish.name, wish.like, entries(folder)) or offer
    described = described_by(base, wish.input, wish.output)
    if architecture_of(described, Path(urlsplit(wish.origin).path)) == "onnx":
        check_runtime(wish.name)
    return described


def _install(
    wish: Wish, offer: Entry | None, described: Description, folder: Path, tell: Tell
) -> ModelSpec:
    with _fetched(wish, folder, tell) as (path, content):
        origin_sha256 = _check_sums(wish, content)
        made = installable(wish.name, path, content, described)
    sha256 = hashlib.sha256(made.weights).hexdigest()
    file = folder / f"{wish.name}-{sha256[:12]}{made.suffix}"
    origin = f"{made.deed} by retouchd {__version__} from {path.name}, sha256 {origin_sha256}."
    entry = _entry(wish, offer, made.entry, file.name, origin)
    fresh = not file.exists()
    _write(file, made.weights)
    try:
        _write_down(wish.name, entry, folder)
    except BaseException:
        if fresh:
            file.unlink()
        raise
    return resolve(wish.name, folder)


def _entry(wish: Wish, offer: Entry | None, made: Entry, file: str, origin: str) -> Entry:
    remote = wish.origin if _scheme(wish.origin) in ("http", "https") else ""
    notes = offer.notes if offer else ""
    known = {
        "file": file,
        "licence": wish.licence,
        "source": (offer.source if offer else "") or remote,
        "contract": (offer.contract if offer else "") or made.contract,
        "notes": f"{notes} {origin}".strip(),
        "largest": offer.largest if offer else LARGEST,
    }
    return made.model_copy(update=known)


@contextmanager
def _fetched(wish: Wish, folder: Path, tell: Tell) -> Iterator[tuple[Path, bytes]]:
    """Where it came from, and its content. A download is kept until it was read to the end:
    until its content is judged, good or bad."""
    url, scheme = urlsplit(wish.origin), _scheme(wish.origin)
    if scheme not in ("http", "https"):
        path = Path(unquote(url.path)) if scheme == "file" else Path(wish.origin).expanduser()
        path = weights_in(path)
        yield path, read_weights(wish.name, path)
        return
    part = Part(folder, wish.origin, pinned=bool(wish.sha256 or wish.md5))
    download(wish.name, wish.origin, part, tell)
    try:
        yield Path(unquote(url.path)), read_weights(wish.name, part.path)
    finally:
        part.drop()


def _check_sums(wish: Wish, content: bytes) -> str:
    """The content's sha256; raises ModelUnusable unless the sums that are known are right."""
    sha256 = hashlib.sha256(content).hexdigest()
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    for kind, wanted, found in (("sha256", wish.sha256, sha256), ("md5", wish.md5, md5)):
        if wanted and wanted.lower() != found:
            raise ModelUnusable(
                model=wish.name,
                cause=f"{wish.origin} has the {kind} {found}, but {wanted.lower()} was expected",
                fix="Nothing was installed. Fetch it again; if it stays, its publisher has changed "
                "it, or somebody else has. If another file is meant, give its own --sha256.",
            )
    return sha256


def _write_down(name: str, entry: Entry, folder: Path) -> None:
    path = Path(os.path.realpath(folder / "manifest.yaml"))
    before = read_manifest(path) if path.exists() else {}
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    _write(path, with_entry(text, name, entry, path).encode())
    old = before.get(name)
    if old and old.file and old.file not in _files(path) and _is_ours(name, old):
        with contextlib.suppress(FileNotFoundError):
            (folder / old.file).unlink()


def _files(manifest: Path) -> set[str | None]:
    return {entry.file for entry in read_manifest(manifest).values()}


def _is_ours(name: str, entry: Entry) -> bool:
    """Whether an earlier `models add` wrote it; a file that a person put there is theirs."""
    ours = f"{name}-{(entry.sha256 or '')[:12].lower()}"
    return entry.file in (f"{ours}.safetensors", f"{ours}.onnx")


def _write(path: Path, content: bytes) -> None:
    """Write a file whole and durably, with the mode and owner that it had; raises OSError."""
    old = path.stat() if path.exists() else None
    fd, temporary = tempfile.mkstemp(prefix=_NEW, suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), old.st_mode & 0o777 if old else 0o644)
            if old:
                with contextlib.suppress(PermissionError):
                    os.fchown(file.fileno(), old.st_uid, old.st_gid)
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        sync_folder(folder)
    finally:
        os.close(folder)
