"""What a run learns: the classes of labelled images, or the features of an encoder."""

import keras
from keras import ops

import keras_concatplexer as kcp

from .distillation import Distillation, load_teacher
from .init_from import load_initial
from .multi_worker import distributable
from .strategy import is_multi_worker


def make_objective(config, strategy, data, initial=None):
    """Returns the objective of a run.

    Args:
        config: `Config`.
        strategy: `tf.distribute.Strategy`.
        data: `Data`.
        initial: `Initial` of the settings' `init_from`, or `None`, then it is loaded
            where it is needed.
    """
    if config.objective == "labels":
        return LabelObjective(config, strategy, data)
    preprocessor = data.preprocessor
    with strategy.scope():
        if config.teacher:
            teacher = load_teacher(config.teacher, preprocessor, None)
            teacher = kcp.vit.with_classes(teacher, None)
        else:
            initial = initial or load_initial(config.init_from)
            teacher = initial.teacher(preprocessor.image_shape)
    return FeatureObjective(strategy, teacher)


class LabelObjective:
    """Classification.

    Attributes:
        score: str, name of the metric that tells how good a model is.
        class_names: tuple of str, of the model.
    """

    score = "accuracy"

    def __init__(self, config, strategy, data):
        self._config, self._strategy, self._data = config, strategy, data
        self.class_names = data.class_names

    def loss(self, label_smoothing=0.0):
        """Returns a new `keras.losses.Loss`."""
        return keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=label_smoothing
        )

    def metrics(self, num_mux):
        """Returns new metrics; those of each slot too, where there are several.

        They go into `weighted_metrics`: others count the rows that fill a batch.
        """
        metrics = [keras.metrics.CategoricalAccuracy(name="accuracy")]
        if len(self.class_names) > 5:
            top5 = keras.metrics.TopKCategoricalAccuracy(5, name="top5_accuracy")
            metrics.append(top5)
        if num_mux > 1:
            metrics.append(kcp.metrics.SlotAccuracy(num_mux))
        return metrics

    def targets(self, images, labels):
        """Returns what the loss compares the answers with."""
        return labels

    def evaluated(self, model):
        """Returns a model that can be evaluated on batches of the data."""
        return distributable(model) if is_multi_worker(self._strategy) else model

    def trained(self, model):
        """Returns a model that can be trained on batches of the data."""
        config, data = self._config, self._data
        if not config.teacher:
            return self.evaluated(model)
        if is_multi_worker(self._strategy):
            raise ValueError(
                "--teacher works on one device and under --strategy=mirrored, not "
                "with several workers."
            )
        return Distillation(
            load_teacher(config.teacher, data.preprocessor, data.class_names),
            model,
            self.loss(config.label_smoothing),
            config.teacher_weight,
            config.teacher_temperature,
            config.teacher_feature_weight,
        )


class FeatureObjective:
    """Giving the features that a frozen encoder gives; labels do not matter.

    Args:
        strategy: `tf.distribute.Strategy`.
        teacher: frozen model of features that shares no layer with the student.
    """

    score, class_names = "cosine", ()

    def __init__(self, strategy, teacher):
        if is_multi_worker(strategy):
            raise ValueError(
                "--objective=features works on one device and under "
                "--strategy=mirrored, not with several workers."
            )
        self._teacher = teacher

    def loss(self, label_smoothing=0.0):
        """As of `LabelObjective`; there is nothing to smooth."""
        return RelativeSquaredError()

    def metrics(self, num_mux):
        """As of `LabelObjective`: none, the trained model has its own."""
        return []

    def targets(self, images, labels):
        """As of `LabelObjective`."""
        return self._teacher(images, training=False)

    def evaluated(self, model):
        """As of `LabelObjective`."""
        return FeatureStudent(self._teacher, model)

    trained = evaluated


class RelativeSquaredError(keras.losses.Loss):
    """Squared distance of features, as a share of the squared length of the right ones.

    Twice `1 - cosine` where both have one length, whatever the encoder's scale.
    """

    def call(self, y_true, y_pred):
        error = ops.sum(ops.square(y_true - y_pred), axis=-1)
        return error / (ops.sum(ops.square(y_true), axis=-1) + 1e-12)


class FeatureStudent(keras.Model):
    """A model of features whose labels, on any batch, are a teacher's features.

    Its metric `cosine` is the mean cosine between both.

    Args:
        teacher: model of features; it is frozen.
        student: model of features of as many.

    Raises:
        ValueError: if they differ in number.
    """

    def __init__(self, teacher, student):
        super().__init__(name=student.name)
        widths = teacher.output_shape[-1], student.output_shape[-1]
        if widths[0] != widths[1]:
            raise ValueError(
                f"The encoder gives {widths[0]} features, the model {widths[1]}: only "
                "equal ones can be compared."
            )
        teacher.trainable = False
        self.teacher, self.student = teacher, student
        self.cosine = keras.metrics.Mean(name="cosine")

    def call(self, inputs, training=None):
        return self.student(inputs, training=training)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        features = self.teacher(x, training=False)
        products = ops.normalize(features) * ops.normalize(y_pred)
        self.cosine.update_state(ops.sum(products, axis=-1), sample_weight)
        return super().compute_loss(x, features, y_pred, sample_weight, training)
