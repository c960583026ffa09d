"""Builds the rows' models, counts them, and exports them as their users would."""

import dataclasses
import pathlib

import numpy as np

import keras_concatplexer as kcp
from benchmarks.speed.peers.quantized import calibration_batches, quantize
from benchmarks.speed.rows import PLAIN
from benchmarks.speed.runtimes import NUM_CLASSES
from savedmodel_export import export
from savedmodel_export.choices import INT8
from savedmodel_export.formats import FORMATS
from savedmodel_export.inference import choose_inference
from savedmodel_export.other_formats import export_other

MODELS = {
    "concat": kcp.ConcatPlexer,
    "elastic": kcp.ElasticConcatPlexer,
    "imagemux": kcp.ImageMultiplexerViT,
}
# Every N of a row divides it: no group is filled up.
COUNTED_BATCH_SIZE = 16


class Exporter:
    """Writes the files of rows; weights are random: speed does not depend on them.

    Args:
        folder: path under which the files are written.
    """

    def __init__(self, folder):
        self._folder = pathlib.Path(folder)
        self._vits, self._files = {}, {}

    def export(self, row):
        """Writes a row's file, if no other row has it.

        Returns:
            dict: `path`, or for a model of PyTorch its sizes, `gmacs_per_image`,
            `gmacs_by_stage` and `gmacs_executed`.
        """
        if row.runtime == "torch":
            # Plain values: the class would import this library there, and Keras.
            sizes = dataclasses.asdict(kcp.vit.SIZES[row.size])
            return {"path": sizes, **self._costs(row)}
        if row.file_key not in self._files:
            self._files[row.file_key] = self._write(row)
        return {"path": self._files[row.file_key], **self._costs(row)}

    def _write(self, row):
        if row.quantizer:
            source = dataclasses.replace(row, precision="float32", quantizer="")
            path = self.export(source)["path"]
            target = self._folder / str(len(self._files))
            return quantize(row.quantizer, path, target, row.image_size)
        target = self._folder / str(len(self._files))
        preprocessor = kcp.preprocessing.ImagePreprocessor(self._shape(row))
        names = [str(index) for index in range(NUM_CLASSES)]
        arguments = (self._model(row), preprocessor, names, target)
        if row.file_format != "saved_model":
            version = export_other(*arguments, row.file_format)
            return str(version / FORMATS[row.file_format].file)
        options = {"fuse": row.fuse, "precision": row.precision}
        if row.precision == INT8:
            options["calibration"] = np.concatenate(calibration_batches(row.image_size))
            # Of random weights the best class means nothing.
            options["int8_min_agreement"] = 0.0
        return str(export(*arguments, **options))

    def _costs(self, row):
        """What an image costs as the model was trained, and in the graph that runs."""
        model = self._model(row)
        if row.num_mux:
            model = model.at(row.num_mux)
        trained = kcp.flops.count(model, batch_size=COUNTED_BATCH_SIZE)
        executed = trained.gmacs_per_image
        if row.runtime == "tensorflow" and row.name != PLAIN:
            # The products in int8 are those of bfloat16, and those can be counted.
            precision = "bfloat16" if row.precision == INT8 else row.precision
            predict = choose_inference(model, row.fuse, precision).predict
            cost = kcp.flops.count_function(
                predict, self._shape(row), COUNTED_BATCH_SIZE
            )
            executed = cost.gmacs_per_image
        stages = {name: macs / 1e9 for name, macs in trained.stages.items()}
        return {
            "gmacs_per_image": trained.gmacs_per_image,
            "gmacs_by_stage": stages,
            "gmacs_executed": executed,
        }

    def _model(self, row):
        key = row.size, row.image_size
        if key not in self._vits:
            shape = self._shape(row)
            self._vits[key] = kcp.vit.keras_cv_vit(row.size, shape, NUM_CLASSES)
        vit = self._vits[key]
        if row.kind == "vit":
            return vit
        return MODELS[row.kind](vit, **dict(row.arguments))

    def _shape(self, row):
        return row.image_size, row.image_size, 3
