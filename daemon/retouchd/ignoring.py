"""Pure: which paths below an inbox are none of the daemon's business.

An ignored file is never opened, moved, deleted or reported as a drop; `explain` names the rule.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from retouchd.namesakes import fold

DEFAULTS = (
    # Our own, before the general dot rule, so that `explain` can say whose they are.
    ".retouchd-*",
    "*.error.txt",
    # Copies under way: browsers, WinSCP, FileZilla, sync clients, editors.
    "*.part",
    "*.tmp",
    "*.partial",
    "*.filepart",
    "*.crdownload",
    "*.download",
    "*.opdownload",
    "*.aria2",
    "*.!sync",
    "*.swp",
    ".syncthing.*",
    "~syncthing~*",
    "~$*",
    ".~*",
    # What network file systems leave for a file that was deleted while open.
    ".nfs*",
    ".smbdelete*",
    # What Finder, Explorer and NAS boxes put beside photos.
    "._*",
    ".DS_Store",
    ".AppleDouble",
    "Icon\r",
    "Thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "*:Zone.Identifier",
    "@eaDir",
    "@Recycle",
    "@Recently-Snapshot",
    ".@__thumb",
    "#recycle",
    "#snapshot",
    "~snapshot",
    # What lies at the top of a volume, when the inbox is one.
    "$RECYCLE.BIN",
    "System Volume Information",
    "lost+found",
)
DOT_FILES = "dot files"


def ignored_by(relative: str, extra: Sequence[str] = ()) -> str | None:
    """The rule that ignores the path ``relative``, as a person wrote it; None if none does.

    relative: below the inbox, ``/``-separated, as ``os.fsdecode`` gives it.
    extra: a lane's own globs. One without a slash is matched with every component, one with a
        slash with the path from the inbox down (``*`` crosses slashes); ``name/`` means folders
        only. A rule that ignores a folder ignores everything in it.

    Case and Unicode normalisation make no difference.
    """
    folded = fold(relative)
    for component in folded.split("/"):
        rule = _default_rule(component)
        if rule:
            return rule
    return next((rule for rule in extra if _own_rule_fits(rule, folded)), None)


def _default_rule(component: str) -> str | None:
    match = _DEFAULT.match(component)
    if match and match.lastindex:
        return DEFAULTS[match.lastindex - 1]
    return DOT_FILES if component.startswith(".") else None


def _own_rule_fits(rule: str, folded: str) -> bool:
    patterns, with_slash, folders_only = _compiled(rule)
    paths = [path for path in _from_the_top(folded) if not (folders_only and path == folded)]
    texts = paths if with_slash else [path.rpartition("/")[2] for path in paths]
    return any(pattern.match(text) for text in texts for pattern in patterns)


def _from_the_top(path: str) -> Iterator[str]:
    """``a/b/c`` → ``a``, ``a/b``, ``a/b/c``."""
    for position, character in enumerate(path):
        if character == "/":
            yield path[:position]
    yield path


@lru_cache(maxsize=1024)
def _compiled(rule: str) -> tuple[list[re.Pattern[str]], bool, bool]:
    """The rule's patterns, whether they speak of paths, and whether of folders only."""
    glob = fold(rule).removeprefix("./")
    folders_only = glob.endswith("/")
    glob = glob.rstrip("/")
    with_slash = "/" in glob
    glob = glob.lstrip("/")
    # `**/x` means at any depth, the top included.
    globs = [glob, glob[3:]] if glob.startswith("**/") else [glob]
    return [re.compile(fnmatch.translate(g)) for g in globs], with_slash, folders_only


# One alternation with a group per rule: a scan asks this for every component of 100,000 paths.
_DEFAULT = re.compile("|".join(f"({fnmatch.translate(fold(rule))})" for rule in DEFAULTS))
