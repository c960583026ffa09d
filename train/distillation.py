"""Learning from the logits of an un-multiplexed ViT."""

import keras

import keras_concatplexer as kcp


class Distillation(keras.distillation.Distiller):
    """Trains `student` on labels and on a teacher's logits.

    The validation loss is the student's own on the labels, weighted as given.

    Args:
        teacher: classifier that shares no layer with the student; frozen.
        student: classifier of the same images and classes.
        loss: `keras.losses.Loss` of the labels.
        weight: float in (0, 1], the teacher's share of the training loss.
        temperature: float, of both softmaxes.
        feature_weight: float. Weight, beside the loss of the logits, of the mean
            squared difference between both models' features, which must be of one
            width. 0: none. It costs another forward pass.
    """

    def __init__(self, teacher, student, loss, weight, temperature, feature_weight=0.0):
        if weights := {id(weight) for weight in teacher.weights} & {
            id(weight) for weight in student.weights
        }:
            raise ValueError(
                f"The teacher shares {len(weights)} weights with the student; "
                "freezing it would freeze them. Give it a copy of its own."
            )
        # Instances: with names, Keras skips the softmax and the temperature.
        losses = {
            keras.distillation.LogitsDistillation(
                temperature, keras.losses.KLDivergence()
            ): 1.0
        }
        if feature_weight:
            _check_widths(teacher, student)
            layers = [_last_layer(model) for model in (teacher, student)]
            features = keras.distillation.FeatureDistillation(
                keras.losses.MeanSquaredError(), *layers
            )
            losses[features] = feature_weight
        super().__init__(
            teacher,
            student,
            list(losses),
            distillation_loss_weights=list(losses.values()),
            student_loss_weight=1.0 - weight,
        )
        self.label_loss = loss

    @property
    def metrics(self):
        # Under a strategy Keras divides the parts by the replicas: left out.
        parts = (
            self.student_loss_tracker,
            self.distillation_loss_tracker,
            self.total_loss_tracker,
        )
        return [
            metric
            for metric in super().metrics
            if all(metric is not part for part in parts)
        ]

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        if training:
            loss = super().compute_loss(x, y, y_pred, sample_weight, training)
            if self.losses:
                # What layers of the student added: Keras' Distiller leaves it out.
                loss += keras.Model.compute_loss(self, x, y, y_pred)
            return loss
        return self.label_loss(y, y_pred, sample_weight=sample_weight)


def _check_widths(teacher, student):
    widths = [
        model.get_layer(_last_layer(model)).output.shape[-1]
        for model in (teacher, student)
    ]
    if widths[0] != widths[1]:
        raise ValueError(
            f"The teacher's class token has {widths[0]} features, the student's "
            f"{widths[1]}: only equal ones can be compared. Set "
            "--teacher_feature_weight=0, or choose another teacher."
        )


def _last_layer(model):
    """Returns the name of the layer that gives a classifier's features."""
    if isinstance(model, kcp.models.WrappedViT):
        stages, norm = model.backbone_stages, model.norm
    else:
        stages = kcp.vit.read_stages(model)
        norm = stages.norm
    return (stages.pooling or norm).name


def load_teacher(workdir, preprocessor, class_names):
    """Loads the best model of a workdir as a teacher.

    Args:
        workdir: of a training run.
        preprocessor: `ImagePreprocessor` of the student's images.
        class_names: tuple of str, the student's classes; `None` where they do not
            matter.

    Raises:
        ValueError: if it is multiplexed, or for other images or classes.
    """
    description = kcp.bundle.read_description(workdir)
    teacher = kcp.bundle.load_model(workdir)
    if isinstance(teacher, kcp.models.WrappedViT):
        raise ValueError(
            f"--teacher={workdir} holds a multiplexed model. Expected a plain ViT "
            "(python -m train --model=vit)."
        )
    theirs, ours = _facts(description.preprocessor), _facts(preprocessor)
    if class_names is not None:
        theirs["classes"] = tuple(description.class_names)
        ours["classes"] = tuple(class_names)
    differing = [
        f"{name}: {theirs[name]}, here {ours[name]}"
        for name in ours
        if theirs[name] != ours[name]
    ]
    if differing:
        raise ValueError(
            f"--teacher={workdir} was trained on other data. It has "
            f"{'; '.join(differing)}. A teacher needs the student's images and "
            "classes, in the same order."
        )
    return teacher


def _facts(preprocessor):
    """dict, what makes two `ImagePreprocessor`s the same."""
    facts = {
        name: getattr(preprocessor, name) for name in ("image_shape", "mean", "std")
    }
    resizing = preprocessor.resizing
    return {
        **facts,
        "resizing": resizing and {**resizing.get_config(), "name": None},
    }
