"""The training of cvunet-compact: it learns, can be interrupted, its samples are what they say."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from models.training import checkpoint, textures
from models.training.history import History
from models.training.matting import losses, scenes, subjects, validation
from models.training.matting.backdrops import random_backdrop
from models.training.matting.command import main
from models.training.matting.export import export, read
from models.training.matting.light import encoded, linear
from models.training.matting.material import Material, held_out, open_material
from models.training.matting.placing import placed
from models.training.matting.recipe import PRESETS, Recipe, tiny
from models.training.matting.scenes import Batch, Chunks, batches, composite, sample
from models.training.matting.session import MattingSettings, Session
from models.training.matting.trainer import Trainer
from models.training.photos import HELD_OUT, open_photos
from models.training.stream import Feed

from helpers.training import differences, flat, stop_at
from retouchd.manifest import ModelSpec
from retouchd.matting_weights import load_cvunet
from retouchd.nets.cvunet import CvUNet, fused

CPU = torch.device("cpu")
pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.timeout(60)]
# By their hash, the first two are learned from and the others held out.
CUTOUTS = ("photo-cat", "photo-lamp-red", "fluent-ant", "photo-pen")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos to learn from, scenery and other, and one of a source that is held out."""
    where = tmp_path_factory.mktemp("photos")
    for number, name in enumerate(["oceanic", "town", HELD_OUT[0]]):
        picture = textures.random_texture(np.random.default_rng(number), 160)
        cv2.imwrite(str(where / f"{name}-{number}.png"), picture[..., ::-1])
    return where


@pytest.fixture(scope="module")
def cutouts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A coloured disc each, of which the left half is half transparent."""
    where = tmp_path_factory.mktemp("cutouts")
    for number, name in enumerate(CUTOUTS):
        picture = np.zeros((60, 60, 4), np.uint8)
        cv2.circle(picture, (30, 30), 20, (40 * number, 90, 200, 255), -1)
        picture[:, :30, 3] //= 2
        cv2.imwrite(str(where / f"{name}.png"), picture)
    return where


@pytest.fixture(scope="module")
def stores(
    photos: Path, cutouts: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Material, Material]:
    return open_material(photos, cutouts, tmp_path_factory.mktemp("cache"), drawn=0.3)


@pytest.fixture(scope="module")
def material(stores: tuple[Material, Material]) -> Material:
    return stores[0]


@pytest.fixture
def begin(photos: Path, cutouts: Path, tmp_path: Path) -> Callable[..., Session]:
    """A session of the tiny recipe in ``tmp_path``, in float32."""

    def make(recipe: Recipe | None = None, **changes: object) -> Session:
        plain = MattingSettings(
            photos, tmp_path / "work", CPU, exact=True, log_every=2, check_every=5, cutouts=cutouts
        )
        return Session(recipe or tiny(), replace(plain, **changes))  # type: ignore[arg-type]

    return make


def batch_of(material: Material, side: int = 64, size: int = 4) -> Batch:
    return Chunks(material, seed=3, side=side, size=size)[0]


# Material


def test_nothing_is_both_learned_from_and_held_out(stores: tuple[Material, Material]) -> None:
    learned, held = stores
    assert {e.name for e in learned.cutouts.entries} == {f"{n}.png" for n in CUTOUTS[:2]}
    assert {e.name for e in held.cutouts.entries} == {f"{n}.png" for n in CUTOUTS[2:]}
    assert {e.name.split("-")[0] for e in held.photos.entries} == {HELD_OUT[0]}
    assert HELD_OUT[0] not in {e.name.split("-")[0] for e in learned.photos.entries}


def test_a_family_of_cutouts_is_held_out_as_a_whole() -> None:
    names = [f"{source}-thing{n}" for source in ("photo", "fluent") for n in range(200)]
    assert all(held_out(f"{n}-red.png") == held_out(f"{n}-blue.png") for n in names)
    assert 0.06 < np.mean([held_out(f"{n}.png") for n in names]) < 0.2


def test_a_stored_cutout_is_shrunk_without_its_surroundings_colour(
    cutouts: Path, tmp_path: Path
) -> None:
    stored = open_photos(cutouts, tmp_path, longest=30, alpha=True)
    for entry, small in zip(stored.entries, map(stored.__getitem__, range(4)), strict=True):
        whole = cv2.imread(str(cutouts / entry.name), cv2.IMREAD_UNCHANGED)
        assert small.shape == (30, 30, 4)
        seen = small[..., 3] > 0
        # Where the disc is seen at all it has the disc's colour, though black lies beside it.
        assert np.abs(small[seen][:, :3].astype(int) - whole[30, 40, 2::-1]).max() <= 1


def test_a_cutout_without_alpha_is_refused(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no cut-out"):
        open_photos(photos, tmp_path, alpha=True)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_a_drawn_subject_is_something_that_its_seed_decides(material: Material, seed: int) -> None:
    first, again = (
        subjects.random_subject(np.random.default_rng(seed), material) for _ in range(2)
    )
    assert first.shape == (subjects.SIDE, subjects.SIDE, 4)
    assert first.dtype == np.uint8
    assert (first == again).all()
    assert first[..., 3].max() > 40


def test_sheer_things_are_half_transparent_and_furry_ones_only_at_their_outline(
    material: Material,
) -> None:
    def opaque(make: Callable[..., np.ndarray]) -> float:
        planes = [make(np.random.default_rng(n), material)[..., 3] for n in range(8)]
        return float(np.mean([(p == 255).sum() / (p > 20).sum() for p in planes]))

    assert opaque(subjects.sheer) < 0.3
    assert 0.3 < opaque(subjects.furry) < 0.95


# Composites


def test_linear_light_and_back_is_what_it_was() -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.abs(encoded(linear(ramp)) - ramp).max() < 0.25


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_a_sample_is_grey_and_empty_beside_the_photo(material: Material, seed: int) -> None:
    planes = sample(np.random.default_rng(seed), material, 64)
    image, alpha, contrast, shown = np.split(planes, [3, 4, 5], axis=2)
    assert planes.dtype == np.uint8
    assert set(np.unique(shown)) <= {0, 1}
    assert shown.any(axis=(1, 2)).all() or shown.any(axis=(0, 2)).all()
    beside = shown[..., 0] == 0
    assert (image[beside] == 128).all()
    assert not alpha[beside].any()
    assert not contrast[beside].any()


def test_the_alpha_explains_the_picture(
    material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the camera touches it: light = alpha · subject + (1 − alpha) · backdrop."""
    seen: list[tuple[np.ndarray, np.ndarray]] = []
    plain = scenes.photographed
    monkeypatch.setattr(scenes, "photographed", lambda *args: seen.append(args[1:]) or plain(*args))
    for seed in range(12):
        composite(np.random.default_rng(seed), material, 48, 48)
        behind, layer = scenes._layers(np.random.default_rng(seed), material, 48, 48)
        light, cover = seen.pop()
        assert np.allclose(cover, layer[..., 3])
        assert np.allclose(light[cover < 1e-6], behind[cover < 1e-6], atol=1e-5)
        assert np.allclose(light[cover == 1], layer[cover == 1][:, :3], atol=1e-5)


