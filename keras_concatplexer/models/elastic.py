"""One set of weights for several N: accurate or fast, as the caller picks."""

import types
from collections.abc import Mapping, Sequence

import keras
from keras import ops

from keras_concatplexer.arguments import positive_int
from keras_concatplexer.classifier import is_classifier
from keras_concatplexer.models.concatplexer import ConcatPlexer
from keras_concatplexer.models.in_place_distillation import InPlaceDistillation
from keras_concatplexer.models.partition import checked_shares, part_bounds
from keras_concatplexer.models.wrapped_vit import WrappedViT, serialized_vit


@keras.saving.register_keras_serializable(package="keras_concatplexer")
class ElasticConcatPlexer(WrappedViT):
    """A ViT classifier that runs one, two, four ... images through one sequence.

    The model holds one `ConcatPlexer` per N over the same ViT. They share embedding,
    blocks and head; each N > 1 has its own small C-Multiplexer and slot embedding.
    In training the batch is cut into one part per N, so that each step trains all of
    them. Outside training the model answers as that of the first N; `at(num_mux)`
    gives the others. The paper has no such model: it is ours.

    Args:
        vit: ViT classifier, for example of `vit.keras_cv_vit`. Its layers are used,
            not copied.
        num_mux: sequence of different ints, the images per group. The first is what
            `evaluate`, `predict` and a call outside training use.
        patchifier_depth: int or `None`. Blocks that see each image alone; half of
            the ViT's blocks by default.
        strides: sequence with one value per N, each an int, a pair of ints or `None`
            (keep one of N tokens); or `None`. Steps of the token reductions.
        kernel_size: sequence with one value per N, each an int, a pair of ints or
            `None` (the strides, but no less than 2); or `None`. Windows of the token
            reductions, for the reducer `"conv"` only.
        reducer: `"conv"`, `"mean"`, `"tome"` or `"select"`, how an image's patch
            tokens are reduced; see `ConcatPlexer`.
        attention_scope: `"group"`: the images of a group attend to each other in the
            backbone. `"image"`: each attends to itself alone.
        proportional_attention: bool. For the reducer `"tome"`: whether a merged token
            counts in attention as often as the patches in it, where N > 1.
        own_norm: bool. Whether each N > 1 has a final norm of its own.
        shuffle_slots: bool. For the scope `"group"`: whether training draws which
            image of a group gets which slot's vector, where N > 1.
        seed: int or `None`. Of these draws.
        num_mux_weights: sequence of positive numbers, one per N, or `None` for equal
            ones: the share of a training batch that each N gets. A part is a whole
            number of groups; what is left over goes to the smallest N.
        in_place_weight: float. Weight of the loss by which, in training, N = 1
            teaches the others: it also answers the images of their parts, and they
            learn from its logits. 0: none. It costs one more forward pass of the ViT
            over those images.
        in_place_temperature: float. Of both softmaxes in that loss.
        backbone: a second ViT or `None`, whose blocks, norm and head all N share
            behind their multiplexers, in place of the rest of `vit`.

    Input: float images `(batch_size, height, width, channels)`, any `batch_size`
        >= 1, preprocessed as the ViT expects.
    Output: float32 logits `(batch_size, num_classes)`, in input order, in training
        too.

    Raises:
        ValueError: if an argument is invalid.

    Example:

    >>> vit = keras_cv_vit("vit_nano4", image_shape=(16, 16, 1), num_classes=10)
    >>> model = ElasticConcatPlexer(vit, num_mux=(1, 2, 4))
    >>> model.at(num_mux=4).num_mux
    4
    """

    def __init__(
        self,
        vit: keras.Model,
        num_mux: Sequence[int],
        patchifier_depth: int | None = None,
        strides: Sequence | None = None,
        kernel_size: Sequence | None = None,
        reducer: str = "conv",
        attention_scope: str = "group",
        proportional_attention: bool = False,
        own_norm: bool = False,
        shuffle_slots: bool = False,
        seed: int | None = None,
        num_mux_weights: Sequence[float] | None = None,
        in_place_weight: float = 0.0,
        in_place_temperature: float = 2.0,
        backbone: keras.Model | None = None,
        name: str | None = "elastic_concatplexer",
    ):
        num_mux = _checked_num_mux(num_mux)
        num_mux_weights = checked_shares(num_mux_weights, num_mux)
        _check_in_place(in_place_weight, in_place_temperature, num_mux)
        if in_place_weight and not is_classifier(vit):
            raise ValueError(
                "`in_place_weight` compares logits, and this ViT gives features. "
                f"Received: in_place_weight={in_place_weight}"
            )

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
                backbone,
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
        super().__init__(vit, first.input, first.output, name)
        self._models = models
        self._in_place = InPlaceDistillation(
            in_place_weight, in_place_temperature, dtype="float32"
        )

        # === Config ===
        object.__setattr__(self, "backbone", backbone)
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
        self.in_place_weight = in_place_weight
        self.in_place_temperature = in_place_temperature
        self.note_weights()

    def graphs(self):
        return self._models

    @property
    def head_layer(self):
        return self._models[0].head_layer

    @property
    def layer_stages(self):
        """dict, name of a layer of this model's graph, the first N's, -> its stage."""
        return self._models[0].layer_stages

    @property
    def by_num_mux(self) -> Mapping[int, keras.Model]:
        """Read-only mapping, N -> its `ConcatPlexer`, in the order of `num_mux`."""
        return types.MappingProxyType(
            dict(zip(self.num_mux, self._models, strict=True))
        )

    def at(self, num_mux: int) -> keras.Model:
        """Returns the `ConcatPlexer` of one N; it shares this model's weights.

        It is compiled as this model is, with an optimizer of its own.

        Args:
            num_mux: int, one of this model's.

        Raises:
            ValueError: if it is not.
        """
        if num_mux not in self.num_mux:
            raise ValueError(
                f"This model has num_mux={self.num_mux}. Received: num_mux={num_mux!r}"
            )
        return self.by_num_mux[num_mux]

    def compile(self, optimizer="rmsprop", *args, **kwargs):
        """Compiles this model, and that of each N with the same arguments."""
        super().compile(optimizer, *args, **kwargs)
        for model in self._models:
            own = optimizer
            if isinstance(optimizer, keras.optimizers.Optimizer):
                # It keeps a state per weight, and another N has other weights.
                own = type(optimizer).from_config(optimizer.get_config())
            model.compile(own, *args, **kwargs)

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def call(self, inputs, training=None, mask=None):
        if not training:
            return super().call(inputs, training=training, mask=mask)
        batch_size = ops.shape(inputs)[0]
        bounds = part_bounds(batch_size, self.num_mux, self.num_mux_weights)
        logits = []
        for num_mux, (start, stop, num_rows) in zip(self.num_mux, bounds, strict=True):
            part = inputs[start:stop]
            answers = self.at(num_mux)(part, training=True)[:num_rows]
            if self.in_place_weight and num_mux > 1:
                taught = self.at(1)(part, training=False)[:num_rows]
                answers = self._in_place(taught, answers, batch_size=batch_size)
            logits.append(answers)
        return ops.concatenate(logits)

    def get_config(self):
        return {
            **super().get_config(),
            "num_mux": self.num_mux,
            "patchifier_depth": self.patchifier_depth,
            "strides": self.strides,
            "kernel_size": self.kernel_size,
            "reducer": self.reducer,
            "attention_scope": self.attention_scope,
            "proportional_attention": self.proportional_attention,
            "own_norm": self.own_norm,
            "shuffle_slots": self.shuffle_slots,
            "seed": self.seed,
            "num_mux_weights": self.num_mux_weights,
            "in_place_weight": self.in_place_weight,
            "in_place_temperature": self.in_place_temperature,
            "backbone": serialized_vit(self.backbone),
        }


def _checked_num_mux(num_mux):
    if (
        not isinstance(num_mux, (tuple, list))
        or not num_mux
        or len(set(num_mux)) != len(num_mux)
    ):
        raise ValueError(
            "An elastic model's `num_mux` must be different positive integers, such as "
            f"(1, 2, 4). Received: num_mux={num_mux!r}"
        )
    return tuple(positive_int("num_mux", n) for n in num_mux)


def _check_in_place(weight, temperature, num_mux):
    if weight < 0 or temperature <= 0 or (weight > 0 and 1 not in num_mux):
        raise ValueError(
            "`in_place_weight` must be at least 0 and `in_place_temperature` above 0; "
            "with a weight, 1 must be in `num_mux`: it teaches the others. Received: "
            f"in_place_weight={weight}, in_place_temperature={temperature}, "
            f"num_mux={num_mux}"
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
