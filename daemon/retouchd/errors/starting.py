"""The command can't start, or can't do what was asked."""

from __future__ import annotations

from retouchd.errors.base import RetouchdError


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
    remedy = (
        "Free some space on its disk, or mend the disk: a service goes on by itself then; give a "
        "command once more."
    )


class LedgerNotYet(LedgerUnusable):
    """The ledger {path} can't be used: {cause}."""


class CannotInstall(StartError):
    """{path} can't be written: {cause}."""

    remedy = (
        "Run it as root (`sudo retouchd service install`), or write to another folder with "
        "`--prefix DIR` and copy the files from there."
    )


class CannotWrite(StartError):
    """{path} can't be written: {cause}."""

    remedy = "Name a file in a folder that you may write to with -o."


class NoSuchJob(StartError):
    """There is no job {job}."""

    remedy = "`retouchd jobs` lists the jobs and their numbers."


class WrongState(StartError):
    """Job {job} is {state}, so it can't be {wish}."""

    remedy = "`retouchd explain` on its file says what happens next."


class WrongRequest(StartError):
    """{cause}."""

    remedy = "{fix}"


class LedgerHeld(RetouchdError):
    """Another retouchd (process {pid}) already works with the ledger {path}."""

    exit_code = 4
    remedy = "Stop that one first (`systemctl stop retouchd`), or give this one another --root."


class InboxHeld(RetouchdError):
    """Another retouchd works with the inbox {path} already: {by}; {seen}."""

    exit_code = 4
    remedy = "{fix} Then start this one again."
