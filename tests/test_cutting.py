"""What the work on a cut-out reads, writes and costs, as far as its order tells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from retouchd.budget import ByteBudget
from retouchd.call import Call
from retouchd.config import parse
from retouchd.cutting import canvas_bytes, to_prepare
from retouchd.errors import HandDied, ShareHung
from retouchd.fit import Fit
from retouchd.job import FileStat
from retouchd.order import Model, Order
from retouchd.roots import RootRef
from retouchd.shared import SharedArray
from retouchd.tasks.values import Original
from retouchd.tools import Tools

STAT = FileStat(1, 1, 1)
FIT = Fit(64)


def root(role: str) -> RootRef:
    return RootRef("a", role, f"/srv/a/{role}", "m")


def order(matte: str = "", mask: bool = False, fit: Fit | None = FIT) -> Order:
    """To cut out a photo that lies in the archive, maybe again with a mask from the inbox."""
    lane = f"lanes: [{{name: a, root: /srv/a, task: matte, matte: {{{matte}}}}}]"
    return Order(
        job=1,
        lane="a",
        image=Original(root("archive"), "d/p.jpg", STAT),
        mask=Original(root("inbox"), "p_mask.png", STAT) if mask else None,
        source="mask" if mask else "photo",
        outbox=root("outbox"),
        review=root("review"),
        temporary=".retouchd-x-1.tmp",
        model=Model("m", "x", fit=fit),
        settings=parse(lane, "x").lanes[0].work(),
        decoded=1000,
        within=10.0,
        name="p.jpg",
    )


@pytest.mark.parametrize(
    ("matte", "most"),
    [
        ("", 0),
        ("margin: 2", 0),
        ("crop: square, margin: 1", 9000),
        ("crop: tight, margin: 0", 1000),
        ("size: [2000, 1000]", 8_000_000),
        ("size: [2000, 1000], crop: square, margin: 2", 8_000_000),
    ],
)
def test_a_large_canvas_is_counted_before_it_is_filled(matte: str, most: int) -> None:
    assert canvas_bytes(order(matte)) == most


def test_a_network_is_asked_only_where_there_is_one_and_nobody_has_marked_the_subject() -> None:
    assert to_prepare(order())["fit"]["size"] == 64
    assert to_prepare(order(mask=True))["fit"] is None
    assert to_prepare(order(fit=None))["fit"] is None


def test_the_background_is_looked_for_before_anything_is_decoded() -> None:
    assert to_prepare(order("background: /srv/wall.png"))["background"] == "/srv/wall.png"
    assert to_prepare(order("bg_color: white"))["background"] is None


class Hanging:
    """Hands for which some folder, or nothing but the photo, is without an answer."""

    def __init__(self, hangs: str) -> None:
        self.hangs, self.asked = hangs, list[str]()

    def call(self, call: Call) -> tuple[dict[str, Any], Sequence[SharedArray]]:
        self.asked.append(call.subject)
        if call.task == "finish_matte" or call.subject == self.hangs:
            raise ShareHung(path=call.subject, seconds="1")
        return {}, []


@pytest.mark.parametrize(
    "hangs",
    ["/srv/a/archive", "/srv/a/inbox", "/srv/a/outbox", "/srv/a/review", "/mnt/share/wall.png"],
)
def test_a_share_that_hangs_is_not_held_against_the_photo(hangs: str) -> None:
    """Whichever it is: where originals lie, where outputs go, or where the background is."""
    hands: Any = Hanging(hangs)
    engine: Any = None
    tools = Tools(hands, engine, ByteBudget(1))
    with pytest.raises(ShareHung) as caught:
        tools.call(order("background: /mnt/share/wall.png", mask=True), "finish_matte", {})
    assert caught.value.facts["path"] == hangs


class Doubting(Hanging):
    """Hands that refuse the work until somebody has looked."""

    def call(self, call: Call) -> tuple[dict[str, Any], Sequence[SharedArray]]:
        self.asked.append(call.task)
        if call.task == "finish_matte" and "probe" not in self.asked:
            error = ShareHung(path=call.subject, seconds="1")
            error.facts["asked"] = False
            raise error
        return {}, []


def test_what_nobody_tried_is_not_held_against_the_photo_either() -> None:
    """Another file hung; the folders answer, so it is asked again."""
    hands: Any = Doubting("nothing")
    engine: Any = None
    Tools(hands, engine, ByteBudget(1)).call(order(mask=True), "finish_matte", {})
    assert hands.asked[0] == hands.asked[-1] == "finish_matte"


def test_where_every_folder_answers_it_is_the_photo() -> None:
    hands: Any = Hanging("nothing")
    engine: Any = None
    with pytest.raises(HandDied, match=r"d/p\.jpg"):
        Tools(hands, engine, ByteBudget(1)).call(order(mask=True), "finish_matte", {})
    assert len(hands.asked) == len(set(hands.asked)) == 5
