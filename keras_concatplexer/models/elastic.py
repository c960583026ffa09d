"""One set of weights for several N: accurate or fast, as the caller picks."""

import keras
from keras import ops

from keras_concatplexer.arguments import positive_int
from keras_concatplexer.models.concatplexer import ConcatPlexer
from keras_concatplexer.models.in_place_distillation import InPlaceDistillation
from keras_concatplexer.models.multiplexed_vit import MultiplexedViT
from keras_concatplexer.models.partition import checked_shares, part_bounds


@keras.saving.register_keras_serializable(package="keras_concatplexer")
class ElasticConcatPlexer(ConcatPlexer):
    """A `ConcatPlexer` for several N at once, over one ViT.

    `ConcatPlexer(vit, num_mux=(1, 2, 4))` makes one. Embedding, blocks and head are
    shared; each N > 1 has its own small C-Multiplexer and slot embedding. In
    training the batch is cut into one part per N, so that each step trains them
    all. Outside training the model is that of the first N; `at(num_mux)` gives the
    others. The paper has no such model: it is ours.

    Args:
        vit: as of `ConcatPlexer`.
        num_mux: sequence of different ints. The first is what `evaluate`, `predict`
            and a call outside training use.
        patchifier_depth: as of `ConcatPlexer`.
        strides: sequence with one value per N, each as of `ConcatPlexer`, or `None`.
        kernel_size: as `strides`.
        reducer: as of `ConcatPlexer`.
        attention_scope: as of `ConcatPlexer`.
        proportional_attention: as of `ConcatPlexer`.
        own_norm: bool. Whether each N > 1 has a final norm of its own.
        shuffle_slots: as of `ConcatPlexer`.
        seed: as of `ConcatPlexer`.
        num_mux_weights: sequence of positive floats, one per N, or `None` for equal
            ones: the share of a training batch that each N gets. A part is a whole
            number of groups; what is left over goes to the smallest N.
        distillation_weight: float. Weight of the loss by which, in training, N = 1
            teaches the others: it also answers the images of their parts, and they
            learn from its logits. 0: none. It costs one more forward pass of the
            ViT over those images.
        distillation_temperature: float. Of both softmaxes in that loss.

    Input, output: as of `ConcatPlexer`, in training too.

    Raises:
        ValueError: if an argument is not as above, or as of `ConcatPlexer`.

    Example:

    >>> vit = keras_cv_vit("vit_nano4", image_shape=(16, 16, 1), num_classes=10)
    >>> model = ConcatPlexer(vit, num_mux=(1, 2, 4))
    >>> model.at(num_mux=4).num_mux
    4
    """

    def __init__(
        self,
        vit,
        num_mux,
        patchifier_depth=None,
        strides=None,
        kernel_size=None,
        reducer="conv",
        attention_scope="group",
        proportional_attention=False,
        own_norm=False,
        shuffle_slots=False,
        seed=None,
        num_mux_weights=None,
        distillation_weight=0.0,
        distillation_temperature=2.0,
        name="concatplexer",
    ):
        num_mux = _checked_num_mux(num_mux)
        num_mux_weights = checked_shares(num_mux_weights, num_mux)
        _check_distillation(distillation_weight, distillation_temperature, num_mux)

        # === Layers ===
        models = [
            ConcatPlexer(
                vit,
                n,
                patchifier_depth,
                steps,
                window,
                reducer,
                attention_scope,
                proportional_attention and n > 1,
                own_norm and n > 1,
                shuffle_slots and n > 1,
                seed,
                name=f"{name}_n{n}",
            )
            for n, steps, window in zip(
                num_mux,
                _one_each("strides", strides, num_mux),
                _one_each("kernel_size", kernel_size, num_mux),
                strict=True,
            )
        ]

        # === Functional Model ===
        first = models[0]
        # The graph is the first one's; the classes between would build another.
        super(MultiplexedViT, self).__init__(first.inputs, first.outputs, name=name)
        self._models = models
        self.distillation = InPlaceDistillation(
            distillation_weight, distillation_temperature, dtype="float32"
        )

        # === Config ===
        object.__setattr__(self, "vit", vit)
        self._pair_names, self._norm_name = first._pair_names, first._norm_name
        self.num_mux = num_mux
        self.patchifier_depth = first.patchifier_depth
        self.strides = tuple(model.strides for model in models)
        self.kernel_size = tuple(model.kernel_size for model in models)
        self.reducer = reducer
        self.attention_scope = attention_scope
        self.proportional_attention = proportional_attention
        self.own_norm = own_norm
        self.shuffle_slots = shuffle_slots
        self.seed = seed
        self.num_mux_weights = num_mux_weights
        self.distillation_weight = distillation_weight
        self.distillation_temperature = distillation_temperature

    def at(self, num_mux):
        """Returns the `ConcatPlexer` of one N; it shares this model's weights.

        Args:
            num_mux: int, one of this model's.

        Raises:
            ValueError: if it is not.
        """
        if num_mux not in self.num_mux:
            raise ValueError(
                f"This model has num_mux={self.num_mux}. Received: num_mux={num_mux!r}"
            )
        return self._models[self.num_mux.index(num_mux)]

    def call(self, inputs, training=None, mask=None):
        if not training:
            return super().call(inputs, training=training, mask=mask)
        batch_size = ops.shape(inputs)[0]
        bounds = part_bounds(batch_size, self.num_mux, self.num_mux_weights)
        logits = []
        for num_mux, (start, stop, num_rows) in zip(self.num_mux, bounds, strict=True):
            part = inputs[start:stop]
            answers = self.at(num_mux)(part, training=True)[:num_rows]
            if self.distillation_weight and num_mux > 1:
                taught = self.at(1)(part, training=False)[:num_rows]
                answers = self.distillation(taught, answers, batch_size=batch_size)
            logits.append(answers)
        return ops.concatenate(logits)

    def get_config(self):
        return {
            **super().get_config(),
            "num_mux_weights": self.num_mux_weights,
            "distillation_weight": self.distillation_weight,
            "distillation_temperature": self.distillation_temperature,
        }


def models_by_num_mux(model):
    """Returns dict, N -> the classifier that answers with it.

    One entry per N of an elastic model, in its order; else the model itself, a ViT
    with N = 1.
    """
    if isinstance(model, ElasticConcatPlexer):
        return {num_mux: model.at(num_mux) for num_mux in model.num_mux}
    return {getattr(model, "num_mux", 1): model}


def _checked_num_mux(num_mux):
    if not num_mux or len(set(num_mux)) != len(num_mux):
        raise ValueError(
            "An elastic model's `num_mux` must be different positive integers, such as "
            f"(1, 2, 4). Received: num_mux={tuple(num_mux)}"
        )
    return tuple(positive_int("num_mux", n) for n in num_mux)


def _check_distillation(weight, temperature, num_mux):
    if weight < 0 or temperature <= 0 or (weight > 0 and 1 not in num_mux):
        raise ValueError(
            "`distillation_weight` must be at least 0 and `distillation_temperature` "
            "above 0; with a weight, 1 must be in `num_mux`: it teaches the others. "
            f"Received: distillation_weight={weight}, distillation_temperature="
            f"{temperature}, num_mux={num_mux}"
        )


def _one_each(name, values, num_mux):
    if values is None:
        return [None] * len(num_mux)
    if not isinstance(values, (tuple, list)) or len(values) != len(num_mux):
        raise ValueError(
            f"An elastic model's `{name}` must be `None` or a sequence with one value "
            f"per N, {len(num_mux)} values. Received: {name}={values!r}"
        )
    return values
