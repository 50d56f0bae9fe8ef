"""Tasks of the matting lane: a photo → a network's picture, and an alpha → cut-outs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retouchd.config import Mask
from retouchd.cutout import Cut, Piece, judged, pieces
from retouchd.errors import MaskUnreadable
from retouchd.fit import Fit
from retouchd.fitting import Placement, picture_of, place
from retouchd.images import Metadata, Photo, decode_mask, encode, is_lossless
from retouchd.marks import check_colours, check_marks
from retouchd.masks import Names, fit_to, hole_from_grey
from retouchd.naming import temporary_of
from retouchd.shared import SharedArray, attach, handing_over, put
from retouchd.subject import (
    Seen,
    from_backdrop,
    from_network,
    from_network_or_backdrop,
    from_rough_mask,
)
from retouchd.tasks.backgrounds import check_background, read_background
from retouchd.tasks.originals import read_original, read_photo
from retouchd.tasks.rights import become
from retouchd.tasks.values import Answer, Original, Task, Values, original_of, root_of
from retouchd.tasks.writing import ending, write, written
from retouchd.verify import check_written

Grey = NDArray[np.uint8]


def prepare_matte(values: Values, _: Sequence[SharedArray]) -> Answer:
    """Decode the originals, and make the picture that a network is shown.

    values: image, mask (originals; mask may be null), mask_settings, fit (null where no network is
    asked), background (a path or null), name (the photo's, for people), max_pixels, max_bytes.
    Gives sha256 (image, mask, and background if there is one), metadata, placement (null without
    fit), notes; and the photo [H, W, C], then its rough mask [H, W] if there is one, or the
    network's picture [h, w, 3] and where that shows the photo [h, w].
    """
    image = original_of(values["image"])
    mask = original_of(values["mask"]) if values["mask"] else None
    notes: list[str] = []
    mask_sha256 = placement = None
    behind = check_background(values["background"])
    with handing_over() as shared:
        photo, sha256 = read_photo(image, values["max_pixels"], values["max_bytes"], shared)
        size = (photo.pixels.shape[0], photo.pixels.shape[1])
        if mask:
            rough, mask_sha256, said = _rough_mask(mask, size, values)
            notes += said
            shared.append(put(rough))
        elif values["fit"]:
            placement = place(size, Fit(**values["fit"]))
            shared += [put(array) for array in picture_of(photo.pixels, placement)]
    result = {
        "sha256": {
            "image": sha256,
            "mask": mask_sha256,
            **({"background": behind} if behind else {}),
        },
        "metadata": photo.metadata.to_wire(),
        "placement": asdict(placement) if placement else None,
        "notes": [*photo.notes, *notes],
    }
    return result, shared


def _rough_mask(
    mask: Original, size: tuple[int, int], values: Values
) -> tuple[Grey, str, Sequence[str]]:
    """The subject as a person marked it [H, W], 255 or 0; the file's sha256; and notes."""
    file, sha256 = read_original(mask, values["max_bytes"])
    with file:
        picture = decode_mask(file, mask.path, values["max_pixels"])
    settings = Mask.model_construct(**values["mask_settings"])
    names = Names(photo=values["name"], mask=mask.path)
    check_colours(picture.many_colours, names.mask, names.photo)
    marked = hole_from_grey(picture.grey, settings)
    check_marks(picture.grey, marked, settings, mask.path)
    rough = fit_to(marked, size, settings.resize, names)
    if not rough.any():
        raise MaskUnreadable(mask=mask.path, cause="it marks nothing, but white is the subject")
    return rough, sha256, picture.notes


def finish_matte(values: Values, arrays: Sequence[SharedArray]) -> Answer:
    """Make an alpha, judge it, and write what the lane wants to have of the cut-out.

    values: matte (the lane's, see ``config.Matte.work``), output, placement (of the network's
    picture, or null), second_opinion (whether a plain backdrop may know better than the network),
    masked (whether a rough mask is there), mask_settings, metadata, outbox, review (or null),
    temporary, name, inbox, max_pixels. arrays: the photo, and its rough mask, or the network's
    alpha and its picture, if there is one. Gives role (``outbox`` or ``review``), written (sha256,
    size, ending, token of each file, the output first), notes.
    """
    photo = attach(arrays[0])
    cut = judged(photo, _found(photo, values, arrays), values["matte"])
    doubtful = cut.confidence < values["matte"]["review_below"] and values["review"]
    role = "review" if doubtful else "outbox"
    icc = Metadata.from_wire(values["metadata"]).icc
    behind = read_background(values["matte"]["background"], values["max_pixels"], icc)
    done, notes = [], list(cut.notes)
    for piece in pieces(photo, cut, values["matte"], behind, icc):
        one, said = _write_piece(piece, photo.shape, values, role)
        done.append(one)
        notes += said
    if doubtful:
        done.append(_write_reason(cut, values))
        notes += [f"in review: {reason}" for reason in cut.reasons[:1]]
    return {"role": role, "written": done, "notes": notes}, []


def _found(photo: NDArray[Any], values: Values, arrays: Sequence[SharedArray]) -> Any:
    if values["placement"]:
        source = from_network_or_backdrop if values["second_opinion"] else from_network
        alpha, picture = attach(arrays[1]), attach(arrays[2])
        return source(photo, Seen.of(picture, alpha, _placement(values["placement"])))
    if values["masked"]:
        return from_rough_mask(photo, attach(arrays[1]))
    return from_backdrop(photo)


def _placement(wire: Values) -> Placement:
    lists = {key: tuple(wire[key]) for key in ("size", "picture")}
    return Placement(**{**wire, **lists})


def _write_piece(
    piece: Piece, shape: tuple[int, ...], values: Values, role: str
) -> tuple[Values, Sequence[str]]:
    """One picture, encoded, written and checked. shape: the photo's."""
    output, metadata = values["output"], Metadata.from_wire(values["metadata"])
    height, width = piece.pixels.shape[:2]
    if (height, width) != shape[:2]:
        metadata = metadata.of_size(width, height)
    format = piece.format(metadata.format, output["format"])
    if piece.kind == "alpha":
        # A profile of colours says nothing about an alpha.
        metadata = replace(metadata.stripped(), icc=None, chunks=())
    result = Photo(np.ascontiguousarray(piece.pixels), metadata)
    name = values["name"]
    encoded = encode(
        result,
        format=format,
        quality=output["quality"],
        strip_metadata=output["strip_metadata"],
        name=name,
    )
    hidden = temporary_of(values["temporary"], piece.token)
    sha256 = write(root_of(values[role]), hidden, encoded.data)
    with written(root_of(values[role]), hidden) as file:
        lossless = is_lossless(result, format)
        check_written(file, result.pixels, lossless=lossless, name=name)
    own = ending(name, encoded.extension)
    tail = f"_{piece.token}{own}" if piece.token else own
    size = len(encoded.data)
    return {"sha256": sha256, "size": size, "ending": tail, "token": piece.token}, encoded.notes


def _write_reason(cut: Cut, values: Values) -> Values:
    """The text that says why nobody should use the cut-out unseen."""
    inverted = values["mask_settings"]["invert"]
    text = cut.reason(values["name"], values["inbox"], masked=values["masked"], inverted=inverted)
    data = text.encode()
    hidden = temporary_of(values["temporary"], "reason")
    sha256 = write(root_of(values["review"]), hidden, data)
    return {"sha256": sha256, "size": len(data), "ending": ".review.txt", "token": "reason"}


def see_background(values: Values, _: Sequence[SharedArray]) -> Answer:
    """See whether the picture behind cut-outs is there. values: path; identity, if it is given, as
    for ``inspect``. Raises BackgroundMissing."""
    become(values.get("identity"))
    return {"sha256": check_background(values["path"])}, []


MATTING: Mapping[str, Task] = {
    "prepare_matte": prepare_matte,
    "finish_matte": finish_matte,
    "see_background": see_background,
}
