"""Multiply-accumulates of a TensorFlow graph."""

import collections
import math

CALLS = ("PartitionedCall", "StatefulPartitionedCall", "RemoteCall")
# Operation -> attributes that name the functions it may call.
BRANCHES = {
    "If": ("then_branch", "else_branch"),
    "StatelessIf": ("then_branch", "else_branch"),
    "Case": ("branches",),
    "StatelessCase": ("branches",),
}
LOOPS = ("While", "StatelessWhile")
# Compute that hides its shapes, control flow of TensorFlow 1, and kinds of convolution
# that no ViT has.
REFUSED = (
    "BlockLSTM",
    "BlockLSTMV2",
    "Conv2DBackpropInput",
    "Conv3D",
    "Conv3DBackpropInputV2",
    "CudnnRNN",
    "CudnnRNNV2",
    "CudnnRNNV3",
    "DepthwiseConv2dNative",
    "EagerPyFunc",
    "Enter",
    "LSTMBlockCell",
    "PyFunc",
    "PyFuncStateless",
    "SparseMatMul",
    "SparseTensorDenseMatMul",
    "XlaCallModule",
    "XlaLaunch",
)


def scope(name):
    """Opens a name scope around operations."""
    import tensorflow as tf

    return tf.name_scope(name)


def weightless():
    """Opens a graph in which variables are declared and never initialised."""
    import tensorflow as tf

    return tf.Graph().as_default()


def macs(model, inputs, otherwise, stage_in):
    """Traces the model and counts its MACs by stage.

    Args:
        model: `keras.Model`.
        inputs: `(shape, dtype)` or a list of them.
        otherwise: int. The stage of operations outside every mark.
        stage_in: function of a scope's name and the stage around it -> stage.

    Returns:
        `collections.Counter`, stage -> MACs of the whole batch.
    """
    import tensorflow as tf

    specs = inputs if isinstance(inputs, list) else [inputs]
    specs = [tf.TensorSpec(shape, dtype) for shape, dtype in specs]

    def infer(*tensors):
        return model(
            list(tensors) if isinstance(inputs, list) else tensors[0], training=False
        )

    graph = tf.function(infer, autograph=False).get_concrete_function(*specs).graph
    return graph_macs(graph, otherwise, stage_in)


def graph_macs(graph, otherwise, stage_in):
    """Counts the MACs of a `tf.Graph` by stage, with the functions it calls.

    Raises:
        ValueError: for a loop that holds products, branches of unequal cost, an
            operation of `REFUSED`, or a shape that is not known.
    """
    totals = collections.Counter()
    for op in graph.get_operations():
        stage = stage_in(op.name, otherwise)
        if op.type in CALLS:
            totals += graph_macs(_function(graph, op, "f"), stage, stage_in)
        elif op.type in BRANCHES:
            totals += _branch_macs(graph, op, stage, stage_in)
        elif op.type in LOOPS:
            _refuse_products(graph, op, stage, stage_in)
        elif op.type in REFUSED:
            raise ValueError(
                f"Cannot tell what the operation {op.name!r} of type {op.type} costs. "
                "Counted are matrix products, einsums and 2-D convolutions."
            )
        elif op.type in OPERATIONS:
            totals[stage] += OPERATIONS[op.type](op)
    return totals


def _function(graph, op, attribute):
    return graph._get_function(op.get_attr(attribute).name).graph


def _branch_macs(graph, op, stage, stage_in):
    branches = []
    for attribute in BRANCHES[op.type]:
        value = op.get_attr(attribute)
        branches += value if isinstance(value, list) else [value]
    costs = [
        graph_macs(graph._get_function(branch.name).graph, stage, stage_in)
        for branch in branches
    ]
    if any(cost != costs[0] for cost in costs):
        raise ValueError(
            f"The branches of {op.name!r} cost differently, so the cost depends on "
            f"the data. Received: {[cost.total() for cost in costs]} MACs"
        )
    return costs[0]


def _refuse_products(graph, op, stage, stage_in):
    for attribute in ("cond", "body"):
        cost = graph_macs(_function(graph, op, attribute), stage, stage_in).total()
        if cost:
            raise ValueError(
                f"The number of rounds of the loop {op.name!r} is not known from the "
                f"graph, and each costs {cost} MACs. Unroll it to count the model."
            )


def _shape(op, index):
    shape = op.inputs[index].shape
    if shape.rank is None or None in tuple(shape):
        raise ValueError(
            f"The shape of input {index} of {op.name!r} ({op.type}) is not known: "
            f"{shape}. Count a model whose shapes follow from the batch size."
        )
    return tuple(shape)


def _matmul(op):
    left, right = _shape(op, 0), _shape(op, 1)
    transposes = {"transpose_a", "adj_x"} & set(op.node_def.attr)
    left_transposed = any(op.get_attr(name) for name in transposes)
    transposes = {"transpose_b", "adj_y"} & set(op.node_def.attr)
    right_transposed = any(op.get_attr(name) for name in transposes)
    contracted, rows = left[-2:] if left_transposed else left[:-3:-1]
    columns = right[-2] if right_transposed else right[-1]
    return math.prod(_broadcast(left[:-2], right[:-2])) * rows * columns * contracted


def _broadcast(left, right):
    """The shape that two leading shapes broadcast to."""
    rank = max(len(left), len(right))
    left = (1,) * (rank - len(left)) + left
    right = (1,) * (rank - len(right)) + right
    return tuple(r if k == 1 else k for k, r in zip(left, right, strict=True))


def _einsum(op):
    if len(op.inputs) != 2:
        return 0
    equation = op.get_attr("equation").decode().replace(" ", "")
    return einsum_macs(equation, _shape(op, 0), _shape(op, 1))


def einsum_macs(equation, left_shape, right_shape):
    """MACs of an einsum of two operands, without `...`.

    One product for every index of the result and of the contraction; an index
    of one operand only that the result has not is summed before the product.
    """
    if "." in equation:
        raise ValueError(f"Write the einsum without `...` to count it: {equation}")
    operands, result = equation.split("->")
    left, right = operands.split(",")
    sizes = dict(zip(left + right, left_shape + right_shape, strict=True))
    return math.prod(
        size
        for label, size in sizes.items()
        if label in result or (label in left and label in right)
    )


def _outputs(op):
    shape = op.outputs[0].shape
    if not shape.is_fully_defined():
        raise ValueError(
            f"The shape of the output of {op.name!r} ({op.type}) is not known: {shape}."
        )
    return math.prod(shape)


def _convolution(op):
    # Kernel (*window, channels of one group, filters): each output value sums over
    # the window and its group's channels.
    return _outputs(op) * math.prod(_shape(op, 1)[:-1])


OPERATIONS = {
    "MatMul": _matmul,
    "BatchMatMul": _matmul,
    "BatchMatMulV2": _matmul,
    "BatchMatMulV3": _matmul,
    "Einsum": _einsum,
    "Conv2D": _convolution,
}
