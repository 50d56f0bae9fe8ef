"""On PYTHONPATH this makes a mutant of the service: what retention knows is deleted without a look
whether it still is the file that was filed away. The test of retention has to find that out."""

import runpy
from pathlib import Path

from retouchd import files
from retouchd.pruning import Pruning


def _delete(root, relative, expected=None, *, durably=True, delete=files.delete):
    return delete(root, relative, durably=durably)


files.delete = _delete
Pruning._missing = lambda pruning, lane, some: ()

# There is one of this name only, and retention's tests set the clock as well.
runpy.run_path(str(Path(__file__).parents[1] / "other_clock" / "sitecustomize.py"))
