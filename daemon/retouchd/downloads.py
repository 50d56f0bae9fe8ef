"""Fetching a file over HTTP: resumed where it broke off, bounded, and with a limit to patience."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from retouchd import __version__
from retouchd.errors import ModelUnusable
from retouchd.weightfile import MAX_WEIGHTS_BYTES

Tell = Callable[[int, int | None], None]  # bytes that are here, bytes in all if known

_CHUNK = 1 << 18
_FRUITLESS = 3
_PASSING = (408, 425, 429, 500, 502, 503, 504)
_OFFLINE = "Check the network (and https_proxy), or fetch it elsewhere and add the file."


class Part:
    """What is already here of one URL's content, and of which version of it.

    pinned: a checksum decides in the end, so parts may be joined without knowing their version.
    """

    def __init__(self, folder: Path, url: str, *, pinned: bool) -> None:
        self.path = folder / f".retouchd-{hashlib.sha256(url.encode()).hexdigest()[:16]}.tmp"
        self._version = self.path.with_suffix(".version.tmp")
        self._pinned = pinned

    @property
    def size(self) -> int:
        """Bytes that are here."""
        return self.path.stat().st_size if self.path.exists() else 0

    def conditions(self) -> dict[str, str]:
        """Headers that ask for the rest only; none when it has to start over."""
        version = self._version.read_text() if self._version.exists() else ""
        if not self.size or not (version or self._pinned):
            return {}
        return {"Range": f"bytes={self.size}-", **({"If-Range": version} if version else {})}

    def start_over(self, headers: Any) -> None:
        """Empty it, and note which version comes now."""
        self.drop()
        etag = headers.get("ETag") or ""
        # Only a strong ETag or a date may condition a range (RFC 9110, section 13.1.5).
        version = etag if etag.startswith('"') else headers.get("Last-Modified") or ""
        if version.isprintable() and version:
            self._version.write_text(version)

    def drop(self) -> None:
        """Forget what is here."""
        for path in (self.path, self._version):
            path.unlink(missing_ok=True)


class _BrokenOffError(Exception):
    """The rest may come if it is asked for again."""


def download(model: str, url: str, part: Part, tell: Tell, patience: float = 30.0) -> None:
    """Complete ``part`` with what ``url`` leads to; raises ModelUnusable.

    A connection that breaks is taken up again where it broke as long as bytes keep coming; what
    has come stays for the next call. patience: seconds without a single byte.
    """
    fruitless = 0
    while True:
        before = part.size
        try:
            _fetch_rest(model, url, part, tell, patience)
            return
        except _BrokenOffError as error:
            fruitless = 0 if part.size > before else fruitless + 1
            if fruitless == _FRUITLESS:
                raise ModelUnusable(
                    model=model,
                    cause=f"the download from {url} broke off after {part.size} bytes ({error})",
                    fix=f"Run the same command again; it goes on from there. {_OFFLINE}",
                ) from None
            time.sleep(0.2 * fruitless)


def _fetch_rest(model: str, url: str, part: Part, tell: Tell, patience: float) -> None:
    agent = {"User-Agent": f"retouchd/{__version__}", "Accept-Encoding": "identity"}
    request = urllib.request.Request(url, headers={**agent, **part.conditions()})
    try:
        response = _opener().open(request, timeout=patience)
    except urllib.error.HTTPError as error:
        if not _is_complete(error, part):
            raise _answer_error(model, url, part, error) from None
        return
    except TimeoutError:
        raise _BrokenOffError(f"no answer within {patience:g} s") from None
    except urllib.error.URLError as error:
        raise _no_connection(model, url, error.reason) from None
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenOffError(_words(error)) from None
    with response:
        _receive(model, response, part, tell, patience)


def _receive(model: str, response: Any, part: Part, tell: Tell, patience: float) -> None:
    total = _total(response, part)
    if total is not None and total > MAX_WEIGHTS_BYTES:
        part.drop()
        raise _too_large(model)
    with _open_part(model, part) as file:
        while chunk := _read(response, patience):
            try:
                file.write(chunk)
                file.flush()
            except OSError as error:
                raise _unwritable(model, part, error) from None
            tell(file.tell(), total)
            if file.tell() > MAX_WEIGHTS_BYTES:
                part.drop()
                raise _too_large(model)
    if total is not None and part.size < total:
        raise _BrokenOffError("the connection ended early")


def _total(response: Any, part: Part) -> int | None:
    """Bytes in all; makes ``part`` ready to take what comes."""
    given = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
    if response.status == http.HTTPStatus.PARTIAL_CONTENT:
        if not given or int(given[1]) != part.size:
            part.drop()
            raise _BrokenOffError("the server sent another part than the one asked for")
        return int(given[2])
    part.start_over(response.headers)
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() else None


def _open_part(model: str, part: Part) -> IO[bytes]:
    try:
        return part.path.open("ab")
    except OSError as error:
        raise _unwritable(model, part, error) from None


def _read(response: Any, patience: float) -> bytes:
    try:
        chunk: bytes = response.read(_CHUNK)
        return chunk
    except TimeoutError:
        raise _BrokenOffError(f"no byte came for {patience:g} s") from None
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenOffError(_words(error)) from None


def _is_complete(error: urllib.error.HTTPError, part: Part) -> bool:
    """Whether a range was refused because nothing is missing."""
    return error.code == 416 and error.headers.get("Content-Range") == f"bytes */{part.size}"


def _answer_error(
    model: str, url: str, part: Part, error: urllib.error.HTTPError
) -> ModelUnusable | _BrokenOffError:
    with contextlib.closing(error):
        if error.code == 416:
            part.drop()
            return _BrokenOffError("what was here is longer than what the server has")
        said = f"the server answered {error.code} {error.reason}"
    if error.code in _PASSING:
        return _BrokenOffError(said)
    fix = f"Check the address in a browser. {_OFFLINE}"
    return ModelUnusable(model=model, cause=f"{url} can't be fetched ({said})", fix=fix)


class _Redirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if urlsplit(req.full_url).scheme == "https" and urlsplit(newurl).scheme != "https":
            raise urllib.error.URLError(f"it leads from https to {newurl}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """HTTP and HTTPS, proxies and redirects; no other kind of URL."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        *(urllib.request.ProxyHandler(), urllib.request.HTTPHandler()),
        *(urllib.request.HTTPSHandler(), urllib.request.HTTPDefaultErrorHandler()),
        *(urllib.request.HTTPErrorProcessor(), urllib.request.UnknownHandler(), _Redirects()),
    ):
        opener.add_handler(handler)
    return opener


def _no_connection(model: str, url: str, reason: object) -> ModelUnusable:
    cause = f"{url} can't be reached ({_words(reason)})"
    return ModelUnusable(model=model, cause=cause, fix=_OFFLINE)


def _too_large(model: str) -> ModelUnusable:
    cause = f"the download is larger than {MAX_WEIGHTS_BYTES >> 20} MiB; no model is"
    return ModelUnusable(model=model, cause=cause, fix="Check the address.")


def _unwritable(model: str, part: Part, error: OSError) -> ModelUnusable:
    cause = f"{part.path} can't be written ({_words(error)})"
    fix = "Free some space, or run it as the service's user; it goes on where it stopped."
    return ModelUnusable(model=model, cause=cause, fix=fix)


def _words(error: object) -> str:
    text = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return text or type(error).__name__
