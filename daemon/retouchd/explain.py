"""Pure: why a file is not done, in words."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from retouchd.config import Lane
from retouchd.config.units import show_duration
from retouchd.errors import printable
from retouchd.ignoring import ignored_by
from retouchd.job import LIVE, Job, Place, State
from retouchd.namesakes import role
from retouchd.nearly import Near
from retouchd.waiting import missing, retired, waits_for

Command = Callable[..., str]


def plain(*words: str) -> str:
    """The command line for who works where the service does by default."""
    return shlex.join(["retouchd", *words])


@dataclass(frozen=True)
class Facts:
    """What is known about a path. path: relative to its root. role: of that root. jobs: that
    speak of it, newest first. exists: None where nobody looked. paused: why its lane is. near: of
    what waits in its lane. command: words after `retouchd` → the line that a person can copy.
    stuck: what keeps the ledger from being written, and what to do. gone: retention knows the
    output no more, and it is not there."""

    lane: Lane
    role: str
    path: str
    jobs: Sequence[Job]
    exists: bool | None
    running: bool
    paused: str | None
    now: float
    near: Near = field(default_factory=Near)
    command: Command = plain
    stuck: str | None = None
    gone: bool = False

    @property
    def start(self) -> str:
        """The command that starts a service for it."""
        return self.command("run")


@dataclass(frozen=True)
class Explanation:
    """verdict: one word for programs. lines: sentences for people."""

    verdict: str
    lines: tuple[str, ...]
    job: int | None = None


def explain(facts: Facts) -> Explanation:
    """Why the file is where it is, and what happens next."""
    if facts.jobs:
        return _by_job(facts, facts.jobs[0])
    if facts.role != "inbox":
        return Explanation("unknown", (f"The ledger knows no file {_shown(facts)}.",))
    rule = ignored_by(facts.path, facts.lane.ignore)
    if rule:
        return Explanation(
            "ignored", (f"It is ignored by the rule {rule!r}. Rename it if it is a photo.",)
        )
    if facts.exists is False:
        return Explanation(
            "missing", (f"There is no file {_shown(facts)}, and the ledger knows none.",)
        )
    return _not_recorded(facts)


def explain_retired(job: Job, command: Command = plain) -> Explanation:
    """Why nothing comes of a job whose lane the configuration has no more."""
    lines = [f"Job {job.id} of lane {job.lane}: {job.state.value}."]
    lines += [job.error] if job.error else []
    cancel = command("cancel", str(job.id))
    gone = f"Lane {job.lane} is no longer configured."
    lines.append(retired(job, cancel) if job.state in LIVE else gone)
    return Explanation(job.state.value, tuple(lines), job.id)


def _not_recorded(facts: Facts) -> Explanation:
    if facts.stuck:
        return Explanation("paused", (f"No file can be taken: {facts.stuck}",))
    if facts.paused:
        return Explanation("paused", (f"Its lane is paused: {facts.paused}",))
    if role(facts.path) == "shared_mask":
        return Explanation(
            "shared_mask", ("It is the mask for all photos of its folder and stays there.",)
        )
    if not facts.running:
        return Explanation(
            "not_running",
            (f"It is not recorded yet, and no service runs. Start one with `{facts.start}`.",),
        )
    return Explanation(
        "settling",
        (
            "It is still settling: it has to stay unchanged for a while, and to be complete, "
            "before it is worked on.",
        ),
    )


def _by_job(facts: Facts, job: Job) -> Explanation:
    lines = [f"Job {job.id} of lane {job.lane}: {job.state.value}."]
    if _is_superseded(facts, job):
        lines.append("This file is of an earlier try; what a later one made supersedes it.")
    lines += _next(facts, job)
    if job.earlier and job.output:
        lines += ["What was made of it before stands.", *_outputs(facts, job)]
    if facts.stuck and job.state in LIVE:
        lines.append(f"Nothing goes on: {facts.stuck}")
    if facts.paused and job.state in LIVE:
        lines.append(f"Its lane is paused: {facts.paused}")
    if not facts.running and (job.state in LIVE or any(drop.next_place for drop in job.drops)):
        lines.append(f"No service runs, so nothing happens yet: start one with `{facts.start}`.")
    return Explanation(job.state.value, tuple(lines), job.id)


def _is_superseded(facts: Facts, job: Job) -> bool:
    """Whether the file was made of the job's photo before it was done again."""
    made = {job.output, *(one.path for one in job.companions)}
    over = job.state in (State.PUBLISHED, State.DONE)
    return over and facts.role in ("outbox", "review") and facts.path not in made


