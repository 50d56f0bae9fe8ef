"""Everything that can go wrong, in the words that a person will read.

RetouchdError
 ├── StartError            the command can't start            exit 2
 │    ├── ConfigInvalid
 │    ├── ModelUnusable, GpuRequired, LedgerUnusable, …
 ├── LedgerHeld            another instance is running         exit 4
 ├── TransientError        the environment's fault             exit 75
 │    ├── EnvironmentTrouble   pauses the lane, burns no attempt
 │    │    ├── DiskFull, ReadOnly, RootLost, ShareHung
 │    └── IoTrouble, OutOfMemory, FileBusy, HandDied
 └── PermanentError        the drop's fault: quarantine
      ├── NotAnImage, Truncated, Unsupported, TooLarge
      └── MaskWrong, Ambiguous, Orphaned, Poisonous, …

The class docstring is the message and ``remedy`` says what to do; both are filled in with the
keyword arguments of the error. Errors cross process borders as ``to_wire``/``from_wire``, which
is plain JSON: nothing that a decoder process says is ever unpickled.
"""

from __future__ import annotations

import errno
import inspect
from typing import Any, ClassVar

Facts = dict[str, Any]


class RetouchdError(Exception):
    """Something went wrong: {cause}."""

    exit_code: ClassVar[int] = 1
    remedy: ClassVar[str] = "Run the command again with --set log.level=debug and read the log."

    def __init__(self, /, **facts: Any) -> None:
        self.facts: Facts = facts
        super().__init__(_fill(inspect.getdoc(type(self)) or "", facts))

    @property
    def message(self) -> str:
        """What happened, as one paragraph for a person."""
        return str(self)

    @property
    def advice(self) -> str:
        """What to do about it, as one paragraph for a person."""
        return _fill(self.remedy, self.facts)

    def to_wire(self) -> Facts:
        """The error as plain JSON values."""
        return {
            "error": type(self).__name__,
            "facts": {k: _plain(v) for k, v in self.facts.items()},
        }


def from_wire(wire: Facts) -> RetouchdError:
    """Rebuild the error that ``to_wire`` described; whatever else came becomes ``Unexpected``."""
    kind, facts = _known().get(str(wire.get("error"))), wire.get("facts")
    if kind is None or not isinstance(facts, dict):
        return Unexpected(cause=f"a worker process answered {printable(wire)[:200]}")
    return kind(**facts)


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, (str, int, float)) else str(value)


def _known() -> dict[str, type[RetouchdError]]:
    found: dict[str, type[RetouchdError]] = {}
    pending = [RetouchdError]
    while pending:
        kind = pending.pop()
        found[kind.__name__] = kind
        pending.extend(kind.__subclasses__())
    return found


def _fill(template: str, facts: Facts) -> str:
    class Missing(dict[str, Any]):
        def __missing__(self, key: str) -> str:
            return f"<{key}>"

    # Names on a share may not be UTF-8; a message must always be printable.
    shown = {key: printable(value) for key, value in facts.items()}
    # Only the template is unwrapped: two blanks in a file's name are part of it.
    return " ".join(template.split()).format_map(Missing(shown)).strip()


def printable(value: Any) -> str:
    """Any value as text that every terminal, log and text file can take."""
    text = str(value).encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


# --- the command can't start --------------------------------------------------------------------


class StartError(RetouchdError):
    """retouchd can't start: {cause}."""

    exit_code = 2
    remedy = "Mend the cause and start again; `retouchd doctor` checks the whole machine."


class ConfigInvalid(StartError):
    """The configuration can't be used. {where}: {cause}."""

    remedy = "{fix}"


class ModelUnusable(StartError):
    """The model {model} can't be used: {cause}."""

    remedy = "{fix}"


class GpuRequired(StartError):
    """A GPU is asked for (device.require_gpu or device.use), but none can be used: {cause}."""

    remedy = (
        "Mend the driver (`nvidia-smi` must work), or set device.require_gpu to false and "
        "device.use to auto."
    )


class LedgerUnusable(StartError):
    """The ledger {path} can't be used: {cause}."""

    remedy = "{fix}"


class LedgerStuck(LedgerUnusable):
    """The ledger {path} can't be written at the moment: {cause}."""

    exit_code = 75
    remedy = "Free some space on its disk, or mend the disk, and start again; systemd does so."


class LedgerNotYet(LedgerUnusable):
    """The ledger {path} can't be used: {cause}."""


class CannotInstall(StartError):
    """{path} can't be written: {cause}."""

    remedy = (
        "Run it as root (`sudo retouchd service install`), or write to another folder with "
        "`--prefix DIR` and copy the files from there."
    )


class NoSuchJob(StartError):
    """There is no job {job}."""

    remedy = "`retouchd jobs` lists the jobs and their numbers."


class WrongState(StartError):
    """Job {job} is {state}, so it can't be {wish}."""

    remedy = "`retouchd explain` on its file says what happens next."


class LedgerHeld(RetouchdError):
    """Another retouchd (process {pid}) already works with the ledger {path}."""

    exit_code = 4
    remedy = "Stop that one first (`systemctl stop retouchd`), or give this one another --root."


# --- the environment's fault --------------------------------------------------------------------


class TransientError(RetouchdError):
    """A passing trouble: {cause}."""

    exit_code = 75
    remedy = "Nothing to do: the job is tried again by itself."


class EnvironmentTrouble(TransientError):
    """The lane is paused: {cause}."""

    remedy = "Mend the cause; the lane resumes by itself and no attempt was counted."


class DiskFull(EnvironmentTrouble):
    """There is no space left for {path} ({cause})."""

    remedy = "Free some space, or let retention do it; the lane resumes by itself."


