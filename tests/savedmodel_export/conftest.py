"""Exported models that many tests share: an export takes seconds."""

import dataclasses
import functools
import io
import json
import pathlib

import keras
import numpy as np
import PIL.Image
import pytest

from savedmodel_export import exporter

CLASS_NAMES = tuple(f"class {i}" for i in range(10))


@dataclasses.dataclass(frozen=True)
class Served:
    """An exported model and what it was made of."""

    model: keras.Model
    preprocessor: keras.layers.Layer
    version: pathlib.Path
    class_names: tuple = CLASS_NAMES

    @functools.cached_property
    def signatures(self):
        import tensorflow as tf

        # The loaded object must outlive its signatures.
        object.__setattr__(self, "loaded", tf.saved_model.load(str(self.version)))
        return self.loaded.signatures

    def answer(self, name, inputs):
        """A signature's answers as arrays."""
        import tensorflow as tf

        outputs = self.signatures[name](tf.constant(inputs))
        return {key: value.numpy() for key, value in outputs.items()}

    def live(self, images):
        """The live model's logits."""
        return np.asarray(self.model(self.preprocessor(images), training=False))


@pytest.fixture
def fill():
    """Function: (folder, entries of its card) -> the folder, now a version of ours."""

    def fill(folder, mixes_images=False, **entries):
        folder.mkdir(parents=True, exist_ok=True)
        ours = {"keras_concatplexer": "0.1"}
        card = {"versions": ours, "mixes_images": mixes_images, **entries}
        (folder / "model_card.json").write_text(json.dumps(card))
        return folder

    return fill


@pytest.fixture
def unverified(monkeypatch):
    """Exports without the process that compares the answers: tests do it themselves."""
    monkeypatch.setattr(exporter, "verify", lambda *_: None)


@pytest.fixture(scope="session")
def make_served(shared):
    """Function: "vit", "group", "image", "elastic", "plain" or "features" -> `Served`.

    The weights are scrambled; "plain" is "group" without the fused inference graph,
    "elastic" answers at N = 2 where none is asked for, and "features" is a SigLIP
    encoder in image scope.
    """
    import keras_concatplexer as kcp

    size = kcp.vit.ViTSize(
        hidden_dim=32, num_layers=2, num_heads=2, mlp_dim=64, patch_size=4
    )

    @functools.cache
    def make(kind):
        keras.utils.set_random_seed(0)
        class_names = None if kind == "features" else CLASS_NAMES
        if kind == "features":
            model = _encoder()
        else:
            model = kcp.vit.keras_cv_vit(size, image_shape=(16, 16, 3), num_classes=10)
        if kind == "elastic":
            model = kcp.ElasticConcatPlexer(model, num_mux=(1, 2, 4))
        elif kind != "vit":
            scope = "image" if kind in ("image", "features") else "group"
            model = kcp.ConcatPlexer(model, num_mux=2, attention_scope=scope)
        rng = np.random.default_rng(2)
        for weight in model.trainable_variables:
            weight.assign(np.asarray(weight) + rng.normal(size=weight.shape, scale=0.2))
        preprocessor = kcp.preprocessing.ImagePreprocessor((16, 16, 3))
        with shared(f"served_{kind}") as folder:
            version = folder / "1"
            if not version.exists():
                with pytest.MonkeyPatch.context() as patch:
                    # Once is enough: tests compare the answers of all kinds.
                    if kind not in ("group", "features"):
                        patch.setattr(exporter, "verify", lambda *_: None)
                    exporter.export(
                        *(model, preprocessor, class_names, folder),
                        max_pixels=2**20,
                        fuse=kind != "plain",
                        default_num_mux=2 if kind == "elastic" else None,
                    )
        return Served(model, preprocessor, version, class_names)

    return make


def _encoder():
    import keras_hub

    import keras_concatplexer as kcp

    backbone = keras_hub.models.SigLIPVisionEncoder(
        *(4, 32, 2, 2, 64), image_shape=(16, 16, 3)
    )
    return kcp.vit.keras_hub_vit(backbone, num_classes=None)


@pytest.fixture(scope="session")
def pixels():
    """Random images as uint8, `(9, 16, 16, 3)`."""
    return np.random.default_rng(0).integers(0, 256, (9, 16, 16, 3), "uint8")


@pytest.fixture(scope="session")
def encode():
    """Function: (uint8 image, format of PIL, mode, options) -> bytes."""

    def encode(image, format="PNG", mode=None, **options):
        picture = PIL.Image.fromarray(image)
        stream = io.BytesIO()
        (picture if mode is None else picture.convert(mode)).save(
            stream, format, **options
        )
        return stream.getvalue()

    return encode


@pytest.fixture(scope="session")
def encoded(pixels, encode):
    """The images of `pixels` as PNG."""
    return [encode(image) for image in pixels]


@pytest.fixture(scope="session")
def png_bomb():
    """A PNG of a few KiB that decodes into 20000 x 20000 pixels."""
    import struct
    import zlib

    def chunk(kind, content):
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    side = 20_000
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((1 + side // 8) * side), 1)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [chunk(b"IHDR", header), chunk(b"IDAT", rows), chunk(b"IEND", b"")]
    )


@pytest.fixture(scope="session")
def bombs(png_bomb, encode):
    """Small files with headers of huge images."""
    jpeg = encode(np.zeros((8, 8, 3), "uint8"), "JPEG")
    # Length, precision, height, width stand after the marker.
    start = jpeg.index(b"\xff\xc0") + 5
    gif = encode(np.zeros((8, 8, 3), "uint8"), "GIF")
    return [
        png_bomb,
        jpeg[:start] + b"\xff\xdc" * 2 + jpeg[start + 4 :],
        gif[:6] + b"\xff" * 4 + gif[10:],
    ]


@pytest.fixture(scope="session")
def good_files(pixels, encode):
    """dict, name of a format -> an encoded image of 40 x 24 pixels."""
    image = np.random.default_rng(1).integers(0, 256, (24, 40, 4), "uint8")
    rgb = image[..., :3]
    frames = [PIL.Image.fromarray(rgb), PIL.Image.fromarray(rgb[::-1])]
    deep = rgb[..., 0].astype("uint16") * 257
    return {
        "jpeg": encode(rgb, "JPEG"),
        "jpeg gray": encode(rgb, "JPEG", "L"),
        "jpeg cmyk": encode(rgb, "JPEG", "CMYK"),
        "jpeg progressive": encode(rgb, "JPEG", progressive=True),
        "png": encode(rgb),
        "png rgba": encode(image),
        "png gray": encode(rgb, mode="L"),
        "png gray alpha": encode(image, mode="LA"),
        "png palette": encode(rgb, mode="P"),
        "png 16 bit": encode(deep),
        "bmp": encode(rgb, "BMP"),
        "gif": encode(rgb, "GIF"),
        "gif animated": encode(
            rgb, "GIF", mode="P", save_all=True, append_images=frames[1:]
        ),
        "webp": encode(rgb, "WEBP"),
        "webp lossless": encode(rgb, "WEBP", lossless=True),
    }


@pytest.fixture(scope="session")
def example():
    """Function: encoded image -> serialized tf.Example."""
    import tensorflow as tf

    def example(encoded):
        feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[encoded]))
        features = tf.train.Features(feature={"image/encoded": feature})
        return tf.train.Example(features=features).SerializeToString()

    return example
