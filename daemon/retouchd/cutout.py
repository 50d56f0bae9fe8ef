"""Pure: from a subject's alpha to the pictures that a lane wants of it, and how good they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from retouchd.canvas import Canvas, placed
from retouchd.config.colours import unit_colour
from retouchd.engine import Pixels
from retouchd.finish import Finish, finished
from retouchd.foreground import cut_out, uncut
from retouchd.paragraphs import wrapped
from retouchd.profiles import Colour, colour_in
from retouchd.subject import Subject
from retouchd.triage import triage
from retouchd.trimap import Alpha

Kind = Literal["rgba", "alpha", "composite"]
_WITH_ALPHA = ("png", "webp", "avif", "tiff")
_EXACT = ("png", "tiff")
_SURE = 0.95  # what is trusted more gives no reason to look
_UNSURE = "the backdrop is not plain enough to be sure"


@dataclass(frozen=True, eq=False)
class Cut:
    """A finished alpha [H, W], how far it can be trusted (0 to 1), why not further, and notes.

    alpha: float32 in [0, 1], or uint8 of an 8-bit photo.
    """

    alpha: Alpha | NDArray[np.uint8]
    confidence: float
    reasons: tuple[str, ...]
    notes: tuple[str, ...]

    def reason(self, name: str, inbox: str, *, masked: bool = False, inverted: bool = False) -> str:
        """The text beside a cut-out in review: why it is there, and what helps.

        masked: whether it was made from a mask. inverted: whether the lane takes black for the
        subject in one.
        """
        subject, rest = ("black", "white") if inverted else ("white", "black")
        # Named after the whole name, it fits no other photo of that stem.
        drop = f"{name}.mask.png"
        mask = "its mask again, closer to the edge," if masked else "a rough mask"
        why = "; ".join(self.reasons) or "nothing stands out; this lane has much looked at"
        parts = [
            f"The cut-out of {name} should be looked at before it is used "
            f"(confidence {self.confidence:.2f}).",
            f"Why: {why}.",
            "What to do: if it is good, take it from here. If not, paint "
            f"{mask} of the photo's size, {subject} where the subject is and {rest} elsewhere, "
            f"and drop it as {drop} into {inbox}: that photo is then done again with "
            "it, and this one goes away.",
        ]
        return wrapped(parts, (drop, name, inbox))


@dataclass(frozen=True, eq=False)
class Piece:
    """One picture [H, W, C] to be written. token: empty for the output itself."""

    kind: Kind
    pixels: NDArray[Any]
    token: str

    def format(self, source: str, wanted: str) -> Any:
        """The format to write it in. source: the photo's; wanted: the lane's, maybe ``same``."""
        if self.kind == "rgba":
            wish = source if wanted == "same" else wanted
            return wish if wish in _WITH_ALPHA else "png"
        if self.kind == "alpha" and wanted == "same":
            return source if source in _EXACT else "png"
        return wanted


def judged(photo: Pixels, subject: Subject, matte: Mapping[str, Any]) -> Cut:
    """The subject's alpha finished as the lane wants it, and judged."""
    finish = Finish(**{name: matte[name] for name in Finish.__dataclass_fields__})
    alpha = finished(subject.alpha, finish)
    verdict = triage(alpha, photo)
    confidence = min(verdict.confidence, subject.trust)
    doubts = (subject.notes or (_UNSURE,)) if subject.trust < _SURE else ()
    worst = subject.trust <= verdict.confidence
    reasons = (*doubts, *verdict.reasons) if worst else (*verdict.reasons, *doubts)
    notes = (f"alpha: {subject.method}", f"confidence: {confidence:.2f}", *subject.notes)
    return Cut(alpha, confidence, reasons, notes)


def pieces(
    photo: Pixels,
    cut: Cut,
    matte: Mapping[str, Any],
    behind: Pixels | None,
    icc: bytes | None = None,
) -> Iterator[Piece]:
    """The pictures that the lane wants, the output first.

    behind: a picture to put behind it, in the photo's own colours. icc: the photo's profile.
    """
    kinds = matte["outputs"]
    # An alpha alone shows no colours.
    clean = matte["despill"] and set(kinds) != {"alpha"}
    cutout = cut_out(photo, cut.alpha) if clean else uncut(photo, cut.alpha)
    plain = _canvas(matte, None)
    laid = placed(cutout, plain) if set(kinds) & {"rgba", "alpha"} else cutout
    for number, kind in enumerate(kinds):
        token = kind if number else ""
        if kind == "composite":
            colour = colour_in(unit_colour(matte["bg_color"]), icc) if matte["bg_color"] else None
            yield Piece(kind, placed(cutout, _canvas(matte, colour), behind), token)
        elif kind == "alpha":
            yield Piece(kind, laid[..., -1:], token)
        else:
            yield Piece(kind, laid, token)


def _canvas(matte: Mapping[str, Any], background: Colour | None) -> Canvas:
    size = matte["size"]
    return Canvas(
        crop=matte["crop"],
        margin=matte["margin"],
        size=(size[1], size[0]) if size else None,
        fill=matte["fill"],
        background=background,
    )
