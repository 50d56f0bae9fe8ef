"""Tasks of the work itself: originals → regions for the model, and its answers → an output."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

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
from retouchd.regions import plan
from retouchd.roots import open_root
from retouchd.shared import SharedArray, attach, put_all
from retouchd.tasks.packing import pack, unpack
from retouchd.tasks.values import Answer, Original, Task, Values, original_of, region_of, root_of
from retouchd.verify import check_output

Pixels = NDArray[Any]
_FAMILY = {".jpeg": ".jpg", ".jpe": ".jpg", ".jfif": ".jpg", ".tiff": ".tif"}


def prepare(values: Values, _: Sequence[SharedArray]) -> Answer:
    """Decode the originals and plan the regions.

    values: image, mask (originals; mask may be null), source, rectangles, mask_settings,
    strategy, max_pixels, max_bytes. Gives sha256 (image, mask), metadata, regions (with the sizes
    of their crops), coverage, notes; and four arrays: the photo [H, W, C], its hole [H, W], and
    the crops' RGB and masks, each flat and one behind the other.
    """
    image = original_of(values["image"])
    mask = original_of(values["mask"]) if values["mask"] else None
    data = _read(image, values)
    photo = decode(data, _shown(image), values["max_pixels"])
    hashes = {"image": _sha256(data), "mask": None}
    del data
    hole, hashes["mask"] = _hole(photo, image, mask, values)
    regions = plan(hole.mask, values["strategy"])
    crops = [cut(photo.pixels, hole.mask, region) for region in regions]
    sizes = [list(mask.shape) for _, mask in crops]
    result = {
        "sha256": hashes,
        "metadata": photo.metadata.to_wire(),
        "regions": [{**asdict(r), "crop": size} for r, size in zip(regions, sizes, strict=True)],
        "coverage": hole.coverage,
        "notes": list(hole.notes),
    }
    rgbs = pack([rgb for rgb, _ in crops], photo.pixels.dtype)
    masks = pack([mask for _, mask in crops], hole.mask.dtype)
    return result, put_all([photo.pixels, hole.mask, rgbs, masks])


def _read(original: Original, values: Values) -> bytes:
    with open_root(original.root) as root:
        return files.read_drop(root, original.path, values["max_bytes"], original.stat)


def _shown(original: Original) -> str:
    return original.path


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _hole(
    photo: Photo, image: Original, mask: Original | None, values: Values
) -> tuple[Hole, str | None]:
    grey, sha256 = None, None
    notes: tuple[str, ...] = ()
    if mask:
        data = _read(mask, values)
        sha256 = _sha256(data)
        picture = decode_mask(data, _shown(mask), values["max_pixels"])
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

    values: regions, metadata, blend, feather, opaque (whether the hole was in the photo's alpha,
    which is closed then), output, root, temporary, name, verbatim (an original to copy byte by
    byte, when nothing is to be repaired or converted). arrays: photo, hole, and the answers as
    float32 RGB, flat. Gives sha256, size, extension, notes.
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
        )
    if values["opaque"]:
        pixels[hole > 0, -1] = np.iinfo(pixels.dtype).max
    metadata = Metadata.from_wire(values["metadata"])
    settings = Output.model_construct(**values["output"])
    result = Photo(pixels, metadata)
    encoded = encode(
        result,
        format=settings.format,
        quality=settings.quality,
        strip_metadata=settings.strip_metadata,
        name=values["name"],
    )
    check_output(
        encoded,
        composed=pixels,
        original=photo,
        hole=hole,
        lossless=is_lossless(result, settings.format),
        name=values["name"],
    )
    return _write(values, encoded)


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
