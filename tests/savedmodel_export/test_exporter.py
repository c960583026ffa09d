import hashlib
import json
import pathlib
import resource
import subprocess
import sys

import keras
import pytest
import tensorflow as tf

import keras_concatplexer as kcp
from savedmodel_export import export, exporter
from savedmodel_export.fused.cpu import multiplies_bfloat16
from savedmodel_export.model_card import read_model_card
from savedmodel_export.serving.configuration import write_serving_files
from savedmodel_export.verify.verification import VerificationError
from tests.flops.closed_form import formula

NAMES = [f"class {i}" for i in range(10)]


@pytest.fixture
def preprocessor():
    return kcp.preprocessing.ImagePreprocessor((16, 16, 3))


@pytest.fixture
def classifier():
    """A model that is exported at once: any Keras classifier will do."""
    return keras.Sequential(
        [keras.Input((16, 16, 3)), keras.layers.Flatten(), keras.layers.Dense(10)]
    )


@pytest.mark.parametrize("kind", ["group", "elastic"])
def test_every_weight_is_stored_once(make_served, kind):
    served = make_served(kind)
    stored = sum(p.stat().st_size for p in served.version.glob("variables/*.data-*"))
    assert stored < 1.05 * sum(v.numpy().nbytes for v in served.model.variables)


def test_the_card_of_an_elastic_model(make_served):
    card = read_model_card(make_served("elastic").version)
    assert card["num_mux"] == 2
    gmacs = card["gmacs_per_image_at"]
    assert gmacs["1"] > card["gmacs_per_image"] == gmacs["2"] > gmacs["4"]
    # A batch that the server pads is whole groups at every N.
    assert card["allowed_batch_sizes"] == [4, 8, 16, 32]


def test_what_a_version_holds(make_served):
    served = make_served("group")
    assert served.version.name == "1"
    names = {path.name for path in served.version.parent.iterdir()}
    assert names == {"1", "serving", ".savedmodel_export"}
    files = {str(p.relative_to(served.version)) for p in served.version.rglob("*.*")}
    assert files == {
        *("saved_model.pb", "fingerprint.pb", "model_card.json"),
        *("variables/variables.index", "variables/variables.data-00000-of-00001"),
        *("assets.extra", "assets.extra/labels.txt"),
    }
    # It is what lets a running server join the requests of clients.
    assert (make_served("image").version / "batching_params.pbtxt").exists()
    labels = (served.version / "assets.extra" / "labels.txt").read_text()
    assert labels.splitlines() == list(served.class_names)