def test_some_samples_show_nothing_and_some_subjects_run_out_of_the_frame(
    material: Material,
) -> None:
    planes = [sample(np.random.default_rng(n), material, 48)[..., 3] for n in range(120)]
    nothing = sum(not alpha.any() for alpha in planes)
    assert 1 <= nothing <= 24
    assert sum(alpha[:, 0].any() or alpha[0].any() for alpha in planes) >= 5


def test_a_shadow_takes_light_and_gives_none() -> None:
    cover = np.zeros((64, 64), np.float32)
    cover[20:40, 20:40] = 1
    for seed in range(10):
        left = scenes.shadow(np.random.default_rng(seed), cover)
        assert left.min() >= 0
        assert left.min() < 0.97
        assert left.max() <= 1
    nothing = scenes.shadow(np.random.default_rng(0), 0 * cover)
    assert (nothing == 1).all()


def test_a_placed_subject_is_premultiplied(material: Material) -> None:
    for seed in range(10):
        layer = placed(np.random.default_rng(seed), material.cutouts[0], 50, 70)
        assert layer.shape == (50, 70, 4)
        assert (layer[..., :3] <= layer[..., 3:] + 1e-5).all()


@pytest.mark.parametrize(("height", "width"), [(64, 64), (40, 64), (64, 33)])
def test_a_backdrop_fills_its_frame(material: Material, height: int, width: int) -> None:
    for seed in range(15):
        light, _ = random_backdrop(np.random.default_rng(seed), material, height, width)
        assert light.shape == (height, width, 3)
        assert light.min() >= 0
        assert light.max() <= 1.001


def test_samples_follow_from_seed_side_and_number_alone(material: Material) -> None:
    chunks = Chunks(material, seed=3, side=32, size=2)
    later = chunks[7]
    assert all(torch.equal(*pair) for pair in zip(later, chunks[7], strict=True))
    assert not torch.equal(later.image, chunks[8].image)
    assert not torch.equal(later.image, Chunks(material, 4, 32, 2)[7].image)


@pytest.mark.parametrize("reuse", [1, 2])
def test_a_stream_can_be_taken_up_anywhere(material: Material, reuse: int) -> None:
    feed = Feed(seed=3, batch=2, reuse=reuse)
    whole = list(batches(material, feed, 32, 0, 6))
    rest = list(batches(material, feed, 32, 4, 6))
    for batch, again in zip(whole[4:], rest, strict=True):
        assert all(torch.equal(*pair) for pair in zip(batch, again, strict=True))


