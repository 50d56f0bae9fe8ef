"""On PYTHONPATH this makes a mutant of the service: a rename replaces what has the name already, as
rename(2) does. The test of names has to find that out."""

import os

from retouchd import renaming


def _rename_and_replace(src_fd, src, dst_fd, dst):
    os.rename(src, dst, src_dir_fd=src_fd, dst_dir_fd=dst_fd)


renaming.rename_without_replacing = _rename_and_replace
