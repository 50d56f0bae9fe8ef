"""The configuration: what the example says is true, and mistakes are named where they are."""

from __future__ import annotations

import re
from datetime import datetime, time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from retouchd.config import Config, Rectangle, Schedule, for_root, load, parse
from retouchd.config.units import (
    parse_duration,
    parse_hours,
    parse_pixels,
    parse_size,
    show_duration,
    show_size,
)
from retouchd.errors import ConfigInvalid

EXAMPLE = Path(__file__).parents[1] / "config.example.yaml"
LANE = "lanes:\n  - name: inpaint\n    root: /srv/retouch\n"
CUTOUTS = "  - name: cutouts\n    root: /srv/cutouts\n    task: matte\n"


def wrong(text: str, *sets: str) -> ConfigInvalid:
    with pytest.raises(ConfigInvalid) as caught:
        parse(text, "c.yaml", sets)
    assert not re.search(r"<\w+>", caught.value.message + caught.value.advice)
    return caught.value


# The example.


def test_the_example_is_what_holds_without_it() -> None:
    bare = parse(LANE + CUTOUTS, "bare").model_dump()
    assert load(EXAMPLE).model_dump() == bare


def test_the_example_shows_every_key() -> None:
    tree = yaml.safe_load(EXAMPLE.read_text())
    assert sorted(_keys(Config, tree)) == []


def _keys(model: type[BaseModel], tree: Any, prefix: str = "") -> list[str]:
    """Keys of the model that the tree lacks."""
    lacking = [f"{prefix}{name}" for name in model.model_fields if name not in tree]
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            lacking += _keys(kind, tree.get(name, {}), f"{prefix}{name}.")
    if model is Config:
        lane_model = Config.model_fields["lanes"].annotation.__args__[0]  # type: ignore[union-attr]
        # Each lane shows what is its task's.
        lacking += _keys(lane_model, tree["lanes"][1] | tree["lanes"][0], "lanes.")
    return lacking


def test_the_rectangle_in_the_examples_comment_is_a_valid_one() -> None:
    [line] = [line for line in EXAMPLE.read_text().splitlines() if "{corner:" in line]
    [rectangle] = yaml.safe_load(line.strip(" #"))
    assert set(Rectangle(**rectangle).model_dump()) == set(rectangle)


# What is taken.


def test_a_root_alone_needs_no_file(tmp_path: Path) -> None:
    config = for_root(tmp_path)
    inpaint, matte = config.lanes
    roles = ("inbox", "outbox", "archive", "failed")
    assert config.state == tmp_path / ".retouchd"
    assert (inpaint.task, matte.task) == ("inpaint", "matte")
    assert inpaint.folders == {role: tmp_path / role for role in roles}
    shared = {role: tmp_path / role for role in (*roles, "review")}
    assert matte.folders == {**shared, "inbox": tmp_path / "inbox" / "matte"}


def test_a_folder_may_lie_elsewhere_than_under_the_root() -> None:
    [lane] = parse(LANE + "    outbox: /mnt/results\n", "x").lanes
    assert lane.outbox == Path("/mnt/results")
    assert lane.inbox == Path("/srv/retouch/inbox")


def test_a_single_key_can_be_set_beside_the_file() -> None:
    config = parse(
        LANE + "  - {name: two, root: /srv/two}\n",
        "x",
        ["log.level=debug", "lanes.two.mask.dilate=3", "lanes.*.limits.max_pixels=5MP"],
    )
    assert config.log.level == "debug"
    assert [lane.mask.dilate for lane in config.lanes] == [10, 3]
    assert {lane.limits.max_pixels for lane in config.lanes} == {5_000_000}


@pytest.mark.parametrize("key", ["retention.outputs.max_age", "retention.outputs.max_size"])
def test_a_limit_can_be_taken_off(key: str) -> None:
    [lane] = parse(LANE, "x", [f"lanes.inpaint.{key}=null"]).lanes
    assert getattr(lane.retention.outputs, key.rpartition(".")[2]) is None


def test_a_file_from_a_windows_editor_is_read(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + LANE.replace("\n", "\r\n").encode())
    assert load(path).lanes[0].name == "inpaint"


def test_the_configuration_can_not_be_changed_by_accident() -> None:
    config = parse(LANE, "x")
    with pytest.raises(ValidationError):
        config.state = Path("/")


def test_what_a_job_is_done_by_is_plain_and_without_its_folders() -> None:
    work = parse(LANE, "x").lanes[0].work()
    assert yaml.safe_load(yaml.safe_dump(work)) == work
    assert "/srv" not in str(work)


# What is refused, and how that reads.


