"""AdamW with warmup and cosine decay."""

import keras
import tensorflow as tf


class ReplicatedAdamW(keras.optimizers.AdamW):
    """AdamW that clips the gradient of the whole batch under a strategy.

    Keras clips each replica's part before it adds them, so that its limit means
    something else for every number of replicas.

    Args:
        clip_norm: float, limit of the global norm of the summed gradients.
        **kwargs: those of `keras.optimizers.AdamW`.
    """

    def __init__(self, clip_norm, **kwargs):
        super().__init__(**kwargs)
        self.clip_norm = clip_norm

    def apply(self, grads, trainable_variables=None):
        replica = tf.distribute.get_replica_context()
        parts = [None if part is None else tf.convert_to_tensor(part) for part in grads]
        given = [part for part in parts if part is not None]
        sums = replica.all_reduce(tf.distribute.ReduceOp.SUM, given)
        clipped, _ = tf.clip_by_global_norm(sums, self.clip_norm)
        # Keras adds the replicas' gradients, which are now the same.
        shares = iter(part / replica.num_replicas_in_sync for part in clipped)
        grads = [None if part is None else next(shares) for part in parts]
        super().apply(grads, trainable_variables)

    def get_config(self):
        return {**super().get_config(), "clip_norm": self.clip_norm}


def make_optimizer(config, steps_per_epoch, model):
    """Returns the optimizer of a `Config`; call it under the strategy's scope.

    Args:
        config: `Config`.
        steps_per_epoch: int.
        model: the classifier, whose weights tell which of them do not decay.
    """
    accumulation = config.gradient_accumulation
    settings = {
        "learning_rate": learning_rate_schedule(config, steps_per_epoch),
        "weight_decay": config.weight_decay,
        "use_ema": config.ema > 0,
        "ema_momentum": config.ema or 0.99,
        "gradient_accumulation_steps": accumulation if accumulation > 1 else None,
    }
    if config.clip_norm and tf.distribute.get_strategy().num_replicas_in_sync > 1:
        optimizer = ReplicatedAdamW(config.clip_norm, **settings)
    else:
        optimizer = keras.optimizers.AdamW(
            global_clipnorm=config.clip_norm or None, **settings
        )
    optimizer.exclude_from_weight_decay(var_list=without_decay(model))
    return optimizer


def learning_rate_schedule(config, steps_per_epoch):
    """Linear warmup from 0 to the peak, then a cosine to 0 at the last step."""
    warmup_steps = round(config.warmup_epochs * steps_per_epoch)
    total_steps = config.epochs * steps_per_epoch
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup_steps else config.learning_rate,
        decay_steps=max(1, total_steps - warmup_steps),
        warmup_target=config.learning_rate if warmup_steps else None,
        warmup_steps=warmup_steps,
    )


def without_decay(model):
    """The trainable weights that decay leaves alone, by the names in the model.

    The matrices of its layers are called `kernel`; biases, norms, class token,
    positions and slots are not.
    """
    return [
        weight for weight in model.trainable_variables if "kernel" not in weight.name
    ]
