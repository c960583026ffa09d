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
    """

    def __init__(self, teacher, student, loss, weight, temperature):
        if weights := {id(weight) for weight in teacher.weights} & {
            id(weight) for weight in student.weights
        }:
            raise ValueError(
                f"The teacher shares {len(weights)} weights with the student; "
                "freezing it would freeze them. Give it a copy of its own."
            )
        # Instances: with names, Keras skips the softmax and the temperature.
        super().__init__(
            teacher,
            student,
            keras.distillation.LogitsDistillation(
                temperature, keras.losses.KLDivergence()
            ),
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


def load_teacher(workdir, preprocessor, class_names):
    """Loads the best model of a workdir as a teacher.

    Args:
        workdir: of a training run.
        preprocessor: `ImagePreprocessor` of the student's images.
        class_names: tuple of str, the student's classes.

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
    differing = [
        f"{name}: {theirs}, here {ours}"
        for name, theirs, ours in (
            *(
                (name, getattr(description.preprocessor, name), value)
                for name in ("image_shape", "mean", "std")
                for value in [getattr(preprocessor, name)]
            ),
            ("classes", description.class_names, tuple(class_names)),
        )
        if theirs != ours
    ]
    if differing:
        raise ValueError(
            f"--teacher={workdir} was trained on other data. It has "
            f"{'; '.join(differing)}. A teacher needs the student's images and "
            "classes, in the same order."
        )
    return teacher
