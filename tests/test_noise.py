import numpy as np
import pytest

import cae_lessons as cae
from cae_lessons import noise

GREY = np.full((3, 40, 40, 2), 0.5, "float32")


def test_unclipped_noise_is_normal_with_the_asked_deviation():
    drawn = (noise.gaussian(GREY, 0.4, clip=False) - GREY).ravel()
    assert abs(drawn.mean()) < 4 * 0.4 / np.sqrt(drawn.size)
    assert drawn.std() == pytest.approx(0.4, rel=0.03)
    # A normal number lies within one deviation with a probability of 0.683.
    assert (np.abs(drawn) < 0.4).mean() == pytest.approx(0.683, abs=0.02)


def test_clipping_moves_what_is_outside_to_the_end():
    free, clipped = (noise.gaussian(GREY, 0.6, clip=clip) for clip in (False, True))
    assert free.min() < 0
    assert free.max() > 1
    np.testing.assert_array_equal(clipped, np.minimum(np.maximum(free, 0), 1))


@pytest.mark.parametrize(
    ("noisy", "setting"),
    [(noise.gaussian, 0.3), (noise.salt_and_pepper, 0.3), (noise.occluded, 3)],
)
def test_the_seed_decides(noisy, setting):
    first, again, other = noisy(GREY, setting), noisy(GREY, setting), noisy(GREY, setting, seed=1)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert first.dtype == np.float32
    assert first.shape == GREY.shape


@pytest.mark.parametrize("noisy", [noise.gaussian, noise.salt_and_pepper, noise.occluded])
def test_no_noise_changes_nothing(noisy):
    np.testing.assert_array_equal(noisy(GREY, 0), GREY)


def test_salt_and_pepper_are_as_many():
    noisy = noise.salt_and_pepper(np.full((1, 200, 200, 1), 0.5), 0.4)
    assert (noisy == 0).mean() == pytest.approx(0.2, abs=0.01)
    assert (noisy == 1).mean() == pytest.approx(0.2, abs=0.01)


def test_each_image_loses_one_square_and_every_place_is_possible():
    images = np.ones((2000, 5, 6, 1), "float32")
    covered = noise.occluded(images, 3) == 0
    for one in covered[:50, ..., 0]:
        rows, columns = np.flatnonzero(one.any(axis=1)), np.flatnonzero(one.any(axis=0))
        assert one.sum() == 9
        assert np.ptp(rows) == np.ptp(columns) == 2
    corners = {tuple(np.argwhere(one)[0]) for one in covered[..., 0]}
    assert corners == {(y, x) for y in range(3) for x in range(4)}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: noise.gaussian(GREY, -0.1), "deviation must be 0 or more, got -0.1"),
        (lambda: noise.noisy_batches(GREY, float("nan")), "deviation must be 0 or more, got nan"),
        (lambda: noise.salt_and_pepper(GREY, 1.5), "share must be between 0 and 1, got 1.5"),
        (lambda: noise.occluded(GREY, 41), "size must be between 0 and 40, got 41"),
        (lambda: noise.gaussian(GREY * 255, 0.1), "divide them by 255"),
        (lambda: noise.noisy_batches(GREY[0], 0.1), "images must have shape"),
    ],
)
def test_impossible_noise_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def batches(count, **options):
    images = np.linspace(0, 1, 10 * 4, dtype="float32").reshape(10, 2, 2, 1)
    found = noise.noisy_batches(images, 0.1, batch_size=4, **options).take(count)
    return images, [[part.numpy() for part in pair] for pair in found]


def test_batches_pair_fresh_noise_with_clean_images():
    images, pairs = batches(5, clip=False)
    clean = np.concatenate([pair[1] for pair in pairs])
    # 20 images are two passes: each image comes twice.
    assert sorted(clean[:, 0, 0, 0].round(4).tolist()) == sorted(
        2 * images[:, 0, 0, 0].round(4).tolist()
    )
    drawn = np.concatenate([noisy - clean for noisy, clean in pairs])
    assert len(np.unique(drawn.round(5))) > 70  # of 80: no noise comes twice
    assert drawn.std() == pytest.approx(0.1, rel=0.3)


def test_batches_are_the_seeds():
    first, again, other = (batches(3, seed=seed)[1] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.min(first) >= 0
    assert np.max(first) <= 1


def test_a_net_learns_to_take_noise_away(digits):
    images, model = digits.train.images[:600], cae.strided_autoencoder(output="sigmoid", seed=0)
    noisy = noise.gaussian(images[:60], 0.4, clip=False)
    before = cae.mean_squared_error(model, noisy, images[:60])
    options = {"steps": 40, "learning_rate": 0.003, "progress": False}
    run = cae.train(model, noise.noisy_batches(images, 0.4, clip=False), **options)
    assert len(run.loss) == 40
    assert cae.mean_squared_error(model, noisy, images[:60]) < before
    with pytest.raises(ValueError, match=r"lie in \[-.*must lie in \[0, 1\]"):
        cae.train(model, noisy, **options)  # without targets, such images are a mistake
    with pytest.raises(ValueError, match="divide them by 255"):
        cae.train(model, images * 255, images, **options)
