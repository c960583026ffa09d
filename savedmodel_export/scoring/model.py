"""An exported model that answers about encoded images."""

import hashlib
import pathlib

from savedmodel_export.model_card import FILE_NAME, read_model_card

LABELS = "assets.extra/labels.txt"


class ModelInfo:
    """What the files of a version tell without TensorFlow.

    Args:
        version: path of the version folder.
        num_mux: int or `None`. The N of an elastic model; by default its default.

    Attributes:
        signature: str, the one to ask.
        class_names: list of str; `None` for a model of features.
        answer: str. The output that tells what the model makes of an image.
        mixes_images: bool. Whether an answer depends on the batch's other images.
        identity: str. The hash of the model card, which holds that of the weights.

    Raises:
        ValueError: if it is no version that `savedmodel_export` made, or has no such N.
    """

    def __init__(self, version, num_mux=None):
        self.version = pathlib.Path(version).expanduser()
        if not (self.version / "saved_model.pb").is_file():
            raise ValueError(
                f"--model={version} is no SavedModel. Name a version folder, for "
                "example served/NAME/1."
            )
        try:
            card = read_model_card(self.version)
            self.identity = hashlib.sha256(
                (self.version / FILE_NAME).read_bytes()
            ).hexdigest()
            signatures = card["signatures"]
            num_classes = self.class_names = None
            # A model of features has no classes at all.
            if "num_classes" in card or "num_features" not in card:
                num_classes = card["num_classes"]
                self.class_names = (self.version / LABELS).read_text().splitlines()
            mixes_images, default = card["mixes_images"], card["num_mux"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"--model={version}: {FILE_NAME} or {LABELS} is missing or damaged "
                f"({error}). Export the model again."
            ) from error
        if num_classes is not None and len(self.class_names) != num_classes:
            raise ValueError(
                f"--model={version}: {LABELS} has {len(self.class_names)} lines for "
                f"{num_classes} classes. Export the model again."
            )
        self.signature = "serve_bytes"
        if num_mux not in (None, default):
            self.signature = f"serve_bytes_n{num_mux}"
        if self.signature not in signatures:
            raise ValueError(
                f"--model={version} has no signature {self.signature}. It has "
                f"{', '.join(signatures)}."
            )
        self.answer = "features" if self.class_names is None else "logits"
        self.num_mux = default if num_mux is None else num_mux
        self.mixes_images = mixes_images and self.num_mux > 1


class Model:
    """A loaded version.

    Args:
        info: `ModelInfo`.
        outputs: sequence of str. What the model must answer with, beside the classes
            of a classifier.
        threads: int or `None`. Processor threads; all by default. Only the first
            model of a process can set it.

    Raises:
        ValueError: if the SavedModel is damaged or lacks an output.
    """

    def __init__(self, info, outputs=(), threads=None):
        import tensorflow as tf

        if threads is not None:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)
        try:
            # The loaded object must outlive its signatures.
            self._loaded = tf.saved_model.load(str(info.version))
            self._function = self._loaded.signatures[info.signature]
        except Exception as error:  # A damaged file can end in any error.
            message = " ".join(str(error).split())[:500]
            raise ValueError(
                f"--model={info.version} cannot be loaded: {message}"
            ) from error
        missing = set(outputs) - set(self._function.structured_outputs)
        if missing:
            raise ValueError(
                f"--model={info.version} has no output {', '.join(sorted(missing))}."
            )
        self._info = info

    def answer(self, contents):
        """Answers about encoded images; those that cannot be decoded are left out.

        In a model that mixes images the others are asked together, so that their
        answers depend on nothing but `contents`.

        Args:
            contents: list of bytes.

        Returns:
            Three values: the positions of the images with an answer, in order; a dict,
            name of an output -> array with one row per answer; a dict, position ->
            reason for the other images.
        """
        parts, errors = self._parts(contents, list(range(len(contents))))
        good = [i for i in range(len(contents)) if i not in errors]
        if not good:
            return [], {}, errors
        if len(parts) > 1 and self._info.mixes_images:
            parts = [self._run([contents[i] for i in good])]
        return good, _joined(parts), errors

    def _parts(self, contents, positions):
        """Halves the images until those at fault are alone."""
        import tensorflow as tf

        try:
            return [self._run([contents[i] for i in positions])], {}
        except tf.errors.InvalidArgumentError as error:
            if len(positions) == 1:
                return [], {positions[0]: _reason(error)}
        middle = len(positions) // 2
        parts, errors = self._parts(contents, positions[:middle])
        more_parts, more_errors = self._parts(contents, positions[middle:])
        return parts + more_parts, errors | more_errors

    def _run(self, contents):
        import tensorflow as tf

        try:
            outputs = self._function(image_bytes=tf.constant(contents, tf.string))
        except tf.errors.InvalidArgumentError:
            raise
        except tf.errors.OpError as error:
            raise ValueError(f"The model failed: {_reason(error)}") from error
        return {name: value.numpy() for name, value in outputs.items()}


def _joined(parts):
    import numpy as np

    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _reason(error):
    # With the library comes Keras.
    from keras_concatplexer.reasons import reason_of

    return reason_of(error)