def test_the_model_card(make_served):
    served = make_served("group")
    card = json.loads((served.version / "model_card.json").read_text())
    assert card["model"]["type"] == "ConcatPlexer"
    assert card["model"]["attention_scope"] == "group"
    assert "vit" not in card["model"]
    assert card["mixes_images"] is True
    assert card["parameters"] == served.model.count_params()
    assert card["gmacs_per_image"] == pytest.approx(
        formula(served.model).gmacs_per_image
    )
    assert card["allowed_batch_sizes"] == [2, 4, 8, 16, 32]
    assert card["versions"]["tensorflow"] == tf.__version__
    weights = served.version / "variables" / "variables.data-00000-of-00001"
    assert card["weights_sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()


def test_an_n_that_the_model_has_not(make_vit, preprocessor, tmp_path):
    model = kcp.ElasticConcatPlexer(make_vit(), (1, 2))
    with pytest.raises(ValueError, match="one of 1, 2. Received: default_num_mux=4"):
        export(model, preprocessor, NAMES, tmp_path, default_num_mux=4)


@pytest.mark.usefixtures("unverified")
def test_versions_count_up_and_old_ones_go(classifier, preprocessor, tmp_path, fill):
    for number in (5, 6, 7):
        fill(tmp_path / "model" / str(number))
    write_serving_files(tmp_path / "model", stable=5)
    version = export(
        *(classifier, preprocessor, NAMES, tmp_path / "model"),
        keep=1,
        input_dtype="uint8",
        details={"test_accuracy": 0.5},
    )
    assert version == tmp_path / "model" / "8"
    names = {path.name for path in version.parent.iterdir()}
    assert names == {"5", "8", "serving", ".savedmodel_export"}
    card = json.loads((version / "model_card.json").read_text())
    assert card["test_accuracy"] == 0.5
    # 16 x 16 x 3 values, 10 classes.
    assert card["gmacs_per_image"] == pytest.approx(7680 / 1e9)
    signature = tf.saved_model.load(str(version)).signatures["serving_default"]
    assert signature.structured_input_signature[1]["images"].dtype == tf.uint8


def test_nothing_is_published_when_the_answers_differ(
    classifier, preprocessor, tmp_path, monkeypatch
):
    monkeypatch.setattr(exporter, "default_tolerance", lambda precision: -1.0)
    with pytest.raises(VerificationError, match="difference of .* allowed -1e"):
        export(classifier, preprocessor, NAMES, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".savedmodel_export"]


@pytest.mark.usefixtures("unverified")
@pytest.mark.parametrize("fuse", [True, pytest.param(False, marks=pytest.mark.large)])
def test_the_card_tells_how_it_is_computed(make_vit, preprocessor, tmp_path, fuse):
    precision = "bfloat16" if fuse and multiplies_bfloat16() else "float32"
    version = export(
        *(make_vit(), preprocessor, NAMES, tmp_path), fuse=fuse, precision=precision
    )
    card = json.loads((version / "model_card.json").read_text())
    assert (card["fused"], card["precision"]) == (fuse, precision)


@pytest.mark.usefixtures("unverified")
def test_a_model_of_mixed_precision(
    make_vit, preprocessor, tmp_path, global_dtype_policy, scramble
):
    global_dtype_policy("mixed_bfloat16")
    version = export(*(scramble(make_vit()), preprocessor, NAMES, tmp_path), fuse=False)
    card = json.loads((version / "model_card.json").read_text())
    assert card["precision"] == "bfloat16"
    outputs = tf.saved_model.load(str(version)).signatures["serving_default"](
        tf.zeros((1, 16, 16, 3))
    )
    assert outputs["logits"].dtype == tf.float32


def test_errors(classifier, preprocessor, tmp_path):
    with pytest.raises(ValueError, match="each of the model's 10 classes"):
        export(classifier, preprocessor, ["cat"], tmp_path)
    (tmp_path / "file").write_text("")
    target = pathlib.Path(tmp_path, "file", "export")
    with pytest.raises(ValueError, match="cannot be written: Not a directory"):
        export(classifier, preprocessor, NAMES, target)
    for wrong in (
        {"input_dtype": "int8"},
        {"keep": 0},
        {"max_pixels": 0},
        {"max_bytes": 0},
    ):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            export(classifier, preprocessor, NAMES, tmp_path, **wrong)


def test_a_read_only_target_is_one_clear_error(classifier, preprocessor):
    # Nobody can make a folder there, an administrator neither.
    with pytest.raises(ValueError, match="/proc/self/out cannot be written: "):
        export(classifier, preprocessor, NAMES, "/proc/self/out")


def test_a_full_target_is_one_clear_error(classifier, preprocessor, tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(ValueError, match="cannot be written: .*File too large"):
            export(classifier, preprocessor, NAMES, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in tmp_path.iterdir()] == [".savedmodel_export"]


VIT_B16 = """
import json, resource, sys, time
import keras_concatplexer as kcp
from savedmodel_export import export

vit = kcp.vit.keras_cv_vit("vit_b16", image_shape=(224, 224, 3), num_classes=1000)
preprocessor = kcp.preprocessing.ImagePreprocessor((224, 224, 3))
started = time.monotonic()
version = export(vit, preprocessor, [str(i) for i in range(1000)], sys.argv[1])
seconds = time.monotonic() - started
# KiB of this process and of the one that verifies.
memory = sum(
    resource.getrusage(who).ru_maxrss
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
)
print(json.dumps({"seconds": seconds, "gib": memory / 2**20}))
"""


@pytest.mark.large
def test_time_and_memory_of_vit_b16(tmp_path):
    result = subprocess.run(
        [sys.executable, "-c", VIT_B16, str(tmp_path)],
        check=True,
        stdout=subprocess.PIPE,
    )
    used = json.loads(result.stdout.splitlines()[-1])
    assert used["seconds"] < 60
    assert used["gib"] < 4
