"""The wheel in a fresh environment, outside the checkout, as a user has it.

The other packages are those of the environment that runs the tests, so that no network
is needed: CI installs them by pip from the wheel's own requirements.
"""

import pathlib
import subprocess
import sys
import sysconfig
import venv

import pytest

ROOT = pathlib.Path(__file__).parents[2]
FROM_MEMORY = """
import pathlib

import keras
import numpy as np

import keras_concatplexer as kcp
from savedmodel_export import export

assert pathlib.Path(kcp.__file__).is_relative_to({site!r}), kcp.__file__
try:
    import train
except ModuleNotFoundError:
    pass
else:
    raise AssertionError(train.__file__)

pixels = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), "uint8")
size = kcp.vit.ViTSize(16, num_layers=2, num_heads=2, mlp_dim=32, patch_size=4)
vit = kcp.vit.keras_cv_vit(size, image_shape=(16, 16, 3), num_classes=2)
model = kcp.ConcatPlexer(vit, num_mux=2, attention_scope="image")
model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
preprocess = kcp.preprocessing.ImagePreprocessor(image_shape=(16, 16, 3))
model.fit(preprocess(pixels), np.arange(6) % 2, verbose=0)
print(export(model, preprocess, ["cat", "dog"], "served/pets"))

pathlib.Path("photos").mkdir()
for index, image in enumerate(pixels):
    keras.utils.save_img(f"photos/{{index}}.png", image)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", f"--outdir={folder}"]
    # Both, as `make dist`: the wheel is made from the source that is given away.
    subprocess.run([*command, ROOT], check=True, capture_output=True)
    check = [sys.executable, "-m", "twine", "check", "--strict", *folder.iterdir()]
    subprocess.run(check, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory):
    """The folder of a virtual environment with the wheel."""
    folder = tmp_path_factory.mktemp("fresh") / "venv"
    venv.create(folder, with_pip=True, symlinks=True)
    # A path file adds the other packages, and not the checkout that is installed there.
    site = next((folder / "lib").glob("python*")) / "site-packages"
    (site / "others.pth").write_text(sysconfig.get_path("purelib"))
    pip = [folder / "bin" / "pip", "install", "--no-deps", "--no-index", "--quiet"]
    subprocess.run([*pip, "--ignore-installed", wheel], check=True)
    return folder


@pytest.mark.large
def test_the_wheel_does_what_the_checkout_does(environment, tmp_path):
    def run(program, *arguments):
        result = subprocess.run(
            [environment / "bin" / program, *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    site = str(next((environment / "lib").glob("python*")))
    version = run("python", "-c", FROM_MEMORY.format(site=site)).split()[-1]
    run("concatplexer-score", f"--model={version}", "--input=photos", "--output=scores")
    assert (tmp_path / "scores" / "part-00000.parquet").is_file()

    assert "Usage: concatplexer-client [flags] IMAGES..." in run(
        "concatplexer-client", "--help"
    )
    small = ("--train_split=train[:64]", "--validation_split=train[64:96]")
    run(
        *("concatplexer-train", "--dataset=digits", "--data_dir=data", *small),
        *("--test_split=test[:32]", "--model=vit", "--size=vit_nano8", "--epochs=1"),
        *("--warmup_epochs=0", "--workdir=runs/vit"),
    )
    out = run("concatplexer-export", "--workdir=runs/vit", "--export_dir=served/digits")
    assert out.split()[-1] == "served/digits/1"
