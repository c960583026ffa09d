"""Installs the library and the exporter; `train` and `benchmarks` run from here."""

import pathlib
import re

from setuptools import find_packages, setup

ROOT = pathlib.Path(__file__).parent
VERSION = re.search(
    r'__version__ = "(.+)"', (ROOT / "keras_concatplexer" / "version.py").read_text()
).group(1)

setup(
    name="keras-concatplexer",
    version=VERSION,
    description="Several images in one forward pass of a Vision Transformer",
    long_description=(ROOT / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=find_packages(
        include=[
            "keras_concatplexer",
            "keras_concatplexer.*",
            "savedmodel_export",
            "savedmodel_export.*",
        ]
    ),
    # serve.sh, docker-compose.yml and monitoring.config.
    package_data={"savedmodel_export.serving": ["templates/*"]},
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
        "setuptools<81",
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
        ],
    },
)
