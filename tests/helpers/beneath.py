"""The folder beneath a file system in user space: what the kernel asks for is done there.

Requests and answers are those of the kernel's protocol (linux/fuse.h, version 7.31), each without
the header that all have.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass

MOST = 128 << 10
"""Bytes in one read or write, at most."""
_BIG_WRITES = 1 << 5
_ATTR = struct.Struct("<6Q10I")
_ENTRY = struct.Struct("<4Q2I")
_SETATTR = struct.Struct("<II6Q8I")
_IO = struct.Struct("<QQIIQII")
_MODE, _UID, _GID, _SIZE, _ATIME, _MTIME = 1, 2, 4, 8, 16, 32
_ATIME_NOW, _MTIME_NOW = 128, 256


@dataclass
class _Node:
    """A file that the kernel knows by a number. fd: opened with O_PATH. lookups: its references."""

    fd: int
    key: tuple[int, int]
    lookups: int

    @property
    def path(self) -> str:
        return f"/proc/self/fd/{self.fd}"


class Beneath:
    """The calls, carried out in the folder beneath. Each gives the answer's body, or raises."""

    def __init__(self, source: str) -> None:
        fd = os.open(source, os.O_PATH | os.O_DIRECTORY)
        self._nodes = {1: _Node(fd, _key(os.stat(fd)), 1)}
        self._numbers = {self._nodes[1].key: 1}
        self._next = 2
        self._listings: dict[int, list[tuple[bytes, int, int]]] = {}

    def path(self, number: int) -> str:
        node = self._nodes.get(number)
        return os.readlink(node.path) if node else ""

    def perform(self, call: str, node: int, body: bytes) -> bytes:
        method: Callable[[int, bytes], bytes] | None = getattr(self, f"_{call}", None)
        if method is None:
            raise OSError(errno.ENOSYS, call)
        return method(node, body)

    def _init(self, node: int, body: bytes) -> bytes:
        ahead = struct.unpack_from("<4I", body)[2]
        return struct.pack("<4I2H2I2HI28x", 7, 31, ahead, _BIG_WRITES, 12, 9, MOST, 1, 0, 0, 0)

    def _destroy(self, node: int, body: bytes) -> bytes:
        return b""

    def _entry(self, folder: int, name: bytes) -> bytes:
        fd = os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=self._nodes[folder].fd)
        found = os.stat(fd)
        number = self._numbers.get(_key(found))
        if number is None:
            number, self._next = self._next, self._next + 1
            self._nodes[number] = _Node(fd, _key(found), 0)
            self._numbers[_key(found)] = number
        else:
            os.close(fd)
        self._nodes[number].lookups += 1
        return _ENTRY.pack(number, 0, 0, 0, 0, 0) + _attributes(found)

    def _lookup(self, node: int, body: bytes) -> bytes:
        return self._entry(node, body.rstrip(b"\0"))

    def _forget(self, node: int, body: bytes) -> bytes:
        return self._drop(node, struct.unpack_from("<Q", body)[0])

    def _batch_forget(self, node: int, body: bytes) -> bytes:
        for number, count in struct.iter_unpack("<QQ", body[8:]):
            self._drop(number, count)
        return b""

    def _drop(self, number: int, count: int) -> bytes:
        node = self._nodes.get(number)
        if node and number != 1:
            node.lookups -= count
            if node.lookups <= 0:
                os.close(node.fd)
                del self._nodes[number], self._numbers[node.key]
        return b""

    def _getattr(self, node: int, body: bytes) -> bytes:
        return struct.pack("<QII", 0, 0, 0) + _attributes(os.stat(self._nodes[node].fd))

    def _setattr(self, node: int, body: bytes) -> bytes:
        valid, _, _, size, _, atime, mtime, _, atime_ns, mtime_ns, _, mode, _, uid, gid, _ = (
            _SETATTR.unpack_from(body)
        )
        path = self._nodes[node].path
        if valid & _MODE:
            os.chmod(path, stat.S_IMODE(mode))
        if valid & (_UID | _GID):
            os.chown(path, uid if valid & _UID else -1, gid if valid & _GID else -1)
        if valid & _SIZE:
            os.truncate(path, size)
        if valid & (_ATIME | _MTIME):
            now = time.time_ns()
            times = (
                now if valid & _ATIME_NOW else atime * 10**9 + atime_ns,
                now if valid & _MTIME_NOW else mtime * 10**9 + mtime_ns,
            )
            before = os.stat(path)
            access = times[0] if valid & _ATIME else before.st_atime_ns
            change = times[1] if valid & _MTIME else before.st_mtime_ns
            os.utime(path, ns=(access, change))
        return self._getattr(node, b"")

    def _readlink(self, node: int, body: bytes) -> bytes:
        return os.fsencode(os.readlink(b"", dir_fd=self._nodes[node].fd))

    def _symlink(self, node: int, body: bytes) -> bytes:
        name, target, _ = body.split(b"\0", 2)
        os.symlink(target, name, dir_fd=self._nodes[node].fd)
        return self._entry(node, name)

    def _mkdir(self, node: int, body: bytes) -> bytes:
        mode, umask = struct.unpack_from("<II", body)
        name = body[8:].rstrip(b"\0")
        os.mkdir(name, mode & ~umask, dir_fd=self._nodes[node].fd)
        return self._entry(node, name)

    def _unlink(self, node: int, body: bytes) -> bytes:
        os.unlink(body.rstrip(b"\0"), dir_fd=self._nodes[node].fd)
        return b""

    def _rmdir(self, node: int, body: bytes) -> bytes:
        os.rmdir(body.rstrip(b"\0"), dir_fd=self._nodes[node].fd)
        return b""

    def _rename(self, node: int, body: bytes) -> bytes:
        (target,) = struct.unpack_from("<Q", body)
        old, new, _ = body[8:].split(b"\0", 2)
        here, there = self._nodes[node].fd, self._nodes[target].fd
        os.rename(old, new, src_dir_fd=here, dst_dir_fd=there)
        return b""

    def _link(self, node: int, body: bytes) -> bytes:
        (old,) = struct.unpack_from("<Q", body)
        name, here = body[8:].rstrip(b"\0"), self._nodes[node].fd
        os.link(self._nodes[old].path, name, dst_dir_fd=here, follow_symlinks=True)
        return self._entry(node, name)

    def _open(self, node: int, body: bytes) -> bytes:
        flags = struct.unpack_from("<I", body)[0] & ~(os.O_NOFOLLOW | os.O_CREAT | os.O_EXCL)
        return struct.pack("<QII", os.open(self._nodes[node].path, flags), 0, 0)

    def _create(self, node: int, body: bytes) -> bytes:
        flags, mode, umask, _ = struct.unpack_from("<4I", body)
        name, here = body[16:].rstrip(b"\0"), self._nodes[node].fd
        fd = os.open(name, flags | os.O_CREAT, mode & ~umask, dir_fd=here)
        return self._entry(node, name) + struct.pack("<QII", fd, 0, 0)

    def _read(self, node: int, body: bytes) -> bytes:
        fd, offset, size, *_ = _IO.unpack_from(body)
        return os.pread(fd, size, offset)

    def _write(self, node: int, body: bytes) -> bytes:
        fd, offset, size, *_ = _IO.unpack_from(body)
        written = os.pwrite(fd, body[_IO.size : _IO.size + size], offset)
        return struct.pack("<II", written, 0)

    def _statfs(self, node: int, body: bytes) -> bytes:
        f = os.statvfs(self._nodes[1].path)
        counts = (f.f_blocks, f.f_bfree, f.f_bavail, f.f_files, f.f_ffree)
        return struct.pack("<5Q4I24x", *counts, f.f_bsize, f.f_namemax, f.f_frsize, 0)

    def _flush(self, node: int, body: bytes) -> bytes:
        return b""

    def _fsync(self, node: int, body: bytes) -> bytes:
        os.fsync(struct.unpack_from("<Q", body)[0])
        return b""

    def _release(self, node: int, body: bytes) -> bytes:
        os.close(struct.unpack_from("<Q", body)[0])
        return b""

    def _opendir(self, node: int, body: bytes) -> bytes:
        with os.scandir(fd := os.open(self._nodes[node].path, os.O_RDONLY)) as entries:
            found = [
                (os.fsencode(e.name), e.inode(), stat.S_IFMT(e.stat(follow_symlinks=False).st_mode))
                for e in entries
            ]
        self._listings[fd] = found
        return struct.pack("<QII", fd, 0, 0)

    def _readdir(self, node: int, body: bytes) -> bytes:
        fd, offset, size, *_ = _IO.unpack_from(body)
        parts, room = [], size
        for number, (name, inode, kind) in enumerate(self._listings[fd][offset:], offset + 1):
            entry = struct.pack("<QQII", inode, number, len(name), kind >> 12) + name
            entry += bytes(-len(entry) % 8)
            if len(entry) > room:
                break
            parts.append(entry)
            room -= len(entry)
        return b"".join(parts)

    def _fsyncdir(self, node: int, body: bytes) -> bytes:
        os.fsync(struct.unpack_from("<Q", body)[0])
        return b""

    def _releasedir(self, node: int, body: bytes) -> bytes:
        (fd,) = struct.unpack_from("<Q", body)
        del self._listings[fd]
        os.close(fd)
        return b""


def _key(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _attributes(found: os.stat_result) -> bytes:
    times = (found.st_atime_ns, found.st_mtime_ns, found.st_ctime_ns)
    seconds, rest = [t // 10**9 for t in times], [t % 10**9 for t in times]
    owner = (found.st_mode, found.st_nlink, found.st_uid, found.st_gid)
    sizes = (found.st_ino, found.st_size, found.st_blocks)
    return _ATTR.pack(*sizes, *seconds, *rest, *owner, found.st_rdev & 0xFFFFFFFF, 4096, 0)
