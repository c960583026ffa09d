"""One step on one and on two replicas, with and without a teacher."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_concatplexer as kcp
from train.distillation import Distillation, load_teacher

WEIGHT, TEMPERATURE = 0.25, 2.0


@pytest.fixture
def teacher(make_vit, scramble):
    return scramble(make_vit())


def one_step(make_vit, teacher, strategy, images):
    """The logs of one SGD step, and the weights after it."""
    labels = np.eye(10, dtype="float32")[: len(images)]
    keras.utils.set_random_seed(0)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    with strategy.scope():
        student = kcp.ConcatPlexer(make_vit(), num_mux=2)
        model = student
        if teacher is not None:
            copy = keras.models.clone_model(teacher)
            copy.set_weights(teacher.get_weights())
            model = Distillation(copy, student, loss, WEIGHT, TEMPERATURE)
        model.compile(
            keras.optimizers.SGD(1.0),
            loss,
            weighted_metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
        )
    dataset = tf.data.Dataset.from_tensors((images, labels))
    expected = expected_loss(student, teacher, images, labels)
    history = model.fit(dataset, verbose=0).history
    return history, student.get_weights(), expected


def expected_loss(student, teacher, images, labels):
    logits = student(images)
    targets = labels * 0.9 + 0.01
    hard = -np.mean(np.sum(targets * tf.nn.log_softmax(logits), -1))
    if teacher is None:
        return hard
    ours = tf.nn.log_softmax(logits / TEMPERATURE).numpy()
    theirs = tf.nn.log_softmax(teacher(images) / TEMPERATURE).numpy()
    soft = np.mean(np.sum(np.exp(theirs) * (theirs - ours), -1)) * TEMPERATURE**2
    return (1 - WEIGHT) * hard + WEIGHT * soft


@pytest.mark.usefixtures("eager")
def test_the_loss_of_a_step(make_vit, teacher, images):
    history, _, expected = one_step(
        make_vit, teacher, tf.distribute.get_strategy(), images(8)
    )
    assert set(history) == {"loss", "accuracy"}
    assert history["loss"][0] == pytest.approx(expected, rel=1e-5)


@pytest.mark.large
@pytest.mark.parametrize("distil", [False, True])
def test_two_replicas_take_the_step_of_one(
    make_vit, teacher, images, two_replicas, distil
):
    one, two = (
        one_step(make_vit, teacher if distil else None, strategy, images(8))
        for strategy in (
            tf.distribute.get_strategy(),
            two_replicas,
        )
    )
    # With SGD at rate 1 the weights move by the gradients.
    for ours, theirs in zip(one[1], two[1], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert set(one[0]) == {"loss", "accuracy"}
    assert one[0]["loss"][0] == pytest.approx(one[2], rel=1e-5)
    assert two[0]["loss"][0] == pytest.approx(one[2], rel=1e-5)


@pytest.mark.usefixtures("eager")
def test_validation_is_the_students_own(make_vit, teacher, images):
    student = make_vit()
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model = Distillation(teacher, student, loss, WEIGHT, TEMPERATURE)
    model.compile(
        "sgd",
        loss,
        weighted_metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
    )
    labels = np.eye(10, dtype="float32")[:8]
    weights = np.array([2.0] * 4 + [0.0] * 4)
    results = model.evaluate(images(8), labels, sample_weight=weights, verbose=0)
    logits = student(images(4))
    expected = np.mean(keras.losses.categorical_crossentropy(labels[:4], logits, True))
    assert results[0] == pytest.approx(expected, rel=1e-5)


def test_a_teacher_of_shared_layers_is_refused(make_vit):
    vit = make_vit()
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    with pytest.raises(ValueError, match="shares \\d+ weights"):
        Distillation(vit, kcp.ConcatPlexer(vit, num_mux=2), loss, 0.5, 1.0)


@pytest.mark.usefixtures("eager")
def test_what_layers_of_the_student_add_to_the_loss_counts(make_vit, teacher, images):
    labels = np.eye(10, dtype="float32")[:8]
    losses = {}
    for in_place_weight in (0.0, 1.0):
        keras.utils.set_random_seed(0)
        student = kcp.ElasticConcatPlexer(
            make_vit(), num_mux=(1, 2), in_place_weight=in_place_weight
        )
        loss = keras.losses.CategoricalCrossentropy(from_logits=True)
        model = Distillation(teacher, student, loss, WEIGHT, TEMPERATURE)
        model.compile(keras.optimizers.SGD(0.0), loss)
        losses[in_place_weight] = model.train_on_batch(images(8), labels)
    student(images(8), training=True)
    (in_place,) = student.losses
    assert in_place > 0.01
    difference = losses[1.0] - losses[0.0]
    assert difference == pytest.approx(float(in_place), rel=1e-4)


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("scope", ["group", "image"])
def test_class_tokens_are_distilled_too(make_vit, teacher, images, scope):
    labels = np.eye(10, dtype="float32")[:5]
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    vit = make_vit()
    student = kcp.ConcatPlexer(vit, num_mux=2, attention_scope=scope)
    losses = []
    for feature_weight in (0.0, 3.0):
        model = Distillation(
            teacher, student, loss, WEIGHT, TEMPERATURE, feature_weight
        )
        model.compile(keras.optimizers.SGD(0.0), loss)
        losses.append(model.train_on_batch(images(5), labels))
    ours, theirs = (
        keras.Model(model.input, model.get_layer("final_norm").output)(images(5))
        for model in (student, teacher)
    )
    expected = np.mean((ours - theirs) ** 2)
    assert expected > 0.01
    assert losses[1] - losses[0] == pytest.approx(WEIGHT * 3 * expected, rel=1e-3)


def test_class_tokens_of_other_widths(teacher):
    narrow = kcp.vit.ViTSize(
        hidden_dim=16, num_layers=1, num_heads=2, mlp_dim=16, patch_size=4
    )
    student = kcp.vit.keras_cv_vit(narrow, (16, 16, 3), 10)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    with pytest.raises(ValueError, match="has 32 features, the student's 16"):
        Distillation(teacher, student, loss, 0.5, 1.0, feature_weight=1.0)


@pytest.fixture(scope="module")
def teacher_workdir(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("teacher")
    kcp.vit.keras_cv_vit("vit_nano4", (16, 16, 3), 3).save(workdir / "best.keras")
    preprocessor = kcp.preprocessing.ImagePreprocessor((16, 16, 3))
    kcp.bundle.write_description(workdir, preprocessor, list("abc"))
    return workdir


def test_a_teacher_of_the_same_data(teacher_workdir):
    preprocessor = kcp.preprocessing.ImagePreprocessor((16, 16, 3))
    assert load_teacher(teacher_workdir, preprocessor, "abc").output_shape == (None, 3)


@pytest.mark.parametrize(
    "images, class_names, message",
    [
        ({"image_shape": (8, 8, 3)}, "abc", r"image_shape: \(16, 16, 3\), here \(8"),
        ({"std": 0.25}, "abc", "std: 0.5, here 0.25"),
        ({}, "abd", r"classes: \('a', 'b', 'c'\), here \('a', 'b', 'd'\)"),
        ({}, "acb", "in the same order"),
    ],
)
def test_a_teacher_of_other_data(teacher_workdir, images, class_names, message):
    options = {"image_shape": (16, 16, 3), **images}
    preprocessor = kcp.preprocessing.ImagePreprocessor(**options)
    with pytest.raises(ValueError, match=message):
        load_teacher(teacher_workdir, preprocessor, tuple(class_names))


def test_the_features_of_an_attention_pooling():
    hub = pytest.importorskip("tests.vit.hub")
    teacher, vit = (
        kcp.vit.keras_hub_vit(hub.make_trained("siglip"), num_classes=3)
        for _ in range(2)
    )
    student = kcp.ConcatPlexer(vit, num_mux=2, attention_scope="image")
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model = Distillation(teacher, student, loss, 1.0, TEMPERATURE, feature_weight=1e6)
    model.compile("sgd", loss)
    inputs = hub.make_images(4, hub.SQUARE)
    difference = np.asarray(teacher.features(inputs)) - student.features(inputs)
    found = model.fit(inputs, np.eye(4, 3), verbose=0).history["loss"][0]
    assert found == pytest.approx(1e6 * np.mean(difference**2), rel=1e-3)
