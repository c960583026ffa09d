"""A run from its settings to its results: prepare, fit, evaluate."""

import json
import pathlib
import time

import keras

import keras_concatplexer as kcp
from train.config import CONFIG_FILE
from train.data import load_data
from train.models import build_model

RESULTS_FILE = "results.json"


class Run:
    """A prepared run. Everything a user can get wrong is found while making it.

    Args:
        config: `Config`.
        workdir: folder of the run's files; made if missing.

    Raises:
        ValueError: for settings that do not fit each other or the data.
    """

    def __init__(self, config, workdir):
        self.config = config
        self.workdir = _writable_workdir(workdir)
        keras.config.set_dtype_policy(config.dtype_policy)
        keras.utils.set_random_seed(config.seed)
        self.data = load_data(config)
        self.steps_per_epoch = self.data.num_images("train") // config.batch_size
        if self.steps_per_epoch == 0:
            raise ValueError(
                f"A batch of {config.batch_size} is larger than the training split "
                f"of {self.data.num_images('train')} images. Lower --batch_size."
            )
        self.model = build_model(
            config, self.data.preprocessor.image_shape, len(self.data.class_names)
        )
        self.model.compile(
            self._optimizer(),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
        self.config.save(self.workdir)
        kcp.bundle.write_description(
            self.workdir, self.data.preprocessor, self.data.class_names
        )

    def fit(self):
        """Trains, evaluates the best model on the test split, writes the results.

        Returns:
            dict, what `results.json` holds.
        """
        config = self.config
        started = time.perf_counter()
        history = self.model.fit(
            self.data.training_batches(
                config.batch_size, config.seed, config.augmentation
            ),
            validation_data=self.data.batches("validation", config.batch_size),
            epochs=config.epochs,
            callbacks=self._callbacks(),
        )
        seconds = time.perf_counter() - started
        results = {
            "model": config.model,
            "dataset": config.dataset,
            "num_train_images": self.data.num_images("train"),
            "num_test_images": self.data.num_images("test"),
            "epochs": len(history.epoch),
            "training_seconds": round(seconds, 1),
            "gmacs_per_image": kcp.flops.formula(self.model).gmacs_per_image,
            "parameters": self.model.count_params(),
            "last": self._evaluate(self.model),
            "best": self._evaluate(kcp.bundle.load_model(self.workdir)),
            "history": history.history,
        }
        results["test_accuracy"] = results["best"]["accuracy"]
        text = json.dumps(results, indent=2) + "\n"
        (self.workdir / RESULTS_FILE).write_text(text)
        return results

    def _optimizer(self):
        config = self.config
        warmup_steps = round(config.warmup_epochs * self.steps_per_epoch)
        total_steps = config.epochs * self.steps_per_epoch
        schedule = keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=0.0 if warmup_steps else config.learning_rate,
            decay_steps=max(1, total_steps - warmup_steps),
            warmup_target=config.learning_rate if warmup_steps else None,
            warmup_steps=warmup_steps,
        )
        optimizer = keras.optimizers.AdamW(schedule, weight_decay=config.weight_decay)
        # Names as Keras gives them: biases, norms, tokens and embeddings.
        optimizer.exclude_from_weight_decay(
            var_names=["bias", "gamma", "beta", "class_token", "embedding"]
        )
        return optimizer

    def _callbacks(self):
        def checkpoint(name, **kwargs):
            return keras.callbacks.ModelCheckpoint(
                str(self.workdir / f"{name}.keras"), **kwargs
            )

        return [
            checkpoint("best", monitor="val_accuracy", mode="max", save_best_only=True),
            checkpoint("last"),
            keras.callbacks.TensorBoard(self.workdir / "tensorboard"),
            keras.callbacks.TerminateOnNaN(),
        ]

    def _evaluate(self, model):
        model.compile(
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
        batches = self.data.batches("test", self.config.batch_size)
        return model.evaluate(batches, return_dict=True, verbose=0)


def _writable_workdir(workdir):
    folder = pathlib.Path(workdir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".probe"
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        raise ValueError(
            f"The workdir {workdir} cannot be written: {error.strerror}. Choose "
            "another --workdir."
        ) from error
    if (folder / CONFIG_FILE).exists():
        raise ValueError(
            f"The workdir {workdir} holds a run already. Choose another --workdir, "
            "or delete it."
        )
    return folder
