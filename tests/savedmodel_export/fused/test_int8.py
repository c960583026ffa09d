import keras
import numpy as np
import pytest
import tensorflow as tf

from savedmodel_export.fused.int8 import Int8Dense, SwitchedDense, kernel_maxima
from savedmodel_export.fused.layers import FusedDense

MAXIMUM = 3.0
STEP = MAXIMUM / 127


@pytest.fixture
def rows():
    """Inputs that int8 tells exactly, `(5, 16)`."""
    steps = np.random.default_rng(0).integers(-127, 128, (5, 16))
    return (steps * STEP).astype("float32")


@pytest.fixture
def dense():
    """Function: activation -> product whose weights int8 tells exactly."""
    rng = np.random.default_rng(1)
    kernel = rng.integers(-126, 127, (16, 8)).astype("float32")
    kernel[0], kernel[:, 3] = 127, 0
    kernel[0, 3] = 0
    # Columns of many sizes: each has its own step.
    kernel *= 10.0 ** np.arange(-4, 4) / 127
    bias = np.linspace(-1, 1, 8).astype("float32")

    def make(activation=None):
        return FusedDense(kernel, bias, tf.float32, "product", activation)

    return make


def run(product, rows):
    return tf.function(product, autograph=False)(tf.constant(rows)).numpy()


@pytest.mark.parametrize("dtype", [tf.bfloat16, tf.float32])
def test_answers_as_the_float_product(dense, rows, dtype):
    expected = dense()(rows).numpy()
    answers = run(Int8Dense(dense(), MAXIMUM, output_dtype=dtype), rows)
    assert answers.dtype == dtype.as_numpy_dtype
    # Half precision of the answer is the only error.
    np.testing.assert_allclose(
        answers.astype("float32"), expected, rtol=0.01, atol=0.01
    )
    np.testing.assert_allclose(
        answers[:, 3].astype("float32"), dense().bias[3], rtol=0.01
    )


@pytest.mark.parametrize(
    "activation",
    [
        keras.activations.gelu,
        lambda x: keras.activations.gelu(x, approximate=True),
        keras.activations.relu,
    ],
)
def test_the_activation_follows(dense, rows, activation):
    expected = dense(activation)(rows).numpy()
    answers = run(Int8Dense(dense(activation), MAXIMUM), rows).astype("float32")
    np.testing.assert_allclose(answers, expected, rtol=0.01, atol=0.01)


@pytest.mark.parametrize("activation", [keras.activations.gelu, keras.activations.relu])
def test_hands_its_answer_over_in_int8(dense, rows, activation):
    first = dense(activation)
    largest = float(first(rows).numpy().max())
    kernel = np.random.default_rng(2).normal(size=(8, 4)).astype("float32")
    second = FusedDense(kernel, None, tf.float32, "second")
    expected = second(first(rows)).numpy()
    quantized = Int8Dense(first, MAXIMUM, largest)
    after = Int8Dense(second, largest)
    answers = run(lambda rows: after(quantized(rows)), rows).astype("float32")
    assert np.abs(answers - expected).max() < 0.02 * np.abs(expected).max()


def test_values_beyond_the_range_are_cut(dense, rows):
    largest = np.sign(rows) * np.float32(MAXIMUM)
    answers = run(Int8Dense(dense(), MAXIMUM), 10 * largest)
    np.testing.assert_array_equal(answers, run(Int8Dense(dense(), MAXIMUM), largest))


def test_one_byte_per_weight(dense):
    sizes = {v.name: v.dtype.size for v in Int8Dense(dense(), MAXIMUM).variables}
    assert sizes == {"kernel:0": 1, "bias:0": 4}


def test_an_empty_column_has_a_range():
    assert kernel_maxima(np.array([[0.0, -2.0]])).tolist() == [1.0, 2.0]


def test_switches_between_int8_and_half(dense, rows):
    half = FusedDense(dense().kernel, dense().bias, tf.bfloat16, "product")
    cast = tf.cast(rows, tf.bfloat16)
    switched = SwitchedDense(Int8Dense(dense(), MAXIMUM), half)
    function = tf.function(switched, autograph=False)
    in_int8 = function(cast).numpy()
    switched.is_int8.assign(False)
    np.testing.assert_array_equal(function(cast), run(half, cast))
    np.testing.assert_array_equal(in_int8, run(switched.int8, cast))
