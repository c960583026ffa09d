import dataclasses
import json

import numpy as np
import pytest

import keras_concatplexer as kcp
from keras_concatplexer.analysis import interference
from keras_concatplexer.analysis.interference import measure

LABELS = np.arange(16) % 3


def measured(forward, num_mux, labels=LABELS, **kwargs):
    """`Interference` of a function of numbers that stand for the images."""
    kwargs = {"num_draws": 8, "scope": "group", **kwargs}
    images = np.stack([np.arange(len(labels)), labels], axis=-1)
    return measure(forward, images, labels, num_mux, **kwargs)


def one_hot(labels):
    """Logits that leave no doubt."""
    return 50.0 * np.eye(3)[labels]


def by_label(rows):
    return np.eye(3)[rows[:, 1]] + 1.0, one_hot(rows[:, 1])


def by_left_neighbour(rows):
    labels = rows[:, 1].reshape(-1, 2)[:, [0, 0]].reshape(-1)
    return np.eye(3)[labels], one_hot(labels)


def by_slot(rows):
    right = np.arange(len(rows)) % 4 != 2
    return np.ones((len(rows), 2)), one_hot(np.where(right, rows[:, 1], 0))


def test_a_perfect_answer_never_changes():
    result = measured(by_label, num_mux=2)
    assert (result.flip_rate, result.flipped_images, result.spread) == (0, 0, 0)
    assert result.accuracy == 1 and result.feature_similarity == pytest.approx(1)
    assert result.accuracy_same_class.accuracy == 1
    assert result.accuracy_other_class.accuracy == 1


def test_slots_are_compared_on_the_same_images():
    # Every third image is right, wherever it is.
    def forward(rows):
        return np.ones((len(rows), 2)), one_hot(np.zeros(len(rows), int))

    result = measured(forward, num_mux=4)
    assert {slot.accuracy for slot in result.slot_accuracy} == {6 / 16}


def test_answers_of_the_left_neighbour():
    # Slot 0 is right; slot 1 is right with a neighbour of its class alone.
    result = measured(by_left_neighbour, num_mux=2, num_draws=200)
    assert result.slot_accuracy[0].accuracy == 1
    # 15 neighbours for each of 16 images, 5 of them of its class for 6 images, and 4
    # for 10.
    alike = (6 * 5 + 10 * 4) / (16 * 15)
    assert result.slot_accuracy[1].accuracy == pytest.approx(alike, abs=0.05)
    assert result.accuracy == pytest.approx((1 + alike) / 2, abs=0.03)
    assert result.accuracy_same_class.accuracy == 1
    assert result.accuracy_other_class.accuracy == pytest.approx(0.5, abs=0.05)
    # An image's most frequent class is its own: the draws that flip are the wrong.
    assert result.flip_rate == pytest.approx(1 - result.accuracy)
    assert result.flipped_images == 1
    # A coin of this probability, and its cosines: one class or another.
    deviation = (result.accuracy * (1 - result.accuracy)) ** 0.5
    assert result.spread == pytest.approx(deviation, abs=0.02)
    wrong = (1 - result.accuracy) / 2
    cosine = result.accuracy**2 + 2 * wrong**2
    assert result.feature_similarity == pytest.approx(cosine, abs=0.03)


def test_a_slot_that_is_always_wrong():
    labels = np.ones(16, int)
    result = measured(by_slot, num_mux=4, labels=labels, num_draws=10)
    assert [slot.accuracy for slot in result.slot_accuracy] == [1, 1, 0, 1]
    assert [slot.count for slot in result.slot_accuracy] == [40] * 4
    assert result.accuracy == 0.75
    # There is one class only.
    assert result.accuracy_other_class is None
    assert result.accuracy_same_class.count == 2 * 160


def test_counts_of_every_kind_of_neighbour():
    # Each image has its own class.
    result = measured(lambda rows: (rows + 1.0, np.eye(4)[rows[:, 1]]), 2, np.arange(4))
    assert result.accuracy_same_class is None
    assert result.accuracy_other_class.count == 4 * 8


