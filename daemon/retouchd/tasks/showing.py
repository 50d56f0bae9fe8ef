"""A task for people who want to see: an output, small."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from retouchd import files
from retouchd import thumbnail as small
from retouchd.images import decode
from retouchd.roots import open_root
from retouchd.shared import SharedArray, put
from retouchd.spool import spooled
from retouchd.tasks.values import Answer, Task, Values, original_of


def thumbnail(values: Values, _: Sequence[SharedArray]) -> Answer:
    """Decode an output and reduce it. values: output (as an original), side, max_pixels, max_bytes.

    Gives sha256 (of the file), and the picture as [h, w, 3 or 4] uint8 RGB with straight alpha, no
    side longer than ``side``. Raises FileBusy (another version by now), NotAnImage, Truncated,
    Unsupported, TooLarge, NotARegularFile or OutOfMemory.
    """
    output = original_of(values["output"])
    with open_root(output.root) as root:
        file, sha256 = spooled(
            files.drop_parts(root, output.path, values["max_bytes"], output.stat)
        )
    with file:
        photo = decode(file, output.path, values["max_pixels"])
    return {"sha256": sha256}, [put(small.thumbnail(photo.pixels, values["side"]))]


SHOWING: Mapping[str, Task] = {"thumbnail": thumbnail}
