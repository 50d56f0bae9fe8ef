"""The SQLite file that remembers every job; all of SQLite is in this package."""

from retouchd.ledger.condition import Condition, Trouble
from retouchd.ledger.ledger import Ledger
from retouchd.ledger.lock import InstanceLock, lock_of
from retouchd.ledger.reader import LedgerReader
from retouchd.ledger.rows import Change, KeptFile, NewDrop, RootRow

__all__ = [
    "Change",
    "Condition",
    "InstanceLock",
    "KeptFile",
    "Ledger",
    "LedgerReader",
    "NewDrop",
    "RootRow",
    "Trouble",
    "lock_of",
]
