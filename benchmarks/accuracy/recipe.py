"""One way of training for all rows of a comparison, on any Keras backend."""

import dataclasses
import time

import keras

from benchmarks.accuracy.batches import Batches


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The settings that the rows of a comparison share.

    Attributes:
        epochs: int. Passes over the training images.
        batch_size: int.
        learning_rate: float. Peak, after the warmup; cosine decay follows.
        warmup_epochs: int. At most a quarter of the training, however.
        weight_decay: float. AdamW's.
        shift: float. Largest random translation, as a share of the side.
        flip: bool. Whether training images are mirrored at random.
        distillation_weight: float. A teacher's share of the loss, where one is.
        temperature: float. Of the teacher's and its student's softmax.
        jit_compile: bool. Whether XLA compiles the training step; on JAX it always
            does.
        seed: int. Of weights, order and augmentation.
    """

    epochs: int = 30
    batch_size: int = 64
    learning_rate: float = 1e-3
    warmup_epochs: int = 2
    weight_decay: float = 0.05
    shift: float = 0.1
    flip: bool = False
    distillation_weight: float = 0.5
    temperature: float = 3.0
    jit_compile: bool = False
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class TrainingCost:
    """What a training cost; costs can be added.

    Attributes:
        images_seen: int. Images that went through the model, repetitions included.
        seconds: float. That `fit` took.
        cpu_seconds: float. Of all cores, in `fit`; another program that runs
            meanwhile does not raise it.
    """

    images_seen: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0

    def __add__(self, other):
        return TrainingCost(
            self.images_seen + other.images_seen,
            round(self.seconds + other.seconds, 1),
            round(self.cpu_seconds + other.cpu_seconds, 1),
        )


def classification_loss():
    """The loss that every row is trained with."""
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def train(model, arrays, recipe, loss=True, teacher=None):
    """Trains a model by the recipe.

    Args:
        model: Keras model, images -> logits.
        arrays: `Arrays`.
        recipe: `Recipe`.
        loss: bool. Without it, only what the model adds itself (`add_loss`).
        teacher: trained Keras model, images -> logits, whose answers are learned
            too. It is frozen, so it must share no layer with `model`.

    Returns:
        `TrainingCost`, without the teacher's.
    """
    keras.utils.set_random_seed(recipe.seed)
    batches = Batches(
        arrays.train_images,
        arrays.train_labels,
        recipe.batch_size,
        recipe.shift,
        recipe.flip,
        recipe.seed,
    )
    total_steps = recipe.epochs * len(batches)
    # A short training must not end in its warmup.
    warmup_steps = min(recipe.warmup_epochs * len(batches), total_steps // 4)
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0,
        decay_steps=max(1, total_steps - warmup_steps),
        warmup_target=recipe.learning_rate,
        warmup_steps=warmup_steps,
    )
    # Around the model, which thus keeps no trace of the training but its weights.
    inputs = keras.Input(arrays.image_shape)
    trained = keras.Model(inputs, model(inputs))
    if teacher is not None:
        trained = _distiller(trained, teacher, recipe)
    trained.compile(
        keras.optimizers.AdamW(schedule, weight_decay=recipe.weight_decay),
        classification_loss() if loss else None,
        # "auto" on JAX, where nothing else would train.
        jit_compile=True if recipe.jit_compile else "auto",
    )
    started, cpu_started = time.perf_counter(), time.process_time()
    trained.fit(batches, epochs=recipe.epochs, shuffle=False, verbose=0)
    return TrainingCost() + TrainingCost(
        total_steps * recipe.batch_size,
        time.perf_counter() - started,
        time.process_time() - cpu_started,
    )


def _distiller(student, teacher, recipe):
    shared = {id(weight) for weight in teacher.weights} & {
        id(weight) for weight in student.weights
    }
    if shared:
        raise ValueError(
            f"The teacher shares {len(shared)} weights with the student; freezing it "
            "would freeze them. Give it a copy of its own."
        )
    # Instances: with names, Keras skips the softmax and the temperature.
    return keras.distillation.Distiller(
        teacher,
        student,
        keras.distillation.LogitsDistillation(
            recipe.temperature, keras.losses.KLDivergence()
        ),
        student_loss_weight=1.0 - recipe.distillation_weight,
    )


def accuracy(model, arrays, batch_size):
    """Share of the test images that a model gets right."""
    logits = model.predict(arrays.test_images, batch_size=batch_size, verbose=0)
    return float((logits.argmax(-1) == arrays.test_labels).mean())