# Losses


@pytest.fixture(scope="module")
def truth() -> torch.Tensor:
    truth = torch.zeros(2, 1, 64, 64)
    truth[..., 20:44, 16:40] = 1
    return truth


def test_every_loss_is_zero_for_the_truth_and_grows_with_the_error(truth: torch.Tensor) -> None:
    wrong = (
        truth + 0.3 * torch.rand(truth.shape, generator=torch.Generator().manual_seed(0))
    ) / 1.3
    near = (truth + wrong) / 2
    ones = torch.ones_like(truth)
    for loss in (
        lambda a: losses.weighted_l1(a, truth, ones),
        lambda a: losses.cross_entropy(a, truth, ones),
        lambda a: losses.laplacian(a, truth),
        lambda a: losses.gradient(a, truth),
        lambda a: losses.composition(a, truth, ones),
        lambda a: losses.overlap(a, truth),
    ):
        assert loss(truth) < 2e-4
        assert loss(truth) < loss(near) < loss(wrong)


def test_the_band_lies_around_the_edge_and_nowhere_else(truth: torch.Tensor) -> None:
    band = losses.band(truth, 4)
    assert band[..., 19:21, 16:40].all()
    assert not band[..., 30:34, 26:30].any()
    assert not band[..., :12, :].any()
    assert not losses.band(torch.zeros_like(truth), 4).any()


def test_finding_nothing_where_there_is_nothing_costs_nothing() -> None:
    nothing = torch.zeros(1, 1, 8, 8)
    assert losses.overlap(nothing, nothing) == 0
    assert losses.overlap(nothing + 1, nothing) > 0.9


def test_composition_counts_where_colours_differ(truth: torch.Tensor) -> None:
    contrast = torch.zeros_like(truth)
    contrast[..., :32, :] = 1
    wrong = truth.clone()
    wrong[..., 40:44, 16:40] = 0
    assert losses.composition(wrong, truth, contrast) == 0
    assert losses.composition(wrong, truth, 1 - contrast) > 0


# Training


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_follows_from_stage_to_stage_and_is_small(preset: str) -> None:
    recipe = PRESETS[preset]().with_batches(1.0)
    spans = recipe.spans()
    assert [span.first for span in spans] == [0, *(span.last for span in spans[:-1])]
    assert spans[-1].last == recipe.steps
    assert all(span.stage.batch % recipe.reuse == 0 for span in spans)
    with torch.device("meta"):
        assert sum(p.numel() for p in CvUNet(recipe.shape).parameters()) <= 5e6


def test_the_rate_rises_holds_and_falls() -> None:
    recipe = replace(tiny(), steps=100, warmup=10, hold=0.5)
    rates = [recipe.learning_rate(step) for step in range(101)]
    assert rates[:10] == sorted(rates[:10])
    assert set(rates[10:51]) == {recipe.rate}
    assert rates[50:] == sorted(rates[50:], reverse=True)
    assert rates[-1] == pytest.approx(recipe.floor * recipe.rate)


@pytest.mark.parametrize("short", [False, True], ids=["float32", "bfloat16"])
def test_the_loss_falls(material: Material, short: bool) -> None:
    """On the same samples again and again."""
    trainer = Trainer(replace(tiny(), steps=25), CPU, short)
    batch = batch_of(material)
    found = [sum(map(float, trainer.advance(batch).values())) for _ in range(25)]
    assert found[-1] < 0.8 * found[0]


def test_it_begins_with_what_is_likely_and_looks_far_only_once_it_has_learned_to() -> None:
    model = Trainer(tiny(), CPU, short=False).model.eval()
    with torch.inference_mode():
        said = model(torch.zeros(1, 3, 64, 64))
    assert 0.1 < said.alpha.mean() < 0.35
    assert 0.1 < torch.sigmoid(said.coarse).mean() < 0.35
    for far in model.context.far:
        assert far.conv.weight[..., 1, 1].count_nonzero() == far.conv.weight.count_nonzero() > 0


def test_depthwise_convolutions_stay_exact_where_the_others_are_short(material: Material) -> None:
    short, exact = (Trainer(tiny(), CPU, short) for short in (True, False))
    block = short.model.encoder.blocks[3]
    seen: list[torch.dtype] = []
    for part in (block.depthwise, block.project):
        part.conv.register_forward_hook(lambda *args: seen.append(args[2].dtype))
    short.advance(batch_of(material))
    assert seen == [torch.float32, torch.bfloat16]
    assert short.model.state_dict().keys() == exact.model.state_dict().keys()


