"""Installs the library and its applications; `benchmarks` runs from the checkout.

The folder `train` is installed as `keras_concatplexer_train`: a package named `train`
would take that name from everything else in the environment. Its modules import each
other relatively, so that they work under both names.
"""

import pathlib
import re

from setuptools import find_packages, setup

ROOT = pathlib.Path(__file__).parent
VERSION = re.search(
    r'__version__ = "(.+)"', (ROOT / "keras_concatplexer" / "version.py").read_text()
).group(1)
TRAIN = "keras_concatplexer_train"

setup(
    name="keras-concatplexer",
    version=VERSION,
    description="Several images in one forward pass of a Vision Transformer",
    long_description=(ROOT / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3.11",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
    package_dir={TRAIN: "train"},
    packages=[
        *find_packages(include=["keras_concatplexer", "keras_concatplexer.*"]),
        *find_packages(include=["savedmodel_export", "savedmodel_export.*"]),
        TRAIN,
        *(f"{TRAIN}.{name}" for name in find_packages("train")),
    ],
    package_data={
        "keras_concatplexer": ["py.typed"],
        "savedmodel_export": ["py.typed"],
        # serve.sh, docker-compose.yml and monitoring.config.
        "savedmodel_export.serving": ["templates/*"],
    },
    entry_points={
        "console_scripts": [
            f"concatplexer-train = {TRAIN}.__main__:run",
            "concatplexer-export = savedmodel_export.__main__:run",
            "concatplexer-score = savedmodel_export.scoring.__main__:run",
            "concatplexer-client = savedmodel_export.client.__main__:run",
        ]
    },
    python_requires=">=3.11",
    install_requires=[
        "tensorflow>=2.20,<2.21",
        "keras>=3.15,<3.16",
        "keras-cv==0.9.0",
        "tensorflow-datasets>=4.9.10",
        "tensorboard>=2.20,<2.21",
        # The messages of warmup records and models.config.
        "tensorflow-serving-api>=2.20,<2.21",
        "absl-py",
        # TensorBoard 2.20 still imports pkg_resources.
        "setuptools>=70,<81",
        # TFDS needs it to prepare a builder that lives inside a package.
        "importlib_resources",
    ],
    extras_require={
        # What a user does: train (digits, plots, tables), ask a server, score images.
        "train": ["matplotlib", "rich", "scikit-learn"],
        "serving": ["rich", "urllib3"],
        "scoring": ["fsspec", "pyarrow", "rich"],
        "beam": ["apache-beam>=2.77,<2.78"],
        "hub": ["keras-hub==0.32.0"],
        "formats": ["onnx", "onnxruntime", "openvino", "tf2onnx"],
        # The other runtimes of `benchmarks.speed.throughput`; `make` has no need
        # of them, and what is missing is left out.
        "bench": [
            "matplotlib",
            "nncf",
            "onnx",
            "onnxruntime",
            "openvino",
            "rich",
            "tf2onnx",
            "torch",
        ],
        "test": [
            "jax",
            "markdown-it-py",
            "pillow",
            "pytest",
            "pytest-cov",
            "pytest-xdist",
            "pyyaml",
            "ruff",
            "trustme",
        ],
        # What whoever keeps this project does: `make docs`, `make dist`.
        "docs": ["furo", "myst-nb", "sphinx"],
        "release": ["build", "twine", "wheel"],
    },
)
