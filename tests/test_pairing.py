"""Which dropped files belong together."""

import os
import random
import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retouchd.config import Pairing, Rectangle
from retouchd.namesakes import SUFFIXES, read, role
from retouchd.pairing import (
    Candidate,
    Conflict,
    NotImage,
    Pair,
    Pending,
    Waiting,
    WaitingMask,
    decide,
)

PLAIN = Pairing()
RECTANGLES = Pairing(rectangles=(Rectangle(width=10, height=10),))
ALPHA = Pairing(alpha_holes=True)


def judge(*names, rules=PLAIN, unsettled=()):
    """The verdicts on these names; those in ``unsettled`` are there, but not settled."""
    candidates = [Candidate(n, True) for n in names] + [Candidate(n, False) for n in unsettled]
    return list(decide(candidates, rules))


def own(image, mask):
    return Pair(image, mask, None, "mask")


def by_folder(image, shared):
    return Pair(image, None, shared, "folder_mask")


def assert_conflict(verdict, *members):
    """The verdict is a conflict of exactly these members, and its cause names every one."""
    assert isinstance(verdict, Conflict)
    assert sorted(verdict.members) == sorted(members)
    assert all(member in verdict.cause for member in members)


# A photo and its own mask.


@pytest.mark.parametrize(
    "mask",
    [
        "photo_mask.png",
        "photo.mask.png",
        "photo-mask.png",
        "photo.jpg.mask.png",
        "photo.jpg_mask.png",
        "PHOTO_MASK.PNG",
        "Photo-Mask.Tif",
        "masks/photo.png",
        "masks/photo.jpg",
        "masks/photo_mask.png",
        "masks/photo.jpg.mask.webp",
        "Masks/Photo.PNG",
    ],
)
def test_a_photo_is_paired_with_its_mask_in_every_spelling(mask):
    assert judge("photo.jpg", mask) == [own("photo.jpg", mask)]
    folder = judge("2026/client/photo.jpg", f"2026/client/{mask}")
    assert folder == [own("2026/client/photo.jpg", f"2026/client/{mask}")]


@pytest.mark.parametrize("suffix", [*sorted(SUFFIXES), "JPG", "Tiff"])
def test_every_image_suffix_serves_for_photos_and_masks(suffix):
    names = f"photo.{suffix}", f"photo_mask.{suffix}"
    assert judge(*names) == [own(*names)]


def test_composed_and_decomposed_names_match():
    composed, decomposed = (unicodedata.normalize(f, "Zoë/café") for f in ("NFC", "NFD"))
    image, mask = f"{composed}.jpg", f"{composed[:-4]}{decomposed[-5:]}_mask.png"
    assert image.encode()[:-4] not in mask.encode()
    assert judge(image, mask) == [own(image, mask)]


def test_names_that_are_not_utf8_are_paired_by_their_bytes():
    image, mask = os.fsdecode(b"caf\xe9.jpg"), os.fsdecode(b"caf\xe9_mask.png")
    assert judge(image, mask) == [own(image, mask)]


@pytest.mark.parametrize(
    "mask", ["a/photo_mask.png", "photo2_mask.png", "photo _mask.png", "a/masks/photo.png"]
)
def test_a_mask_of_another_name_or_folder_is_no_mask_of_the_photo(mask):
    assert sorted(judge("photo.jpg", mask), key=repr) == [Waiting("photo.jpg"), WaitingMask(mask)]


def test_folders_are_told_apart_by_case():
    assert judge("A/p.jpg", "a/p_mask.png") == [Waiting("A/p.jpg"), WaitingMask("a/p_mask.png")]


def test_a_photo_and_a_mask_wait_for_each_other():
    assert judge("photo.jpg") == [Waiting("photo.jpg")]
    assert judge("photo_mask.png") == [WaitingMask("photo_mask.png")]
    assert judge() == []


def test_files_in_a_masks_folder_are_masks_even_with_no_photo_beside_it():
    names = ["masks/masks/a.png", "masks/photo.jpg", "masks/photo_mask.png"]
    assert judge(*names) == [WaitingMask(name) for name in names]


