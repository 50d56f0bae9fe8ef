"""Making sure that what a crash may have left half durable survives the next power cut."""

from __future__ import annotations

import os

from retouchd.errors import from_os_error
from retouchd.roots import Root, sync_folder
from retouchd.walking import parent, trouble

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def make_durable(root: Root, relative: str) -> None:
    """Write a file and its name through to the disk.

    For files that somebody found under their final name: whoever put them there may have died
    before the folder was synced, and then nothing may be built on them yet. Raises
    TransientError.
    """
    with trouble(root, relative), parent(root, relative) as (folder, name):
        fd = os.open(name, _READ, dir_fd=folder)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
        sync_folder(folder)


def make_absence_durable(root: Root, relative: str) -> None:
    """Make it last that a name is gone; its folder may be gone as well, or be something else."""
    try:
        with parent(root, relative) as (folder, _):
            sync_folder(folder)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise from_os_error(error, root.shown(relative)) from None
