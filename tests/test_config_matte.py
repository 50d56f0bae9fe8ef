"""A matte lane's settings: what they mean together, and mistakes told in a person's words."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from retouchd.canvas import Canvas
from retouchd.config import Lane, for_root, parse
from retouchd.config.colours import parse_colour, unit_colour
from retouchd.config.matte import Matte
from retouchd.config.show import to_yaml
from retouchd.errors import ConfigInvalid
from retouchd.finish import Finish


def lane(matte: str = "", more: str = "") -> Lane:
    text = f"lanes: [{{name: c, root: /srv/c, task: matte, matte: {{{matte}}}{more}}}]"
    return parse(text, "c.yaml").lanes[0]


def refused(matte: str = "", more: str = "") -> str:
    with pytest.raises(ConfigInvalid) as caught:
        lane(matte, more)
    return f"{caught.value.message} {caught.value.advice}"


# What comes out.


@pytest.mark.parametrize(
    ("matte", "outputs"),
    [
        ("", ("rgba",)),
        ("bg_color: white", ("composite",)),
        ("background: /srv/wall.jpg", ("composite",)),
        ("output: rgba, bg_color: white", ("rgba",)),
        ("output: alpha", ("alpha",)),
        ("output: alpha, bg_color: white", ("alpha",)),
        ("output: composite, bg_color: white", ("composite",)),
        ("output: all", ("rgba", "alpha")),
        ("output: all, background: /srv/wall.jpg", ("rgba", "alpha", "composite")),
    ],
)
def test_what_is_made_follows_from_the_background_unless_it_is_said(
    matte: str, outputs: tuple[str, ...]
) -> None:
    assert lane(matte).matte.outputs == outputs
    assert lane(matte).work()["matte"]["outputs"] == list(outputs)


def test_what_a_cutout_is_made_by_is_plain_and_has_all_that_finishing_needs() -> None:
    work = lane("bg_color: white, size: [200, 100]").work()["matte"]
    assert yaml.safe_load(yaml.safe_dump(work)) == work
    assert {field.name for field in dataclasses.fields(Finish)} <= set(work)
    assert {"crop", "margin", "size", "fill"} <= {f.name for f in dataclasses.fields(Canvas)}
    assert {"crop", "margin", "size", "fill", "background", "bg_color", "despill"} <= set(work)


def test_settings_that_make_the_same_are_the_same_work() -> None:
    assert lane("output: rgba").work() == lane("output: auto").work()
    assert lane("bg_color: white").work() == lane("bg_color: '#FFF'").work()


# Where it goes, and with which model.


def test_a_matte_lane_has_a_folder_for_review_and_the_network_that_comes_with_retouchd() -> None:
    made = lane()
    assert str(made.folders["review"]) == "/srv/c/review"
    assert made.model == "cvunet-compact"
    assert str(lane(more=", review: /mnt/look").folders["review"]) == "/mnt/look"
    [inpaint] = parse("lanes: [{name: a, root: /srv/a}]", "x").lanes
    assert "review" not in inpaint.folders


# What is refused.


@pytest.mark.parametrize(
    ("matte", "said"),
    [
        ("output: composite", "a composite needs a bg_color or a background"),
        ("bg_color: white, background: /a.png", "exclude each other; keep one"),
        ("background: a.png", "'a.png' must be an absolute path"),
        ("bg_color: chartreuse", "'chartreuse' is not a colour; write it like '#f0f0f0'"),
        ("bg_color: 3", "'3' is not a colour"),
        ("output: jpg", "'rgba', 'alpha', 'composite' or 'all'; it is jpg"),
        ("crop: circle", "'none', 'tight' or 'square'"),
        ("size: 2000", "size 2000 should be a width and a height, like [2000, 2000]"),
        ("size: [100]", "size [100] should be a width and a height"),
        ("size: [1, 2, 3]", "should be a width and a height"),
        ("size: [0, 5]", "matte.size[0]: it should be greater than or equal to 1"),
        ("size: [5, 30000]", "matte.size[1]: it should be less than or equal to 20000"),
        ("fill: 0", "matte.fill: it should be greater than 0"),
        ("fill: 1.5", "matte.fill: it should be less than or equal to 1"),
        ("margin: 3", "matte.margin: it should be less than or equal to 2"),
        ("margin: .nan", "matte.margin: it should be a finite number"),
        ("alpha_threshold: 1", "matte.alpha_threshold: it should be less than 1"),
        ("feather_edge: -1", "matte.feather_edge: it should be greater than or equal to 0"),
        ("erode_kernel: 501", "matte.erode_kernel: it should be less than or equal to 500"),
        ("bilateral: 51", "matte.bilateral: it should be less than or equal to 50"),
        ("min_area: -1", "matte.min_area: it should be greater than or equal to 0"),
        ("review_below: 2", "matte.review_below: it should be less than or equal to 1"),
        ("review_below: .inf", "matte.review_below"),
        ("keep_largest: maybe", "matte.keep_largest"),
        ("colour: red", "Did you mean 'bg_color'?"),
    ],
)
def test_a_mistake_is_named_with_what_would_be_right(matte: str, said: str) -> None:
    assert said in refused(matte)


@pytest.mark.parametrize("more", [", output: {format: jpeg}", ", output: {path: '{stem}.jpg'}"])
def test_a_jpeg_holds_what_is_opaque_and_nothing_else(more: str) -> None:
    assert "a JPEG has no transparency" in refused(more=more)
    assert "set matte.bg_color" in refused(more=more)
    # Where there is a background already, that is not what is missing.
    for output in ("all", "rgba"):
        assert "or matte.output composite" in refused(f"bg_color: white, output: {output}", more)
    assert lane("bg_color: white", more).matte.outputs == ("composite",)
    assert lane("output: alpha", more).matte.outputs == ("alpha",)


@pytest.mark.parametrize("pairing", ["alpha_holes: true", "rectangles: [{width: 3, height: 4}]"])
def test_what_says_where_to_repair_says_nothing_to_a_matte_lane(pairing: str) -> None:
    assert "say what to repair; leave them out" in refused(more=f", pairing: {{{pairing}}}")


@pytest.mark.parametrize("wish", ["bg_color: white", "size: null", "output: auto"])
def test_matting_options_without_the_task_are_refused_and_not_ignored(wish: str) -> None:
    """Else the photos of an inpaint lane wait a day for masks that nobody means to draw."""
    with pytest.raises(ConfigInvalid) as caught:
        parse(f"lanes:\n- name: a\n  root: /srv/a\n  matte: {{{wish}}}\n", "c.yaml")
    assert "c.yaml, line 4, lanes[0] (a), matte: you set matte." in caught.value.message
    assert "but the task is inpaint; add task: matte" in caught.value.message


@pytest.mark.parametrize("wish", ["blend: hard", "strategy: tile", "match: {grain: true}"])
def test_options_for_repairing_are_refused_in_a_matte_lane(wish: str) -> None:
    said = refused(more=f", {wish}")
    assert f"you set {wish.partition(':')[0]}, but the task is matte" in said


def test_what_is_set_for_all_lanes_is_set_for_those_to_whose_task_it_says_something() -> None:
    wishes = ["blend=hard", "pairing.alpha_holes=true", "matte.bg_color=white", "mask.dilate=1"]
    inpaint, matte = for_root(Path("/srv/a"), [f"lanes.*.{wish}" for wish in wishes]).lanes
    assert (inpaint.blend, inpaint.pairing.alpha_holes, inpaint.matte) == ("hard", True, Matte())
    assert (matte.blend, matte.pairing.alpha_holes) == ("feather", False)
    assert matte.matte.bg_color == "#ffffff"
    assert inpaint.mask.dilate == matte.mask.dilate == 1
    with pytest.raises(ConfigInvalid, match="add task: matte"):
        parse("lanes: [{name: a, root: /a}]", "x", ["lanes.*.matte.bg_color=white"])


def test_what_lanes_take_over_from_one_anchor_is_for_those_whose_task_it_concerns() -> None:
    shared = "&d {name: a, root: /a, blend: hard, mask: {dilate: 1}}"
    inpaint, matte = parse(
        f"lanes: [{shared}, {{<<: *d, name: b, root: /b, task: matte}}]", "x"
    ).lanes
    assert (inpaint.blend, matte.blend, matte.mask.dilate) == ("hard", "feather", 1)
    with pytest.raises(ConfigInvalid, match="you set blend"):
        parse(f"lanes: [{shared}, {{<<: *d, name: b, root: /b, task: matte, blend: hard}}]", "x")


def test_a_section_from_an_anchor_says_to_each_lane_what_concerns_its_task() -> None:
    pairing = "pairing: {orphan_after: 1h, alpha_holes: true}"
    shared = f"&d {{name: a, root: /a, {pairing}}}"
    others = "{<<: *d, name: b, root: /b, task: matte}, {<<: *d, name: c, root: /c}"
    lanes = parse(f"lanes: [{shared}, {others}]", "x").lanes
    inpaint, matte, third = (lane.pairing for lane in lanes)
    assert inpaint.orphan_after == matte.orphan_after == third.orphan_after == 3600
    assert (inpaint.alpha_holes, matte.alpha_holes, third.alpha_holes) == (True, False, True)
    with pytest.raises(ConfigInvalid, match="say what to repair"):
        parse(f"lanes: [{shared}, {{<<: *d, name: b, root: /b, task: matte, {pairing}}}]", "x")


def test_what_config_show_prints_of_lanes_of_both_tasks_reads_back() -> None:
    both = for_root(Path("/srv/a"))
    assert parse(to_yaml(both), "x") == both


def test_the_folder_for_review_is_refused_where_it_would_be_in_the_way() -> None:
    assert "Put them beside each other" in refused(more=", review: /srv/c/inbox/look")
    assert "Give each a folder of its own" in refused(more=", review: /srv/c/outbox")
    assert "absolute path" in refused(more=", review: look")
    with pytest.raises(ConfigInvalid, match="review is a folder of matte lanes"):
        parse("lanes: [{name: a, root: /srv/a, review: /srv/look}]", "x")
    folders = "inbox: /a, outbox: /b, archive: /c, failed: /d"
    with pytest.raises(ConfigInvalid, match="needs a folder review, or a root"):
        parse(f"lanes: [{{name: a, task: matte, {folders}}}]", "x")


# Colours.


@pytest.mark.parametrize(
    ("written", "colour"),
    [
        ("white", "#ffffff"),
        (" White ", "#ffffff"),
        ("#FFF", "#ffffff"),
        ("#1a2B3c", "#1a2b3c"),
        ("gray", "#808080"),
        ("grey", "#808080"),
    ],
)
def test_colours_are_read_as_people_write_them(written: str, colour: str) -> None:
    assert parse_colour(written) == colour


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_a_colour_is_what_its_numbers_say(rgb: tuple[int, int, int]) -> None:
    assert unit_colour(parse_colour("#{:02X}{:02x}{:02x}".format(*rgb))) == tuple(
        value / 255 for value in rgb
    )


@given(st.text("0123456789abcdef#G ", max_size=8))
def test_a_colour_is_whole_or_refused(text: str) -> None:
    try:
        colour = parse_colour(text)
    except ValueError:
        return
    assert parse_colour(colour) == colour
    assert all(0 <= part <= 1 for part in unit_colour(colour))
