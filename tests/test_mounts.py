"""Which file system a folder is on."""

from __future__ import annotations

import pytest

from retouchd.mounts import Mount, mount_of, parse_mountinfo, read_mounts

TEXT = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 0:21 / /proc rw - proc proc rw
40 22 0:50 / /mnt/my\\040photos rw,relatime shared:5 master:2 - cifs //nas/my\\040photos rw
41 22 0:51 / /srv rw - tmpfs tmpfs rw
42 41 0:52 / /srv/share rw - nfs4 nas:/export rw,vers=4.2
43 22 0:53 / /srv/share rw - ext4 /dev/sdb rw
a damaged line
44 22 0:54 / /mnt/back\\134slash rw - fuse.sshfs me@host: rw
"""


def test_a_folder_lies_on_the_nearest_mount_above_it() -> None:
    mounts = parse_mountinfo(TEXT)
    kinds = {
        path: (mount_of(path, mounts) or Mount("", "none", "")).kind
        for path in ("/", "/home/x", "/srv", "/srv/photos", "/srvx", "/mnt/my photos/in", "/proc/1")
    }
    assert kinds == {
        "/": "ext4",
        "/home/x": "ext4",
        "/srv": "tmpfs",
        "/srv/photos": "tmpfs",
        "/srvx": "ext4",
        "/mnt/my photos/in": "cifs",
        "/proc/1": "proc",
    }


def test_of_two_mounts_on_one_folder_the_later_one_counts() -> None:
    mount = mount_of("/srv/share/in", parse_mountinfo(TEXT))
    assert mount is not None
    assert mount.source == "/dev/sdb"


def test_what_is_mounted_in_its_place_has_another_number() -> None:
    mounts = parse_mountinfo(TEXT)
    before, after = mount_of("/srv/share", mounts[:5]), mount_of("/srv/share", mounts)
    assert before is not None
    assert after is not None
    assert (before.number, after.number) == (42, 43)


def test_escapes_are_undone() -> None:
    points = [mount.point for mount in parse_mountinfo(TEXT)]
    assert "/mnt/my photos" in points
    assert "/mnt/back\\slash" in points


def test_dots_in_a_path_are_resolved_before_the_look() -> None:
    mount = mount_of("/home/../srv/./x", parse_mountinfo(TEXT))
    assert mount is not None
    assert mount.point == "/srv"


@pytest.mark.parametrize(
    "kind",
    [
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "9p",
        "fuse",
        "fuse.sshfs",
        "fuse.rclone",
        "virtiofs",
        "vboxsf",
        "ceph",
    ],
)
def test_where_others_may_write_events_are_not_trusted(kind: str) -> None:
    assert Mount("/x", kind, "s").remote


@pytest.mark.parametrize(
    "kind", ["ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "vfat", "exfat", "fuseblk", "nfsd"]
)
def test_where_only_this_host_writes_they_are(kind: str) -> None:
    assert not Mount("/x", kind, "s").remote


def test_this_machine_has_a_root() -> None:
    assert mount_of("/", read_mounts()) is not None
