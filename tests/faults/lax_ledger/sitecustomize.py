"""On PYTHONPATH this makes a mutant of the service: its ledger commits without waiting for the disk
(synchronous=NORMAL). The test of power cuts has to find that out, else it proves nothing."""

import sqlite3


class LaxConnection(sqlite3.Connection):
    def execute(self, sql, *parameters):
        return super().execute(
            sql.replace("synchronous = FULL", "synchronous = NORMAL"), *parameters
        )


def _connect(*arguments, connect=sqlite3.connect, **options):
    return connect(*arguments, **{"factory": LaxConnection, **options})


sqlite3.connect = _connect
