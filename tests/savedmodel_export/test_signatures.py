import numpy as np
import pytest
import tensorflow as tf

import keras_concatplexer as kcp
from savedmodel_export.signatures import CLASSIFY_METHOD, ServingModule

KINDS = (
    *("group", "image"),
    *(pytest.param(kind, marks=pytest.mark.large) for kind in ("vit", "plain")),
)


def check(outputs, logits, class_names):
    """The outputs of a signature against the live model's logits."""
    assert {name: value.dtype.kind for name, value in outputs.items()} == {
        "features": "f",
        "logits": "f",
        "probabilities": "f",
        "class_ids": "i",
        "classes": "O",
    }
    assert outputs["logits"].dtype == outputs["probabilities"].dtype == "float32"
    assert outputs["class_ids"].dtype == "int32"
    assert all(len(value) == len(logits) for value in outputs.values())
    np.testing.assert_allclose(outputs["logits"], logits, atol=1e-4)
    probabilities = np.asarray(tf.nn.softmax(logits))
    np.testing.assert_allclose(outputs["probabilities"], probabilities, atol=1e-5)
    np.testing.assert_array_equal(outputs["class_ids"], logits.argmax(-1))
    names = np.array(class_names)[outputs["class_ids"]]
    assert outputs["classes"].tolist() == np.char.encode(names).tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_flat_images_of_any_number(make_served, pixels, kind):
    served = make_served(kind)
    for batch_size in (1, 2, 5, 9):
        images = pixels[:batch_size].astype("float32")
        outputs = served.answer("serving_default", images)
        check(outputs, served.live(images), served.class_names)


