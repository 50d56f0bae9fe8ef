"""A file system in user space that shows another folder, and hangs, errs or dawdles on demand.

It speaks the kernel's protocol itself (linux/fuse.h, version 7.31), so that it needs nothing but
root and /dev/fuse. Nothing is cached, renames know no flags, and whoever writes into the folder
beneath causes no events above: it is like a network share in all that. A request that hangs was
taken and is never answered, so that its process sleeps where even SIGKILL does not reach it.

Run as a process of its own, with what to show, where, and the file that says how it is:

    hang | hang CALL… /NAME | EIO | ESTALE CALL… | slow SECONDS | (empty: it is well)
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import select
import struct
import sys
import time

from helpers.beneath import MOST, Beneath

CALLS = {
    1: "lookup", 2: "forget", 3: "getattr", 4: "setattr", 5: "readlink", 6: "symlink",
    9: "mkdir", 10: "unlink", 11: "rmdir", 12: "rename", 13: "link", 14: "open", 15: "read",
    16: "write", 17: "statfs", 18: "release", 20: "fsync", 25: "flush", 26: "init",
    27: "opendir", 28: "readdir", 29: "releasedir", 30: "fsyncdir", 35: "create",
    36: "interrupt", 38: "destroy", 42: "batch_forget",
}  # fmt: skip
_UNANSWERED = {"forget", "batch_forget", "interrupt"}
_ALWAYS = _UNANSWERED | {"init", "destroy", "release", "releasedir"}
"""What works however ill it is: nobody waits for these."""
_IN = struct.Struct("<IIQQIIIHH")
_OUT = struct.Struct("<IiQ")
_NOSUID_NODEV, _DETACH = 6, 2


class Health:
    """What the control file says."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_RDONLY)

    def now(self, call: str, path: str) -> tuple[str, float]:
        """How this call is answered (well, hang or the name of an error), after how long."""
        words = os.pread(self._fd, 4096, 0).decode().split()
        if not words or call in _ALWAYS:
            return "well", 0.0
        if words[0] == "slow":
            return "well", float(words[1])
        calls = [word for word in words[1:] if not word.startswith("/")]
        names = [word for word in words[1:] if word.startswith("/")]
        struck = (not calls or call in calls) and all(name in path for name in names)
        return (words[0] if struck else "well"), 0.0


def _serve(device: int, beneath: Beneath, health: Health) -> None:
    held: list[bytes] = []
    poll = select.poll()
    poll.register(device, select.POLLIN)
    parent = os.getppid()
    while os.getppid() == parent:
        held = [request for request in held if not _answer(device, beneath, health, request)]
        if not poll.poll(50):
            continue
        try:
            request = os.read(device, MOST + 8192)
        except OSError as error:
            if error.errno == errno.ENODEV:
                return
            continue
        if not _answer(device, beneath, health, request):
            held.append(request)


def _answer(device: int, beneath: Beneath, health: Health, request: bytes) -> bool:
    """Answer one request; returns whether that was done, or else it hangs."""
    _, code, unique, node, *_ = _IN.unpack_from(request)
    call = CALLS.get(code, str(code))
    how, pause = health.now(call, beneath.path(node))
    if how == "hang":
        return False
    time.sleep(pause)
    number, body = 0, b""
    try:
        if how != "well":
            raise OSError(getattr(errno, how), how)
        body = beneath.perform(call, node, request[_IN.size :])
    except OSError as error:
        number = error.errno or errno.EIO
    if call not in _UNANSWERED:
        # Who asked may have been killed meanwhile.
        with contextlib.suppress(FileNotFoundError):
            os.write(device, _OUT.pack(_OUT.size + len(body), -number, unique) + body)
    return True


def main() -> None:
    """Arguments: the folder to show, where to mount it, the control file."""
    source, target, control = sys.argv[1:4]
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
    where = os.fsencode(target)
    if libc.mount(b"passthrough", where, b"fuse.passthrough", _NOSUID_NODEV, options):
        sys.exit(os.strerror(ctypes.get_errno()))
    print("mounted", flush=True)
    parent = os.getppid()
    _serve(device, Beneath(source), Health(control))
    if os.getppid() != parent:
        libc.umount2(where, _DETACH)


if __name__ == "__main__":
    main()
