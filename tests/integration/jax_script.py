"""What must give the same answers on JAX and TensorFlow, and the script for JAX.

`test_jax.py` runs this file once with KERAS_BACKEND=jax, imports it itself under
TensorFlow, and compares. To add a model or a layer, add a row to `MODELS` or
`LAYERS`; nothing else is needed.
"""

import pathlib
import runpy
import sys

import keras
import numpy as np

import keras_concatplexer as kcp

# Taken before anything below has the chance to import them.
IMPORTED = [
    name for name in ("tensorflow", "keras_cv", "keras_hub") if name in sys.modules
]
# It ends the process with a message where a count is wrong.
JAX_COUNTS = pathlib.Path(__file__).parents[1] / "flops" / "jax_counts.py"
SIZE = kcp.vit.ViTSize(
    hidden_dim=32, num_layers=2, num_heads=2, mlp_dim=48, patch_size=4
)
IMAGE_SHAPE = (8, 12, 3)
NUM_CLASSES = 5

# Name -> function of a ViT that returns the model to train and compare.
MODELS = {
    "concat_group": lambda vit: kcp.ConcatPlexer(vit, num_mux=2),
    "concat_elastic": lambda vit: kcp.ElasticConcatPlexer(
        *(vit, (1, 2)),
        own_norm=True,
        shuffle_slots=True,
        seed=3,
        in_place_weight=0.5,
    ),
    "concat_image_resized": lambda vit: kcp.ConcatPlexer(
        kcp.vit.at_resolution(vit, (8, 16, 3)), num_mux=2, attention_scope="image"
    ),
    "image_multiplexer": lambda vit: kcp.ImageMultiplexerViT(
        vit, num_mux=2, trainable_keys=True
    ),
    "siglip": lambda vit: kcp.ConcatPlexer(
        kcp.vit.keras_hub_vit(encoder("siglip"), NUM_CLASSES), num_mux=2
    ),
}
ENCODERS = ("dinov2", "dinov2_registers", "clip", "siglip")

# What `make test` runs of both; they have the parts of all, and the rest is large.
QUICK = ("concat_group", "concat_elastic", "siglip")

# To compile a step takes seconds: these have the parts of all.
TRAINED = ("concat_elastic", "image_multiplexer")

# Name in `kcp.layers` (or above it) -> function that makes the layer, and the shape
# of each input, without batch. The grids are not multiples of the strides.
TOKENS, GROUPS = (4, 6), (2, 4, 6)
LAYERS = {
    "ClassAttention": (lambda: class_attention(), [TOKENS]),
    "ConcatDemultiplexer": (lambda: kcp.layers.ConcatDemultiplexer(2), [(8, 6), (1,)]),
    "ConcatMultiplexer": (
        lambda: kcp.layers.ConcatMultiplexer(2, (3, 5), (1, 2)),
        [(16, 6)],
    ),
    "ContextualTransform": (lambda: kcp.layers.ContextualTransform(2), [GROUPS]),
    "ConvTokenReduction": (
        lambda: kcp.layers.ConvTokenReduction((3, 5), (2, 2), (3, 3)),
        [(15, 6)],
    ),
    "IndexPrefix": (lambda: kcp.layers.IndexPrefix(2), [GROUPS]),
    "MeanTokenReduction": (
        lambda: kcp.layers.MeanTokenReduction((3, 5), (2, 2)),
        [(15, 6)],
    ),
    "OrthogonalTransform": (lambda: kcp.layers.OrthogonalTransform(2), [GROUPS]),
    "ProportionalBlock": (lambda: proportional_block(), [TOKENS, (4,)]),
    "SelectTokenReduction": (
        lambda: kcp.layers.SelectTokenReduction((3, 5), (2, 2)),
        [(15, 6), (15,)],
    ),
    "ToMeTokenReduction": (
        lambda: kcp.layers.ToMeTokenReduction((3, 5), (2, 2)),
        [(15, 6)],
    ),
    "HadamardTransform": (lambda: kcp.layers.HadamardTransform(2), [GROUPS]),
    "HolographicBinding": (lambda: kcp.layers.HolographicBinding(2), [GROUPS]),
    "ImageDemultiplexer": (lambda: kcp.layers.ImageDemultiplexer(2), [TOKENS, (1,)]),
    "ImageMultiplexer": (
        lambda: kcp.layers.ImageMultiplexer(2, index_prefix=True),
        [TOKENS],
    ),
    "ImagePreprocessor": (
        lambda: kcp.preprocessing.ImagePreprocessor((6, 6, 3)),
        [(9, 8, 1)],
    ),
    "SlotConditionedMLP": (
        lambda: kcp.layers.SlotConditionedMLP(8),
        [TOKENS, (2, 6)],
    ),
    "SlotEmbedding": (lambda: kcp.layers.SlotEmbedding(2), [GROUPS]),
    "SlotHeads": (lambda: kcp.layers.SlotHeads(2, 8), [TOKENS]),
    "TransformerLayer": (lambda: kcp.layers.TransformerLayer(2), [TOKENS]),
}


def class_attention():
    norm = keras.layers.LayerNormalization()
    attention = keras.layers.MultiHeadAttention(num_heads=2, key_dim=3)
    norm.build((None, *TOKENS))
    attention.build((None, *TOKENS), (None, *TOKENS))
    return kcp.layers.ClassAttention(norm, attention, num_prefix_tokens=1)


