"""The loss by which one N of an elastic model teaches another."""

import keras
from keras import ops


class InPlaceDistillation(keras.layers.Layer):
    """Adds the loss by which a student's logits follow a teacher's.

    Teacher and student share their weights; no gradient reaches the teacher. After
    Hinton et al., arXiv 1503.02531, section 2, and the in-place distillation of
    slimmable networks, arXiv 1903.05134, section 3.

    Args:
        weight: float, of the loss.
        temperature: float, of both softmaxes.

    Call arguments:
        taught: the teacher's logits `(num_images, num_classes)`.
        answers: the student's logits of the same images; the call returns them.
        batch_size: int or integer tensor. Images of the whole batch, of which these
            are a part: the loss is a sum over the part and a mean over the batch.
    """

    # A functional model has no `add_loss`; its layers have.

    def __init__(self, weight, temperature, **kwargs):
        super().__init__(**kwargs)
        self.weight, self.temperature = weight, temperature

    def call(self, taught, answers, batch_size):
        divergences = keras.losses.kl_divergence(
            ops.softmax(ops.stop_gradient(taught) / self.temperature),
            ops.softmax(answers / self.temperature),
        )
        mean = ops.sum(divergences) / ops.cast(batch_size, divergences.dtype)
        # The squared temperature keeps the gradient's size.
        self.add_loss(self.weight * self.temperature**2 * mean)
        return answers
