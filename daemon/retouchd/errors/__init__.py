"""Everything that can go wrong, in the words that a person will read.

RetouchdError
 ├── StartError            the command can't start            exit 2
 │    ├── ConfigInvalid
 │    ├── ModelUnusable, GpuRequired, LedgerUnusable, …
 ├── LedgerHeld, InboxHeld another instance is running         exit 4
 ├── TransientError        the environment's fault             exit 75
 │    ├── EnvironmentTrouble   pauses the lane, burns no attempt
 │    │    ├── DiskFull, ReadOnly, NotOpened, RootLost, InTheWay, FolderLocked
 │    │    └── InboxTaken, ShareHung, BackgroundMissing
 │    └── IoTrouble, OutOfMemory, FileBusy, HandDied
 └── PermanentError        the drop's fault: quarantine
      ├── NotAnImage, Truncated, Unsupported, TooLarge
      └── MaskWrong, Ambiguous, Orphaned, Poisonous, …

The class docstring is the message and ``remedy`` says what to do; both are filled in with the
keyword arguments of the error. Errors cross process borders as ``to_wire``/``from_wire``, which
is plain JSON: nothing that a decoder process says is ever unpickled.
"""

from retouchd.errors.base import Facts, RetouchdError, printable
from retouchd.errors.crossing import from_wire
from retouchd.errors.from_os import from_os_error
from retouchd.errors.lasting import (
    Ambiguous,
    CalledOff,
    GaveUp,
    LinkedElsewhere,
    MaskCoversTooMuch,
    MaskLooksInverted,
    MaskSizeWrong,
    MaskTooFaint,
    MaskUnreadable,
    NotAMask,
    NotAnImage,
    NotARegularFile,
    Orphaned,
    OutputWrong,
    PermanentError,
    Poisonous,
    RectangleOutside,
    TooLarge,
    Truncated,
    Unsupported,
)
from retouchd.errors.passing import (
    BackgroundMissing,
    DiskFull,
    EngineTrouble,
    EnvironmentTrouble,
    FileBusy,
    FolderLocked,
    HandDied,
    InboxTaken,
    InTheWay,
    IoTrouble,
    NotOpened,
    OutOfMemory,
    ReadOnly,
    RootLost,
    ShareHung,
    TransientError,
    Unexpected,
)
from retouchd.errors.starting import (
    CannotInstall,
    CannotWrite,
    ConfigInvalid,
    GpuRequired,
    InboxHeld,
    LedgerHeld,
    LedgerNotYet,
    LedgerStuck,
    LedgerUnusable,
    ModelUnusable,
    NoSuchJob,
    StartError,
    WrongRequest,
    WrongState,
)

__all__ = [
    "Ambiguous",
    "BackgroundMissing",
    "CalledOff",
    "CannotInstall",
    "CannotWrite",
    "ConfigInvalid",
    "DiskFull",
    "EngineTrouble",
    "EnvironmentTrouble",
    "Facts",
    "FileBusy",
    "FolderLocked",
    "GaveUp",
    "GpuRequired",
    "HandDied",
    "InTheWay",
    "InboxHeld",
    "InboxTaken",
    "IoTrouble",
    "LedgerHeld",
    "LedgerNotYet",
    "LedgerStuck",
    "LedgerUnusable",
    "LinkedElsewhere",
    "MaskCoversTooMuch",
    "MaskLooksInverted",
    "MaskSizeWrong",
    "MaskTooFaint",
    "MaskUnreadable",
    "ModelUnusable",
    "NoSuchJob",
    "NotAMask",
    "NotARegularFile",
    "NotAnImage",
    "NotOpened",
    "Orphaned",
    "OutOfMemory",
    "OutputWrong",
    "PermanentError",
    "Poisonous",
    "ReadOnly",
    "RectangleOutside",
    "RetouchdError",
    "RootLost",
    "ShareHung",
    "StartError",
    "TooLarge",
    "TransientError",
    "Truncated",
    "Unexpected",
    "Unsupported",
    "WrongRequest",
    "WrongState",
    "from_os_error",
    "from_wire",
    "printable",
]
