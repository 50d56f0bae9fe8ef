"""A share that hangs, errs, dies, goes and comes back, while its files stay reachable beneath."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_TESTS = str(Path(__file__).parents[1])


class Share:
    """``source`` shown at ``folder``. Skips the test, with the reason, where that does not work.

    Never look into ``folder`` while it hangs; what happens in ``source`` causes no events there.
    """

    def __init__(self, source: Path, folder: Path, control: Path) -> None:
        if os.geteuid() != 0:
            pytest.skip("mounting needs root")
        if not os.path.exists("/dev/fuse"):
            pytest.skip("there is no /dev/fuse to make a share with")
        self.source, self.folder = source, folder
        source.mkdir(parents=True, exist_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        self._controls, self._control = control, control
        self._servers: list[subprocess.Popen[str]] = []
        self._mounted = 0
        self.come()

    def come(self) -> None:
        """Mount it, by a new server that is well; an older one stays as ill as it is."""
        self._control = Path(f"{self._controls}{len(self._servers)}")
        self._control.write_text("")
        words = [str(self.source), str(self.folder), str(self._control)]
        server = subprocess.Popen(
            [sys.executable, "-P", "-m", "helpers.passthrough", *words],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": _TESTS},
        )
        self._servers.append(server)
        assert server.stdout
        if server.stdout.readline() != "mounted\n":
            self.close()
            pytest.skip("a file system in user space can't be mounted here")
        self._mounted += 1

    def go(self) -> None:
        """Unmount it lazily: who uses it goes on doing so, the others see the folder beneath."""
        subprocess.run(["umount", "-l", str(self.folder)], check=True, timeout=30)
        self._mounted -= 1

    def hang(self, *calls: str) -> None:
        """Answer nothing until it is healed; or none of these calls; a word that starts with / has
        to be in the file's path."""
        self._say("hang", *calls)

    def err(self, error: str, *calls: str) -> None:
        """Answer everything, or these calls, with an error."""
        self._say(error, *calls)

    def slow(self, seconds: float) -> None:
        """Take so long for each call."""
        self._say("slow", str(seconds))

    def heal(self) -> None:
        """Be well again; what hung is answered."""
        self._say()

    def _say(self, *words: str) -> None:
        with self._control.open("r+") as file:
            # In place and in one piece: the server has it open.
            file.write(" ".join(words).ljust(200))

    def die(self) -> None:
        """Have its server killed: whoever hangs there gets an error, and so does everybody else."""
        self._servers[-1].kill()
        self._servers[-1].wait(30)

    def close(self) -> None:
        """Take it away, whatever state it is in."""
        for server in self._servers:
            server.kill()
            server.wait(30)
            if server.stdout:
                server.stdout.close()
        while self._mounted:
            self.go()
