"""Bundles as training leaves them, and as somebody else may send them."""

import json
import pathlib
import random
import tracemalloc
import zipfile

import keras
import numpy as np
import pytest

import keras_concatplexer as kcp


def test_round_trip(make_vit, images, tmp_path, recwarn):
    model = kcp.ConcatPlexer(make_vit(), num_mux=2)
    model.save(tmp_path / "last.keras")
    preprocessor = kcp.preprocessing.ImagePreprocessor((16, 16, 3), std=0.25)
    kcp.bundle.write_description(tmp_path, preprocessor, ["cat", "dog"])
    recwarn.clear()
    loaded = kcp.bundle.load_model(tmp_path, "last")
    assert not [w for w in recwarn if "build()" in str(w.message)]
    np.testing.assert_array_equal(loaded(images(3)), model(images(3)))
    description = kcp.bundle.read_description(tmp_path)
    assert description.class_names == ("cat", "dog")
    assert description.preprocessor.get_config()["std"] == 0.25
    assert description.dtype_policy == "float32"


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """The files of a bundle with any classifier: dict, name -> bytes."""
    folder = tmp_path_factory.mktemp("bundle")
    model = keras.Sequential(
        [keras.Input((4, 4, 3)), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    model.save(folder / "best.keras")
    preprocessor = kcp.preprocessing.ImagePreprocessor((4, 4, 3))
    kcp.bundle.write_description(folder, preprocessor, ["cat", "dog"])
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def bundle(good, tmp_path):
    for name, content in good.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def test_errors(tmp_path, global_dtype_policy):
    with pytest.raises(ValueError, match="holds no trained model"):
        kcp.bundle.load_model(tmp_path)
    with pytest.raises(ValueError, match="`checkpoint` must be one of"):
        kcp.bundle.load_model(tmp_path, "first")
    preprocessor = kcp.preprocessing.ImagePreprocessor((16, 16, 3))
    kcp.bundle.write_description(tmp_path, preprocessor, ["cat"])
    with pytest.raises(ValueError, match="holds no checkpoint best.keras"):
        kcp.bundle.load_model(tmp_path)
    global_dtype_policy("mixed_bfloat16")
    with pytest.raises(ValueError, match="made under the dtype policy 'float32'"):
        kcp.bundle.load_model(tmp_path)


@pytest.mark.parametrize(
    "names, message",
    [
        ("ab", "Expected a sequence of class names"),
        (["cat"], "each of the model's 2 classes. Received: 1 names"),
        (["cat", "dog\nbird"], "one line of text"),
        (["cat", "dog\u2028"], "one line of text"),
        (["cat", " "], "one line of text"),
        (["cat", 3], "one line of text"),
        (["cat", "do\udcff"], "valid Unicode"),
        (["Sea lion", "sea  LION "], "differ in more than case and spaces"),
    ],
)
def test_names_of_classes(names, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        kcp.bundle.check_class_names(names, 2)
    kcp.bundle.check_class_names(["=cat", "$dog$"], 2)


def changed(**entries):
    def change(content):
        return json.dumps(json.loads(content) | entries).encode()

    return change


def without(name):
    def change(content):
        return json.dumps({k: v for k, v in json.loads(content).items() if k != name})

    return lambda content: change(content).encode()


def lambda_layer(code):
    return {
        "module": "keras.layers",
        "class_name": "Lambda",
        "registered_name": None,
        "config": {"function": {"class_name": "__lambda__", "config": {"code": code}}},
    }


def other_object(module, class_name, **config):
    return {
        "module": module,
        "class_name": class_name,
        "config": config,
        "registered_name": class_name,
    }


WRONG_DESCRIPTIONS = {
    "empty": lambda content: b"",
    "cut": lambda content: content[:-20],
    "binary": lambda content: bytes(range(256)),
    "list": lambda content: b"[]",
    "null": lambda content: b"null",
    "deep": lambda content: b"[" * 200_000,
    "large": lambda content: b" " * 2**27,
    "no preprocessor": without("preprocessor"),
    "no names": without("class_names"),
    "preprocessor is text": changed(preprocessor="ImagePreprocessor"),
    "names are a number": changed(class_names=7),
    "names are numbers": changed(class_names=[1, 2]),
    "names are a text": changed(class_names="cat"),
    "names of two lines": changed(class_names=["cat\ndog", "bird"]),
    "policy is a number": changed(dtype_policy=16),
    "policy is unknown": changed(dtype_policy="float99"),
    "a lambda": changed(preprocessor=lambda_layer("4wEAAAA=")),
    "os.system": changed(preprocessor=other_object("os", "system", command="touch x")),
    "a dense layer": changed(preprocessor=other_object("keras.layers", "Dense")),
    "a function": changed(
        preprocessor=other_object("keras.utils", "get_file", origin="file:///etc/hosts")
    ),
}


@pytest.mark.parametrize("kind", WRONG_DESCRIPTIONS)
def test_a_wrong_description_is_one_message(bundle, kind, monkeypatch):
    monkeypatch.chdir(bundle)
    path = bundle / "bundle.json"
    path.write_bytes(WRONG_DESCRIPTIONS[kind](path.read_bytes()))
    files = set(bundle.iterdir())
    with pytest.raises(ValueError) as caught:
        kcp.bundle.read_description(bundle)
    message = str(caught.value)
    assert message.startswith(f"{path} is damaged or not of this program: ")
    assert len(message) < 500 and "\n" not in message
    assert set(bundle.iterdir()) == files


def rewritten(content, **members):
    """A .keras file with other members."""
    path = pathlib.Path("rewritten.zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        pathlib.Path("before.zip").write_bytes(content)
        with zipfile.ZipFile("before.zip") as old:
            for name in old.namelist():
                new.writestr(name, members.pop(name.replace(".", "_"), old.read(name)))
    return path.read_bytes()


def with_config(config):
    text = config if isinstance(config, bytes) else json.dumps(config).encode()
    return lambda content: rewritten(content, config_json=text)


WRONG_MODELS = {
    "empty": lambda content: b"",
    "text": lambda content: b"a model",
    "cut": lambda content: content[:-100],
    "zeros": lambda content: content[:200] + bytes(800) + content[1000:],
    "a list": with_config([]),
    "null": with_config(None),
    "wrong types": with_config({"module": 3, "class_name": [], "config": "text"}),
    "a lambda": with_config(lambda_layer("4wEAAAA=")),
    "os.system": with_config(other_object("os", "system", command="touch hacked")),
    "no model": with_config(
        other_object("keras.layers", "Dense", units=2, name="dense")
    ),
    "bomb": with_config(b" " * 2**28),
    "no weights": lambda content: rewritten(content, model_weights_h5=b"none"),
}


@pytest.mark.parametrize("kind", WRONG_MODELS)
def test_a_wrong_model_is_one_message(bundle, kind, monkeypatch, tmp_path_factory):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    path = bundle / "best.keras"
    path.write_bytes(WRONG_MODELS[kind](path.read_bytes()))
    files = set(bundle.iterdir())
    tracemalloc.start()
    try:
        with pytest.raises(ValueError) as caught:
            kcp.bundle.load_model(bundle)
        assert tracemalloc.get_traced_memory()[1] < 2**27
    finally:
        tracemalloc.stop()
    message = str(caught.value)
    assert message.startswith(f"{path} is damaged or not of this program: ")
    assert len(message) < 500 and "\n" not in message
    assert set(bundle.iterdir()) == files
    assert not list(pathlib.Path().glob("hacked"))


@pytest.mark.parametrize("name", ["bundle.json", "best.keras"])
def test_flipped_bits_give_a_message_or_a_model(bundle, good, name):
    rng = random.Random(0)
    refused = 0
    for _ in range(40):
        content = bytearray(good[name])
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        (bundle / name).write_bytes(content)
        try:
            kcp.bundle.load_model(bundle)
        except ValueError as error:
            refused += 1
            assert name in str(error) or "dtype policy" in str(error)
    assert refused > 5
