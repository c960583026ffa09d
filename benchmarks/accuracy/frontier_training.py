"""Trains what the frontier compares, and goes on where it was interrupted."""

import dataclasses
import hashlib
import json
import os
import pathlib

import keras

import keras_concatplexer as kcp
from benchmarks import machine
from benchmarks.accuracy.frontier_rows import FULL, SCRATCH, VIT, VIT_HALF, trainings
from benchmarks.accuracy.recipe import TrainingCost, accuracy, train


class Comparison:
    """The trainings of a comparison at one seed, each done once.

    Args:
        arrays: `Arrays`.
        size: a name in `kcp.vit.SIZES`, or a `ViTSize`.
        recipe: `Recipe`. Of a full training, with the seed.
        results: `ResultsFile` that gets the rows.
        workdir: folder of the weights that later trainings start from.
    """

    def __init__(self, arrays, size, recipe, results, workdir):
        self.arrays = arrays
        self.size = kcp.vit.sizes.get_size(size)
        self.recipe = recipe
        self.results = results
        self.settings = settings(arrays, self.size, recipe)
        self._folder = (
            pathlib.Path(workdir)
            / f"{arrays.name}_{digest(self.settings)}"
            / f"seed_{recipe.seed}"
        )
        self._trainings = trainings()

    def run(self, name):
        """Does a training unless all of its rows are there; appends those missing."""
        training = self._trainings[name]
        missing = [row for row in training.rows if not self._is_done(row)]
        if not missing:
            return
        model, cost = self._train(training)
        for row in missing:
            result = self._describe(training, row, row.variant(model), cost)
            self.results.append(result)
            print(
                f"{row.name}, seed {self.recipe.seed}: test accuracy "
                f"{result['test_accuracy']:.4f}, {cost.cpu_seconds} core-seconds",
                flush=True,
            )

    def _is_done(self, row):
        key = {"name": row.name, "seed": self.recipe.seed, "settings": self.settings}
        return bool(self.results.select(**key))

    def _train(self, training):
        """Returns the trained model, and its cost with that of its start."""
        start_cost = TrainingCost()
        teacher = self._load(VIT)[0] if training.distilled else None
        if training.start == SCRATCH:
            vit = self._make_vit(training.size(self.size))
        else:
            vit, start_cost = self._load(VIT if training.start == FULL else VIT_HALF)
        model = training.wrap(vit)
        cost = start_cost
        if training.epochs:
            epochs = round(self.recipe.epochs * training.epochs)
            recipe = dataclasses.replace(self.recipe, epochs=epochs)
            cost += train(model, self.arrays, recipe, teacher=teacher)
        if training.name in (VIT, VIT_HALF):
            self._save(training.name, model, cost)
        return model, cost

    def _make_vit(self, size):
        keras.utils.set_random_seed(self.recipe.seed)
        return make_vit(size, self.arrays.image_shape, self.arrays.num_classes)

    def _load(self, name):
        """Returns a ViT that other trainings need, and its cost.

        It is trained if its weights are not there, with its row where that is
        missing too.
        """
        weights, cost = self._files(name)
        if not weights.exists():
            self.run(name)
        if not weights.exists():
            # The row outlived its weights.
            self._train(self._trainings[name])
        vit = self._make_vit(self.size)
        vit.load_weights(weights)
        return vit, TrainingCost(**json.loads(cost.read_text()))

    def _save(self, name, vit, cost):
        weights, cost_file = self._files(name)
        weights.parent.mkdir(parents=True, exist_ok=True)
        cost_file.write_text(json.dumps(dataclasses.asdict(cost)))
        # Only whole weights get their name.
        part = weights.with_name(f"part_{weights.name}")
        vit.save_weights(part)
        os.replace(part, weights)

    def _files(self, name):
        stem = name.replace(" ", "_")
        return self._folder / f"{stem}.weights.h5", self._folder / f"{stem}.json"

    def _describe(self, training, row, model, cost):
        teacher = None
        if training.distilled:
            teacher = {"name": VIT, **dataclasses.asdict(self._load(VIT)[1])}
        return {
            "name": row.name,
            "graph": row.graph,
            "seed": self.recipe.seed,
            "test_accuracy": accuracy(model, self.arrays, self.recipe.batch_size),
            "gmacs_per_image": kcp.flops.count(model).gmacs_per_image,
            **dataclasses.asdict(cost),
            "teacher": teacher,
            "settings": self.settings,
            "hardware": {
                **machine.hardware(),
                "accelerator": machine.accelerator(),
            },
            "versions": machine.versions(("keras", keras.backend.backend())),
        }


def make_vit(size, image_shape, num_classes):
    """Returns a new ViT of the layers that this backend can compute."""
    if keras.backend.backend() == "tensorflow":
        return kcp.vit.keras_cv_vit(size, image_shape, num_classes)
    return kcp.vit.keras_hub_vit(size, num_classes, image_shape)


def settings(arrays, size, recipe):
    """Returns what rows must share to be compared, a dict for JSON."""
    shared = dataclasses.asdict(recipe)
    del shared["seed"]
    return {
        "dataset": arrays.name,
        "train_images": len(arrays.train_images),
        "test_images": len(arrays.test_images),
        "image_shape": list(arrays.image_shape),
        "size": dataclasses.asdict(kcp.vit.sizes.get_size(size)),
        "backend": keras.backend.backend(),
        **shared,
    }


def digest(settings):
    """A short name of settings."""
    text = json.dumps(settings, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:10]
