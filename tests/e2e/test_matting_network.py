"""A matting network of one's own through the real command: its alpha is what comes out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from helpers.spool import Spool
from helpers.studio import OPAQUE, clutter, deep_file, file, pixels_of, product, rough
from helpers.tiny_network import SHAPE, install
from retouchd.enlarging import enlarge
from retouchd.fit import Fit
from retouchd.fitting import photo_part, picture_of, place
from retouchd.matte_painter import network_input
from retouchd.nets.cvunet import CvUNet, fused

FIT = Fit(128, multiple_of=32)
PHOTOS = {f"photo{number}.png": product(number) for number in range(4)}
LANES = {"fp32": "fp32", "bf16": "bf16", "auto": "auto"}


def random_network() -> CvUNet:
    torch.manual_seed(3)
    net = CvUNet(SHAPE).eval()
    with torch.no_grad():
        net.head.weight.mul_(5)
    return net


def expected(net: CvUNet, photo: np.ndarray) -> np.ndarray:
    """The network's alpha at the photo's size [H, W]."""
    placement = place(photo.shape[:2], FIT)
    picture, shown = picture_of(photo, placement)
    with torch.inference_mode():
        batch = torch.from_numpy(network_input(picture, shown))[None]
        found = fused(net)(batch).alpha[0, 0].numpy()
    return enlarge(photo, photo_part(found, placement), photo_part(picture, placement))


@pytest.fixture(scope="module")
def net() -> CvUNet:
    return random_network()


@pytest.fixture(scope="module")
def spools(make_lanes: Any, net: CvUNet) -> dict[str, Any]:
    """One lane for each precision, after `once` over the same photos."""
    lanes = make_lanes()
    install(lanes.root / "state" / "models", net)
    matte = {"review_below": 0, "despill": False}
    found = {}
    for name, precision in LANES.items():
        found[name] = lanes.lane(name, task="matte", model="mine", precision=precision, matte=matte)
        for photo, pixels in PHOTOS.items():
            found[name].drop(photo, file(pixels))
    found["fp32"].drop("deep.png", deep_file(product(9, depth=16), ".png"))
    found["fp32"].drop("grey.png", file(product(8, channels=1)))
    found["fp32"].drop("masked.png", file(clutter()))
    found["fp32"].drop("masked_mask.png", file(rough()))
    done = lanes.once()
    assert done.returncode == 0, done.stderr
    lanes.known = lanes.jobs()
    found["fp32"].lanes = lanes
    return found


def alpha(spool: Any, name: str) -> np.ndarray:
    [path] = spool.outbox.rglob(name)
    pixels = pixels_of(path.read_bytes()) if name != "grey.png" else grey_with_alpha(path)
    return pixels[..., -1] / np.iinfo(pixels.dtype).max


def grey_with_alpha(path: Path) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.open(path))


@pytest.mark.parametrize("name", PHOTOS)
def test_the_files_alpha_is_the_networks_at_the_photos_size(
    spools: Any, net: CvUNet, name: str
) -> None:
    wanted = expected(net, PHOTOS[name])
    assert np.ptp(wanted) > 0.1, "the network says something"
    off = np.abs(alpha(spools["fp32"], name) - wanted)
    # Where a cell is just about decided, another rounding of the network's sums decides otherwise:
    # it is then interpolated instead of sharpened, which tells alphas under 0.02 apart.
    assert (off <= 1 / 255).mean() > 0.999
    assert off.max() <= 0.02


def test_sixteen_bit_and_grey_photos_are_shown_to_it_alike(spools: Any, net: CvUNet) -> None:
    deep = expected(net, product(9, depth=16))
    assert (np.abs(alpha(spools["fp32"], "deep.png") - deep) <= 1 / 2000).mean() > 0.999
    grey = expected(net, product(8, channels=1))
    assert (np.abs(alpha(spools["fp32"], "grey.png") - grey) <= 1 / 255).mean() > 0.999


@pytest.mark.parametrize("name", PHOTOS)
def test_half_precision_changes_next_to_nothing(spools: Any, name: str) -> None:
    exact, short, auto = (alpha(spools[lane], name) for lane in ("fp32", "bf16", "auto"))
    assert np.abs(exact - short).max() < 0.05
    assert np.abs(exact - short).mean() < 0.005
    assert min(np.abs(auto - exact).max(), np.abs(auto - short).max()) == 0


def test_a_photo_with_a_mask_asks_no_network(spools: Any) -> None:
    jobs = {job["name"]: job for job in spools["fp32"].lanes.known if job["lane"] == "fp32"}
    assert "alpha: network" in jobs["photo0.png"]["notes"]
    assert "precision: fp32" in jobs["photo0.png"]["notes"]
    assert "alpha: closed-form" in jobs["masked.png"]["notes"]
    assert (alpha(spools["fp32"], "masked.png")[OPAQUE] > 0.5).mean() > 0.9


def test_the_job_says_whose_work_it_is(spools: Any) -> None:
    jobs = spools["fp32"].lanes.known
    assert {job["model"] for job in jobs} == {"mine"}
    assert len({job["model_sha256"] for job in jobs}) == 1


def test_weights_that_are_not_the_ones_pinned_are_refused_before_any_photo(
    spool: Any, net: CvUNet
) -> None:
    install(spool.root / ".retouchd" / "models", net, digest="ab" * 32)
    spool.drop("matte/photo.png", file(product()))
    done = spool.once("--model", "mine")
    assert done.returncode == 2
    assert "was expected" in done.stderr
    assert "Traceback" not in done.stderr
    assert spool.files(spool.inbox) == ["matte/photo.png"]


def test_a_matting_model_is_no_model_for_holes(spool: Any, net: CvUNet) -> None:
    install(spool.root / ".retouchd" / "models", net)
    bare = Spool(spool.root, ("--root", str(spool.root)))
    done = bare.once("--set", "lanes.inpaint.model=mine")
    assert done.returncode == 2
    assert "mine is a model for matte, and the lane's task is inpaint" in done.stderr
