"""Pure: the names of outputs, archived originals and their temporary files.

Names are safe on Windows: reserved characters and device names, trailing dots and spaces are
replaced (learn.microsoft.com, "Naming Files, Paths, and Namespaces").
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from string import Formatter

_RESERVED = re.compile(r'[<>:"|?*\\\x00-\x1f\x7f]')
_DEVICES = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[\d¹²³])", re.IGNORECASE)
_LONGEST = 200  # bytes; file systems allow 255, and collisions and temporary names need room
_MOST = 255
_TEXT = ".error.txt"
OUR_PREFIX = ".retouchd-"
"""Of the hidden files that are the daemon's own: markers, probes, outputs being written."""
PROBE = "probe"
"""The token of a file that is only written to see whether writing works."""
COMPANIONS = ("alpha", "composite", "reason")
"""The tokens of files that can be published beside an output."""
NEW_MARKER = "marker"
"""The token of a marker file that is being written."""
LOCK = "ledger.lock"
"""The file beside a ledger that is locked while a service works with it."""
OWNER = ".retouchd-owner"
"""The note in an inbox about who works with it."""
_ENDINGS = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp", ".avif": "avif"}


@dataclass(frozen=True)
class NameFacts:
    """What an output template can speak of.

    date: local time of completion. relative_dir: folder below the inbox, ``""`` at its top.
    stem, ext: of the output, ``ext`` with its dot.
    """

    date: datetime
    relative_dir: str
    stem: str
    ext: str
    lane: str
    job: int


_FIELDS = set(NameFacts.__dataclass_fields__)


def fixed_format(template: str) -> str | None:
    """The picture format that a template's fixed ending means; None where it has none."""
    return _ENDINGS.get(os.path.splitext(template)[1].lower())


def check_template(template: str) -> None:
    """Raise ValueError for a template that can't make a relative file name."""
    for _, name, spec, conversion in Formatter().parse(template):
        if name is None:
            continue
        if name not in _FIELDS or conversion:
            raise ValueError(f"{{{name}}} is not a field; there are {', '.join(sorted(_FIELDS))}")
        if name == "date" and not spec:
            raise ValueError("{date} needs a format, like {date:%Y-%m-%d}")
        if spec and (name != "date" or "{" in spec):
            raise ValueError(f"{{{name}}} takes no such format: {spec}")
    if not template.endswith("{ext}") and fixed_format(template) is None:
        raise ValueError(f"the template must end in {{ext}}, or in one of {', '.join(_ENDINGS)}")
    if "{stem}" not in template and "{job}" not in template:
        raise ValueError("the template needs {stem} or {job}, or all outputs have one name")
    if template.startswith("/") or ".." in template.split("/"):
        raise ValueError("the template is relative to the outbox; it can't leave it")


def expand(template: str, facts: NameFacts) -> str:
    """The relative path that a template makes, with every component safe on Windows."""
    values = {name: getattr(facts, name) for name in _FIELDS}
    *folders, name = template.format(**values).split("/")
    kept = [folder for folder in folders if folder not in ("", ".", "..")]
    return "/".join(safe_component(part) for part in [*kept, name])


def common_folder(template: str, date: datetime, lane: str) -> str:
    """The folder that a template makes for each file of a lane at that time; ``""`` if none."""
    made = (
        expand(template, NameFacts(date, other, other, f".{other}", lane, int(other)))
        for other in ("0", "1")
    )
    folders = zip(*(path.split("/")[:-1] for path in made), strict=True)
    return "/".join(one for one, _ in takewhile(lambda pair: pair[0] == pair[1], folders))


def safe_component(name: str) -> str:
    """One path component that Windows, SMB and every Linux file system accept."""
    text = os.fsencode(name).decode("utf-8", "replace")
    text = _RESERVED.sub("_", text).replace("\ufffd", "_").replace("/", "_").rstrip(". ")
    stem = text.split(".")[0].rstrip()
    if _DEVICES.fullmatch(stem):
        text = f"_{text}"
    return _shorten(text) or "_"


def _shorten(text: str) -> str:
    if len(text.encode()) <= _LONGEST:
        return text
    stem, dot, ext = text.rpartition(".")
    if not dot or len(ext) > 10:
        stem, dot, ext = text, "", ""
    room = _LONGEST - len((dot + ext).encode())
    return stem.encode()[:room].decode("utf-8", "ignore").rstrip(". ") + dot + ext


def numbered(relative: str, number: int) -> str:
    """``a/photo.jpg`` → ``a/photo (1).jpg``; number 0 adds nothing.

    A name that is too long for a file system (255 bytes) loses the end of its stem.
    """
    folder, name = os.path.split(relative)
    stem, ext = (name[: -len(_TEXT)], _TEXT) if name.endswith(_TEXT) else os.path.splitext(name)
    tail = f" ({number}){ext}" if number else ext
    while len(os.fsencode(stem + tail)) > _MOST and stem:
        stem = stem[:-1]
    return os.path.join(folder, stem + tail)


def temporary(token: str) -> str:
    """The hidden name at the top of a root under which a job writes before it publishes.

    token: unique to the ledger and the job, so that a restart finds its own leftovers.
    """
    return f"{OUR_PREFIX}{token}.tmp"


def temporary_of(output: str, companion: str) -> str:
    """The temporary name of a companion, from that of its output; without a token, the output's."""
    return f"{output.removesuffix('.tmp')}-{companion}.tmp" if companion else output


def job_of_temporary(name: str, ledger: str) -> int | None:
    """The job that wrote a temporary file, None where it is not one of this ledger's jobs.

    Their tokens are the ledger's name, the job's number and maybe more, joined by ``-``.
    """
    found = re.fullmatch(rf"{re.escape(f'{OUR_PREFIX}{ledger}-')}(\d+)(-\w+)?\.tmp", name)
    return int(found[1]) if found else None