def test_other_files_are_no_images():
    names = ["notes.txt", "photo", "photo.heic", "photo_mask.psd", "photo.jpg.xmp"]
    assert judge(*names) == [NotImage(name) for name in sorted(names)]


# More than one reading.


@pytest.mark.parametrize(
    "names",
    [
        ("photo.jpg", "photo_mask.png", "photo.mask.png"),
        ("photo.jpg", "photo_mask.png", "photo_mask.jpg"),
        ("photo.jpg", "photo_mask.png", "photo.jpg.mask.png"),
        ("photo.jpg", "photo_mask.png", "masks/photo.png"),
        ("photo.jpg", "photo_mask.png", "PHOTO_mask.png"),
        ("photo.jpg", "masks/photo.png", "Masks/photo.png"),
    ],
)
def test_two_masks_for_one_photo_are_a_conflict_that_names_all(names):
    (verdict,) = judge(*names)
    assert_conflict(verdict, *names)


def test_one_mask_for_two_photos_is_a_conflict_that_names_all():
    names = ("p.jpg", "p.png", "p_mask.png")
    (verdict,) = judge(*names)
    assert_conflict(verdict, *names)


def test_a_mask_that_spells_out_the_suffix_is_meant_for_that_photo():
    verdicts = judge("p.jpg", "p.png", "p.jpg.mask.png")
    assert verdicts == [own("p.jpg", "p.jpg.mask.png"), Waiting("p.png")]
    verdicts = judge("p.jpg", "p.png", "p.jpg.mask.png", "p.png.mask.png")
    assert verdicts == [own("p.jpg", "p.jpg.mask.png"), own("p.png", "p.png.mask.png")]


def test_what_is_left_over_is_not_assigned_by_elimination():
    names = ("p.jpg", "p.png", "p.jpg.mask.png", "p_mask.png")
    (verdict,) = judge(*names)
    assert_conflict(verdict, *names)


def test_a_full_name_and_a_stem_are_equally_good_readings():
    names = ("p.jpg", "p.jpg.png", "p.jpg.mask.png")
    (verdict,) = judge(*names)
    assert_conflict(verdict, *names)


def test_of_case_twins_the_one_spelled_like_the_mask_is_meant():
    assert judge("A.jpg", "a.jpg", "a_mask.png") == [Waiting("A.jpg"), own("a.jpg", "a_mask.png")]
    both = judge("A.jpg", "a.jpg", "a_mask.png", "A_MASK.png")
    assert both == [own("A.jpg", "A_MASK.png"), own("a.jpg", "a_mask.png")]


def test_of_normalisation_twins_the_one_spelled_like_the_mask_is_meant():
    one, other = (unicodedata.normalize(form, "é") for form in ("NFC", "NFD"))
    verdicts = judge(f"{one}.jpg", f"{other}.jpg", f"{one}_mask.png")
    assert set(verdicts) == {own(f"{one}.jpg", f"{one}_mask.png"), Waiting(f"{other}.jpg")}


def test_case_twins_of_which_none_is_spelled_like_the_mask_are_a_conflict():
    names = ("AB.jpg", "ab.jpg", "Ab_mask.png")
    (verdict,) = judge(*names)
    assert_conflict(verdict, *names)


def test_a_photo_may_be_called_mask_if_it_has_a_mask_itself():
    assert judge("a_mask.png", "a_mask_mask.png") == [own("a_mask.png", "a_mask_mask.png")]
    assert judge("a_mask.png", "masks/a_mask.png") == [
        WaitingMask("a_mask.png"),
        WaitingMask("masks/a_mask.png"),
    ]


@pytest.mark.parametrize(
    "names",
    [
        ("a.jpg", "a_mask.png", "a_mask_mask.png"),
        ("a_mask.png", "a_mask_mask.png", "a_mask_mask_mask.png"),
    ],
)
def test_a_file_that_can_be_photo_and_mask_at_once_is_a_conflict(names):
    (verdict,) = judge(*names)
    assert_conflict(verdict, *names)


