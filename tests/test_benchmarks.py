import doctest
import importlib
import json

import keras
import numpy as np
import pytest

from benchmarks import limits, nets, steps
from benchmarks.__main__ import PARTS, RESULTS
from benchmarks.contenders import stock

MODULES = ("contenders", "guard", "limits", "table", "timing")


def hand_computed():
    """4 × 4 × 1 → 2 × 2 × 2 → 4 × 4 × 1: along each axis the kernel meets 3 + 2 entries."""
    settings = {"kernel_size": 3, "strides": 2, "padding": "same"}
    image = keras.Input((4, 4, 1))
    x = keras.layers.Conv2D(2, **settings)(image)
    return keras.Model(image, keras.layers.Conv2DTranspose(1, **settings)(x))


@pytest.mark.parametrize("module", MODULES)
def test_examples(module):
    failed, tried = doctest.testmod(importlib.import_module(f"benchmarks.{module}"))
    assert tried
    assert not failed


def test_operations_of_a_net_by_hand():
    # 5 · 5 · 2 products a layer; forward and kernel, then forward, kernel and input.
    assert limits.operations(hand_computed(), batch_size=1) == 2 * (2 + 3) * 50


def test_traffic_of_a_net_by_hand():
    forward = (16 + 8) + (8 + 16)
    backward = (16 + 8) + (8 + 16 + 8)  # the first layer's input gets no gradient
    weights = (9 * 2 + 2) + (9 * 2 + 1)
    assert limits.traffic(hand_computed(), batch_size=1) == 4 * (forward + backward + 10 * weights)


@pytest.mark.parametrize("net", nets.BUILDERS)
def test_products_are_those_that_a_convolution_of_ones_sums_up(net):
    for layer in nets.build(net).layers:
        if isinstance(layer, limits.CONVOLUTIONS):
            config = {**layer.get_config(), "activation": "linear", "use_bias": False}
            ones = type(layer).from_config({**config, "kernel_initializer": "ones"})
            summed = np.sum(ones(np.ones((1, *layer.input.shape[1:]), "float32")))
            assert limits.products(layer) == summed


def test_losses_that_differ_are_not_timed():
    right = np.linspace(0.2, 0.1, steps.CHECKED_STEPS)
    close = right * [1.000001, 1.001, 1, 1, 1]
    assert steps.check("strided", {"ours": right, "keras": close}) == pytest.approx(1e-6)
    for wrong in (right * 1.0001, right * [1, 1, 1, 1, 1.1], right * np.nan):
        with pytest.raises(ArithmeticError, match="strided: pytorch has the losses"):
            steps.check("strided", {"ours": right, "pytorch": wrong})


@pytest.mark.parametrize("net", nets.BUILDERS)
def test_stock_layers_make_the_same_net(net):
    ours, theirs = nets.build(net), stock.build(net)
    theirs.set_weights(ours.get_weights())
    images = nets.images()[:20]
    np.testing.assert_allclose(theirs(images), ours(images), atol=1e-6)


def test_each_part_has_its_results():
    results = json.loads(RESULTS.read_text())
    assert results.keys() - {"machine"} == PARTS.keys()
    for name, part in PARTS.items():
        assert part.report(results[name])
    assert results["steps"]["nets"].keys() == nets.BUILDERS.keys()
    assert results["limits"]["nets"].keys() == nets.BUILDERS.keys()
