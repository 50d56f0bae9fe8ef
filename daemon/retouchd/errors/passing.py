"""The environment's fault: tried again."""

from __future__ import annotations

from retouchd.errors.base import RetouchdError


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


class NotOpened(ReadOnly):
    """{path} can't be written to by the service ({cause})."""

    remedy = (
        "If the folder is new in the configuration, run `retouchd service install` again as "
        "root, and the commands that it prints: the unit lets the service write to no other "
        "folders. Else remount it for writing, or give the service user the right to write there; "
        "the lane resumes by itself."
    )


class RootLost(EnvironmentTrouble):
    """The folder {path} is not the one that this lane was set up with: {cause}."""

    remedy = (
        "Mount the share again; the lane resumes by itself. If you replaced the folder on "
        "purpose, run `retouchd adopt {lane}`."
    )


class InTheWay(EnvironmentTrouble):
    """A folder is needed at {path}, but there is {kind}."""

    remedy = (
        "Move it away or delete it; then it goes on by itself, and no attempt was counted. If the "
        "files belong elsewhere, mount that place here, or name it in this lane's configuration."
    )


class FolderLocked(EnvironmentTrouble):
    """Nothing can be moved out of the folder {path} ({cause})."""

    remedy = (
        "Give the service user the right to write in that folder (chmod g+w, where its group is "
        "the service's); then it goes on by itself. A umask of 002 spares that next time."
    )


class InboxTaken(EnvironmentTrouble):
    """Another retouchd works with the inbox {path} already: {by}; {seen}."""

    remedy = "{fix} The lane resumes by itself then."


class ShareHung(EnvironmentTrouble):
    """The folder {path} did not answer within {seconds} s."""

    remedy = "Check the server and the network; the lane resumes by itself."


class BackgroundMissing(EnvironmentTrouble):
    """The background {path} can't be used: {cause}."""

    remedy = "{fix} Or change matte.background of this lane; the lane resumes by itself."


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