def test_the_cause_of_a_large_conflict_stays_readable():
    masks = [f"p{mark}mask.{s}" for mark in "_-." for s in ("png", "jpg", "webp", "bmp", "avif")]
    (verdict,) = judge("p.jpg", *masks)
    assert len(verdict.members) == 16
    assert len(verdict.cause) < 200
    assert "9 more" in verdict.cause


# One mask for a folder.


@pytest.mark.parametrize("shared", ["_mask.png", "_MASK.PNG", "-mask.jpg", "masks/_mask.png"])
def test_a_folders_mask_serves_every_photo_in_it(shared):
    assert judge("d/a.jpg", "d/b.png", f"d/{shared}") == [
        by_folder("d/a.jpg", f"d/{shared}"),
        by_folder("d/b.png", f"d/{shared}"),
    ]


def test_a_folders_mask_serves_no_sub_folder_and_is_never_used_up():
    assert judge("_mask.png", "sub/a.jpg") == [Waiting("sub/a.jpg")]
    assert judge("_mask.png") == []
    assert by_folder("a.jpg", "_mask.png").members == ("a.jpg",)


def test_a_photos_own_mask_wins_over_the_folders():
    assert judge("a.jpg", "a_mask.png", "_mask.png", "b.jpg") == [
        own("a.jpg", "a_mask.png"),
        by_folder("b.jpg", "_mask.png"),
    ]


def test_two_masks_for_a_folder_are_a_conflict_and_its_photos_wait():
    conflict, *rest = judge("a.jpg", "_mask.png", "_mask.jpg", "b.jpg", "b_mask.png")
    assert_conflict(conflict, "_mask.jpg", "_mask.png")
    assert rest == [Waiting("a.jpg"), own("b.jpg", "b_mask.png")]
    rules = PLAIN.model_copy(update={"rectangles": RECTANGLES.rectangles, "alpha_holes": True})
    assert Waiting("a.png") in judge("a.png", "_mask.png", "_mask.jpg", rules=rules)


def test_a_lane_may_switch_folder_masks_off():
    verdicts = judge("_mask.png", "a.jpg", rules=Pairing(folder_mask=False))
    assert verdicts == [WaitingMask("_mask.png"), Waiting("a.jpg")]


# Photos that are complete by themselves.


def test_with_rectangles_a_photo_is_complete_unless_it_has_a_mask():
    verdicts = judge("a.jpg", "b.jpg", "b_mask.png", "d/_mask.png", "d/c.jpg", rules=RECTANGLES)
    assert verdicts == [
        Pair("a.jpg", None, None, "rectangles"),
        own("b.jpg", "b_mask.png"),
        by_folder("d/c.jpg", "d/_mask.png"),
    ]


def test_a_photo_that_can_have_alpha_is_complete_if_the_lane_says_so():
    for name in ("a.png", "a.webp", "a.TIF", "a.tiff", "a.avif"):
        assert judge(name, rules=ALPHA) == [Pair(name, None, None, "alpha")]
        assert judge(name) == [Waiting(name)]
    for name in ("a.jpg", "a.bmp"):
        assert judge(name, rules=ALPHA) == [Waiting(name)]
    assert judge("a.png", "a_mask.png", rules=ALPHA) == [own("a.png", "a_mask.png")]
    assert judge("a.png", "_mask.png", rules=ALPHA) == [by_folder("a.png", "_mask.png")]


# Files that are still being copied.


def test_a_pair_is_pending_until_both_have_settled():
    assert judge("a.jpg", unsettled=["a_mask.png"]) == [Pending(("a.jpg", "a_mask.png"))]
    assert judge("a_mask.png", unsettled=["a.jpg"]) == [Pending(("a.jpg", "a_mask.png"))]
    assert judge("a.jpg", unsettled=["_mask.png"]) == [Pending(("a.jpg", "_mask.png"))]


@pytest.mark.parametrize("rules", [PLAIN, RECTANGLES, ALPHA])
def test_what_is_alone_is_pending_until_it_has_settled(rules):
    for name in ("a.png", "a_mask.png", "a.txt"):
        assert judge(rules=rules, unsettled=[name]) == [Pending((name,))]


