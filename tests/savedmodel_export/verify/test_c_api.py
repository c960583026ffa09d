"""Each export in a process that never imports TensorFlow, by its C library alone."""

import subprocess
import sys

import numpy as np
import pytest

from savedmodel_export.verify.c_api import CApiError, LoadedModel
from savedmodel_export.verify.verification import (
    compare,
    finite,
    relative_difference,
)

PROGRAM = """
import pickle, sys
from savedmodel_export.verify.c_api import CApiError, LoadedModel

with open(sys.argv[1], "rb") as file:
    requests = pickle.load(file)
loaded, answers = {}, []
for version, name, inputs in requests:
    model = loaded.setdefault(version, None) or LoadedModel(version)
    loaded[version] = model
    try:
        answers.append(model.run(name, inputs))
    except CApiError as error:
        answers.append((error.code, str(error)))
with open(sys.argv[2], "wb") as file:
    pickle.dump(answers, file)
assert "tensorflow" not in sys.modules
# TensorFlow's own copy of OpenSSL's functions must not serve these.
assert "_hashlib" not in sys.modules
import hashlib, ssl
assert hashlib.new("sha512", b"text").hexdigest().startswith("eaf2c12742cb8c161bcbd84b")
ssl.create_default_context()
for model in loaded.values():
    model.close()
    model.close()
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Function: list of (version, signature, inputs) -> list of answers or errors."""
    import pickle

    folder = tmp_path_factory.mktemp("c_api")

    def run(requests):
        (folder / "requests").write_bytes(pickle.dumps(requests))
        subprocess.run(
            [sys.executable, "-c", PROGRAM, folder / "requests", folder / "answers"],
            check=True,
        )
        return pickle.loads((folder / "answers").read_bytes())

    return run


def objects(contents):
    array = np.empty(len(contents), object)
    array[:] = contents
    return array


def test_every_signature_answers_as_the_live_model(
    make_served, pixels, encoded, run, example
):
    served = {kind: make_served(kind) for kind in ("vit", "group")}
    floats = pixels[:6].astype("float32")
    requests, expected = [], []
    for kind, one in served.items():
        num_mux = 1 if kind == "vit" else 2
        groups = floats.reshape(-1, num_mux, 16, 16, 3)
        inputs = {
            "serving_default": {"images": floats},
            "serve_groups": {"images": groups},
            "serve_bytes": {"image_bytes": objects(encoded[:6])},
            "classify": {"inputs": objects([example(e) for e in encoded[:6]])},
        }
        for name, value in inputs.items():
            requests.append((str(one.version), name, value))
            expected.append((name, one.live(floats)))
    for answer, (name, logits) in zip(run(requests), expected, strict=True):
        if name == "classify":
            shifted = np.exp(logits - logits.max(-1, keepdims=True))
            scores = shifted / shifted.sum(-1, keepdims=True)
            np.testing.assert_allclose(answer["scores"], scores, atol=1e-5)
            assert answer["classes"][0, 3] == b"class 3"
            continue
        np.testing.assert_allclose(
            answer["logits"].reshape(logits.shape), logits, atol=1e-4
        )
        names = [f"class {i}".encode() for i in logits.argmax(-1)]
        assert answer["classes"].reshape(-1).tolist() == names


def test_errors_have_a_code_and_the_session_lives(make_served, encoded, png_bomb, run):
    version = str(make_served("vit").version)

    def request(*contents):
        return (version, "serve_bytes", {"image_bytes": objects(contents)})

    corrupt, bomb, good = run(
        [request(encoded[0], b"text"), request(png_bomb), request(encoded[0])]
    )
    assert corrupt[0] == 3 and "Not an image" in corrupt[1]
    assert bomb[0] == 3 and "more than] [1048576] [pixels" in bomb[1]
    assert good["logits"].shape == (1, 10)


def test_what_verification_finds(make_served, pixels):
    # In this process both of TensorFlow's libraries are loaded already.
    served = make_served("vit")
    images = pixels[:3].astype("float32")
    answers = {
        "class_names": np.array(served.class_names),
        "inputs_serving_default": images,
        "expected_serving_default/logits": served.live(images),
    }
    assert "expected ['serving_default']" in compare(served.version, answers, 1e-4)
    model = LoadedModel(served.version)
    assert sorted(model.signatures) == [
        *("classify", "serve_bytes", "serve_groups", "serving_default"),
    ]
    assert list(model.signatures["classify"].outputs) == ["classes", "scores"]


def test_errors_of_the_caller(make_served, pixels, tmp_path):
    model = LoadedModel(make_served("vit").version)
    with pytest.raises(ValueError, match="No signature takes arrays of float16"):
        model.run("serving_default", {"images": pixels.astype("float16")})
    model.close()
    model.close()
    with pytest.raises(ValueError, match="This model is closed"):
        model.run("serving_default", {"images": pixels.astype("float32")})
    with pytest.raises(CApiError, match="Could not find SavedModel"):
        LoadedModel(tmp_path / "ü")


def test_what_comparison_allows(make_served, pixels, encoded, example):
    served = make_served("vit")
    images = pixels[:3].astype("float32")
    inputs = {
        "serving_default": images,
        "serve_groups": images[:, None],
        "serve_bytes": objects(encoded[:3]),
        "classify": objects([example(image) for image in encoded[:3]]),
    }
    answers = {"class_names": np.array(served.class_names)}
    for name, value in inputs.items():
        answers[f"inputs_{name}"] = value
        answers[f"expected_{name}/logits"] = served.live(images)
    assert compare(served.version, answers, 1e-4) is None
    # A wrong name is an error under any tolerance.
    answers["class_names"] = np.array(served.class_names[::-1])
    assert "classes in classify inf" in compare(served.version, answers, 0.1)
    answers["class_names"] = np.array(served.class_names)
    answers["expected_serve_groups/logits"] = served.live(images) + 0.01
    assert "logits in serve_groups" in compare(served.version, answers, 1e-4)
    answers["expected_serve_bytes/features"] = np.ones((3, 32), "float32")
    assert "features in serve_bytes" in compare(served.version, answers, 1e-4)


def test_a_difference_is_relative_to_the_largest_logit():
    logits = np.array([[1.0, -4.0]], "float32")
    assert relative_difference(logits + 0.4, logits) == pytest.approx(0.1)
    # A head of zeros: there is nothing to divide by.
    assert relative_difference(logits * 0, logits * 0) == 0
    assert np.isnan(relative_difference(logits * np.nan, logits))


def test_a_model_whose_answers_are_not_finite():
    with pytest.raises(ValueError, match="values that are not finite"):
        finite(np.array([[1.0, np.nan]]), "diverged")