def _next(facts: Facts, job: Job) -> list[str]:  # noqa: PLR0911 (one for each state)
    match job.state:
        case State.WAITING:
            return _waiting(facts, job)
        case State.READY:
            window = facts.lane.schedule.active
            hours = f" between {window[0]:%H:%M} and {window[1]:%H:%M}" if window else ""
            return [f"It will be started when its turn comes{hours}."]
        case State.RUNNING:
            return _held_up(facts, job) or _at_work(facts, job)
        case State.PUBLISHED:
            filed = "Its originals are being filed away."
            filed = filed if facts.running else "Its originals are still to be filed away."
            return [*_outputs(facts, job), filed, *_held_up(facts, job)]
        case State.DONE:
            notes = [f"Note: {note}." for note in job.remarks]
            return [*_outputs(facts, job), *notes, *_originals(facts, job)]
        case State.FAILED:
            return [f"{job.error}", _again(facts, job, f" (attempt {job.attempts + 1})")]
        case State.QUARANTINED:
            return [
                f"{job.error}",
                f"{job.remedy}",
                *_originals(facts, job),
                *([f"`{_retry(facts, job)}` tries it again."] if job.complete else []),
            ]
        case State.CANCELLED:
            return _cancelled(facts, job)


def _cancelled(facts: Facts, job: Job) -> list[str]:
    if job.not_again or facts.exists is False:
        return ["It was cancelled, or its files were taken away.", *_originals(facts, job)]
    again = f"`{_retry(facts, job)}` takes it up again."
    return ["It was cancelled.", *_originals(facts, job), again]


def _retry(facts: Facts, job: Job) -> str:
    return facts.command("retry", str(job.id))


def _at_work(facts: Facts, job: Job) -> list[str]:
    if facts.running:
        return [f"It is being worked on, attempt {job.attempts}."]
    return ["It was being worked on when the service ended; the next one sees how far that came."]


def _held_up(facts: Facts, job: Job) -> list[str]:
    """What keeps the step that comes next from being done; nothing if nothing does."""
    return [] if job.error is None else [f"{job.error}", f"{job.remedy}", _again(facts, job)]


def _again(facts: Facts, job: Job, which: str = "") -> str:
    will = "will be" if facts.running else "is to be"
    return f"It {will} tried again at {_clock(job.next_attempt_at)}{which}."


def _waiting(facts: Facts, job: Job) -> list[str]:
    if missing(job) is None:
        return ["Its files have changed; it waits until they are still."]
    until = job.updated_at + facts.lane.pairing.orphan_after
    left = show_duration(max(60.0, round((until - facts.now) / 60) * 60.0))
    return [
        waits_for(job, facts.near),
        f"If none comes within {left}, it is set aside with a note; nothing is deleted.",
    ]


def _outputs(facts: Facts, job: Job) -> list[str]:
    """Where the output lies, and what was published with it."""
    folder = facts.lane.folders.get(job.output_role, facts.lane.outbox)
    output = f"{folder}/{printable(job.output or '')}"
    if facts.gone:
        return [f"The output was {output}: deleted by retention, or taken away."]
    lines = [f"The output is {output}."]
    if job.output_role == "review":
        lines.append("It lies in review, because somebody should look at it before it is used.")
    return lines + [f"Beside it: {folder}/{printable(one.path)}" for one in job.companions]


def _originals(facts: Facts, job: Job) -> list[str]:
    folders = facts.lane.folders
    lines = []
    for drop in job.drops:
        if drop.place is Place.GONE:
            lines.append(f"Original {printable(drop.path)}: taken away or pruned.")
        else:
            where = f"{folders[drop.place.value]}/{printable(drop.where)}"
            lines.append(f"Original {printable(drop.path)}: {where}")
    return lines


def _clock(at: float | None) -> str:
    return datetime.fromtimestamp(at or 0).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _shown(facts: Facts) -> str:
    return f"{facts.lane.folders[facts.role]}/{printable(facts.path)}"
