"""`doctor` finds what is wrong, says what to do, and changes nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from retouchd.config import Config, Device, Scan, for_root
from retouchd.doctor import Finding, examine
from retouchd.doctor.backgrounds import judge_backgrounds
from retouchd.doctor.folders import judge_folder, judge_watching
from retouchd.doctor.looks import Look, Wanted, identity_of, look_into
from retouchd.doctor.machine import (
    judge_files,
    judge_inotify,
    judge_memory,
    judge_synchronisation,
    judge_user,
)
from retouchd.doctor.models import judge_device, judge_models
from retouchd.doctor.state import judge_clock, judge_state_folder, open_reader
from retouchd.errors import ShareHung
from retouchd.ledger import InstanceLock, Ledger, RootRow
from retouchd.ledger.ident import id_of
from retouchd.live import write_live
from retouchd.manifest import resolve
from retouchd.mounts import Mount
from retouchd.origin import Origin
from retouchd.roots import MARKER, establish, open_root
from retouchd.tenancy import here, occupy

pytestmark = pytest.mark.timeout(60)  # each starts processes, maybe on a busy machine

GIB = 1 << 30
NFS = Mount("/mnt/nas", "nfs4", "nas:/photos")
LOCAL = Mount("/", "ext4", "/dev/sda")


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return for_root(tmp_path / "root", state=tmp_path / "state")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users can reach, which tmp_path is not."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def set_up(config: Config) -> None:
    """What the service's first start leaves behind."""
    ledger = Ledger(config.state / "ledger.sqlite3")
    for lane in config.lanes:
        for role, folder in lane.folders.items():
            ref = establish(lane.name, role, str(folder))
            ledger.set_root(RootRow(lane.name, role, str(folder), ref.marker))
    ledger.close()


def by_check(findings: tuple[Finding, ...]) -> dict[str, Finding]:
    found = {finding.check: finding for finding in findings}
    assert len(found) == len(findings), "two findings have one name"
    return found


def problems(findings: tuple[Finding, ...]) -> list[str]:
    return [finding.check for finding in findings if finding.level == "problem"]