def test_a_conflict_is_declared_only_when_all_of_it_has_settled():
    names = ("a.jpg", "a.mask.png", "a_mask.png")
    assert judge("a.jpg", "a_mask.png", unsettled=["a.mask.png"]) == [Pending(names)]
    assert judge("_mask.png", unsettled=["_mask.jpg"]) == [Pending(("_mask.jpg", "_mask.png"))]


def test_rectangles_do_not_overtake_a_mask_that_is_still_being_copied():
    verdicts = judge("a.jpg", rules=RECTANGLES, unsettled=["a_mask.png"])
    assert verdicts == [Pending(("a.jpg", "a_mask.png"))]


def test_a_file_listed_twice_counts_once_and_as_unsettled_if_either_is():
    assert judge("a.jpg", "a.jpg") == [Waiting("a.jpg")]
    assert judge("a.jpg", unsettled=["a.jpg"]) == [Pending(("a.jpg",))]


# Properties.

folders = st.sampled_from(["", "d/", "D/", "masks/", "d/masks/", "d/Masks/"])
stems = st.sampled_from(["a", "A", "é", "e\u0301", "É", "a.jpg", "A.JPG", "a_mask", "", "\udce9"])
marks = st.sampled_from(["", "", "_mask", ".mask", "-MASK", "_mask_mask"])
suffixes = st.sampled_from([".jpg", ".png", ".JPG", ".txt"])
paths = st.builds(lambda *parts: "".join(parts), folders, stems, marks, suffixes)
inboxes = st.dictionaries(paths, st.booleans(), max_size=12)
lanes = st.sampled_from([PLAIN, RECTANGLES, ALPHA, Pairing(folder_mask=False)])


def all_candidates(inbox):
    return [Candidate(relative, settled) for relative, settled in inbox.items()]


@given(inboxes, lanes, st.randoms())
def test_the_order_of_listing_makes_no_difference(inbox, rules, rng):
    candidates = all_candidates(inbox)
    shuffled = rng.sample(candidates, len(candidates))
    assert decide(candidates, rules) == decide(shuffled, rules)


@given(inboxes, lanes)
def test_every_file_is_in_exactly_one_verdict_and_only_pending_ones_are_unsettled(inbox, rules):
    verdicts = decide(all_candidates(inbox), rules)
    told = [member for verdict in verdicts for member in verdict.members]
    folder_masks = {p for p in inbox if rules.folder_mask and role(p) == "shared_mask"}
    assert set(told) | folder_masks == set(inbox)
    single = [member for member in told if member not in folder_masks]
    assert len(single) == len(set(single))
    for verdict in verdicts:
        if isinstance(verdict, Pending):
            assert not all(inbox[member] for member in verdict.members)
        else:
            assert all(inbox[member] for member in verdict.members)


def linked_by_the_letter(inbox):
    """The groups of the contract, made the slow and plain way: every file against every other."""

    def key(text):
        return unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).casefold())

    names = {p: n for p in inbox if (n := read(p)) and n.base != ""}
    edges = {p: {p} for p in names}
    for path, mask in names.items():
        if mask.base is None:
            continue
        home = [n for n in names.values() if n.home == mask.home and n.may_be_image]
        exact = [n for n in home if mask.base in (n.full, n.stem)]
        like = [n for n in home if key(mask.base) in (key(n.full), key(n.stem))]
        for image in exact if len(exact) == 1 else like:
            edges[path].add(image.relative)
            edges[image.relative].add(path)
    groups = set()
    for path in names:
        group, grown = set(), {path}
        while group != grown:
            group, grown = grown, {far for near in grown for far in edges[near]}
        groups.add(tuple(sorted(group)))
    return groups