@pytest.mark.parametrize(
    ("text", "place", "fix"),
    [
        (
            LANE + "    mask:\n      dilat: 3\n",
            "line 5, lanes[0] (inpaint), mask.dilat",
            "'dilate'",
        ),
        (LANE + "    mask:\n      dilate: -1\n", "line 5, lanes[0] (inpaint), mask.dilate", "10"),
        (LANE + "log:\n  level: loud\n", "line 5, log.level", "info"),
        (LANE + "nonsense: 1\n", "line 4, nonsense", "The keys here are device, drain,"),
        (LANE + "scan:\n  settle: 5\n", "line 5, scan.settle", "2s"),
        (LANE + "device: {use: gpu}\n", "line 4, device.use", "auto"),
        ("lanes:\n  - name: a\n", "line 2, lanes[0] (a), inbox", "Add 'root'"),
        ("lanes:\n  - root: /x\n", "line 2, lanes[0], name", "Add 'name'"),
        ("lanes:\n  - {name: a, root: x}\n", "line 2, lanes[0] (a), root", "config.example.yaml"),
        ("lanes: [5]\n", "line 1, lanes[0]", "config.example.yaml"),
        ("state: /x\n", "lanes", "Add 'lanes'"),
        ("lanes:\n  - name: a\n    rot: /x\n", "line 3, lanes[0] (a), rot", "'root'"),
        ("lanes:\n  - root: /x\n    nmae: a\n", "line 3, lanes[0], nmae", "'name'"),
        ("lane:\n  - name: a\n", "line 1, lane: there is no key", "'lanes'"),
        ("lanes:\n  - name: a\nstaet: /x\n", "line 2, lanes[0] (a), inbox", "Add 'root'"),
        (LANE + "    schedule: {active: 9-5}\n", "(inpaint), schedule.active", "config"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_key_and_what_would_be_right(
    text: str, place: str, fix: str
) -> None:
    error = wrong(text)
    assert place in error.message
    assert fix in error.advice


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (LANE + "scan: {settle: true}\n", "'true' is not a duration; write it like 500ms, 10s"),
        (LANE + "    mask: {invert: 7}\n", "it is 7"),
        (LANE + "    mask: {dilate: null}\n", "it is null"),
        (LANE + "    output: {quality: 500}\n", "should be 'same', or it should be less than or"),
        (LANE + "device: {use: gpu}\n", "it should be auto, cpu, cuda or cuda:N; it is gpu"),
        (LANE + "    limits: {max_bytes: 5}\n", "'5' is not a size; write it like 500KB"),
        (LANE + "    output: {path: '../{stem}.png'}\n", "it can't leave it"),
        ("lanes: []\n", "there should be at least one"),
        (LANE + "log: loud\n", "it should be a section of keys; it is loud"),
        (LANE + LANE, "this key is there twice"),
        (LANE + "log: {level: info, level: debug}\n", "level: this key is there twice"),
    ],
)
def test_the_cause_is_told_in_the_files_own_terms(text: str, words: str) -> None:
    message = wrong(text).message
    assert words in message
    assert "True" not in message
    assert "None" not in message


@pytest.mark.parametrize(
    "text", ["a: [", "a: \tb", "\x00", "a: 2024-99-99", "? [a]\n: b\n- c", "&a [*a", "[" * 5000]
)
def test_what_is_no_yaml_is_said_to_be_none(text: str) -> None:
    assert "it is not valid YAML" in wrong(text).message


@pytest.mark.parametrize("text", ["", "[]", "just words", "# nothing but a comment"])
def test_a_file_without_settings_is_said_to_have_none(text: str) -> None:
    assert "it holds no settings" in wrong(text).message


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ("log.level=loud", "--set log.level=loud, log.level:"),
        ("lanes.inpaint.mask.dilate=-5", "--set lanes.inpaint.mask.dilate=-5, lanes[0] (inpaint)"),
        ("lanes.two.mask.dilate=5", "there is no lane 'two'"),
        ("lanes.mask=5", "it names no lane's key"),
        ("log.level", "it has no key and '='"),
        ("=5", "it has no key and '='"),
        ("log.level=[", "its value is not valid YAML"),
        ("log.level.deep=1", "log.level"),
    ],
)
def test_a_mistake_on_the_command_line_is_not_blamed_on_the_file(item: str, words: str) -> None:
    message = wrong(LANE, item).message
    assert words in message
    assert ", line" not in message or item == "log.level.deep=1"


@pytest.mark.parametrize("value", ["ja", "'false '", "2", "[]"])
def test_what_is_neither_true_nor_false_is_said_to_be_none(value: str) -> None:
    message = wrong(f"{LANE}    mask: {{invert: {value}}}\n").message
    assert "line 4, lanes[0] (inpaint), mask.invert: it should be true or false; it is" in message


