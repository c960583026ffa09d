import keras
import numpy as np
import pytest

import keras_concatplexer as kcp
from benchmarks.accuracy.recipe import Recipe, TrainingCost, accuracy, train

RECIPE = Recipe(epochs=2, batch_size=32, flip=True)


@pytest.fixture
def make_tiny(tiny_size, tiny_arrays):
    def make():
        return kcp.vit.keras_cv_vit(
            tiny_size, tiny_arrays.image_shape, tiny_arrays.num_classes
        )

    return make


def test_a_student_learns_and_its_teacher_stays(make_tiny, tiny_arrays):
    teacher, vit = make_tiny(), make_tiny()
    student = kcp.ConcatPlexer(vit, num_mux=2)
    before = [model.get_weights() for model in (teacher, student)]
    cost = train(student, tiny_arrays, RECIPE, teacher=teacher)
    for old, new in zip(before[0], teacher.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert any(
        (old != new).any()
        for old, new in zip(before[1], student.get_weights(), strict=True)
    )
    assert cost.images_seen == 128
    assert cost.seconds > 0 and cost.cpu_seconds > 0
    # The training leaves nothing behind that a saved model would carry.
    assert not student.compiled
    assert 0 <= accuracy(student, tiny_arrays, 32) <= 1


def test_a_teacher_of_shared_layers_is_refused(make_tiny, tiny_arrays):
    vit = make_tiny()
    with pytest.raises(ValueError, match="shares .* weights with the student"):
        train(kcp.ConcatPlexer(vit, num_mux=2), tiny_arrays, RECIPE, teacher=vit)


@pytest.mark.parametrize("epochs, warmup_steps", [(2, 1), (8, 4), (20, 4)])
def test_warmup_is_two_epochs_or_a_quarter(
    make_tiny, tiny_arrays, monkeypatch, epochs, warmup_steps
):
    seen = {}
    monkeypatch.setattr(
        keras.Model, "fit", lambda self, *_, **__: seen.update(model=self)
    )
    train(make_tiny(), tiny_arrays, Recipe(epochs=epochs, batch_size=32))
    schedule = seen["model"].optimizer.get_config()["learning_rate"]["config"]
    assert schedule["warmup_steps"] == warmup_steps
    assert schedule["decay_steps"] == 2 * epochs - warmup_steps


def test_costs_add_up():
    total = TrainingCost(10, 1.25, 2.0) + TrainingCost(5, 1.0, 0.04)
    assert total == TrainingCost(15, 2.2, 2.0)
