"""What a hand can do: tasks by name.

A task takes plain JSON values and shared arrays and gives the same; it runs in a disposable
process and raises errors of ``retouchd.errors``. It knows no ledger.
"""

from retouchd.tasks.filing import FILING
from retouchd.tasks.looking import LOOKING
from retouchd.tasks.matting import MATTING
from retouchd.tasks.showing import SHOWING
from retouchd.tasks.working import WORKING

TASKS = {**LOOKING, **WORKING, **MATTING, **FILING, **SHOWING}

__all__ = ["TASKS"]