def proportional_block():
    vit = kcp.vit.keras_hub_vit(kcp.vit.ViTSize(6, 1, 2, 8, 4), 3, (4, 4, 1))
    return kcp.layers.ProportionalBlock(kcp.vit.read_stages(vit).block_parts[0])


def encoder(kind):
    """Returns a tiny encoder of keras-hub that has no weight left as it starts."""
    # keras_hub would come with it.
    from tests.vit.hub import make_trained

    return make_trained(kind)


def encoder_features(kind):
    """Returns what keras-hub and a ViT around the same encoder say of some images."""
    backbone = encoder(kind)
    vit = kcp.vit.keras_hub_vit(backbone, num_classes=None)
    model = kcp.ConcatPlexer(vit, 1, strides=1, kernel_size=1)
    images = make_images(model)
    own = np.array(backbone.predict_on_batch(images))
    own = own if own.ndim == 2 else own[:, 0]
    return np.stack([own, np.array(model.predict_on_batch(images))])


def make_model(name):
    """Returns the model of a row of `MODELS`, on the present backend."""
    keras.utils.set_random_seed(0)
    vit = kcp.vit.keras_hub_vit(
        SIZE, NUM_CLASSES, IMAGE_SHAPE, dropout_rate=0.1, attention_dropout=0.1
    )
    return MODELS[name](vit)


def make_images(model, batch_size=5):
    """Returns images for `model`; the last group of two is not full."""
    values = np.random.default_rng(1).normal(size=(batch_size, *model.input_shape[1:]))
    return values.astype("float32")


def layer_output(name):
    """Returns what a row of `LAYERS` gives with set weights, compiled."""
    make_layer, shapes = LAYERS[name]
    inputs = [keras.Input(shape) for shape in shapes]
    layer = make_layer()
    model = keras.Model(inputs, layer(*inputs))
    random = np.random.default_rng(2)
    layer.set_weights([random.normal(size=weight.shape) for weight in layer.weights])
    batch_size = 3
    values = [random.normal(size=(batch_size, *shape)) for shape in shapes]
    if name.endswith("Demultiplexer"):
        # Two groups for three images.
        values[0] = values[0][:2]
    return np.array(model.predict_on_batch(values))


def resized_positions(grid_shape):
    """Returns random positions on a 4 x 6 grid, interpolated to another."""
    positions = np.random.default_rng(3).normal(size=(1, 2 + 24, 8)).astype("float32")
    resize = kcp.vit.resolution.resize_positions
    positions = keras.ops.convert_to_tensor(positions)
    return keras.ops.convert_to_numpy(resize(positions, (4, 6), grid_shape))


def neighbours(model):
    """Returns what `analysis` and the ensemble find, as one array."""
    images = make_images(model)
    labels = np.arange(len(images)) % NUM_CLASSES
    result = kcp.analysis.interference(model, images, labels, num_draws=2)
    logits = model.predict_ensemble(images, num_permutations=2)
    return np.array(
        [result.flip_rate, result.spread, result.feature_similarity, *logits.ravel()]
    )


def grouped_at_any_batch_size():
    """Returns five images that a JAX program for any number of them has grouped."""
    import jax
    from jax import export

    from keras_concatplexer.layers import grouping

    def there_and_back(tokens):
        return grouping.ungroup(grouping.group(tokens, 2), tokens)

    tokens = np.arange(5 * 3 * 4, dtype="float32").reshape(5, 3, 4)
    shape = jax.ShapeDtypeStruct(export.symbolic_shape("batch, 3, 4"), "float32")
    return np.array(export.export(jax.jit(there_and_back))(shape).call(tokens))


def train(model, images):
    """Takes one step, compiled."""
    model.compile(
        keras.optimizers.Adam(1e-2),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(images, np.arange(len(images)) % NUM_CLASSES, verbose=0)


def main(folder, *names):
    """Writes `results.npz` and one `<name>.keras` for each model to `folder`.

    Args:
        folder: path.
        *names: str, those of `MODELS` and `ENCODERS` that are run.
    """
    results = {"backend": keras.backend.backend(), "imported": IMPORTED}
    # In this process, as another one would first import JAX and Keras again; at its
    # start, as the count must import no TensorFlow, which keras-hub does.
    runpy.run_path(str(JAX_COUNTS))
    results["counted"] = True
    results["grouped"] = grouped_at_any_batch_size()
    for name in LAYERS:
        results[f"layer/{name}"] = layer_output(name)
    for kind in (kind for kind in ENCODERS if kind in names):
        results[f"encoder/{kind}"] = encoder_features(kind)
    for name in (name for name in MODELS if name in names):
        model = make_model(name)
        images = make_images(model)
        before = model.get_weights()
        if name in TRAINED:
            train(model, images)
        weights = model.get_weights()
        results[f"{name}/moved"] = [
            np.abs(new - old).max() for new, old in zip(weights, before, strict=True)
        ]
        for index, weight in enumerate(weights):
            results[f"{name}/weight/{index}"] = weight
        results[f"{name}/logits"] = model.predict(images, verbose=0)
        if name == "concat_group":
            results["neighbours"] = neighbours(model)
        model.save(pathlib.Path(folder) / f"{name}.keras")
    for grid_shape in ((7, 9), (2, 3)):
        results[f"positions/{grid_shape}"] = resized_positions(grid_shape)
    np.savez(pathlib.Path(folder) / "results.npz", **results)


if __name__ == "__main__":
    main(*sys.argv[1:])