@settings(max_examples=300)
@given(inboxes)
def test_groups_are_those_of_the_plain_reference(inbox):
    verdicts = decide([Candidate(p, True) for p in inbox], PLAIN)
    mine = {tuple(sorted(v.members)) for v in verdicts if not isinstance(v, NotImage)}
    folder_conflicts = {m for m in mine if role(m[0]) == "shared_mask"}
    assert mine - folder_conflicts == linked_by_the_letter(inbox)
    for verdict in verdicts:
        if len(verdict.members) != 2 or isinstance(verdict, Pair):
            continue
        assert verdict.members in folder_conflicts, "two linked files are a pair"


@pytest.mark.timeout(120)  # of processor time it may take 8 s
@pytest.mark.parametrize("kind", ["ordinary", "like-named"])
def test_a_hundred_thousand_names_are_paired_in_seconds(kind):
    if kind == "ordinary":
        names = [f"d{i % 50}/p{i}{end}" for i in range(50_000) for end in (".jpg", "_mask.png")]
    else:
        spelled = ["".join(c) for c in _spellings("abcdefghijklmnop", 50_000)]
        names = [s + end for s in spelled for end in (".jpg", "\u00e9_mask.png")]
        names += [f"{s}\u00c9.jpg" for s in spelled]
    start = time.process_time()
    verdicts = decide([Candidate(name, True) for name in names], PLAIN)
    assert time.process_time() - start < 8
    assert sum(len(v.members) for v in verdicts) == len(names)


def _spellings(word, count):
    for number in range(count):
        yield [c.upper() if number >> i & 1 else c for i, c in enumerate(word)]


@pytest.mark.parametrize(
    ("relative", "expected"),
    [
        ("a/photo.jpg", "image"),
        ("a/photo_mask.jpg", "mask"),
        ("masks/photo.jpg", "mask"),
        ("a/_mask.png", "shared_mask"),
        ("a/photo.txt", "other"),
    ],
)
def test_a_name_tells_its_role(relative, expected):
    assert role(relative) == expected


def test_the_same_inbox_gives_the_same_answer_in_any_process():
    names = [f"{c}{m}.png" for c in "abc" for m in ("", "_mask", ".mask", "_mask_mask")]
    answers = {
        decide([Candidate(n, True) for n in random.Random(seed).sample(names, len(names))], PLAIN)
        for seed in range(20)
    }
    assert len(answers) == 1


# A lane whose photos are work without a mask.


def alone(*names, rules=PLAIN, unsettled=()):
    candidates = [Candidate(n, True) for n in names] + [Candidate(n, False) for n in unsettled]
    return list(decide(candidates, rules, alone=True))


def test_a_photo_alone_is_work_where_it_needs_no_mask():
    assert alone("photo.jpg") == [Pair("photo.jpg", None, None, "photo")]
    assert alone(unsettled=["photo.jpg"]) == [Pending(("photo.jpg",))]


def test_a_photo_with_a_mask_is_one_piece_of_work_there_as_well():
    assert alone("photo.jpg", "photo_mask.png") == [own("photo.jpg", "photo_mask.png")]
    # Its mask still moves: the photo must not start alone.
    assert alone("photo.jpg", unsettled=["photo_mask.png"]) == [
        Pending(("photo.jpg", "photo_mask.png"))
    ]


def test_a_folders_mask_is_a_rough_mask_for_each_of_its_photos_there():
    assert alone("_mask.png", "a.jpg", "sub/b.jpg") == [
        by_folder("a.jpg", "_mask.png"),
        Pair("sub/b.jpg", None, None, "photo"),
    ]


def test_a_mask_alone_still_waits_and_two_masks_are_still_a_conflict():
    assert alone("photo_mask.png") == [WaitingMask("photo_mask.png")]
    [verdict] = alone("photo.jpg", "photo_mask.png", "photo.mask.png")
    assert_conflict(verdict, "photo.jpg", "photo_mask.png", "photo.mask.png")


@given(st.lists(st.sampled_from(["a.jpg", "a_mask.png", "b.png", "_mask.png", "x.txt"])))
def test_needing_no_mask_only_turns_photos_that_wait_into_work(names):
    usual, lonely = judge(*names), alone(*names)
    assert [
        Pair(v.image, None, None, "photo") if isinstance(v, Waiting) else v for v in usual
    ] == lonely