class ReadOnly(EnvironmentTrouble):
    """{path} can't be written to ({cause})."""

    remedy = (
        "Remount it for writing, or give the service user the right to write there; "
        "the lane resumes by itself."
    )


class RootLost(EnvironmentTrouble):
    """The folder {path} is not the one that this lane was set up with: {cause}."""

    remedy = (
        "Mount the share again; the lane resumes by itself. If you replaced the folder on "
        "purpose, run `retouchd adopt {lane}`."
    )


class ShareHung(EnvironmentTrouble):
    """The folder {path} did not answer within {seconds} s."""

    remedy = "Check the server and the network; the lane resumes by itself."


class IoTrouble(TransientError):
    """{path} could not be read or written: {cause}."""

    remedy = "Nothing to do if it passes: it is tried again. If it stays, check the disk or share."


class FileBusy(TransientError):
    """{path} changed while it was being worked on."""

    remedy = "Nothing to do: the job starts again once the file has been still for a while."


class OutOfMemory(TransientError):
    """There was not enough memory for {what}."""

    remedy = "Close other programs, lower limits.max_pixels or device.threads, or add memory."


class EngineTrouble(TransientError):
    """The model {model} failed on this photo: {cause}."""

    remedy = "It is tried again. If it stays, report it with the photo, or use another model."


class HandDied(TransientError):
    """The process that worked on {path} died ({cause})."""

    remedy = "It is tried again; a file that kills its process twice is quarantined."


class Unexpected(TransientError):
    """Something that should not happen, happened: {cause}."""

    remedy = "It is tried again. If it stays, please report it with the service's log."


# --- the drop's fault ---------------------------------------------------------------------------


class PermanentError(RetouchdError):
    """This file can't be worked on: {cause}."""

    remedy = "Mend the file and drop it again."


class NotAnImage(PermanentError):
    """{path} is not an image that can be read: {cause}."""

    remedy = (
        "Open it in a photo program and export it anew as JPEG, PNG, WebP, TIFF, BMP or AVIF, "
        "then drop that."
    )


class Truncated(PermanentError):
    """{path} is incomplete: {cause}."""

    remedy = "The copy was probably cut off. Copy the file again from its source."


class Unsupported(PermanentError):
    """{path} is of a kind that is not supported: {cause}."""

    remedy = "{fix}"


class TooLarge(PermanentError):
    """{path} is over this lane's limit: {cause}."""

    remedy = "Make the photo smaller, or raise {limit} in this lane's configuration."


class NotARegularFile(PermanentError):
    """{path} is not a plain file: {cause}."""

    remedy = "Drop a copy of the file itself; links and special files are never followed."


class LinkedElsewhere(NotARegularFile):
    """{path} has another name, too: it is a hard link to a file elsewhere."""


class MaskSizeWrong(PermanentError):
    """The mask {mask} is {mask_size}, but the photo {path} is {size}."""

    remedy = "Draw the mask on the photo itself and save it at the same size.{hint}"


class MaskCoversTooMuch(PermanentError):
    """The mask {mask} covers {coverage} of the photo {path}; this lane allows {allowed}."""

    remedy = (
        "White means remove. If the mask is inverted, invert it; if the area is meant to be this "
        "large, raise mask.max_coverage in this lane's configuration."
    )


class MaskLooksInverted(PermanentError):
    """The mask {mask} covers {coverage} of the photo {path}; it looks inverted."""

    remedy = "White means remove. {fix}"


class MaskUnreadable(PermanentError):
    """The mask {mask} can't be used: {cause}."""

    remedy = "Save the mask as a black and white PNG: white where something is to be removed."


class RectangleOutside(MaskUnreadable):
    """Rectangle {number} of pairing.rectangles lies outside this photo, which is {size}."""

    remedy = (
        "It is measured from the {corner} corner: correct it in this lane's configuration, or "
        "give photos of other sizes a lane of their own."
    )


class Ambiguous(PermanentError):
    """It is not clear what belongs together: {cause}."""

    remedy = "Keep one of them, and drop the photo and its mask again."


class Orphaned(PermanentError):
    """{cause}."""

    remedy = "{fix}"


class Poisonous(PermanentError):
    """{path} made its process die {times} times ({cause})."""

    remedy = (
        "The file is probably damaged. Export it anew from a photo program and drop that. "
        "`retouchd retry {job}` tries this one again."
    )


class OutputWrong(PermanentError):
    """The output for {path} did not pass its own check: {cause}."""

    remedy = "Nothing was published. Please report this with the photo and the mask."


class GaveUp(PermanentError):
    """{path} failed {attempts} times; the last time: {cause}"""

    remedy = "{fix}"


_FULL = {errno.ENOSPC, errno.EDQUOT}
_LOCKED = {errno.EROFS, errno.EACCES, errno.EPERM}
_LOST = {
    errno.ESTALE,
    errno.ENODEV,
    errno.ENOTCONN,
    errno.ECONNABORTED,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.ETIMEDOUT,
}


def from_os_error(error: OSError, path: str) -> TransientError:
    """The error that an ``OSError`` means for the file at ``path``."""
    cause = error.strerror or str(error)
    if error.errno in _FULL:
        return DiskFull(path=path, cause=cause)
    if error.errno in _LOCKED:
        return ReadOnly(path=path, cause=cause)
    if error.errno == errno.ENOMEM:
        # An mmap beyond the process's limit is no fault of the disk, and must not be tried forever.
        return OutOfMemory(what=path)
    if error.errno in _LOST:
        return RootLost(path=path, cause=cause, lane="LANE")
    return IoTrouble(path=path, cause=cause)