def test_what_lies_beside_the_photo_is_nobodys_business(material: Material) -> None:
    trainer = Trainer(tiny(), CPU, short=False)
    given = trainer.ready(batch_of(material))
    assert (given.image * (1 - given.shown) == 0).all()
    said = trainer.model(given.image)
    other = said._replace(alpha=torch.where(given.shown > 0, said.alpha, 1 - said.alpha))
    assert trainer.terms(said, given) == trainer.terms(other, given)


def test_the_settled_average_normalises_what_it_is_used_on(material: Material) -> None:
    trainer = Trainer(tiny(), CPU, short=False)
    batch = batch_of(material, size=8)
    for _ in range(3):
        trainer.advance(batch)
    before = {k: v.clone() for k, v in flat(trainer.state()).items() if torch.is_tensor(v)}
    net = trainer.settled([batch])
    seen: list[torch.Tensor] = []
    net.encoder.stem.norm.register_forward_hook(lambda *args: seen.append(args[2]))
    net(trainer.ready(batch).image)
    norm = trainer.average.encoder.stem.norm
    plain = (seen[0].mean((0, 2, 3)) - norm.bias).abs().max()
    assert plain < 1e-3
    assert not net.training
    after = flat(trainer.state())
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


def test_the_trained_network_says_the_same_fused(material: Material) -> None:
    trainer = Trainer(tiny(), CPU, short=False)
    batch = batch_of(material)
    for _ in range(3):
        trainer.advance(batch)
    net = trainer.settled([batch])
    image = trainer.ready(batch).image
    with torch.inference_mode():
        assert (net(image).alpha - fused(net)(image).alpha).abs().max() < 1e-4


def test_an_interrupted_training_ends_in_the_same_state_bit_for_bit(
    begin: Callable[..., Session], tmp_path: Path
) -> None:
    """Weights, average, optimiser and the generator's state, through both stages; looking at it
    in between changes nothing."""
    whole = begin(work=tmp_path / "whole")
    whole.run()
    for stop in (4, 8, 10):
        part = begin(work=tmp_path / "parts", check_every=3)
        stop_at(part, stop)
        part.run()
        assert part.trainer.step == stop
    assert differences(whole.trainer.state(), part.trainer.state()) == []
    rows = [History(tmp_path / p / "history.jsonl").rows() for p in ("whole", "parts")]
    last = [[r for r in each if "score" in r and r["step"] == 10] for each in rows]
    assert last[0] == last[1] != []


def test_the_service_loads_what_is_exported(begin: Callable[..., Session], tmp_path: Path) -> None:
    session = begin(replace(tiny(), steps=4))
    session.run()
    best = checkpoint.load(session.settings.work / "best.pt", CPU)
    assert best is not None
    to = tmp_path / "cvunet.safetensors"
    assert f"step {best['step']}" in export(session.settings.work, to)
    net = load_cvunet(ModelSpec("m", "cvunet", to, hashlib.sha256(to.read_bytes()).hexdigest()))
    assert net.shape == session.recipe.shape
    assert not net.training
    for name, weight in net.state_dict().items():
        whole = best["average"][name]
        assert torch.equal(weight, whole.half().float() if whole.dim() > 1 else whole), name
    second = begin(work=tmp_path / "second", begin_with=to, minutes=0.0)
    second.run()
    assert torch.equal(second.trainer.model.head.weight, read(to).head.weight)
    sheets = sorted((session.settings.work / "sheets").iterdir())
    assert cv2.imread(str(sheets[0])).shape == (160, 8 * 160, 3)


def test_the_commands_train_and_export(photos: Path, cutouts: Path, tmp_path: Path) -> None:
    work, to = tmp_path / "work", tmp_path / "net.safetensors"
    given = ["--photos", str(photos), "--cutouts", str(cutouts), "--work", str(work)]
    quick = ["--preset", "tiny", "--steps", "2", "--threads", "1", "--device", "cpu", "--exact"]
    assert main(["train", *given, *quick]) == 0
    assert (work / "curves.png").exists()
    assert main(["export", "--work", str(work), "--to", str(to)]) == 0
    assert read(to).shape == tiny().shape


def test_an_export_needs_a_best(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        export(tmp_path, tmp_path / "net.safetensors")


# Validation


def test_the_truth_scores_best_and_nothing_worse(stores: tuple[Material, Material]) -> None:
    batch = validation.held_out(stores[1], 64, 6)
    again = validation.held_out(stores[1], 64, 6)
    assert all(torch.equal(*pair) for pair in zip(batch, again, strict=True))
    truth = validation.measure(batch.alpha / 255, batch)
    assert (truth.iou, truth.sad, truth.mse, truth.band) == (pytest.approx(1), 0, 0, 0)
    nothing = validation.measure(torch.zeros(batch.alpha.shape), batch)
    assert nothing.total > truth.total
    assert nothing.sad == pytest.approx(float(batch.alpha.float().sum()) / 255 / 6 / 1000)
