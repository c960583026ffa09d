"""Multiply-accumulates of a JAX program."""

import collections
import math

OPAQUE = ("pallas_call", "ffi_call", "custom_call", "pure_callback", "io_callback")


def scope(name):
    """Opens a name scope around operations."""
    import jax

    return jax.named_scope(name)


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
    import jax

    specs = inputs if isinstance(inputs, list) else [inputs]
    specs = [jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in specs]
    weights = [
        [jax.ShapeDtypeStruct(tuple(v.shape), v.dtype) for v in variables]
        for variables in (model.trainable_variables, model.non_trainable_variables)
    ]

    def infer(trainable, non_trainable, tensors):
        tensors = tensors if isinstance(inputs, list) else tensors[0]
        return model.stateless_call(trainable, non_trainable, tensors, training=False)

    program = jax.make_jaxpr(infer)(*weights, specs)
    return program_macs(program.jaxpr, otherwise, stage_in)


def program_macs(program, otherwise, stage_in):
    """Counts the MACs of a jaxpr by stage, with the programs inside it.

    Raises:
        ValueError: for a loop that holds products and has no fixed length,
            branches of unequal cost, or an opaque operation.
    """
    totals = collections.Counter()
    for equation in program.eqns:
        name = equation.primitive.name
        stage = stage_in(str(equation.source_info.name_stack), otherwise)
        if name in OPERATIONS:
            totals[stage] += OPERATIONS[name](equation)
            continue
        if name in OPAQUE:
            raise ValueError(f"Cannot tell what the operation {name!r} costs.")
        costs = [
            program_macs(inner, stage, stage_in) for inner in _programs(equation.params)
        ]
        if name == "cond":
            if any(cost != costs[0] for cost in costs):
                raise ValueError(
                    "The branches of a `cond` cost differently, so the cost depends "
                    f"on the data. Received: {[cost.total() for cost in costs]} MACs"
                )
            costs = costs[:1]
        elif name == "while" and any(cost.total() for cost in costs):
            raise ValueError(
                "The number of rounds of a `while` loop is not known from the "
                f"program, and each costs {sum(cost.total() for cost in costs)} "
                "MACs. Unroll it to count the model."
            )
        rounds = equation.params["length"] if name == "scan" else 1
        for cost in costs:
            for inner_stage, inner_macs in cost.items():
                totals[inner_stage] += rounds * inner_macs
    return totals


def _programs(parameters):
    """The jaxprs among an equation's parameters."""
    from jax.extend import core

    for value in parameters.values():
        for item in value if isinstance(value, tuple | list) else (value,):
            if isinstance(item, core.ClosedJaxpr):
                yield item.jaxpr
            elif isinstance(item, core.Jaxpr):
                yield item


def _dot_general(equation):
    (contracted, _), _ = equation.params["dimension_numbers"]
    left = equation.invars[0].aval.shape
    return _size(equation.outvars[0]) * math.prod(left[axis] for axis in contracted)


def _convolution(equation):
    numbers = equation.params["dimension_numbers"]
    kernel = equation.invars[1].aval.shape
    _, channels, *window = (kernel[axis] for axis in numbers.rhs_spec)
    transposed = any(step != 1 for step in equation.params["lhs_dilation"])
    depthwise = channels == 1 and equation.params["feature_group_count"] > 1
    if transposed or depthwise or len(window) != 2:
        raise ValueError(
            "Cannot tell what a convolution costs that is depthwise, transposed or not "
            f"two-dimensional. Received: {equation}"
        )
    # Kernel channels are those of one group.
    return _size(equation.outvars[0]) * math.prod(window) * channels


def _size(variable):
    return math.prod(variable.aval.shape)


OPERATIONS = {"dot_general": _dot_general, "conv_general_dilated": _convolution}
