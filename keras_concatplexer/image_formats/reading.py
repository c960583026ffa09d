"""Numbers and texts at places of a file, and conditions on them."""

import tensorflow as tf

# What is read past the end of a file is zero: a decoder finds the damage itself.


def integer64(value):
    """Returns a constant of the type that all places and sizes have."""
    return tf.constant(value, tf.int64)


def length(content):
    """Returns the number of bytes."""
    return tf.cast(tf.strings.length(content), tf.int64)


def values(content, position, number):
    """Returns the values of `number` bytes, at least one, from `position` on."""
    taken = tf.io.decode_raw(
        text(content, position, number),
        tf.uint8,
        fixed_length=tf.cast(number, tf.int32),
    )
    taken.set_shape((number if isinstance(number, int) else None,))
    return tf.cast(taken, tf.int64)


def text(content, position, number):
    """Returns at most `number` bytes from `position` on as a string."""
    position = tf.minimum(length(content), position)
    return tf.strings.substr(content, position, tf.cast(number, tf.int64))


def integer(content, position, num_bytes, big_endian=False):
    """Returns the unsigned integer of `num_bytes` bytes at `position`."""
    return as_integer(values(content, position, num_bytes), big_endian)


def as_integer(digits, big_endian=False):
    """Returns the unsigned integers that the last axis spells in bytes."""
    weights = [256**power for power in range(digits.shape[-1])]
    return tf.reduce_sum(
        digits * integer64(weights[::-1] if big_endian else weights), axis=-1
    )


def starts_with(content, magic):
    """Whether the first bytes are `magic`."""
    return tf.strings.substr(content, 0, len(magic)) == magic


def walk(step, start):
    """Applies `step` to a named tuple of scalars until its `done` is true."""

    def body(state):
        state = step(state)
        for field in state:
            field.set_shape(())
        return (state,)

    (end,) = tf.while_loop(
        lambda state: ~state.done, body, (start,), parallel_iterations=1
    )
    return end


def refuse_unless(condition, *message):
    """Returns the operation that raises `InvalidArgumentError` with a message."""
    return tf.debugging.Assert(condition, list(message))


def after(checks, value):
    """Returns `value`, to be had only when no check has raised."""
    with tf.control_dependencies(checks):
        return tf.identity(value)
