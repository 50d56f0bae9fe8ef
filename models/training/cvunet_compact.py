"""cvunet-compact: the matting network ``retouchd.nets.cvunet``, trained from nothing on composites.

python -m models.training.cvunet_compact --help
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    from models.training.matting.command import main

    sys.exit(main(sys.argv[1:]))
