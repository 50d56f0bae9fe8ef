"""Tasks of the work itself: originals → regions for the model, and its answers → an output."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from retouchd import files
from retouchd.blend import cut, paste
from retouchd.config import Mask, Output, Rectangle
from retouchd.images import (
    Encoded,
    Metadata,
    Photo,
    decode,
    decode_mask,
    encode,
    extension,
    is_lossless,
)
from retouchd.masks import Hole, Names, read_hole
from retouchd.regions import DEFAULTS, Region, plan
from retouchd.roots import open_root
from retouchd.shared import SharedArray, attach, handing_over, put
from retouchd.spool import spooled
from retouchd.tasks.packing import pack, unpack
from retouchd.tasks.room import Room
from retouchd.tasks.values import Answer, Original, Task, Values, original_of, region_of, root_of
from retouchd.verify import check_output

Pixels = NDArray[Any]
_FAMILY = {".jpeg": ".jpg", ".jpe": ".jpg", ".jfif": ".jpg", ".tiff": ".tif"}


def prepare(values: Values, _: Sequence[SharedArray]) -> Answer:
    """Decode the originals and plan the regions.

    values: image, mask (originals; mask may be null), source, rectangles, mask_settings,
    strategy, largest, max_pixels, max_bytes. Gives sha256 (image, mask), metadata, regions,
    coverage, notes; and four arrays: the photo [H, W, C], its hole [H, W], and the RGB and masks
    of the crops that are solved at once, each flat and one behind the other.
    """
    image = original_of(values["image"])
    mask = original_of(values["mask"]) if values["mask"] else None
    with handing_over() as shared:
        photo, sha256 = _photo(image, values, shared)
        hole, mask_sha256 = _hole(photo, image, mask, values)
        regions = plan(hole.mask, values["strategy"], DEFAULTS.within(values["largest"]))
        shared.append(put(hole.mask, _rows(regions)))
        crops = [cut(photo.pixels, hole.mask, region) for region in regions if region.at_once]
        shared.append(put(pack([rgb for rgb, _ in crops], photo.pixels.dtype)))
        shared.append(put(pack([mask for _, mask in crops], hole.mask.dtype)))
    result = {
        "sha256": {"image": sha256, "mask": mask_sha256},
        "metadata": photo.metadata.to_wire(),
        "regions": [asdict(region) for region in regions],
        "coverage": hole.coverage,
        "notes": list(hole.notes),
    }
    return result, shared


def _rows(regions: Sequence[Region]) -> slice:
    """The rows with hole in them: every pixel of it lies in a region's core."""
    cores = [region.core for region in regions]
    end = max((core.top + core.height for core in cores), default=0)
    return slice(min((core.top for core in cores), default=0), end)


def _photo(image: Original, values: Values, shared: list[SharedArray]) -> tuple[Photo, str]:
    """The photo, decoded into the first of the shared arrays, and its file's sha256."""
    room = Room(shared)
    file, sha256 = _read(image, values)
    with file:
        photo = decode(file, _shown(image), values["max_pixels"], room)
    return replace(photo, pixels=room.hold(photo.pixels)), sha256


def _read(original: Original, values: Values) -> tuple[BinaryIO, str]:
    with open_root(original.root) as root:
        parts = files.drop_parts(root, original.path, values["max_bytes"], original.stat)
        # A share is read once, and what decodes sees only what was hashed.
        return spooled(parts)


def _shown(original: Original) -> str:
    return original.path


def _hole(
    photo: Photo, image: Original, mask: Original | None, values: Values
) -> tuple[Hole, str | None]:
    grey, sha256 = None, None
    notes: tuple[str, ...] = ()
    if mask:
        file, sha256 = _read(mask, values)
        with file:
            picture = decode_mask(file, _shown(mask), values["max_pixels"])
        grey, notes = picture.grey, picture.notes
    hole = read_hole(
        photo.pixels.shape[:2],
        Mask.model_construct(**values["mask_settings"]),
        Names(photo=_shown(image), mask=_shown(mask or image)),
        grey=grey,
        alpha=photo.pixels[..., -1] if values["source"] == "alpha" else None,
        rectangles=[Rectangle(**r) for r in values["rectangles"]],
    )
    return Hole(hole.mask, hole.coverage, (*notes, *hole.notes)), sha256


def finish(values: Values, arrays: Sequence[SharedArray]) -> Answer:
    """Put the model's answers into the photo, encode it, check it and write it.

    values: regions, metadata, blend, feather, match (colour, grain), opaque (whether the hole was
    in the photo's alpha, which is closed then), output, root, temporary, name, verbatim (an
    original to copy byte by byte, when nothing is to be repaired or converted). arrays: photo,
    hole, and the answers as float32 RGB, flat. Gives sha256, size, extension, notes.
    """
    if values["verbatim"]:
        original = original_of(values["verbatim"])
        with open_root(original.root) as root:
            data = files.read_drop(root, original.path, original.stat.size, original.stat)
        kind = extension(Metadata.from_wire(values["metadata"]).format)
        return _write(values, Encoded(data, kind))
    photo, hole = attach(arrays[0]), attach(arrays[1])
    # Written pages are copied one by one; the rest stays shared with the undamaged original.
    pixels = attach(arrays[0], private=True)
    regions = values["regions"]
    crops = unpack(attach(arrays[2]), [r["crop"] for r in regions], 3)
    for region, crop in zip(regions, crops, strict=True):
        paste(
            pixels,
            hole,
            region_of(region),
            crop,
            blend=values["blend"],
            feather_px=values["feather"],
            colour=values["match"]["colour"],
            with_grain=values["match"]["grain"],
        )
        if values["opaque"]:
            core = region_of(region).core.slices
            pixels[core][hole[core] > 0, -1] = np.iinfo(pixels.dtype).max
    metadata = Metadata.from_wire(values["metadata"])
    settings = Output.model_construct(**values["output"])
    result = Photo(pixels, metadata)
    answer = _write(
        values,
        encode(
            result,
            format=settings.format,
            quality=settings.quality,
            strip_metadata=settings.strip_metadata,
            name=values["name"],
        ),
    )
    with _written(values) as output:
        check_output(
            output,
            composed=pixels,
            original=photo,
            hole=hole,
            lossless=is_lossless(result, settings.format),
            name=values["name"],
        )
    return answer


@contextmanager
def _written(values: Values) -> Iterator[BinaryIO]:
    """The temporary output as it lies on the disk; it is removed if it turns out to be wrong."""
    hidden = values["temporary"]
    with open_root(root_of(values["root"])) as root:
        try:
            with files.open_drop(root, hidden) as (fd, _), os.fdopen(os.dup(fd), "rb") as file:
                yield file
        except BaseException:
            files.delete(root, hidden)
            raise


def _write(values: Values, encoded: Encoded) -> Answer:
    with open_root(root_of(values["root"])) as root:
        sha256 = files.write_temporary(root, values["temporary"], encoded.data)
    result = {
        "sha256": sha256,
        "size": len(encoded.data),
        "extension": _ending(values["name"], encoded.extension),
        "notes": list(encoded.notes),
    }
    return result, []


def _ending(name: str, extension: str) -> str:
    """A photo that stays what it is keeps its own spelling, such as ``.JPG`` or ``.tif``."""
    own = os.path.splitext(name)[1]
    return own if _FAMILY.get(own.lower(), own.lower()) == extension else extension


WORKING: Mapping[str, Task] = {"prepare": prepare, "finish": finish}
