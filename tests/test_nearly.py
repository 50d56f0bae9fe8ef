"""Names that almost read as a mask's are hinted at, and others are left in peace."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retouchd.config.sections import Pairing
from retouchd.job import Drop, FileStat, Job, Place, Role, State
from retouchd.namesakes import role
from retouchd.nearly import Near, fitting, near_misses
from retouchd.pairing import Candidate, Pair, decide
from retouchd.waiting import missing, retired, waits_for

STAT = FileStat(1, 2, 3)


def job(name: str, kind: Role = Role.IMAGE, stat: FileStat | None = STAT) -> Job:
    drop = Drop(1, 7, kind, name, Place.INBOX, name, stat)
    return Job(7, "web", "inpaint", State.WAITING, "mask", name, 0.0, 0.0, drops=(drop,))


MISSES = [
    ("skier.jpg", "skier_mask_v2.png"),
    ("sign-at-night.jpg", "sign-at-night mask.png"),
    ("IMG_0001.jpg", "IMG_0001_mask (1).png"),
    ("IMG_0002.jpg", "IMG_0002_maske.png"),
    ("skier.jpg", "Skier MASK copy.png"),
    ("skier.jpg", "skiermask.png"),
    ("skier.jpg", "skier-masks.png"),
    ("skier.jpg", "skier (mask).png"),
    ("skier.jpg", "mask_skier.png"),
    ("skier.jpg", "mask of skier.png"),
    ("skier.jpg", "skier (1)_mask.png"),
    ("skier.jpg", "skier.jpg mask.png"),
    ("Käse.jpg", "ka\u0308se maske.png"),
    ("album/skier.jpg", "album/skier mask.png"),
    ("album/skier.jpg", "album/masks/skier mask 2.png"),
    ("venice-mask-shop.jpg", "venice-mask-shop mask.png"),
]


@pytest.mark.parametrize(("photo", "mask"), MISSES)
def test_a_near_miss_is_seen_from_both_sides(photo: str, mask: str) -> None:
    near = near_misses([mask, photo])
    assert dict(near.photos) == {mask: photo}
    assert dict(near.masks) == {photo: mask}


@pytest.mark.parametrize(("photo", "mask"), MISSES)
def test_the_name_that_is_proposed_makes_them_a_pair(photo: str, mask: str) -> None:
    """The hint is true by the very rules that pair files."""
    folder = mask.rpartition("/")[0]
    renamed = f"{folder}/{fitting(photo, mask)}" if folder else fitting(photo, mask)
    candidates = [Candidate(photo, True), Candidate(renamed, True)]

    assert decide(candidates, Pairing()) == (Pair(photo, renamed, None, "mask"),)


@pytest.mark.parametrize(
    "names",
    [
        ("anna.jpg", "anna-maskenball.jpg"),
        ("un.jpg", "unmasked.jpg"),
        ("skier.jpg", "diver mask.png"),
        ("skier.jpg", "other/skier mask.png"),
        ("mask.jpg", "mask 2.jpg"),
        ("skier.jpg", "snowboarder.jpg"),
        ("skier mask.png",),
    ],
)
def test_what_only_sounds_like_it_is_left_in_peace(names: tuple[str, ...]) -> None:
    assert near_misses(names) == Near()


@given(st.lists(st.text("abk _-.(1)msMASKE/", max_size=14).map("{}.png".format), max_size=6))
def test_a_hint_is_given_only_for_files_that_are_there_and_never_for_itself(
    names: list[str],
) -> None:
    near = near_misses(names)
    for mask, photo in near.photos.items():
        assert {mask, photo} <= set(names)
        assert mask != photo
        assert role(photo) == "image"


def test_a_photo_that_waits_is_told_which_mask_may_be_its_own() -> None:
    near = near_misses(["skier.jpg", "skier_mask_v2.png"])
    assert waits_for(job("skier.jpg"), near) == (
        "It waits for its mask; skier_mask_v2.png looks like one, but has to be called "
        "skier_mask.png."
    )
    assert waits_for(job("skier_mask_v2.png"), near) == (
        "It waits for its mask, but this looks like a mask of skier.jpg; call it skier_mask.png."
    )


def test_without_a_near_miss_the_name_of_a_mask_is_shown() -> None:
    said = waits_for(job("album/cat.jpg"), Near())
    assert said == "It waits for its mask (for example cat_mask.png beside it)."


def test_a_mask_waits_for_its_photo_and_what_moves_until_it_is_still() -> None:
    mask, moving = job("cat_mask.png", Role.MASK), job("cat.jpg", stat=None)
    assert (missing(mask), missing(moving)) == ("photo", None)
    assert waits_for(mask, Near()) == (
        "It waits for its photo, since its name is that of a mask; if it is a photo itself, "
        "rename it."
    )
    assert waits_for(moving, Near()) == "It waits until its files are still."


def test_a_job_whose_lane_is_gone_is_told_what_to_do() -> None:
    said = retired(job("cat.jpg"), "retouchd cancel 7")
    assert "lane web is no longer configured" in said
    assert "`retouchd cancel 7`" in said
