"""The zip archives that torch writes: looked at first, then read without running any of it.

``torch.load`` and TorchScript both store a pickle beside one record per storage. What reads them
here is torch's own ``weights_only`` unpickler; names that it does not know are refused, or
stand for an ``Inert`` where a caller knows that they are harmless company of the weights.
"""

from __future__ import annotations

import io
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

StandIn = Callable[..., Any]
Choose = Callable[[str], StandIn | None]

_MAX_RECORDS = 100_000


class Inert:
    """Stands for a class that is never imported: takes any arguments and state, does nothing."""

    state: object = None

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        self.state = state


@dataclass(frozen=True)
class Archive:
    """The part of an archive that holds data.

    packed: a zip of the same pickle and storages, without any code.
    scripted: it was TorchScript.
    """

    packed: bytes
    scripted: bool


def is_archive(content: bytes) -> bool:
    """Whether the content begins like a zip."""
    return content.startswith(b"PK\x03\x04")


def repack(content: bytes) -> Archive:
    """Take the pickle and the storages out of an archive; raises ValueError for a damaged one.

    Python checks each record's CRC here, and a new zip is written, so that what torch reads
    is what was looked at. Storages are never compressed by torch; one that is, is a bomb.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as source:
            records = source.infolist()
            top = _top(records)
            wanted = [r for r in records if _is_data(r.filename.removeprefix(top))]
            _check_sizes(wanted, len(content), len(records))
            packed = io.BytesIO()
            with zipfile.ZipFile(packed, "w") as target:
                for record in wanted:
                    inner = record.filename.removeprefix(top)
                    target.writestr(zipfile.ZipInfo(f"weights/{inner}"), source.read(record))
    except (ValueError, MemoryError):
        raise
    except Exception as error:
        # Damage reaches Python's zip reader in many ways, and each has its own exception.
        raise ValueError(f"it is damaged, or no archive of torch: {error}") from None
    scripted = any(record.filename == f"{top}constants.pkl" for record in records)
    return Archive(packed.getvalue(), scripted)


def unpickle(archive: Archive, choose: Choose) -> object:
    """What the archive's pickle describes, tensors on the CPU; raises ValueError.

    choose: full name that torch does not allow → what stands for it, None to refuse the file.
    """
    try:
        unknown = sorted(get_unsafe_globals_in_checkpoint(io.BytesIO(archive.packed)))
        with safe_globals(_stand_ins({name: choose(name) for name in unknown})):
            return torch.load(io.BytesIO(archive.packed), map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:
        # The unpickler meets hostile bytes with whatever exception they happen to provoke.
        raise ValueError(str(error).split("\n", maxsplit=1)[0]) from None


def ordered(*_: object) -> OrderedDict[Any, Any]:
    """Stands for a kind of dict: items that follow are set on an ordinary one."""
    return OrderedDict()


def _top(records: list[zipfile.ZipInfo]) -> str:
    tops = {r.filename.removesuffix("data.pkl") for r in records if _is_pickle(r.filename)}
    if len(tops) != 1:
        raise ValueError("it is a zip, but not one that torch wrote (it has no data.pkl)")
    return tops.pop()


def _is_pickle(name: str) -> bool:
    return name.count("/") == 1 and name.endswith("/data.pkl")


def _is_data(inner: str) -> bool:
    return inner in ("data.pkl", "version", "byteorder") or inner.startswith("data/")


def _check_sizes(wanted: list[zipfile.ZipInfo], size: int, records: int) -> None:
    compressed = any(record.compress_type != zipfile.ZIP_STORED for record in wanted)
    if compressed or records > _MAX_RECORDS or sum(r.file_size for r in wanted) > size:
        raise ValueError("it is packed as torch never does (a decompression bomb?)")


def _stand_ins(found: dict[str, StandIn | None]) -> list[StandIn | tuple[StandIn, str]]:
    refused = [name for name, stand_in in found.items() if stand_in is None]
    if refused:
        raise ValueError(
            f"it asks for {', '.join(refused[:5])}, which weights never need and which could run "
            "code; none of it was run"
        )
    return [(stand_in, name) for name, stand_in in found.items() if stand_in]