def tree(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*"))


def test_before_the_first_start_all_is_well_and_nothing_is_made(
    config: Config, tmp_path: Path
) -> None:
    findings = examine(config)

    assert problems(findings) == []
    assert "is made at the first start" in by_check(findings)["lane inpaint, outbox"].message
    assert tree(tmp_path) == []


def test_a_service_that_was_set_up_is_found_healthy_and_left_as_it_was(
    config: Config, tmp_path: Path
) -> None:
    set_up(config)
    before = tree(tmp_path)

    with InstanceLock(config.state / "ledger.sqlite3"):
        findings = by_check(examine(config))

    assert problems(tuple(findings.values())) == []
    assert "can be read and written" in findings["lane inpaint, inbox"].message
    assert f"process {os.getpid()}" in findings["service"].message
    assert findings["clock"].level == "ok"
    assert set(tree(tmp_path)) == {*before, str(config.state / "ledger.lock")}
    assert all(finding.remedy for finding in findings.values() if finding.level != "ok")


def test_every_lost_folder_is_told_with_the_way_back(config: Config) -> None:
    set_up(config)
    lane = config.lanes[0]
    (lane.inbox / MARKER).unlink()
    (lane.outbox / MARKER).write_text("another\n")
    shutil.rmtree(lane.archive)

    findings = by_check(examine(config))

    inbox, outbox, archive = (
        findings[f"lane inpaint, {role}"] for role in ("inbox", "outbox", "archive")
    )
    assert {inbox.level, outbox.level, archive.level} == {"problem"}
    assert "has no marker" in inbox.message
    assert "another folder's marker" in outbox.message
    assert "it is not there" in archive.message
    assert "retouchd adopt inpaint" in (inbox.remedy or "")
    assert findings["lane inpaint, failed"].level == "ok"
    assert not lane.archive.exists()


@contextmanager
def another_has(inbox: Path, state: Path, host: str = "") -> Iterator[None]:
    """A service with a state folder of its own works with an inbox, here or on another host."""
    ledger = Ledger(state / "ledger.sqlite3")
    with InstanceLock(ledger.path) as lock:
        tenant = here(ledger.id, lock.path)
        if host:
            tenant = replace(tenant, machine=host, host=host)
        with open_root(establish("other", "inbox", str(inbox))) as root:
            occupy(root, tenant)
        yield
    ledger.close()


def test_an_inbox_that_another_service_works_with_is_a_problem(
    config: Config, tmp_path: Path
) -> None:
    """Before the first start, too, which would be refused. Whoever has ended is succeeded."""
    inbox = config.lanes[0].inbox
    with another_has(inbox, tmp_path / "other"):
        before = tree(inbox)
        found = by_check(examine(config))
        assert tree(inbox) == before
    assert problems(tuple(found.values())) == ["lane inpaint, inbox"]
    told = found["lane inpaint, inbox"]
    assert f"Another retouchd works with the inbox {inbox} already" in told.message
    assert f"the state folder {tmp_path / 'other'}" in told.message
    assert told.remedy == "Stop that one, or give this one folders of its own."
    assert problems(examine(config)) == []


def test_an_inbox_of_a_service_on_another_host_is_a_problem(config: Config, tmp_path: Path) -> None:
    with another_has(config.lanes[1].inbox, tmp_path / "other", host="nas"):
        told = by_check(examine(config))["lane matte, inbox"]
    assert (told.level, "the one on nas" in told.message) == ("problem", True)
    assert "make sure that it is gone for good" in (told.remedy or "")


@pytest.mark.parametrize("host", ["", "the host before"])
def test_our_own_service_has_its_inbox_rightly(config: Config, host: str) -> None:
    """While it runs, and after its ledger has moved to this host."""
    with another_has(config.lanes[0].inbox, config.state, host):
        findings = examine(config)
    assert problems(findings) == []
    assert "can be read and written" in by_check(findings)["lane inpaint, inbox"].message


def test_a_ledger_is_known_again_whatever_wrote_it(tmp_path: Path) -> None:
    """One of an older version as well, and asking makes nothing."""
    path = tmp_path / "ledger.sqlite3"
    assert id_of(path) == ""
    assert tree(tmp_path) == []
    ledger = Ledger(path)
    with ledger.transaction() as db:
        db.execute("PRAGMA user_version = 1")
    known = ledger.id
    ledger.close()
    assert id_of(path) == known
    path.write_bytes(b"not a database" * 1000)
    assert id_of(path) == ""


def test_a_folder_that_only_seems_to_take_new_ones_is_a_problem(tmp_path: Path) -> None:
    """By its permissions root may write in /proc."""
    config = for_root(Path("/proc/retouch"), state=Path("/proc/state"))
    found = problems(examine(config))
    assert {"ledger folder", "lane inpaint, inbox", "lane matte, review"} <= set(found)


def test_a_background_that_is_missing_or_no_picture_is_a_problem(config: Config) -> None:
    background = config.state.parent / "wall.png"
    lanes = for_root(config.lanes[0].root or Path(), [f"lanes.matte.matte.background={background}"])
    [missing] = judge_backgrounds(lanes, None, 20.0)
    assert (missing.check, missing.level) == ("lane matte, background", "problem")
    assert "No such file" in missing.message
    background.write_bytes(b"no picture")
    assert judge_backgrounds(lanes, None, 20.0)[0].level == "problem"
    Image.new("RGB", (3, 3)).save(background)
    assert judge_backgrounds(lanes, None, 20.0)[0].level == "ok"
    assert judge_backgrounds(config, None, 20.0) == []


def test_a_background_that_only_root_may_read_is_a_problem(open_folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("taking another user's rights needs root")
    Image.new("RGB", (3, 3)).save(open_folder / "wall.png")
    (open_folder / "wall.png").chmod(0o600)
    lanes = for_root(open_folder, [f"lanes.matte.matte.background={open_folder}/wall.png"])
    assert judge_backgrounds(lanes, None, 20.0)[0].level == "ok"
    assert "Permission denied" in judge_backgrounds(lanes, (65534, 65534, ()), 20.0)[0].message


def test_a_file_that_the_running_service_did_not_take_is_a_warning(config: Config) -> None:
    set_up(config)
    file = config.state / "c.yaml"
    file.write_text("one")
    origin = Origin(file)
    file.write_text("two")
    write_live(config.state, {"pid": os.getpid(), "origin": origin.facts()})
    with InstanceLock(config.state / "ledger.sqlite3"):
        told = by_check(examine(config))["configuration"]
    assert told.level == "warning"
    assert "was changed since" in told.message


def test_a_wrong_model_is_told_with_the_one_that_was_meant(tmp_path: Path) -> None:
    model, *_ = judge_models(for_root(tmp_path, ["lanes.inpaint.model=clasical"]))

    assert (model.check, model.level) == ("model clasical", "problem")
    assert "Did you mean 'classical'?" in (model.remedy or "")


def test_a_disk_with_less_space_than_retention_keeps_free_is_a_warning(tmp_path: Path) -> None:
    lane = for_root(tmp_path, ["lanes.*.retention={min_free: 100GiB}"]).lanes[0]
    look = Look(exists=True, marker="0123", free=50 * GIB)

    finding = judge_folder(lane, "outbox", look, None)

    assert (finding.level, "less than 100.0 GiB" in finding.message) == ("warning", True)
    assert judge_folder(lane, "inbox", look, None).level == "ok"


def test_a_folder_that_the_service_may_not_write_is_told(open_folder: Path) -> None:
    """As root, the rights of `nobody` are tried; otherwise our own."""
    inbox = open_folder / "inbox"
    inbox.mkdir()
    inbox.chmod(0o555)
    open_folder.chmod(0o555)

    findings = by_check(examine(for_root(open_folder), user="nobody"))

    open_folder.chmod(0o755)
    there, missing = findings["lane inpaint, inbox"], findings["lane inpaint, outbox"]
    assert (there.level, missing.level) == ("problem", "problem")
    assert f"{inbox} can't be written to (Permission denied)" in there.message
    assert f"because {open_folder} can't be written to" in missing.message
    assert "install -d" in (missing.remedy or "")
    assert os.listdir(inbox) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can try another user's rights")
def test_root_tries_the_rights_of_the_service_user(open_folder: Path) -> None:
    (theirs := open_folder / "theirs").mkdir()
    (ours := open_folder / "ours").mkdir()
    identity = identity_of("nobody")
    assert identity
    os.chown(theirs, identity[0], identity[1])

    looks = look_into(
        [Wanted("a", "x", str(theirs)), Wanted("a", "y", str(ours))], identity, within=10
    )

    assert [look.trouble is None for look in looks.values()] == [True, False]


def test_folders_that_do_not_answer_hold_doctor_up_no_longer_than_agreed(config: Config) -> None:
    """No hand can answer within a millionth of a second."""
    set_up(config)

    findings = by_check(examine(config, within=1e-6))

    inbox = findings["lane inpaint, inbox"]
    assert inbox.level == findings["ledger folder"].level == "problem"
    assert "did not answer within 1e-06 s" in inbox.message
    assert findings["model patchmatch"].level == "ok"


def test_sub_folders_are_counted_because_each_takes_a_watch(tmp_path: Path) -> None:
    (tmp_path / "a/b/c").mkdir(parents=True)
    (tmp_path / "d").mkdir()
    wanted = Wanted("lane", "inbox", str(tmp_path), count=True)
    file = Wanted("lane", "inbox", str(tmp_path / "file"))
    (tmp_path / "file").touch()

    looks = look_into([wanted, file], None, within=10)

    assert looks[wanted].folders == 5
    assert looks[file].error is not None


def test_doctor_does_not_import_torch_for_a_model_without_weights(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from retouchd.config import for_root;"
        "from retouchd.doctor import examine;"
        f"config = for_root(Path({str(tmp_path)!r}), ['lanes.matte.model=trimap']);"
        "examine(config); print('torch' in sys.modules)"
    )

    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert answer.stdout.strip() == "False"


def test_a_folder_that_the_configuration_moved_is_not_called_lost(config: Config) -> None:
    lane = config.lanes[0]
    known = RootRow("inpaint", "inbox", "/somewhere/else", "0123")
    look = Look(exists=True, marker=None, free=9 * GIB)

    assert judge_folder(lane, "inbox", look, known).level == "ok"


def test_a_hung_folder_is_told_before_anything_else(config: Config) -> None:
    look = Look(error=ShareHung(path="/mnt/nas/inbox", seconds="20"))

    finding = judge_folder(config.lanes[0], "inbox", look, None)

    assert (finding.level, "did not answer" in finding.message) == ("problem", True)


@pytest.mark.parametrize(
    ("watch", "mount", "level", "said"),
    [
        ("auto", LOCAL, "ok", "ext4 (/dev/sda); events tell of drops at once"),
        ("auto", NFS, "ok", "nfs4 (nas:/photos); it is listed every 15s"),
        ("scan", LOCAL, "ok", "it is listed every 5m"),
        ("events", NFS, "warning", "events tell nothing of what other computers write"),
        ("auto", None, "warning", "unknown which file system"),
    ],
)
def test_how_an_inbox_is_watched_is_told(
    config: Config, watch: str, mount: Mount | None, level: str, said: str
) -> None:
    finding = judge_watching(config.lanes[0], Scan.model_validate({"watch": watch}), mount)

    assert (finding.level, said in finding.message) == (level, True), finding.message


def test_a_ledger_on_a_file_server_is_a_problem_and_is_not_opened(config: Config) -> None:
    set_up(config)
    mount = Mount(str(config.state), "cifs", "//nas/state")

    findings = by_check(examine(config, mounts=[LOCAL, mount]))

    assert findings["ledger folder"].level == "problem"
    assert "cifs" in findings["ledger folder"].message
    assert "ledger" not in findings


def test_a_full_disk_below_the_ledger_is_a_warning(tmp_path: Path) -> None:
    finding = judge_state_folder(tmp_path, Look(exists=True, free=GIB // 2), LOCAL)

    assert (finding.level, "512.0 MiB" in finding.message) == ("warning", True)


def test_a_whole_ledger_can_be_asked(config: Config) -> None:
    set_up(config)

    reader, findings = open_reader(config)

    assert reader is not None
    reader.close()
    assert [finding.level for finding in findings] == ["ok", "ok"]


def test_a_file_that_is_no_ledger_is_a_problem(config: Config) -> None:
    config.state.mkdir()
    (config.state / "ledger.sqlite3").write_bytes(b"not a database" * 1000)

    reader, findings = open_reader(config)

    assert reader is None
    assert [finding.level for finding in findings] == ["problem"]


def test_a_damaged_ledger_is_a_problem_with_a_way_out(config: Config) -> None:
    set_up(config)
    path = config.state / "ledger.sqlite3"
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))

    reader, findings = open_reader(config)

    assert reader is None
    (finding,) = findings
    assert (finding.level, "damaged" in finding.message) == ("problem", True)
    assert "move the file and its -wal away" in (finding.remedy or "")


def test_a_ledger_that_was_never_filled_is_left_to_the_next_start(config: Config) -> None:
    config.state.mkdir()
    (config.state / "ledger.sqlite3").touch()

    reader, findings = open_reader(config)

    assert reader is None
    assert [finding.level for finding in findings] == ["ok"]


def test_a_clock_that_went_back_is_told() -> None:
    back = judge_clock(2_000_000_000.0, 1_999_990_000.0)

    assert (back.level, "2h46m40s later" in back.message) == ("warning", True)
    assert judge_clock(2_000_000_000.0, 2_000_000_001.0).level == "ok"
    assert judge_clock(0.0, 1_999_990_000.0).level == "ok"


def test_what_the_running_service_is_paused_for_is_told(config: Config) -> None:
    """A sandbox may keep the service from what doctor itself can do."""
    set_up(config)
    lanes = {"inpaint": {"paused": "the outbox is read-only", "remedy": "remount it"}, "b": {}}

    with InstanceLock(config.state / "ledger.sqlite3"):
        write_live(config.state, {"pid": os.getpid(), "lanes": lanes})
        reader, findings = open_reader(config)

    assert reader is not None
    reader.close()
    (told,) = [finding for finding in findings if finding.level == "problem"]
    assert (told.message, told.remedy) == ("the outbox is read-only", "remount it")


def test_an_unsynchronised_clock_is_told_where_systemd_keeps_it(tmp_path: Path) -> None:
    assert judge_synchronisation(tmp_path / "absent") == []
    assert [f.level for f in judge_synchronisation(tmp_path)] == ["warning"]
    (tmp_path / "synchronized").touch()
    assert [f.level for f in judge_synchronisation(tmp_path)] == ["ok"]


@pytest.mark.parametrize(
    ("lanes", "folders", "level"), [(1, 1000, "ok"), (1, 7000, "warning"), (127, 127, "warning")]
)
def test_too_few_watches_are_told_before_folders_go_unwatched(
    lanes: int, folders: int, level: str
) -> None:
    finding = judge_inotify(lanes, folders, instances=128, watches=8192)

    assert finding.level == level
    assert level == "ok" or "sysctl" in (finding.remedy or "")


def test_running_as_root_is_a_warning_unless_the_service_user_was_tried() -> None:
    assert judge_user(1000, "retouchd", None).level == "ok"
    assert judge_user(0, "retouchd", None).level == "warning"
    assert judge_user(0, "retouchd", (990, 990, (990,))).level == "ok"


def test_small_machines_are_told(config: Config) -> None:
    assert judge_memory(config, 2 * GIB).level == "warning"
    assert judge_memory(config, 16 * GIB).level == "ok"
    assert judge_files(config, 100).level == "warning"
    assert judge_files(config, 65536).level == "ok"


def test_a_model_with_weights_is_checked_by_its_hash(tmp_path: Path) -> None:
    folder = tmp_path / "state/models"
    folder.mkdir(parents=True)
    (folder / "tiny.safetensors").write_bytes(b"other weights")
    entry = f"tiny: {{architecture: lama, file: tiny.safetensors, sha256: {'a' * 64}}}"
    (folder / "manifest.yaml").write_text(f"models:\n  {entry}\n")
    config = for_root(
        tmp_path, ["lanes.inpaint.model=tiny", "lanes.matte.model=trimap"], state=tmp_path / "state"
    )

    model, _, device = judge_models(config)

    assert (model.check, model.level) == ("model tiny", "problem")
    assert "a" * 64 + " was expected" in model.message
    assert device.level == "ok"


@pytest.mark.parametrize("whole", [True, False])
def test_a_model_file_is_good_only_if_it_can_be_loaded(
    tmp_path: Path, make_lama: Callable[..., Path], whole: bool
) -> None:
    """Nothing says what sha256 a file should have that is named by its path."""
    file = make_lama("tiny")
    content = file.read_bytes()
    file.write_bytes(content if whole else content[: len(content) // 2])

    finding, *_ = judge_models(for_root(tmp_path, [f"lanes.inpaint.model={file}"]))

    assert finding.check == f"model {file}"
    assert finding.level == ("ok" if whole else "problem"), finding.message
    assert whole or f"{file} is not a valid .safetensors file" in finding.message
    assert whole or finding.remedy == "Fetch or convert the file again."


def test_a_matting_network_that_was_cut_off_is_a_problem(tmp_path: Path) -> None:
    """Its beginning is that of a good one."""
    spec = resolve("cvunet-compact", tmp_path)
    assert spec.path
    file = tmp_path / "cut.safetensors"
    file.write_bytes(spec.path.read_bytes()[:100_000])

    found = judge_models(for_root(tmp_path, [f"lanes.matte.model={file}"]))

    [finding] = [finding for finding in found if finding.check == f"model {file}"]
    assert (finding.level, finding.remedy) == ("problem", "Fetch the file again.")


def test_a_torch_that_can_not_be_loaded_is_told_and_the_rest_is_examined(
    tmp_path: Path, make_lama: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ImportError("import of torch halted")

    monkeypatch.setitem(sys.modules, "retouchd.weights", None)
    monkeypatch.setattr("retouchd.doctor.models.choose", broken)
    lanes = [f"lanes.inpaint.model={make_lama('tiny')}", "lanes.matte.model=trimap"]

    findings = judge_models(for_root(tmp_path, lanes))

    told = [finding for finding in findings if finding.level == "problem"]
    assert [finding.check.split()[0] for finding in told] == ["model", "device"]
    assert all("halted" in finding.message for finding in told)
    assert all("Install torch anew" in (finding.remedy or "") for finding in told)


def test_the_device_is_tried_when_a_model_needs_it(
    tmp_path: Path, make_lama: Callable[..., Path]
) -> None:
    spec = resolve(str(make_lama("tiny")), tmp_path)
    plain = resolve("classical", tmp_path)

    assert "no model needs more" in judge_device(Device(), [plain], driver=True).message
    assert judge_device(Device(use="cpu"), [spec], driver=False).message.startswith("cpu")
    demanded = Device(use="cpu", require_gpu=True)
    assert judge_device(demanded, [plain], driver=False).level == "problem"


def test_a_gpu_that_can_not_be_used_is_told(tmp_path: Path, make_lama: Callable[..., Path]) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine's GPU can be used")
    spec = resolve(str(make_lama("tiny")), tmp_path)

    finding = judge_device(Device(), [spec], driver=True)

    assert (finding.level, "although an NVIDIA driver" in finding.message) == ("warning", True)
