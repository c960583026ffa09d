"""Trains the rows of a frontier by `python -m train`, each once."""

import dataclasses
import functools
import pathlib

import keras

import keras_concatplexer as kcp
from benchmarks import machine, trained, trainings
from benchmarks.accuracy.frontier_rows import (
    DATASETS,
    PROTOCOLS,
    SHARED,
    TEACHER,
    TEACHER_EPOCHS,
)
from savedmodel_export.choices import CALIBRATION_IMAGES

# Settings that say where files are, and so do not make a row another one.
PLACES = ("data_dir", "init_from", "backbone", "teacher")


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A protocol on a data set.

    Attributes:
        protocol: `"A"` or `"B"`.
        dataset: a name in `DATASETS`.
        data_dir: path where TFDS keeps it.
        workdir: path of the trainings' folders.
        results: `ResultsFile` that gets the rows.
        train_split, test_split: TFDS splits.
        num_train_images: int, of the training split.
        epochs: int; 0: the protocol's.
        teacher_epochs: int.
        teacher: path of a trained ViT's workdir; `None`: it is trained here.
    """

    protocol: str
    dataset: str
    data_dir: str
    workdir: pathlib.Path
    results: object
    train_split: str
    test_split: str
    num_train_images: int
    epochs: int = 0
    teacher_epochs: int = TEACHER_EPOCHS
    teacher: str | None = None

    def run(self, row, seed):
        """Returns the results of a row, list of dict; trains it if they are missing."""
        settings = self.settings(row, seed)
        key = {
            "protocol": self.protocol,
            "dataset": self.dataset,
            "seed": seed,
            "settings": {k: v for k, v in settings.items() if k not in PLACES},
        }
        # Read back from JSON, a tuple is a list.
        key["settings"] = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in key["settings"].items()
        }
        measured = functools.cache(lambda: self._measure(row, seed, settings))
        found = []
        for name, num_mux in row.results:
            compute = functools.partial(self._describe, row, num_mux, measured)
            found.append(self.results.get({"name": name, **key}, compute))
        return found

    def settings(self, row, seed):
        """Returns the settings of `python -m train` for a row, a dict."""
        dataset, protocol = DATASETS[self.dataset], PROTOCOLS[self.protocol]
        settings = {**SHARED, **protocol.recipe, **row.recipe, **row.model}
        if not dataset.flips:
            settings["augmentation"] = "shift"
        epochs = self.epochs or protocol.num_epochs(self.num_train_images)
        settings |= {
            "dataset": self.dataset,
            "data_dir": str(self.data_dir),
            "train_split": self.train_split,
            "test_split": self.test_split,
            "epochs": self.teacher_epochs if row is TEACHER else epochs,
            "seed": seed,
        }
        # A short training must not end in its warmup.
        longest = settings["epochs"] / 4
        settings["warmup_epochs"] = min(settings["warmup_epochs"], longest)
        if not row.trained:
            settings["epochs"] = 0
        if row.distilled:
            settings["teacher"] = str(self.teacher_folder)
        return settings

    @property
    def teacher_folder(self):
        """Path of the teacher's run, which is trained with seed 0."""
        return pathlib.Path(self.teacher or self.folder(TEACHER, 0))

    def folder(self, row, seed):
        """Path of a row's run."""
        protocol = "teacher" if row is TEACHER else self.protocol
        name = row.name.replace(",", "").replace(" ", "_")
        return self.workdir / self.dataset / protocol / f"{name}_s{seed}"

    def model(self, row, seed):
        """Returns the trained model of a row."""
        if row.trained:
            return trained.load_model(self.folder(row, seed))
        settings = {**row.model}
        del settings["model"]
        return kcp.ConcatPlexer(trained.load_model(self.teacher_folder), **settings)

    def calibration_images(self, row, seed):
        """Returns the first training images, as the model of a row sees them."""
        folder = self.folder(row, seed) if row.trained else self.teacher_folder
        _, images, _ = trained.load_arrays(
            *(folder, self.dataset, self.data_dir, self.train_split),
            CALIBRATION_IMAGES,
        )
        return images

    def prepare_teacher(self, rows):
        """Trains the teacher, if the rows need one that is not given."""
        needed = any(row.inherits or row.distilled for row in rows)
        if needed and self.teacher is None:
            self.run(TEACHER, 0)
            if not (self.teacher_folder / "results.json").exists():
                # The row outlived its run.
                trainings.train(self.teacher_folder, self.settings(TEACHER, 0))

    def _measure(self, row, seed, settings):
        """Returns dict, N -> accuracies and costs of a row that is trained now."""
        if not row.trained:
            return self._evaluate_untrained(row, seed)
        folder = self.folder(row, seed)
        settings = {**settings, **self._start(row, seed)}
        results = trainings.train(folder, settings)
        history = results["history"]
        shared = {
            "validation_accuracy": max(history["val_accuracy"]),
            "num_test_images": results["num_test_images"],
            "images_seen": results["steps"] * settings["batch_size"],
            "seconds": results["training_seconds"],
        }
        return {
            found["num_mux"]: {
                "test_accuracy": found["accuracy"],
                "gmacs_per_image": found["gmacs_per_image"],
                **shared,
            }
            for found in results["per_num_mux"]
        }

    def _evaluate_untrained(self, row, seed):
        _, images, labels = trained.load_arrays(
            self.teacher_folder, self.dataset, self.data_dir, self.test_split
        )
        model = self.model(row, seed)
        answers = model.predict(images, batch_size=SHARED["batch_size"], verbose=0)
        return {
            row.model["num_mux"]: {
                "test_accuracy": float((answers.argmax(-1) == labels).mean()),
                "gmacs_per_image": kcp.flops.count(model).gmacs_per_image,
                "num_test_images": len(labels),
                "images_seen": 0,
                "seconds": 0.0,
            }
        }

    def _start(self, row, seed):
        """Returns the settings that say where the ViTs of a row come from."""
        name = DATASETS[self.dataset].size
        size = kcp.vit.SIZES[name]
        wanted, start = row.size(size), {}
        if row.backbone is not None:
            backbone = self._vit(row.backbone(size), seed)
            start["backbone"] = self._saved(backbone, row, seed, "backbone")
        if wanted != size:
            if row.inherits:
                vit = with_blocks(trained.load_model(self.teacher_folder), wanted)
            else:
                vit = self._vit(wanted, seed)
            start["init_from"] = self._saved(vit, row, seed, "start")
        elif row.inherits:
            start["init_from"] = str(self.teacher_folder)
        else:
            start["size"] = name
        return start

    def _saved(self, vit, row, seed, name):
        path = self.folder(row, seed).with_suffix(f".{name}.keras")
        path.parent.mkdir(parents=True, exist_ok=True)
        vit.save(path)
        return str(path)

    def _vit(self, size, seed):
        keras.utils.set_random_seed(seed)
        dataset = DATASETS[self.dataset]
        return kcp.vit.keras_cv_vit(size, dataset.image_shape, dataset.num_classes)

    def _describe(self, row, num_mux, measured):
        return {
            "row": row.name,
            "num_mux": num_mux,
            "precision": SHARED["dtype_policy"],
            **measured()[num_mux],
            "teacher": str(self.teacher_folder.name) if row.distilled else None,
            "machine": machine.description(),
        }


def with_blocks(vit, size):
    """Returns a ViT with fewer blocks, kept evenly, and a trained one's weights.

    Args:
        vit: trained ViT.
        size: `ViTSize` of the same widths and fewer blocks.
    """
    old = kcp.vit.read_stages(vit)
    made = kcp.vit.keras_cv_vit(size, old.image_shape, old.num_classes)
    new = kcp.vit.read_stages(made)
    last = len(old.blocks) - 1
    steps = max(1, len(new.blocks) - 1)
    kept = [old.blocks[round(i * last / steps)] for i in range(len(new.blocks))]
    pairs = [
        (old.embedding, new.embedding),
        *zip(kept, new.blocks, strict=True),
        (old.norm, new.norm),
        (old.head, new.head),
    ]
    for source, target in pairs:
        target.set_weights(source.get_weights())
    return made