@pytest.mark.parametrize("lead, flips", [(1e-6, False), (1e-3, True)])
def test_a_tie_is_not_a_flip(lead, flips):
    random = np.random.default_rng(0)

    def forward(rows):
        logits = np.zeros((len(rows), 3))
        logits[:, 0] = random.choice([-lead, lead], len(rows))
        return np.ones((len(rows), 2)), logits

    assert (measured(forward, num_mux=2).flip_rate > 0) == flips


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize(
    "kind",
    ["image", "group"]
    + [pytest.param(kind, marks=pytest.mark.large) for kind in ("mixture", "vit")],
)
def test_models(tiny_vit, images, scramble, kind):
    model = scramble(tiny_vit)
    if kind == "mixture":
        model = scramble(kcp.ImageMultiplexerViT(model, num_mux=2))
    elif kind != "vit":
        model = scramble(kcp.ConcatPlexer(model, num_mux=2, attention_scope=kind))
    # 11 images in batches of 4: the last batch is filled.
    arguments = (images(11), LABELS[:11], 3)
    result = interference(model, *arguments, seed=1, batch_size=4)
    assert result.num_images == 11 and result.num_draws == 3
    assert result.scope == ("image" if kind in ("image", "vit") else "group")
    if result.scope == "image":
        assert result.flip_rate == 0 and result.max_spread < 1e-5
        assert result.feature_similarity == pytest.approx(1, abs=1e-6)
        logits = model.predict(images(11), verbose=0)
        assert result.accuracy == np.mean(logits.argmax(-1) == LABELS[:11])
    else:
        assert result.spread > 1e-3 and result.feature_similarity < 1 - 1e-4
    assert len(result.slot_accuracy) == result.num_mux == (1 if kind == "vit" else 2)
    assert (result.accuracy_same_class is None) == (kind == "vit")
    assert len(result.image_spread) == 11
    assert max(result.image_spread) == result.max_spread
    json.dumps(result.to_dict())
    assert "image_spread" not in result.to_dict()
    table = result.table().splitlines()
    assert len(table) == 12 + result.num_mux
    assert ("neighbours of the same class | - |" in result.table()) == (kind == "vit")
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.spread = 0


def test_the_features_are_what_the_head_gets(tiny_vit, images, scramble):
    from keras_concatplexer.analysis.interference import _with_features

    model = scramble(kcp.ConcatPlexer(tiny_vit, num_mux=2))
    features, logits = _with_features(model)(images(4))
    np.testing.assert_array_equal(model.stages.head(features), logits)
    np.testing.assert_allclose(logits, model(images(4)), atol=1e-6)


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"num_draws": 1}, "`num_draws` must be at least 2"),
        ({"num_draws": 2.0}, "`num_draws` must be a positive integer"),
        ({"batch_size": 0}, "`batch_size` must be a positive integer"),
        ({"labels": LABELS[:3]}, r"of shape \(4,\). Received: shape=\(3,\)"),
        ({"labels": LABELS[:4] / 2}, "dtype=float64"),
        ({"images": np.zeros((1, 16, 16, 3))}, "at least 2 of them"),
        ({"images": np.zeros((4, 3))}, r"shape=\(4, 3\)"),
        ({"num_mux": (1, 2)}, r"Pass `model.at\(num_mux=n\)` with n one of \(1, 2\)"),
        ({"model": "vit"}, "must be a ViT classifier"),
    ],
)
def test_errors(same_vit, images, changed, message):
    arguments = {"images": images(4), "labels": LABELS[:4], **changed}
    if "num_mux" in arguments:
        num_mux = arguments.pop("num_mux")
        arguments["model"] = kcp.ElasticConcatPlexer(same_vit, num_mux)
    if "model" not in arguments:
        arguments["model"] = kcp.ConcatPlexer(same_vit, num_mux=2)
    with pytest.raises(ValueError, match=message):
        interference(**arguments)
