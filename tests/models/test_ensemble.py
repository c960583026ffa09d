import numpy as np
import pytest

import keras_concatplexer as kcp
from keras_concatplexer.models.ensemble import predict_ensemble


class Recorder:
    """A model whose one logit says whether its image was in slot 0."""

    def __init__(self, num_mux):
        self.num_mux = num_mux
        self.calls = []

    def predict(self, images, batch_size, verbose):
        assert batch_size % self.num_mux == len(images) % self.num_mux == 0
        numbers = images[:, 0, 0, 0].astype(int)
        self.calls.append(numbers.reshape(-1, self.num_mux))
        slots = np.arange(len(images)) % self.num_mux
        return np.stack([slots == 0, numbers], axis=-1).astype("float32")


@pytest.mark.parametrize("num_mux, num_images", [(1, 3), (2, 6), (4, 10), (4, 2)])
def test_every_image_takes_every_slot_once(num_mux, num_images):
    model = Recorder(num_mux)
    numbers = np.arange(num_images).reshape(-1, 1, 1, 1)
    logits = predict_ensemble(model, num_mux, numbers, num_permutations=3, batch_size=5)
    assert len(model.calls) == 3 * num_mux
    # In a fraction 1 / N of the passes an image is in slot 0, filler or not.
    np.testing.assert_allclose(logits[:, 0], 1 / num_mux)
    np.testing.assert_allclose(logits[:, 1], np.arange(num_images))
    for number in range(3):
        calls = model.calls[number * num_mux : (number + 1) * num_mux]
        groups = {tuple(sorted(group)) for call in calls for group in call}
        assert len(groups) == len(calls[0])
    if num_mux < num_images:
        assert num_mux == 1 or np.any(model.calls[0] != model.calls[num_mux])


def test_the_seed_decides():
    numbers = np.arange(8).reshape(-1, 1, 1, 1)
    calls = []
    for seed in (0, 0, 1):
        model = Recorder(2)
        predict_ensemble(model, 2, numbers, 1, seed=seed)
        calls.append(model.calls[0])
    np.testing.assert_array_equal(calls[0], calls[1])
    assert np.any(calls[0] != calls[2])


@pytest.mark.parametrize("num_mux, scope", [(2, "image"), (1, "group")])
@pytest.mark.usefixtures("eager")
def test_without_neighbours_it_is_predict(tiny_vit, images, scramble, num_mux, scope):
    model = kcp.ConcatPlexer(tiny_vit, num_mux, attention_scope=scope)
    scramble(model)
    expected = model.predict(images(5), verbose=0)
    logits = model.predict_ensemble(images(5), num_permutations=2, batch_size=3)
    assert logits.shape == (5, 10) and logits.dtype == "float32"
    np.testing.assert_allclose(logits, expected, atol=1e-5)


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("kind", [kcp.ConcatPlexer, kcp.ImageMultiplexerViT])
def test_one_group_answers_alike_in_any_order(tiny_vit, images, scramble, kind):
    model = scramble(kind(tiny_vit, num_mux=2))
    inputs = images(2)
    both = [
        model.predict(inputs[order], verbose=0)[order] for order in ([0, 1], [1, 0])
    ]
    assert np.abs(both[0] - both[1]).max() > 1e-3
    logits = model.predict_ensemble(inputs, num_permutations=2)
    np.testing.assert_allclose(logits, np.mean(both, axis=0), atol=1e-5)
    swapped = model.predict_ensemble(inputs[::-1], num_permutations=1)
    np.testing.assert_allclose(swapped[::-1], logits, atol=1e-5)


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"num_permutations": 0}, "`num_permutations` must be a positive integer"),
        ({"batch_size": 0}, "`batch_size` must be a positive integer"),
        ({"images": np.zeros((0, 1, 1, 1))}, r"one at least. Received: shape=\(0, "),
        ({"images": np.zeros((2, 1))}, r"Received: shape=\(2, 1\)"),
    ],
)
def test_errors(changed, message):
    arguments = {
        "model": Recorder(2),
        "num_mux": 2,
        "images": np.zeros((2, 1, 1, 1)),
        "num_permutations": 1,
    }
    with pytest.raises(ValueError, match=message):
        predict_ensemble(**{**arguments, **changed})
