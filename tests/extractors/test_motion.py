"""Classical features count what is there."""

import math

import numpy as np
import pytest
import torch

pytest.importorskip("cv2")

import cv2
from varkit_extractors.motion import Motion


def textured(height, width, shift=(0, 0)):
    """Smooth noise, ``(H, W, 3)``, moved right and down by whole pixels."""
    noise = np.random.default_rng(0).integers(256, size=(height + 40, width + 40), dtype=np.uint8)
    smooth = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2), None, 0, 255, cv2.NORM_MINMAX)
    right, down = shift
    part = smooth[20 - down : 20 - down + height, 20 - right : 20 - right + width]
    return np.repeat(part[..., None], 3, -1)


def streams(*pictures):
    clip = torch.from_numpy(np.stack(pictures))[None]
    return {name: rows[0].numpy() for name, rows in Motion()(clip).items()}


@pytest.mark.parametrize("size", [(16, 16), (128, 128), (128, 227), (301, 170)])
def test_each_stream_sums_to_one_for_pictures_of_any_size(size):
    for name, row in streams(textured(*size), textured(*size, (2, 1))).items():
        assert row.min() >= 0
        assert row.sum() == pytest.approx(1), name


def test_a_red_picture_is_red_and_has_no_gradient():
    red = np.zeros((128, 128, 3), np.uint8)
    red[..., 0] = 255
    made = streams(red, red)
    assert made["colour"][48] == 1
    assert not made["gradients"].any()
    half = red.copy()
    half[:, 64:] = (0, 64, 200)
    assert streams(half, half)["colour"][[48, 4 + 3]].tolist() == [0.5, 0.5]


def test_a_still_clip_is_still_and_stays_still_when_it_gets_darker():
    still = textured(128, 170)
    assert streams(still, still)["flow"][0] == 1
    assert streams(still, still - still // 50)["flow"][0] > 0.99


@pytest.mark.parametrize(
    ("shift", "column"),
    [
        *[((1, 0), 1), ((-1, 0), 5)],  # slow: 8 px a second of 128
        *[((3, 0), 9), ((3, 3), 10), ((0, 3), 11), ((-3, 0), 13), ((0, -3), 15)],
        *[((10, 0), 17), ((0, 10), 19)],
    ],
)
def test_a_shift_puts_the_pixels_into_the_column_of_its_direction_and_speed(shift, column):
    flow = streams(textured(128, 170), textured(128, 170, shift))["flow"]
    assert flow.argmax() == column
    assert flow[column] > 0.8


def test_gradients_equal_a_loop_over_pixels():
    pictures = textured(33, 47), textured(33, 47, (4, 1))
    expected = np.zeros((4, 4, 8))
    for grey in (picture[..., 0].astype(int) for picture in pictures):
        for y in range(1, 32):
            for x in range(1, 46):
                across, down = grey[y, x + 1] - grey[y, x - 1], grey[y + 1, x] - grey[y - 1, x]
                nearest = round(math.degrees(math.atan2(down, across)) / 22.5) % 8
                cell = 4 * (y - 1) // 31, 4 * (x - 1) // 45
                expected[(*cell, nearest)] += math.hypot(across, down)
    np.testing.assert_allclose(
        streams(*pictures)["gradients"], expected.ravel() / expected.sum(), atol=1e-6
    )


def test_an_upright_edge_is_of_the_first_orientation_in_its_cells():
    picture = np.zeros((128, 128, 3), np.uint8)
    picture[:, 80:] = 255
    gradients = streams(picture, picture)["gradients"].reshape(4, 4, 8)
    np.testing.assert_allclose(gradients[:, 2, 0], 0.25, atol=0.01)


def test_the_number_of_threads_and_earlier_clips_change_nothing():
    clips = torch.randint(256, (2, 2, 128, 170, 3), dtype=torch.uint8)
    motion, before = Motion(), cv2.getNumThreads()
    try:
        made = []
        for threads in (1, 2, 5, 2):
            cv2.setNumThreads(threads)
            made.append(motion(clips)["flow"])
            motion(clips[:, :, :32, :32])
    finally:
        cv2.setNumThreads(before)
    assert all(torch.equal(again, made[0]) for again in made)
