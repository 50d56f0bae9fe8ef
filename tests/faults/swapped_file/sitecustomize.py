"""On PYTHONPATH this has somebody exchange a file at the worst moment: just before it is opened for
the Nth time. RETOUCHD_TEST_SWAP: the file, what takes its place, and N, one in each line."""

import os
import sys


def _swap(name, other, number):
    left = [int(number)]

    def see(event, arguments):
        if event == "open" and arguments[0] in (name, os.fsencode(name)) and left[0]:
            left[0] -= 1
            if not left[0]:
                os.replace(other, name)

    sys.addaudithook(see)


if "RETOUCHD_TEST_SWAP" in os.environ:
    _swap(*os.environ["RETOUCHD_TEST_SWAP"].split("\n"))
