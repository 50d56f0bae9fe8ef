"""Tasks of the work itself: originals → regions for the model, and its answers → an output."""

from __future__ import annotations

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
    decode_mask,
    encode,
    extension,
    is_lossless,
)
from retouchd.marks import check_colours
from retouchd.masks import Hole, Names, read_hole
from retouchd.regions import DEFAULTS, Region, plan
from retouchd.roots import open_root
from retouchd.shared import SharedArray, attach, handing_over, put
from retouchd.tasks.originals import read_original, read_photo
from retouchd.tasks.packing import pack, unpack
from retouchd.tasks.values import Answer, Original, Task, Values, original_of, region_of, root_of
from retouchd.tasks.writing import ending, write, written
from retouchd.verify import check_output

Pixels = NDArray[Any]


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
        photo, sha256 = read_photo(image, values["max_pixels"], values["max_bytes"], shared)
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


def _hole(
    photo: Photo, image: Original, mask: Original | None, values: Values
) -> tuple[Hole, str | None]:
    grey, sha256 = None, None
    notes: tuple[str, ...] = ()
    if mask:
        file, sha256 = read_original(mask, values["max_bytes"])
        with file:
            picture = decode_mask(file, mask.path, values["max_pixels"])
        check_colours(picture.many_colours, mask.path, image.path)
        grey, notes = picture.grey, picture.notes
    hole = read_hole(
        photo.pixels.shape[:2],
        Mask.model_construct(**values["mask_settings"]),
        Names(photo=image.path, mask=(mask or image).path),
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
    with written(root_of(values["root"]), values["temporary"]) as output:
        check_output(
            output,
            composed=pixels,
            original=photo,
            hole=hole,
            lossless=is_lossless(result, settings.format),
            name=values["name"],
        )
    return answer


def _write(values: Values, encoded: Encoded) -> Answer:
    result = {
        "sha256": write(root_of(values["root"]), values["temporary"], encoded.data),
        "size": len(encoded.data),
        "extension": ending(values["name"], encoded.extension),
        "notes": list(encoded.notes),
    }
    return result, []


WORKING: Mapping[str, Task] = {"prepare": prepare, "finish": finish}
