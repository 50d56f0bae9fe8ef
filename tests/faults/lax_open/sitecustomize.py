"""On PYTHONPATH this makes a mutant of the service: whatever it opens, links are followed, as if a
look before had shown that there is none. The race in the drop folder has to find that out."""

import os


def _follow(path, flags, *rest, opens=os.open, **options):
    return opens(path, flags & ~os.O_NOFOLLOW, *rest, **options)


os.open = _follow