@pytest.mark.parametrize("value", ["yes", "false"])
def test_true_and_false_are_no_numbers(value: str) -> None:
    """To Python they are 1 and 0: `quality: yes` would be the worst JPEG there is."""
    bare = parse(LANE + CUTOUTS, "bare").model_dump()
    for key, default in _settings(bare):
        if not isinstance(default, bool):
            wrong(LANE + CUTOUTS, f"{key}={value}")
    message = wrong(f"{LANE}    output: {{quality: {value}}}\n").message
    assert "line 4, lanes[0] (inpaint), output.quality: it should be 'same', or" in message
    assert "a whole number; it is" in message
    assert "it is" in wrong(LANE + CUTOUTS, f"lanes.cutouts.matte.size=[5, {value}]").message


def _settings(tree: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """Every key of a configuration that stands for one value, as `--set` names it."""
    if isinstance(tree, dict):
        return [found for key in tree for found in _settings(tree[key], f"{prefix}{key}.")]
    if prefix == "lanes.":
        return [found for lane in tree for found in _settings(lane, f"lanes.{lane['name']}.")]
    return [(prefix.removesuffix("."), tree)]


@pytest.mark.parametrize("value", ["010", "-0_12", "+00100"])
def test_a_number_that_yaml_counts_in_eights_is_refused(value: str) -> None:
    error = wrong(f"{LANE}    mask:\n      dilate: {value}\n")
    assert f"line 5, lanes[0] (inpaint), mask.dilate: {value} begins with 0" in error.message
    assert f"like '{value}'" in error.advice
    assert "Write 10;" in wrong(LANE, "lanes.inpaint.mask.dilate=010").advice
    assert "matte.size[1]" in wrong(f"{LANE}    matte: {{size: [5, {value}]}}\n").message


@pytest.mark.parametrize("value", ["0", "00", "07", "08", "0x10", "1_0", "'010'"])
def test_a_number_that_is_what_it_looks_like_is_taken(value: str) -> None:
    dilate = parse(f"{LANE}    mask: {{dilate: {value}}}\n", "c.yaml").lanes[0].mask.dilate
    assert dilate == int(value.strip("'"), 16 if "x" in value else 10)


def test_a_key_with_nothing_behind_it_is_an_error_and_not_a_wish_for_nothing() -> None:
    """To YAML what follows here is a comment."""
    error = wrong(f"{LANE}    task: matte\n    matte:\n      bg_color: #ffffff\n")
    assert "line 6, lanes[0] (inpaint), matte.bg_color: bg_color is empty" in error.message
    assert "like '#ffffff'" in error.advice
    assert "line 1, models: models is empty" in wrong(f"models:\n{LANE}").message
    assert "its value is empty" in wrong(LANE, "lanes.inpaint.model=").message
    assert "'#ffffff'" in wrong(LANE, "lanes.inpaint.matte.bg_color=#fff").advice


def test_a_section_in_which_everything_is_a_comment_is_as_good_as_none() -> None:
    parse(f"{LANE}    mask:\n      # dilate: 3\n", "c.yaml")
    parse(f"models: null\n{LANE}    matte: {{}}\n    schedule: {{active: ~}}\n", "c.yaml")


def test_what_lanes_share_by_an_anchor_is_set_for_one_of_them() -> None:
    one, two = "{name: one, root: /a, mask: &m {dilate: 3}}", "{name: two, root: /b, mask: *m}"
    found = parse(f"lanes: [{one}, {two}]", "c.yaml", ["lanes.one.mask.dilate=5"])
    assert [lane.mask.dilate for lane in found.lanes] == [5, 3]


@pytest.mark.parametrize("lanes", ["lanes: 5\n", "lanes: [5]\n", "lanes: null\n"])
def test_setting_a_lanes_key_where_there_is_no_lane_is_an_error(lanes: str) -> None:
    assert "there is no lane" in wrong(lanes, "lanes.a.mask.dilate=1").message


@pytest.mark.parametrize(
    "more",
    [
        "    outbox: /srv/retouch/inbox\n",
        "    outbox: /srv/retouch/inbox/done\n",
        "    archive: /srv/retouch/x/../inbox/archive\n",
        "    failed: /srv/retouch/outbox/failed\n",
        "  - {name: two, root: /srv/two, inbox: /srv/retouch/inbox}\n",
        "  - {name: two, root: /srv/two, outbox: /srv/retouch/inbox}\n",
        "state: /srv/retouch/inbox/state\n",
        "state: /srv/retouch/outbox\n",
        "models: /srv/retouch/archive/models\n",
    ],
)
def test_folders_that_would_eat_each_other_are_refused(more: str) -> None:
    """Outputs in an inbox would be worked on again; a ledger there would be set aside."""
    assert "line 4" in wrong(LANE + more).message


@pytest.mark.parametrize(
    ("more", "place", "fix"),
    [
        ("    outbox: /srv/retouch/inbox\n", "line 4, lanes[0] (inpaint), outbox:", "its own"),
        ("    inbox: /srv/retouch/outbox/in\n", "line 4, lanes[0] (inpaint), inbox:", "beside"),
        ("  - name: two\n    root: /srv/retouch\n", "line 5, lanes[1] (two), root:", "its own"),
        (
            "    archive: /srv/two/outbox\n  - name: two\n    root: /srv/two\n",
            "line 4, lanes[0] (inpaint), archive:",
            "its own",
        ),
        (
            "  - name: two\n    root: /srv/two\n    archive: /srv/retouch/outbox\n",
            "line 6, lanes[1] (two), archive:",
            "its own",
        ),
        ("  - root: /srv/two\n    name: inpaint\n", "line 5, lanes[1] (inpaint), name:", "name"),
        ("state: /srv/retouch/inbox\n", "line 4, state:", "no lane's"),
        ("state: /srv/x\nmodels: /srv/retouch/failed\n", "line 5, models:", "no lane's"),
        ("  - name: two\n    root: /var/lib\n    inbox: /var/lib/retouchd\n", "line 6, ", "no la"),
    ],
)
def test_folders_and_names_that_clash_are_told_with_the_line_to_be_changed(
    more: str, place: str, fix: str
) -> None:
    error = wrong(LANE + more)
    assert place in error.message
    assert fix in error.advice


def test_a_folder_of_the_command_line_that_clashes_is_not_blamed_on_the_file() -> None:
    item = "lanes.inpaint.outbox=/srv/retouch/inbox"
    assert f"--set {item}, lanes[0] (inpaint), outbox:" in wrong(LANE, item).message


@pytest.mark.parametrize(
    "more",
    [
        "  - {name: two, root: /srv/two, inbox: /srv/retouch/inbox/two}\n",
        "  - {name: two, root: /srv/two, outbox: /srv/retouch/outbox}\n",
        "  - {name: two, root: /srv/retouch2}\n",
        "state: /srv/retouch\n",
    ],
)
def test_folders_that_keep_out_of_each_others_way_are_taken(more: str) -> None:
    assert parse(LANE + more, "x")


def test_two_lanes_of_one_name_are_refused() -> None:
    assert (
        "two lanes are called 'inpaint'"
        in wrong(LANE + "  - {name: inpaint, root: /srv/two}\n").message
    )


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_a_file_that_can_not_be_read_says_so(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "c.yaml"
    if content:
        path.write_bytes(content)
    with pytest.raises(ConfigInvalid, match="can't be read") as caught:
        load(path)
    assert str(path) in caught.value.message


# Units.


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("10s", 10),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        ("1.5h", 5400),
        ("2w", 1209600),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "5", 5, True, None, "1x", "-1s", "1h30", "5 0s", "1e3s", "9" * 400 + "d"]
)
def test_what_is_no_duration(text: object) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