@pytest.mark.parametrize("kind", KINDS)
def test_groups_are_rows(make_served, pixels, kind):
    served = make_served(kind)
    num_mux = 1 if kind == "vit" else 2
    images = pixels[: 4 * num_mux].astype("float32")
    logits = served.live(images).reshape(4, num_mux, 10)
    groups = images.reshape(4, num_mux, 16, 16, 3)
    check(served.answer("serve_groups", groups), logits, served.class_names)
    # A row is its own: others in the batch do not matter.
    for row in range(4):
        alone = served.answer("serve_groups", groups[row : row + 1])
        np.testing.assert_allclose(alone["logits"][0], logits[row], atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_encoded_images_answer_as_their_pixels(make_served, pixels, encoded, kind):
    served = make_served(kind)
    for batch_size in (1, 5):
        outputs = served.answer("serve_bytes", encoded[:batch_size])
        check(outputs, served.live(pixels[:batch_size]), served.class_names)


@pytest.mark.parametrize("kind", KINDS)
def test_classify_takes_examples(make_served, pixels, encoded, example, kind):
    served = make_served(kind)
    outputs = served.answer("classify", [example(image) for image in encoded[:5]])
    assert set(outputs) == {"classes", "scores"}
    expected = np.asarray(tf.nn.softmax(served.live(pixels[:5])))
    np.testing.assert_allclose(outputs["scores"], expected, atol=1e-5)
    names = [name.encode() for name in served.class_names]
    assert outputs["classes"].tolist() == [names] * 5


def test_classify_without_an_image_is_an_invalid_argument(make_served):
    empty = tf.train.Example().SerializeToString()
    with pytest.raises(tf.errors.InvalidArgumentError, match="image/encoded"):
        make_served("vit").answer("classify", [empty])


def test_an_elastic_model_answers_at_each_n(make_served, pixels, encoded):
    served = make_served("elastic")
    assert sum("_n" in name for name in served.signatures) == 9
    for n in (1, 2, 4):
        live = served.model.at(n)
        for batch_size in (1, 5):
            logits = np.asarray(live(served.preprocessor(pixels[:batch_size])))
            images = pixels[:batch_size].astype("float32")
            check(served.answer(f"predict_n{n}", images), logits, served.class_names)
            # The others of an N differ from it in how they get their images alone.
            if n == 4:
                outputs = served.answer(f"serve_bytes_n{n}", encoded[:batch_size])
                check(outputs, logits, served.class_names)
        if n != 4:
            continue
        images = pixels[:8].astype("float32")
        logits = np.asarray(live(served.preprocessor(images))).reshape(-1, n, 10)
        groups = images.reshape(-1, n, 16, 16, 3)
        outputs = served.answer(f"serve_groups_n{n}", groups)
        check(outputs, logits, served.class_names)


@pytest.mark.parametrize("kind", ["group", "image"])
def test_values_that_are_not_finite(make_served, pixels, kind):
    served, images = make_served(kind), pixels[:4].astype("float32")
    expected = served.answer("serving_default", images)["logits"]
    images[2, 0, 0, 0] = np.nan
    if kind == "group":
        # They would spoil the answer of image 3, which belongs to its group.
        with pytest.raises(tf.errors.InvalidArgumentError, match="finite in image"):
            served.answer("serving_default", images)
        # A row is its own, so here others are safe.
        groups = images.reshape(2, 2, 16, 16, 3)
        rows = served.answer("serve_groups", groups)["logits"]
        np.testing.assert_allclose(rows[0], expected[:2], atol=1e-5)
        assert np.isnan(rows[1]).all()
        return
    logits = served.answer("serving_default", images)["logits"]
    assert np.isnan(logits[2]).all()
    others = [0, 1, 3]
    np.testing.assert_allclose(logits[others], expected[others], atol=1e-5)


@pytest.mark.large
@pytest.mark.parametrize("kind", ["image", "group"])
def test_200_random_companies(make_served, kind):
    served, rng = make_served(kind), np.random.default_rng(0)
    pool = rng.uniform(0, 255, (32, 2, 16, 16, 3)).astype("float32")
    # What is alone in a request: an image, or a group where that is what is answered.
    alone = np.concatenate([served.live(group[None, 0]) for group in pool])
    groups = np.stack([served.live(group) for group in pool])
    worst, flips, spoilt = {}, 0, 0
    for _ in range(200):
        chosen = rng.integers(0, len(pool), rng.integers(1, 18))
        bad = rng.integers(0, len(chosen)) if len(chosen) > 1 else None
        for name in ("serving_default", "serve_groups"):
            given = pool[chosen, 0] if name == "serving_default" else pool[chosen]
            if name == "serve_groups":
                expected = groups[chosen]
            else:
                expected = alone[chosen] if kind == "image" else served.live(given)
            answers = served.answer(name, given)
            assert np.isfinite(answers["logits"]).all()
            difference = np.abs(answers["logits"] - expected).max()
            difference /= np.abs(expected).max()
            worst[name] = max(worst.get(name, 0), difference)
            flips += (answers["class_ids"] != expected.argmax(-1)).sum()
            if bad is None or (kind, name) == ("group", "serving_default"):
                # Flat images that are not finite are refused there.
                continue
            given[bad] = np.nan
            others = np.arange(len(chosen)) != bad
            logits = served.answer(name, given)["logits"]
            assert np.isnan(logits[bad]).all()
            spoilt += (~np.isfinite(logits[others])).sum()
            np.testing.assert_allclose(logits[others], expected[others], atol=1e-4)
    words = {name: f"{value:.1e}" for name, value in worst.items()}
    print(f"\n{kind} scope: {words} of the logits, {flips} flips, {spoilt} spoilt")
    assert max(worst.values()) < 1e-5 and flips == spoilt == 0


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_input_dtype_and_channels(channels, encode):
    preprocessor = kcp.preprocessing.ImagePreprocessor((8, 8, channels))

    def predict(images):
        brightness = tf.reduce_mean(images, (1, 2))[:, :1]
        return {"logits": brightness * tf.constant([[1.0, -1.0]])}

    module = ServingModule(
        *({1: predict}, [], preprocessor, ["bright", "dark"], 1), input_dtype="uint8"
    )
    images = np.arange(128, dtype="uint8").reshape(2, 8, 8, 1).repeat(channels, -1)
    outputs = module.functions["serving_default"](images)
    assert outputs["classes"].numpy().tolist() == [b"dark"] * 2
    # Encoded images have one channel or three.
    assert ("serve_bytes" in module.signatures) == (channels != 4)
    if channels != 4:
        gray = [encode(image[..., 0]) for image in images]
        decoded = module.functions["serve_bytes"](tf.constant(gray))
        np.testing.assert_allclose(decoded["logits"], outputs["logits"], atol=1e-6)


def test_the_budget_of_bytes(encode):
    preprocessor = kcp.preprocessing.ImagePreprocessor((8, 8, 3))
    image = encode(np.zeros((8, 8, 3), "uint8"))
    size = len(image)

    def predict(images):
        return {"logits": images[:, 0, 0, :2]}

    for max_bytes in (size, size - 1):
        module = ServingModule(
            *({1: predict}, [], preprocessor, ["a", "b"], 1),
            max_bytes=max_bytes,
        )
        serve = module.functions["serve_bytes"]
        if max_bytes == size:
            assert serve(tf.constant([image]))["logits"].shape == (1, 2)
            continue
        with pytest.raises(tf.errors.InvalidArgumentError, match=f"{size - 1}.*bytes"):
            serve(tf.constant([image]))


@pytest.mark.parametrize("kind", KINDS)
def test_the_graph_is_made_of_standard_operations(make_served, kind):
    from tensorflow.core.protobuf import saved_model_pb2

    content = (make_served(kind).version / "saved_model.pb").read_bytes()
    (meta_graph,) = saved_model_pb2.SavedModel.FromString(content).meta_graphs
    library = meta_graph.graph_def.library.function
    nodes = [*meta_graph.graph_def.node]
    nodes += [node for function in library for node in function.node_def]
    functions = {function.signature.name for function in library}
    registered = set(tf.raw_ops.__dict__)
    for operation in {node.op for node in nodes} - functions:
        assert operation in registered, operation
        assert "PyFunc" not in operation and not operation.startswith("Xla")
        assert "Table" not in operation
    compiled = [f for f in library if f.attr["_XlaMustCompile"].b]
    compiled += [node for node in nodes if node.attr["_XlaMustCompile"].b]
    assert not compiled
    methods = {k: v.method_name for k, v in meta_graph.signature_def.items()}
    assert methods["classify"] == CLASSIFY_METHOD
    assert methods["serving_default"] == "tensorflow/serving/predict"
    # The stages stay readable in the names of the operations.
    names = {part for node in nodes for part in node.name.split("/")}
    if kind == "plain":
        assert any("demultiplexer" in name for name in names)
    elif kind == "vit":
        assert {"backbone", "head"} <= names
    else:
        assert {"patchifier", "multiplexer", "backbone", "demultiplexer"} <= names
