"""The training of lama-compact: it learns, it can be interrupted, its samples are what they say."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from models.training import checkpoint, losses, masks, textures, validation
from models.training.curves import draw
from models.training.data import Batch, Chunks, Feed, batches, filled, sample
from models.training.discriminator import PatchDiscriminator
from models.training.export import export, original_names, read
from models.training.history import History
from models.training.lama_compact import CompactLama, stacked
from models.training.photos import HELD_OUT, Photos, open_photos
from models.training.recipe import PRESETS, Recipe, cpu, gpu, tiny
from models.training.session import Session, Settings
from models.training.trainer import Trainer

from helpers.training import differences, flat, stop_at
from retouchd.classical import fill
from retouchd.weights import parse_lama

CPU = torch.device("cpu")
pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.timeout(60)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four pictures to train on and two of a source that is held out."""
    where = tmp_path_factory.mktemp("photos")
    for number, source in enumerate(["town", "town", "field", "sea", *[HELD_OUT[0]] * 2]):
        picture = textures.random_texture(np.random.default_rng(number), 160)
        cv2.imwrite(str(where / f"{source}-{number}.png"), picture[..., ::-1])
    return where


@pytest.fixture(scope="module")
def photos(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Photos:
    return open_photos(folder, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def finished(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Session:
    """All steps of the tiny recipe."""
    work = tmp_path_factory.mktemp("finished")
    session = Session(tiny(), Settings(folder, work, CPU, exact=True, log_every=2, check_every=10))
    session.run()
    return session


@pytest.fixture
def begin(folder: Path, tmp_path: Path) -> Callable[..., Session]:
    """A session of the tiny recipe in ``tmp_path``, in float32."""

    def make(recipe: Recipe | None = None, **settings: object) -> Session:
        plain = Settings(folder, tmp_path / "work", CPU, exact=True, log_every=2, check_every=10)
        return Session(recipe or tiny(), replace(plain, **settings))  # type: ignore[arg-type]

    return make


def batch_of(photos: Photos, side: int = 32, size: int = 4) -> Batch:
    return Chunks(photos, seed=3, side=side, size=size)[0]


# Masks and textures


@given(st.integers(0, 2**32 - 1), st.sampled_from([32, 64, 128, 200]))
def test_a_hole_is_binary_and_neither_nothing_nor_everything(seed: int, side: int) -> None:
    hole = masks.random_hole(np.random.default_rng(seed), side)
    assert hole.shape == (side, side)
    assert set(np.unique(hole)) == {0, 255}
    assert masks.LEAST <= (hole > 0).mean() <= masks.MOST


@pytest.mark.parametrize("draw_hole", masks.KINDS)
def test_every_kind_of_hole_marks_something_in_most_draws(draw_hole: masks.Draw) -> None:
    drawn = [draw_hole(np.random.default_rng(seed), 128) for seed in range(40)]
    assert sum(hole.any() for hole in drawn) >= 30
    assert all(set(np.unique(hole)) <= {0, 255} for hole in drawn)


def test_growing_adds_a_border_and_takes_nothing_away() -> None:
    hole = masks.wires(np.random.default_rng(1), 128)
    grown = masks.grown(hole, 5)
    assert (grown >= hole).all()
    distance = cv2.distanceTransform(255 - hole, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    assert distance[grown > 0].max() <= 5.5
    assert grown[distance <= 4.5].all()


@given(st.integers(0, 2**32 - 1))
def test_a_texture_is_a_picture_that_its_seed_decides(seed: int) -> None:
    first, again = (textures.random_texture(np.random.default_rng(seed), 48) for _ in range(2))
    assert first.shape == (48, 48, 3)
    assert first.dtype == np.uint8
    assert (first == again).all()


# Photos and samples


def test_photos_are_decoded_once_and_come_back_as_they_were(folder: Path, tmp_path: Path) -> None:
    first = open_photos(folder, tmp_path)
    written = first.store.stat().st_mtime_ns
    photos = open_photos(folder, tmp_path)
    assert photos.store.stat().st_mtime_ns == written
    for index, entry in enumerate(photos.entries):
        assert (photos[index] == cv2.imread(str(folder / entry.name))[..., ::-1]).all()


def test_no_source_is_both_learned_from_and_held_out(photos: Photos) -> None:
    learned, held = (
        {entry.name.split("-")[0] for entry in part.entries} for part in photos.split()
    )
    assert learned == {"town", "field", "sea"}
    assert held == {HELD_OUT[0]}


def test_a_folder_without_photos_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no photos"):
        open_photos(tmp_path, tmp_path)


def test_a_sample_is_known_outside_its_hole_and_filled_inside(photos: Photos) -> None:
    image, hole, fill_ = sample(np.random.default_rng(4), photos, 64)
    assert (fill_[hole == 0] == image[hole == 0]).all()
    assert (fill_[hole > 0] != image[hole > 0]).any()


def test_the_fill_is_the_products_own_and_knows_nothing_of_the_hole(photos: Photos) -> None:
    image, hole, fill_ = sample(np.random.default_rng(4), photos, 64)
    damaged = np.where(hole[..., None] > 0, np.uint8(255), image)
    assert (filled(damaged, hole) == fill_).all()
    assert (np.round(fill(image, hole) * 255) == fill_).all()


def test_samples_follow_from_seed_side_and_number_alone(photos: Photos) -> None:
    chunks = Chunks(photos, seed=3, side=32, size=2)
    later = chunks[7]
    assert all(torch.equal(*pair) for pair in zip(later, chunks[7], strict=True))
    assert not torch.equal(later.image, chunks[8].image)
    assert not torch.equal(later.image, Chunks(photos, seed=4, side=32, size=2)[7].image)


@pytest.mark.parametrize("reuse", [1, 2])
def test_a_stream_can_be_taken_up_anywhere(photos: Photos, reuse: int) -> None:
    feed = Feed(seed=3, batch=4, reuse=reuse)
    whole = list(batches(photos, feed, 32, 0, 12))
    rest = list(batches(photos, feed, 32, 9, 12))
    assert [len(batch.image) for batch in whole] == [4] * 12
    for batch, again in zip(whole[9:], rest, strict=True):
        assert all(torch.equal(*pair) for pair in zip(batch, again, strict=True))


def test_a_reused_sample_comes_back_later_turned_or_flipped(photos: Photos) -> None:
    stream = list(batches(photos, Feed(seed=3, batch=2, reuse=2), 32, 0, 20))
    fresh = stream[0].image[-1].sum()
    seen = [step for step, batch in enumerate(stream) for one in batch.image if one.sum() == fresh]
    assert seen == [0, 8]


def test_turning_moves_image_hole_and_fill_together(photos: Photos) -> None:
    for batch in batches(photos, Feed(seed=3, batch=2), 32, 0, 6):
        known = (batch.hole == 0).expand_as(batch.image)
        assert torch.equal(batch.image[known], batch.filled[known])


# The network and its losses


def test_an_untrained_network_returns_the_fill(photos: Photos) -> None:
    batch = batch_of(photos)
    model = CompactLama(tiny().shape).eval()
    image, hole, fill_ = (part.float() for part in batch)
    out = model(stacked(image / 255, hole, fill_ / 255))
    assert torch.equal(out, fill_ / 255)


def test_the_network_never_sees_what_is_in_the_hole(photos: Photos) -> None:
    image, hole, fill_ = (part.float() for part in batch_of(photos))
    other = torch.where(hole > 0, 255 - image, image)
    assert torch.equal(stacked(image, hole, fill_), stacked(other, hole, fill_))


def test_a_network_leaves_known_pixels_alone(photos: Photos) -> None:
    image, hole, fill_ = (part.float() for part in batch_of(photos))
    model = CompactLama(tiny().shape).eval()
    torch.nn.init.ones_(model.head.weight)
    out = model(stacked(image / 255, hole, fill_ / 255))
    changed = (out != image / 255).any(1, keepdim=True)
    assert not changed[hole == 0].any()
    assert changed[hole == 1].all()


def test_other_inputs_than_seven_are_refused() -> None:
    with pytest.raises(ValueError, match="7 inputs"):
        CompactLama(replace(tiny().shape, inputs=4))


@pytest.mark.parametrize("recipe", [cpu(), gpu()])
def test_a_preset_is_small_enough_to_ship(recipe: Recipe) -> None:
    with torch.device("meta"):
        weights = sum(t.numel() for t in CompactLama(recipe.shape).state_dict().values())
    assert weights < 10e6
    assert 2 * weights < 16 * 2**20


@pytest.mark.parametrize("preset", PRESETS)
def test_the_stages_of_a_preset_follow_on_one_another(preset: str) -> None:
    recipe = PRESETS[preset]().with_batches(1.0)
    spans = recipe.spans()
    assert [span.first for span in spans] == [0, *(span.last for span in spans[:-1])]
    assert spans[-1].last == recipe.steps
    assert all(stage.batch % recipe.reuse == 0 for stage in recipe.stages)
    rates = [recipe.learning_rate(step) for step in range(recipe.steps + 1)]
    assert max(rates) == recipe.rate
    assert rates[-1] == pytest.approx(recipe.floor * recipe.rate)


def test_l1_and_focal_frequency_are_zero_for_the_truth_and_grow_with_the_error() -> None:
    image = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    hole = torch.zeros(2, 1, 16, 16)
    hole[..., 4:9, 4:9] = 1
    for loss in (
        lambda out: losses.hole_l1(out, image, hole),
        lambda out: losses.focal_frequency(out, image),
    ):
        assert loss(image) == 0
        near, far = loss(image + 0.1 * hole), loss(image + 0.2 * hole)
        assert 0 < near < far
    assert losses.hole_l1(image + 0.1 * hole, image, hole) == pytest.approx(0.1)
    assert losses.hole_l1(image + 0.1 * (1 - hole), image, hole) == 0


def test_detail_counts_how_much_there_is_and_not_where() -> None:
    generator = torch.Generator().manual_seed(0)
    grain, other = (0.5 + 0.1 * torch.randn(1, 3, 64, 64, generator=generator) for _ in range(2))
    smooth, hole = torch.full_like(grain, 0.5), torch.ones(1, 1, 64, 64)
    assert losses.detail(grain, grain, hole) == 0
    assert losses.detail(other, grain, hole) < 0.1 * losses.detail(smooth, grain, hole)


def test_the_critics_judge_only_patches_that_touch_the_hole() -> None:
    hole = torch.zeros(1, 1, 32, 32)
    hole[..., :5, :5] = 1
    real, fake = torch.full((1, 1, 4, 4), 2.0), torch.full((1, 1, 4, 4), 5.0)
    fake[..., 0, 0] = -2
    assert losses.hinge_discriminator(real, fake, hole) == 0
    assert losses.hinge_generator(fake, hole) == 2


def test_gram_is_blind_to_where_things_are_and_feature_matching_is_not() -> None:
    features = torch.rand(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    moved = features.roll(3, 2)
    assert losses.gram([moved], [features]).item() < 1e-6
    assert losses.feature_matching([moved], [features]) > 0.1


def test_the_gradient_penalty_is_that_of_a_linear_critic() -> None:
    real = torch.rand(2, 3, 8, 8, requires_grad=True)
    assert losses.gradient_penalty(3 * real, real).item() == pytest.approx(9 * 3 * 8 * 8)


def test_the_critic_gives_a_verdict_per_patch() -> None:
    verdict, features = PatchDiscriminator(width=8)(torch.rand(2, 3, 64, 48))
    assert verdict.shape == (2, 1, 8, 6)
    assert len(features) == 4


# Training


@pytest.mark.parametrize("short", [False, True], ids=["float32", "bfloat16"])
def test_the_loss_falls(photos: Photos, short: bool) -> None:
    """On the same four samples again and again."""
    trainer = Trainer(replace(tiny(), steps=30, detail=0.0), CPU, short)
    batch = batch_of(photos)
    trainer.calibrate([batch])
    found = [float(trainer.advance(batch, adversarial=False)["l1"]) for _ in range(30)]
    assert found[-1] < 0.85 * found[0]


def test_calibrated_norms_make_training_and_use_the_same(photos: Photos) -> None:
    trainer = Trainer(tiny(), CPU, short=False)
    batch = batch_of(photos, size=8)
    trainer.calibrate([batch])
    seen: list[torch.Tensor] = []
    trainer.model.downs[0].norm_l.register_forward_hook(lambda *args: seen.append(args[2]))
    x = stacked(*trainer.ready(batch))
    assert torch.equal(trainer.model(x), trainer.average(x))
    assert seen[0].mean((0, 2, 3)).abs().max() < 1e-4
    assert (seen[0].var((0, 2, 3)) - 1).abs().max() < 1e-2
    statistics = [b.clone() for b in trainer.model.buffers()]
    trainer.advance(batch, adversarial=False)
    assert all(map(torch.equal, statistics, trainer.model.buffers()))


def test_every_term_of_the_adversarial_stage_is_finite_and_moves_both_networks(
    photos: Photos,
) -> None:
    trainer = Trainer(tiny(), CPU, short=False)
    before = {
        name: t.clone()
        for name, t in flat(trainer.state()).items()
        if "weight" in name and isinstance(t, torch.Tensor)
    }
    terms = trainer.advance(batch_of(photos), adversarial=True)
    painted = {"l1", "frequency", "detail", "adversary", "matching", "gram"}
    assert set(terms) == painted | {"fill", "critic", "penalty"}
    assert all(torch.isfinite(term) for term in terms.values())
    after = flat(trainer.state())
    changed = {name.split("/")[1] for name, t in before.items() if not torch.equal(t, after[name])}
    assert {"model", "critic"} <= changed


def test_the_running_average_lies_between_old_and_new(photos: Photos) -> None:
    trainer = Trainer(tiny(), CPU, short=False)
    old = trainer.average.head.weight.clone()
    trainer.advance(batch_of(photos), adversarial=False)
    new, average = trainer.model.head.weight, trainer.average.head.weight
    torch.testing.assert_close(average, 0.1 * old + 0.9 * new)


def test_an_interrupted_training_ends_in_the_same_state_bit_for_bit(
    begin: Callable[..., Session], finished: Session, tmp_path: Path
) -> None:
    """Weights, average, critic, both optimisers and the generator's state, through both stages."""
    for stop in (7, 15, 20):
        part = begin(work=tmp_path / "parts")
        stop_at(part, stop)
        part.run()
        assert part.trainer.step == stop
    assert differences(finished.trainer.state(), part.trainer.state()) == []
    rows = [
        [row for row in History(p / "history.jsonl").rows() if "score" in row]
        for p in (finished.settings.work, tmp_path / "parts")
    ]
    assert rows[0] == rows[1]


def test_when_the_time_is_up_it_saves_and_stops(begin: Callable[..., Session]) -> None:
    session = begin(minutes=0.0)
    session.run()
    assert session.trainer.step == 0
    state = checkpoint.load(session.settings.work / "last.pt", CPU)
    assert state is not None
    assert state["step"] == 0


def test_a_loss_that_is_not_finite_ends_the_training_and_spares_the_checkpoint(
    begin: Callable[..., Session],
) -> None:
    session = begin(replace(tiny(), frequency=float("nan")), save_every=2)
    with pytest.raises(FloatingPointError, match="step 2"):
        session.run()
    assert not (session.settings.work / "last.pt").exists()


def test_what_is_exported_is_what_scored_best(
    begin: Callable[..., Session], tmp_path: Path
) -> None:
    session = begin()
    session.run()
    best = checkpoint.load(session.settings.work / "best.pt", CPU)
    assert best is not None
    to = tmp_path / "compact.safetensors"
    assert f"step {best['step']}" in export(session.settings.work, to)
    again = read(to).state_dict()
    for name, tensor in best["average"].items():
        torch.testing.assert_close(again[name], tensor, rtol=1e-3, atol=1e-4)


def test_the_service_loads_what_is_exported(finished: Session, tmp_path: Path) -> None:
    to = tmp_path / "compact.safetensors"
    export(finished.settings.work, to)
    assert parse_lama("compact", to, to.read_bytes()).shape == finished.recipe.shape


def test_the_original_names_are_all_there_and_lead_back() -> None:
    model = CompactLama(tiny().shape)
    names = original_names(model)
    assert len(names) == len(model.state_dict())
    assert names["model.1.ffc.convl2l.weight"] is not None
    assert torch.equal(names["model.1.ffc.convl2l.weight"], model.stem.l2l.weight)


def test_a_training_can_begin_with_exported_weights(
    begin: Callable[..., Session], finished: Session, tmp_path: Path
) -> None:
    to = tmp_path / "compact.safetensors"
    export(finished.settings.work, to)
    second = begin(work=tmp_path / "second", begin_with=to, minutes=0.0)
    second.run()
    assert torch.equal(second.trainer.model.head.weight, read(to).head.weight)
    assert torch.equal(second.trainer.average.head.weight, read(to).head.weight)


# What a person looks at


def test_the_fill_scores_one_and_the_truth_scores_best(photos: Photos) -> None:
    batch = validation.held_out(photos, 64, 3)
    fill_, base = validation.scores(batch.filled.float() / 255, batch)
    truth, _ = validation.scores(batch.image.float() / 255, batch)
    assert fill_.against(base) == pytest.approx(1)
    assert (truth.l1, truth.texture) == (0, 0)
    assert truth.against(base) == 0


def test_what_is_held_out_never_changes(photos: Photos) -> None:
    first, again = (validation.held_out(photos, 64, 3) for _ in range(2))
    assert all(torch.equal(*pair) for pair in zip(first, again, strict=True))


def test_a_run_leaves_curves_and_sheets(finished: Session) -> None:
    work = finished.settings.work
    sheets = sorted(path.name for path in (work / "sheets").iterdir())
    assert sheets == ["000010-32.png", "000020-32.png"]
    assert cv2.imread(str(work / "sheets" / sheets[0])).shape == (2 * 32, 8 * 32, 3)
    assert cv2.imread(str(work / "curves.png")) is not None


def test_steps_that_are_done_again_are_not_told_twice(tmp_path: Path) -> None:
    history = History(tmp_path / "history.jsonl")
    for step in (2, 4, 6):
        history.add(step, {"l1": 1 / step})
    history.cut(4)
    assert [row["step"] for row in history.rows()] == [2, 4]
    assert json.loads(history.path.read_text().splitlines()[0]) == {"step": 2, "l1": 0.5}


def test_curves_of_nothing_are_no_file(tmp_path: Path) -> None:
    draw([], tmp_path / "curves.png")
    assert not (tmp_path / "curves.png").exists()
