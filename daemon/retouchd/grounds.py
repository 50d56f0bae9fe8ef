"""A lane's folders: set up, known again, adopted anew, and looked at while it is paused."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from retouchd.clock import Clock
from retouchd.errors import TransientError
from retouchd.lanes import LaneState, Moved
from retouchd.ledger import Ledger, RootRow
from retouchd.roots import RootRef
from retouchd.tenancy import Tenant
from retouchd.ways import ways

Ask = Callable[..., dict[str, Any]]
"""Has a hand do a task: its name, what it is about, and its arguments."""


class Grounds:
    """The folders of one lane. ask: reaches them; raises TransientError. tenant: who we are."""

    def __init__(
        self, lane: LaneState, ledger: Ledger, ask: Ask, tenant: Tenant, clock: Clock
    ) -> None:
        self._lane, self._ledger, self._ask, self._tenant = lane, ledger, ask, tenant
        self._clock = clock

    def disowned(self) -> bool:
        """Whether a person has the folders taken as they are now (`retouchd adopt`)."""
        return any(self._known(role) is None for role in self._lane.config.folders)

    def set_up(self) -> None:
        """Make or check the folders; the lane is ready then."""
        roots = {}
        for role in self._lane.config.folders:
            path = self._path(role)
            own = self._known(role)
            # Another lane may know that folder already: then it is not made anew, either.
            known = own or self._ledger.root_at(path)
            found = self._ask(
                "set_up",
                path,
                lane=self._lane.name,
                role=role,
                path=path,
                known=known and {**to_wire(known), "lane": self._lane.name, "role": role},
            )
            roots[role] = RootRef(**found)
            if own is None:
                self._remember_where(role)
                self._ledger.set_root(RootRow(self._lane.name, role, path, roots[role].marker))
        self._occupy(roots["inbox"])
        self._sweep(roots)
        self._check(roots)
        self._lane.set_roots(roots)

    def _remember_where(self, role: str) -> None:
        """Note where the inbox was, so that it can be told of jobs whose files still lie there."""
        before = self._ledger.root(self._lane.name, role)
        if role == "inbox" and before and before.path != self._path(role):
            self._lane.moved = Moved(before.path, self._clock.now())

    def _occupy(self, inbox: RootRef) -> None:
        """See that nobody else works with the inbox; raises InboxTaken."""
        self._ask("occupy", inbox.path, root=to_wire(inbox), tenant=self._tenant.wire)

    def _sweep(self, roots: Mapping[str, RootRef]) -> None:
        """Remove what was being written when an earlier run ended and nobody goes on with."""
        under_way = self._ledger.under_way()
        for role in self._lane.config.folders:
            # It only takes up space; whatever is wrong, the work itself will meet it.
            with contextlib.suppress(TransientError):
                self._ask(
                    "sweep",
                    roots[role].path,
                    root=to_wire(roots[role]),
                    ledger=self._ledger.id,
                    keep=[job.id for job in under_way],
                )

    def probe(self) -> None:
        """See whether the lane can work; raises what a job would meet."""
        inbox = self._lane.root("inbox")
        self._occupy(inbox)
        self._ask(
            "scan",
            inbox.path,
            root=to_wire(inbox),
            tenant=self._tenant.wire,
            ignore=["*"],
            excluded=[],
        )
        pause = self._lane.pause
        roots = [self._lane.root(role) for role in self._lane.config.folders]
        if pause:
            # What has to be free is asked of the first: the one where it was lacking.
            roots.sort(key=lambda root: not f"{pause.path}/".startswith(f"{root.path}/"))
        self._ask(
            "probe",
            roots[0].path,
            roots=[to_wire(root) for root in roots],
            needed=pause.needed if pause else 0,
        )
        self._look_behind()
        self.glance()

    def _look_behind(self) -> None:
        """See that the background is there that the lane's cut-outs want, if they want one."""
        if behind := self._lane.config.matte.background:
            self._ask("see_background", str(behind), path=str(behind))

    def glance(self) -> None:
        """See that each folder still is the one that was set up, and that nothing is in the way of
        what jobs put there; raises RootLost or InTheWay."""
        self._check({role: self._lane.root(role) for role in self._lane.config.folders})

    def _check(self, roots: Mapping[str, RootRef]) -> None:
        needed = ways(self._lane.config, self._clock.now())
        for role, root in roots.items():
            self._ask("glance", root.path, root=to_wire(root), folder=needed.get(role, ""))

    def _path(self, role: str) -> str:
        return str(self._lane.config.folders[role])

    def _known(self, role: str) -> RootRow | None:
        row = self._ledger.root(self._lane.name, role)
        return row if row and row.path == self._path(role) else None


def to_wire(root: RootRef | RootRow) -> dict[str, str]:
    """A root as plain values."""
    return {"lane": root.lane, "role": root.role, "path": root.path, "marker": root.marker}
