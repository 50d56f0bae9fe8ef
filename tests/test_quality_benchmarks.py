"""What the benchmarks of quality are made on, and how they count."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from benchmarks import sheets
from benchmarks.__main__ import main
from benchmarks.alpha_errors import errors, overlap
from benchmarks.composites import SIDE, composites
from benchmarks.holes import (
    KINDS,
    RADII,
    SHARES,
    Kind,
    hole_of,
    holes_of_radius,
    inscribed_radius,
)
from benchmarks.inpainting_quality import Bench, held_out
from benchmarks.inpainting_quality import Case as QualityCase
from benchmarks.matting import rough_mask
from benchmarks.matting_quality import PLAIN, Case, networks
from benchmarks.metrics import Figures
from benchmarks.painting import NAVIER_STOKES, labels, methods, repaired
from benchmarks.ranking import better_from, cells, tally, wins, worth_from
from hypothesis import given, settings
from hypothesis import strategies as st
from models.training import masks
from models.training.matting import validation
from models.training.matting.material import open_material
from models.training.photos import HELD_OUT

from retouchd.matting_weights import cvunet_bytes
from retouchd.nets.cvunet import CvUNet, CvUNetShape
from retouchd.samples import photo_like


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", SHARES)
def test_a_hole_covers_what_it_should_and_is_as_thick_as_its_kind(kind, share):
    hole = hole_of(KINDS[kind], share, 256, rng())
    assert set(np.unique(hole)) == {0, 255}
    assert (hole > 0).mean() == pytest.approx(share, rel=0.15)
    assert inscribed_radius(hole) <= KINDS[kind].most


def test_the_same_seed_gives_the_same_hole():
    one, again, other = (hole_of(KINDS["thick"], 0.25, 128, rng(s)) for s in (4, 4, 5))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_a_share_that_can_not_be_reached_is_said():
    with pytest.raises(RuntimeError, match="no such hole"):
        hole_of(Kind((masks.box,), most=1), 0.4, 64, rng())


@pytest.mark.parametrize("radius", RADII)
@pytest.mark.parametrize("long", [True, False])
def test_holes_of_a_radius_have_it(radius, long):
    hole = holes_of_radius(radius, long, 400, rng(radius))
    assert 0.97 * radius <= inscribed_radius(hole) <= 1.03 * radius + 1
    assert not hole[[0, -1]].any()
    assert not hole[:, [0, -1]].any()


def figures(score):
    """Better in everything, the higher the score."""
    return Figures(psnr=score, ssim=score / 100, edges=1 - score / 100, texture=1 - score / 100)


def test_less_distance_and_more_likeness_win():
    ours, theirs = [figures(v) for v in (20, 30, 40)], [figures(v) for v in (10, 35, 40)]
    for head in ("PSNR", "SSIM", "edges", "texture"):
        assert wins(ours, theirs, head) == 1
        assert wins(theirs, ours, head) == 1
    assert tally(ours, theirs) == "1/1/1/1 of 3"


def test_figures_of_other_pictures_are_not_compared():
    with pytest.raises(ValueError, match="zip"):
        wins([figures(1)], [figures(1), figures(2)], "PSNR")


def against(*winning):
    """By radius: whether ours wins there, in two pictures of three."""
    low, high = [figures(10)] * 3, [figures(20)] * 2 + [figures(5)]
    return {r: ((high, low) if won else (low, high)) for r, won in winning}


def test_a_network_is_worth_it_from_where_it_wins_at_all_larger_radii():
    assert better_from(against((2, True), (4, False), (8, True), (16, True)), "PSNR") == 8
    assert better_from(against((2, True), (4, True)), "texture") == 2
    assert better_from(against((2, True), (4, False)), "edges") is None
    assert "PSNR from 8 px on" in worth_from(against((4, False), (8, True)))
    assert "SSIM never" in worth_from(against((4, False)))


def test_a_cell_has_median_and_mean():
    assert cells([figures(v) for v in (10, 20, 60)])[0] == "20.00 (30.00)"


@given(st.integers(0, 1000))
@settings(max_examples=10)
def test_every_method_repairs_the_hole_and_nothing_else(seed):
    photo, _ = photo_like(128)
    hole = hole_of(KINDS["medium"], 0.1, 128, rng(seed))
    damaged = np.where(hole[..., None] > 0, np.uint8(255), photo)
    with methods([], Path("models")) as painting:
        assert NAVIER_STOKES in [method.name for method in painting]
        for method in painting:
            result = repaired(damaged, hole, method, feather=0)
            assert np.array_equal(result[hole == 0], photo[hole == 0])
            inside = hole > 0
            error = np.abs(result[inside].astype(float) - photo[inside]).mean()
            assert error < np.abs(255.0 - photo[inside]).mean() / 2, method.name


def test_a_network_is_measured_beside_the_others(make_lama):
    photo, hole = photo_like(128)
    path = make_lama(ngf=4, downs=2, blocks=1)
    with methods([str(path)], path.parent) as painting:
        results = {m.name: repaired(photo, hole, m) for m in painting}
    assert list(results)[-2:] == ["classical", "tiny"]
    assert not np.array_equal(results["tiny"], results["classical"])


def test_models_of_the_same_name_are_told_apart():
    told = labels(["classical", "a/lama.safetensors", "b/lama.safetensors", "c/other.pt"])
    assert list(told.values()) == [
        "classical",
        "a/lama.safetensors",
        "b/lama.safetensors",
        "other",
    ]


def test_a_bench_measures_every_method_on_every_case_and_shows_it(tmp_path):
    photo, hole = photo_like(96)
    with methods([], tmp_path) as painting:
        found = Bench(painting, tmp_path).measure("sheet", [QualityCase(photo, photo, hole)] * 2)
    assert list(found) == ["Telea", NAVIER_STOKES, "classical"]
    assert all(len(figures) == 2 for figures in found.values())
    assert all(figures[0] == figures[1] for figures in found.values())
    assert cv2.imread(str(tmp_path / "sheet.png")).shape[1] == 5 * 260


def disc(radius, side=96, at=48):
    picture = np.zeros((side, side), np.float32)
    cv2.circle(picture, (at, side // 2), radius, 1.0, -1)
    return cv2.GaussianBlur(picture, (0, 0), 1.0)


def test_a_perfect_alpha_has_no_errors():
    assert errors(disc(20), disc(20)) == (0, 0, 0, 0)
    assert overlap(disc(20), disc(20)) == 1


def test_the_sum_of_differences_counts_thousands_of_pixels():
    truth = np.zeros((100, 100), np.float32)
    truth[20:80, 20:80] = 1
    wrong = truth.copy()
    wrong[:10] = 1
    assert errors(wrong, truth).sad == pytest.approx(1)
    assert overlap(wrong, truth) == pytest.approx(3600 / 4600)


def test_a_slight_haze_is_wrong_but_not_unconnected():
    truth = disc(20)
    hazy, crumb = np.maximum(truth - 0.04, 0), truth.copy()
    crumb[2:12, 2:12] = 1
    assert errors(hazy, truth).sad > 0.04
    assert errors(hazy, truth).connectivity == 0
    assert errors(crumb, truth).connectivity == pytest.approx(0.1)


def test_a_blurred_edge_costs_gradient():
    truth = disc(20)
    steps = [errors(cv2.GaussianBlur(truth, (0, 0), s), truth).gradient for s in (1, 2, 4)]
    assert steps == sorted(steps)
    assert steps[0] > 0


def test_nothing_where_nothing_is_overlaps_wholly():
    nothing = np.zeros((32, 32), np.float32)
    assert overlap(nothing, nothing) == 1
    assert overlap(disc(10, 32, 16), nothing) == 0
    assert errors(nothing, nothing) == (0, 0, 0, 0)


def material(folder):
    """A few photos and cut-outs, some of which no training sees."""
    photos, cutouts = folder / "train-photos", folder / "train-cutouts"
    for each in (photos, cutouts):
        each.mkdir()
        (each / "SOURCES.md").touch()
    for number, source in enumerate(["town", "town", HELD_OUT[0], HELD_OUT[1]]):
        picture = photo_like(160 + 2 * number)[0]
        cv2.imwrite(str(photos / f"{source}-{number}.jpg"), picture)
    for number in range(24):
        cutout = np.dstack([photo_like(64)[0], np.round(disc(20, 64, 32) * 255).astype(np.uint8)])
        cutout[..., 0] += np.uint8(number)
        cv2.imwrite(str(cutouts / f"photo-thing{number}.png"), cutout)
    return folder


def test_composites_are_those_that_the_training_holds_out(tmp_path):
    data = material(tmp_path)
    folders = data / "train-photos", data / "train-cutouts"
    _, held = open_material(*folders, tmp_path / "cache", 0.35)
    batch = validation.held_out(held, SIDE, 2)
    found = {name: (photo, alpha) for name, photo, alpha in composites(data, 2)}
    assert found
    for name, (photo, alpha) in found.items():
        number = int(name.split()[1])
        shown = batch.shown[number, 0].numpy() > 0
        assert photo.shape[:2] == alpha.shape
        whole = batch.image[number].numpy().transpose(1, 2, 0)
        assert np.array_equal(photo.reshape(-1, 3), whole[shown])
        assert np.array_equal(np.round(alpha * 255).ravel(), batch.alpha[number, 0].numpy()[shown])


@pytest.fixture
def subject():
    """A bright disc before a dark, noisy wall, and what was marked of it."""
    truth = disc(30, 128, 64)
    wall = np.random.default_rng(0).normal(60, 6, (128, 128, 3))
    photo = wall + truth[..., None] * (np.array([220, 150, 60]) - wall)
    return Case("disc", photo.clip(0, 255).astype(np.uint8), truth, rough_mask(truth))


@pytest.mark.parametrize("name", [name for name in PLAIN if name != "rough mask as drawn"])
def test_every_source_of_alpha_is_nearer_than_what_was_marked(name, subject):
    marked = errors(PLAIN["rough mask as drawn"](subject).alpha, subject.truth).sad
    assert errors(PLAIN[name](subject).alpha, subject.truth).sad < marked


def test_a_subject_that_fills_the_photo_does_not_trouble_grabcut(subject):
    full = replace(subject, truth=np.ones((128, 128), np.float32))
    assert PLAIN["GrabCut, rectangle"](full).alpha.shape == (128, 128)


def test_a_network_is_a_source_like_the_others(subject, tmp_path, capsys):
    path = tmp_path / "small.safetensors"
    shape = CvUNetShape(width=0.25, context=16, rates=(1, 2), decoder=(16, 16, 8, 8), head=8)
    path.write_bytes(cvunet_bytes(CvUNet(shape).eval()))
    with networks([str(path), "no-such-model"], tmp_path) as found:
        assert list(found) == ["small"]
        alpha = found["small"].subject(subject.photo).alpha
        assert found["small"].small(subject.photo).shape == (512, 512)
    assert alpha.shape == subject.truth.shape
    assert "skipped: The model no-such-model" in capsys.readouterr().out


def test_without_material_there_are_no_composites(tmp_path):
    assert list(composites(tmp_path, 4)) == []


def test_photos_are_squares_of_what_no_training_sees(tmp_path):
    data = material(tmp_path)
    photos = held_out(data / "train-photos", 12)
    assert [photo.shape for photo in photos] == [(166, 166, 3), (164, 164, 3)]
    assert len(held_out(data / "train-photos", 1)) == 1


def test_only_one_benchmark_at_a_time_takes_options(capsys):
    assert main(["seams", "--photos", "3"]) == 2
    assert "no options" in capsys.readouterr().out
    assert main(["nonsense"]) == 2
    assert "inpainting-quality" in capsys.readouterr().out


def test_a_sheet_shows_every_picture_at_its_place(tmp_path):
    red, blue = (np.full((40, 60, 3), colour, np.uint8) for colour in ((200, 0, 0), (0, 0, 200)))
    path = tmp_path / "new" / "sheet.png"
    sheets.write(path, ["a", "b–c"], [[red, blue], [blue, red]], 30)
    picture = cv2.imread(str(path))[..., ::-1]
    assert (picture[30, 10] == (200, 0, 0)).all()
    assert (picture[30, 10 + 34] == (0, 0, 200)).all()
    assert (picture[-10, 10] == (0, 0, 200)).all()


@given(st.integers(0, 90), st.integers(0, 60), st.integers(1, 30))
@settings(max_examples=30)
def test_what_is_shown_around_a_hole_holds_all_of_it(x, y, size):
    hole = np.zeros((100, 130), np.uint8)
    hole[y : y + size, x : x + size] = 255
    assert np.count_nonzero(hole[sheets.around(hole, 8)]) == np.count_nonzero(hole)
