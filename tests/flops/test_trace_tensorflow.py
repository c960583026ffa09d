import pytest
import tensorflow as tf

from keras_concatplexer.flops.trace_tensorflow import einsum_macs, graph_macs


def macs(function, *shapes):
    specs = [tf.TensorSpec(shape) for shape in shapes]
    graph = tf.function(function).get_concrete_function(*specs).graph
    return graph_macs(graph, "model", lambda name, stage: stage).total()


@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
def test_matrix_products(transpose_a, transpose_b):
    left, right = ((4, 3) if transpose_a else (3, 4)), (5, 4) if transpose_b else (4, 5)

    def product(a, b):
        return tf.matmul(a, b, transpose_a=transpose_a, transpose_b=transpose_b)

    assert macs(product, left, right) == 3 * 4 * 5
    assert macs(product, (2, 1, *left), (7, *right)) == 2 * 7 * 3 * 4 * 5
    # A matrix on the left of a batch: BatchMatMul broadcasts it.
    assert macs(product, left, (7, *right)) == 7 * 3 * 4 * 5


@pytest.mark.parametrize(
    "equation, left, right, expected",
    [
        ("bld,dhk->blhk", (2, 3, 4), (4, 5, 6), 2 * 3 * 4 * 5 * 6),
        ("aecd,abcd->acbe", (2, 3, 4, 5), (2, 7, 4, 5), 2 * 3 * 7 * 4 * 5),
        # `j` is in one operand only: it is summed first.
        ("ij,k->ik", (3, 4), (5,), 3 * 5),
    ],
)
def test_einsum(equation, left, right, expected):
    assert einsum_macs(equation, left, right) == expected


def test_an_einsum_with_dots_is_refused():
    with pytest.raises(ValueError, match="without `...`"):
        einsum_macs("...ij,jk->...ik", (2, 3, 4), (4, 5))


def test_einsum_of_one_operand_is_no_product():
    assert macs(lambda x: tf.einsum("ij->ji", x), (3, 4)) == 0


def test_convolutions_by_hand():
    def convolve(images, kernel):
        return tf.nn.conv2d(images, kernel, strides=2, padding="SAME")

    assert macs(convolve, (2, 5, 5, 4), (3, 3, 2, 6)) == 2 * 9 * 9 * 2 * 6


def test_called_functions_count_as_often_as_they_are_called():
    kernel = tf.Variable(tf.zeros((4, 4)))
    inner = tf.function(lambda x: tf.matmul(x, kernel))
    assert macs(lambda x: inner(inner(x)), (3, 4)) == 2 * 3 * 4 * 4


def test_branches_of_equal_cost_count_once():
    kernel = tf.zeros((4, 4))

    def either(x):
        return tf.cond(
            tf.reduce_sum(x) > 0,
            lambda: tf.matmul(x, kernel),
            lambda: tf.matmul(-x, kernel),
        )

    assert macs(either, (3, 4)) == 3 * 4 * 4


def test_branches_of_unequal_cost_are_refused():
    kernel = tf.zeros((4, 4))

    def either(x):
        return tf.cond(tf.reduce_sum(x) > 0, lambda: tf.matmul(x, kernel), lambda: x)

    with pytest.raises(ValueError, match="cost differently"):
        macs(either, (3, 4))

    def one_of_three(x):
        branches = [lambda: x, lambda: tf.matmul(x, kernel), lambda: x]
        return tf.switch_case(tf.cast(x[0, 0], "int32"), branches)

    with pytest.raises(ValueError, match="cost differently"):
        macs(one_of_three, (3, 4))


def test_loops():
    kernel = tf.zeros((4, 4))

    def add(x):
        return tf.while_loop(lambda x: x[0, 0] < 3, lambda x: (x + 1,), (x,))[0]

    def multiply(x):
        step = lambda x: (tf.matmul(x, kernel),)  # noqa: E731
        return tf.while_loop(lambda x: x[0, 0] < 3, step, (x,))[0]

    assert macs(add, (3, 4)) == 0
    with pytest.raises(ValueError, match="each costs 48 MACs"):
        macs(multiply, (3, 4))


def test_opaque_operations_are_refused():
    with pytest.raises(ValueError, match="Cannot tell what the operation"):
        macs(lambda x: tf.numpy_function(lambda y: y, [x], tf.float32), (3, 4))


def test_unknown_shapes_are_refused():
    with pytest.raises(ValueError, match="shape of input 0 .* is not known"):
        macs(lambda x: tf.matmul(x, tf.zeros((4, 4))), (None, 4))
    with pytest.raises(ValueError, match="shape of the output"):
        macs(
            lambda x: tf.nn.conv2d(x, tf.zeros((3, 3, 2, 2)), 1, "SAME"),
            (None, 5, 5, 2),
        )
