"""One way of training for all rows of a comparison, on any Keras backend."""

import dataclasses
import time

import keras


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The settings that the rows of a comparison share.

    Attributes:
        epochs: int. Passes over the training images.
        batch_size: int.
        learning_rate: float. Peak, after two epochs of warmup; cosine decay follows.
        weight_decay: float. AdamW's.
        shift: float. Largest random translation, as a share of the side.
        seed: int. Of weights, order and augmentation.
    """

    epochs: int = 30
    batch_size: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    shift: float = 0.1
    seed: int = 0


def classification_loss():
    """The loss that every row is trained with."""
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def train(model, arrays, recipe, loss=True):
    """Trains a model by the recipe.

    Args:
        model: Keras model, images -> logits.
        arrays: `Arrays`.
        recipe: `Recipe`.
        loss: bool. Without it, only what the model adds itself (`add_loss`).

    Returns:
        float, seconds that `fit` took.
    """
    keras.utils.set_random_seed(recipe.seed)
    steps = len(arrays.train_images) // recipe.batch_size
    warmup_steps = min(2, recipe.epochs) * steps
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0,
        decay_steps=max(1, recipe.epochs * steps - warmup_steps),
        warmup_target=recipe.learning_rate,
        warmup_steps=warmup_steps,
    )
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=recipe.weight_decay)
    shift = keras.layers.RandomTranslation(
        recipe.shift, recipe.shift, fill_mode="nearest", seed=recipe.seed
    )
    # Augmentation in front of the model is active in training only.
    inputs = keras.Input(arrays.image_shape)
    trained = keras.Model(inputs, model(shift(inputs)))
    trained.compile(optimizer, classification_loss() if loss else None)
    used = steps * recipe.batch_size
    started = time.perf_counter()
    trained.fit(
        arrays.train_images[:used],
        arrays.train_labels[:used],
        batch_size=recipe.batch_size,
        epochs=recipe.epochs,
        verbose=0,
    )
    return time.perf_counter() - started


def accuracy(model, arrays, batch_size):
    """Share of the test images that a model gets right."""
    logits = model.predict(arrays.test_images, batch_size=batch_size, verbose=0)
    return float((logits.argmax(-1) == arrays.test_labels).mean())
