"""The drop's fault: quarantine."""

from __future__ import annotations

from retouchd.errors.base import RetouchdError


class PermanentError(RetouchdError):
    """This file can't be worked on: {cause}."""

    remedy = "Mend the file and drop it again."


class NotAnImage(PermanentError):
    """{path} is not an image that can be read: {cause}."""

    remedy = (
        "Open it in a photo program and export it anew as JPEG, PNG, WebP, TIFF, BMP or AVIF, "
        "then drop that."
    )


class Truncated(PermanentError):
    """{path} is incomplete: {cause}."""

    remedy = "The copy was probably cut off. Copy the file again from its source."


class Unsupported(PermanentError):
    """{path} is of a kind that is not supported: {cause}."""

    remedy = "{fix}"


class TooLarge(PermanentError):
    """{path} is over this lane's limit: {cause}."""

    remedy = "Make the photo smaller, or raise {limit} in this lane's configuration."


class NotARegularFile(PermanentError):
    """{path} is not a plain file: {cause}."""

    remedy = "Drop a copy of the file itself; links and special files are never followed."


class LinkedElsewhere(NotARegularFile):
    """{path} has another name, too: it is a hard link to a file elsewhere."""


class MaskSizeWrong(PermanentError):
    """The mask {mask} is {mask_size}, but the photo {path} is {size}."""

    remedy = "Draw the mask on the photo itself and save it at the same size.{hint}"


class MaskCoversTooMuch(PermanentError):
    """The mask {mask} covers {coverage} of the photo {path}; this lane allows {allowed}."""

    remedy = (
        "White means remove. If the mask is inverted, invert it; if the area is meant to be this "
        "large, raise mask.max_coverage in this lane's configuration."
    )


class MaskLooksInverted(PermanentError):
    """The mask {mask} covers {coverage} of the photo {path}; it looks inverted."""

    remedy = "White means remove. {fix}"


class MaskUnreadable(PermanentError):
    """The mask {mask} can't be used: {cause}."""

    remedy = (
        "Save the mask as a black and white PNG: white for what is to be removed, or for what is "
        "to be cut out in a lane that does that."
    )


class NotAMask(MaskUnreadable):
    """{mask} was taken for the mask of {path} because of its name, but is a picture in many
    colours."""

    remedy = (
        "If it is a photo, rename it: a name that ends in mask, or any in a folder called masks, "
        "is that of a mask. If it is meant as a mask, save it as a black and white PNG."
    )


class MaskTooFaint(MaskUnreadable):
    """Nothing in the mask {mask} is marked clearly enough: {cause}."""

    remedy = "{fix} (lanes.NAME.mask in the configuration)."


class RectangleOutside(MaskUnreadable):
    """Rectangle {number} of pairing.rectangles lies outside this photo, which is {size}."""

    remedy = (
        "It is measured from the {corner} corner: correct it in this lane's configuration, or "
        "give photos of other sizes a lane of their own."
    )


class Ambiguous(PermanentError):
    """It is not clear what belongs together: {cause}."""

    remedy = "Keep one of them, and drop the photo and its mask again."


class Orphaned(PermanentError):
    """{cause}."""

    remedy = "{fix}"


class CalledOff(PermanentError):
    """{path} was to be tried again, and somebody cancelled that."""

    remedy = "Nothing, if it is no longer wanted; else `retouchd retry {job}` tries it again."


class Poisonous(PermanentError):
    """{path} made its process die {times} times ({cause})."""

    remedy = (
        "The file is probably damaged. Export it anew from a photo program and drop that. "
        "`retouchd retry {job}` tries this one again."
    )


class OutputWrong(PermanentError):
    """The output for {path} did not pass its own check: {cause}."""

    remedy = "Nothing was published. Please report this with the photo and the mask."


class GaveUp(PermanentError):
    """{path} failed {attempts} times; the last time: {cause}"""

    remedy = "{fix}"