@given(st.integers(1, 10**9))
def test_a_duration_that_is_shown_reads_back(milliseconds: int) -> None:
    assert parse_duration(show_duration(milliseconds / 1000)) == pytest.approx(milliseconds / 1000)


@pytest.mark.parametrize(
    ("text", "size"),
    [("0B", 0), ("500KB", 500_000), ("1kB", 1000), ("1.5MiB", 1_572_864), ("2 TiB", 2 << 40)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "5", 5, "1 k", "1kiB", "-1MB", "9" * 400 + "GB", "5b"])
def test_what_is_no_size(text: object) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        parse_size(text)
    with pytest.raises(ValueError, match="not a number of pixels"):
        parse_pixels(text)


def test_pixels() -> None:
    assert parse_pixels("0.5MP") == 500_000


def test_a_size_for_people() -> None:
    assert [show_size(n) for n in (5, 2048, 3 << 40)] == ["5 B", "2.0 KiB", "3.0 TiB"]


@pytest.mark.parametrize("text", ["", "22-6", "24:00-06:00", "22:60-06:00", "10:00-10:00", 5, None])
def test_what_are_no_hours(text: object) -> None:
    with pytest.raises(ValueError, match="window"):
        parse_hours(text)


@given(st.times(), st.times(), st.times())
def test_a_window_and_its_complement_make_a_day(start: time, end: time, now: time) -> None:
    if start == end:
        return
    at = datetime.combine(datetime(2026, 11, 21), now)
    inside = Schedule.model_construct(active=(start, end)).allows(at)
    assert Schedule.model_construct(active=(end, start)).allows(at) is not inside


def test_a_window_may_cross_midnight() -> None:
    night = Schedule.model_validate({"active": "22:00-06:00"})
    hours = [hour for hour in range(24) if night.allows(datetime(2026, 11, 21, hour))]
    assert hours == [0, 1, 2, 3, 4, 5, 22, 23]
    assert Schedule().allows(datetime(2026, 11, 21))
