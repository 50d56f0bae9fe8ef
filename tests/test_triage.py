"""The odd cut-outs are told from the good ones, with reasons that a person understands."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retouchd.triage import triage


def _disc(*circles, size=(300, 400), blur=1.5):
    alpha = np.zeros(size, np.float32)
    for x, y, radius in circles:
        cv2.circle(alpha, (x, y), radius, 1.0, -1)
    return cv2.GaussianBlur(alpha, (0, 0), blur)


def test_one_clear_subject_in_the_middle_is_beyond_doubt() -> None:
    verdict = triage(_disc((200, 150, 80)))

    assert verdict.confidence > 0.95
    assert verdict.reasons == ()


def test_a_portrait_may_end_at_the_lower_border() -> None:
    assert triage(_disc((200, 290, 150))).reasons == ()


@pytest.mark.parametrize(
    ("alpha", "reason"),
    [
        (np.zeros((50, 60), np.float32), "empty"),
        (np.ones((50, 60), np.float32), "nothing was cut out"),
        (_disc((200, 150, 10)), "tiny: 0.3%"),
        (_disc((200, 150, 80)) * 0.5, "half transparent"),
        (_disc((200, 150, 90), blur=40), "half transparent"),
        (_disc((100, 150, 60), (300, 150, 60)), "2 separate parts"),
        (_disc((200, 20, 80)), "runs out of the photo at the top"),
        (_disc((10, 150, 80), (395, 150, 80)), "at the left and the right"),
        (1 - _disc((200, 150, 60)), "cut off on all sides"),
        (_disc((200, 150, 80), *[(20 + 30 * n, 20, 3) for n in range(12)]), "12 crumbs"),
        (_disc((200, 150, 80), (30, 30, 4)), "a crumb lies"),
    ],
)
def test_what_is_odd_costs_confidence_and_is_named(alpha, reason: str) -> None:
    verdict = triage(alpha)

    assert verdict.confidence < 0.98
    assert any(reason in said for said in verdict.reasons)


@pytest.mark.parametrize(
    "alpha",
    [
        np.zeros((50, 60), np.float32),
        np.ones((50, 60), np.float32),
        np.full((50, 60), 0.5, np.float32),
        _disc((200, 150, 80)) * 0.5,
        cv2.GaussianBlur(np.random.default_rng(0).random((300, 300)).astype(np.float32), (0, 0), 5),
    ],
)
def test_what_is_useless_is_sent_to_a_person(alpha) -> None:
    assert triage(alpha).confidence < 0.2


def test_the_verdict_does_not_depend_on_the_photos_size() -> None:
    small = triage(_disc((200, 150, 80), (50, 50, 20)))
    large = triage(cv2.resize(_disc((200, 150, 80), (50, 50, 20)), (2000, 1500)))

    assert abs(small.confidence - large.confidence) < 0.1
    assert len(small.reasons) == len(large.reasons)


def test_the_worst_reason_comes_first() -> None:
    verdict = triage(_disc((10, 150, 80), (300, 150, 60)) * 0.5)

    assert "half transparent" in verdict.reasons[0]
    assert len(verdict.reasons) > 1


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 9))
def test_any_alpha_has_a_verdict(height, width, seed) -> None:
    alpha = np.random.default_rng(seed).random((height, width)).astype(np.float32)

    assert 0 <= triage(alpha).confidence <= 1


def test_bytes_are_judged_as_floats_are() -> None:
    grey = (_disc((10, 150, 80), (300, 150, 60)) * 200).astype(np.uint8)

    bytewise, floating = triage(grey), triage(grey.astype(np.float32) / 255)

    assert abs(bytewise.confidence - floating.confidence) < 0.01
    assert bytewise.reasons == floating.reasons
