"""The files that weights are in, whatever their format: found, measured, read."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat as modes
from io import BufferedReader
from pathlib import Path

from retouchd.entry import Architecture
from retouchd.errors import ModelUnusable

MAX_WEIGHTS_BYTES = 2 << 30  # big-lama with its discriminator is a fifth of that, BiRefNet a half

_LONGEST_HEADER = 1 << 20  # bytes; that of big-lama has a tenth
_ORIGINAL_FOLDER = Path("models/best.ckpt")  # how the authors of LaMa hand their weights out


def architecture_in(content: bytes) -> Architecture:
    """cvunet where a .safetensors file's own metadata says so; anything else is taken for LaMa."""
    length = int.from_bytes(content[:8], "little")
    try:
        metadata = json.loads(content[8 : 8 + length])["__metadata__"]
        return "cvunet" if metadata["architecture"] == "cvunet" else "lama"
    except (ValueError, LookupError, TypeError, RecursionError):
        return "lama"


def opened(path: Path) -> BufferedReader:
    """A file, to be read; raises OSError, also for a pipe, at which a reader would wait for ever,
    and for anything else that is no ordinary file."""
    # Whatever has come into its place since it was looked at last is opened without waiting.
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not modes.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "it is a pipe, a device or a folder, not a file", str(path))
    return os.fdopen(fd, "rb")


def architecture_of(path: Path) -> Architecture:
    """``architecture_in`` a file, by its beginning; raises OSError."""
    with opened(path) as file:
        return architecture_in(file.read(_LONGEST_HEADER))


def sha256_of(path: Path) -> str:
    """The sha256 of a file's content, in lower-case hexadecimal; raises OSError."""
    with opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_weights(model: str, path: Path) -> BufferedReader:
    """A weights file, to be read; raises ModelUnusable, also for one that is absurdly large."""
    try:
        file = opened(path)
    except OSError as error:
        raise unreadable(model, path, error) from None
    try:
        _check_size(model, path, os.fstat(file.fileno()).st_size)
    except ModelUnusable:
        file.close()
        raise
    return file


def read_weights(model: str, path: Path) -> bytes:
    """The content of a weights file; raises ModelUnusable, as ``open_weights`` does."""
    with open_weights(model, path) as file:
        try:
            content = file.read(MAX_WEIGHTS_BYTES + 1)
        except OSError as error:
            raise unreadable(model, path, error) from None
    _check_size(model, path, len(content))  # it may have grown
    return content


def _check_size(model: str, path: Path, size: int) -> None:
    if size > MAX_WEIGHTS_BYTES:
        raise ModelUnusable(
            model=model,
            cause=f"{path} is larger than {MAX_WEIGHTS_BYTES >> 20} MiB; no model is",
            fix="Check that it is the file that you mean.",
        )


def weights_in(path: Path) -> Path:
    """The weights file that a path means: itself, or the checkpoint in the original folder."""
    return path / _ORIGINAL_FOLDER if path.is_dir() else path


def unreadable(model: str, path: Path, error: OSError) -> ModelUnusable:
    """The error for a file that can't be read."""
    return ModelUnusable(
        model=model,
        cause=f"{path} can't be read ({error.strerror or error})",
        fix="Check the path, and that the service's user may read it.",
    )
