"""Where the fused graph spends its time.

`python -m benchmarks.speed.profile_stages` runs the ViT and a ConcatPlexer in turn, in
sessions as TensorFlow Serving has them, traced by TensorFlow itself, and prints for
each stage its milliseconds, its multiply-accumulates and the rate of both; then the
kinds of operations.
"""

import collections
import re
import statistics
import tempfile

import numpy as np
from absl import flags

from benchmarks import command
from benchmarks.markdown import number, table
from benchmarks.timing import MIN_REPEATS
from savedmodel_export.choices import INT8, PRECISIONS

STAGES = (
    "embedding",
    "patchifier",
    "multiplexer",
    "backbone",
    "demultiplexer",
    "head",
)
STAGE_SCOPE = re.compile(rf"(?:^|/)({'|'.join(STAGES)})/")
NUM_IMAGES = 32
OPERATION = re.compile(r"= (\w+)\(")


class TracedGraph:
    """A fused classifier in a session that tells the time of each operation.

    Args:
        model: ViT or multiplexed ViT.
        precision: of the fused graph.
        folder: an empty folder.
        images: float array, preprocessed, that choose the ranges of int8.
    """

    def __init__(self, model, precision, folder, images):
        import tensorflow as tf

        import keras_concatplexer as kcp
        from savedmodel_export.fused.classifier import FusedClassifier
        from savedmodel_export.inference import infer_at_each

        v1 = tf.compat.v1
        # Of random weights the best class means nothing.
        inferences = infer_at_each(
            {1: model}, precision=precision, calibration=images, int8_min_agreement=0.0
        )
        module = inferences[1].predict
        spec = tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)
        function = tf.function(module, input_signature=[spec])
        concrete = function.get_concrete_function()
        tf.saved_model.save(module, folder, signatures=concrete)
        self._session = v1.Session(graph=tf.Graph())
        with self._session.graph.as_default():
            loaded = v1.saved_model.load(self._session, ["serve"], folder)
        signature = loaded.signature_def["serving_default"]
        (given,), (returned,) = signature.inputs.values(), signature.outputs.values()
        self._names = given.name, returned.name
        stages = kcp.flops.count(model, batch_size=16).stages
        # The products in int8 are those of bfloat16, and those can be counted.
        counted = FusedClassifier(model, "bfloat16") if precision == INT8 else module
        executed = kcp.flops.count_function(counted, spec.shape[1:], 16)
        # The last block computes what is read only; all of that is the backbone's.
        saved = sum(stages.values()) - executed.macs_per_image
        self.macs = {**stages, "backbone": stages["backbone"] - saved}

    def run(self, images):
        """Returns dict, (stage, operation) -> milliseconds of one run."""
        from tensorflow.compat import v1

        given, returned = self._names
        options = v1.RunOptions(trace_level=v1.RunOptions.FULL_TRACE)
        trace = v1.RunMetadata()
        self._session.run(returned, {given: images}, options, trace)
        taken = collections.Counter()
        for device in trace.step_stats.dev_stats:
            for node in device.node_stats:
                if operation := OPERATION.search(node.timeline_label):
                    scope = STAGE_SCOPE.search(node.node_name)
                    key = scope[1] if scope else "other", operation[1]
                    micros = node.op_end_rel_micros - node.op_start_rel_micros
                    taken[key] += micros / 1e3
        return taken


def profile(graphs, images, repeats):
    """Runs the graphs in turn.

    Args:
        graphs: dict, name -> `TracedGraph`.
        images: float array.
        repeats: int. Rounds counted, after one that is not.

    Returns:
        dict, name -> dict, (stage, operation) -> median of its milliseconds.
    """
    rounds = [
        {name: graph.run(images) for name, graph in graphs.items()}
        for _ in range(repeats + 1)
    ][1:]
    return {
        name: {
            key: statistics.median(taken[name][key] for taken in rounds)
            for key in rounds[0][name]
        }
        for name in graphs
    }


def stage_table(times, macs, batch_size):
    """Returns a Markdown table: milliseconds and GFLOP/s of every stage.

    Args:
        times: dict, model -> dict, (stage, operation) -> milliseconds.
        macs: dict, model -> dict, stage -> MACs per image.
        batch_size: int.
    """
    columns, lines = ["stage"], []
    for name in times:
        columns += [f"{name}: ms", "GMACs", "GFLOP/s"]
    for stage in (*STAGES, "other", "total"):
        line = [stage]
        for name, taken in times.items():
            milliseconds = sum(
                ms for (part, _), ms in taken.items() if stage in (part, "total")
            )
            gmacs = macs[name].get(stage, 0) * batch_size / 1e9
            if stage == "total":
                gmacs = sum(macs[name].values()) * batch_size / 1e9
            rate = 2e3 * gmacs / milliseconds if gmacs and milliseconds else None
            line += [number(milliseconds, 2), number(gmacs, 2), number(rate, 0)]
        lines.append(line)
    return table(columns, lines)


def operation_table(times, top=10):
    """Returns a Markdown table: milliseconds of the dearest kinds of operations."""
    sums = {name: collections.Counter() for name in times}
    for name, taken in times.items():
        for (_, operation), milliseconds in taken.items():
            sums[name][operation] += milliseconds
    first, *_ = sums.values()
    lines = [
        [operation, *(number(kinds[operation], 2) for kinds in sums.values())]
        for operation, _ in first.most_common(top)
    ]
    return table(["operation", *(f"{name}: ms" for name in times)], lines)


def define_flags():
    """Defines this command's flags; imported, it has none."""
    flags.DEFINE_string("size", "vit_b16", "The ViT.")
    flags.DEFINE_integer("image_size", 224, "Side of the images.")
    flags.DEFINE_integer("num_mux", 4, "N.")
    flags.DEFINE_integer("patchifier_depth", 3, "Blocks that see each image alone.")
    flags.DEFINE_enum("precision", "float32", (*PRECISIONS, INT8), "Of the graphs.")
    flags.DEFINE_integer("batch_size", 8, "Images per request.", 1, NUM_IMAGES)
    flags.DEFINE_integer("repeats", 15, "Rounds.", lower_bound=MIN_REPEATS)


def main(values):
    """Profiles and prints both tables."""
    import tensorflow as tf

    import keras_concatplexer as kcp

    tf.compat.v1.logging.set_verbosity(tf.compat.v1.logging.ERROR)
    shape = (values.image_size, values.image_size, 3)
    vit = kcp.vit.keras_cv_vit(values.size, shape, 1000)
    models = {
        values.size: vit,
        f"N = {values.num_mux}": kcp.ConcatPlexer(
            vit, values.num_mux, values.patchifier_depth
        ),
    }
    images = np.random.default_rng(0).normal(size=(NUM_IMAGES, *shape))
    images = images.astype("float32")
    with tempfile.TemporaryDirectory() as folder:
        graphs = {
            name: TracedGraph(model, values.precision, f"{folder}/{name}", images)
            for name, model in models.items()
        }
        times = profile(graphs, images[: values.batch_size], values.repeats)
    macs = {name: graph.macs for name, graph in graphs.items()}
    print(stage_table(times, macs, values.batch_size))
    print()
    print(operation_table(times))


if __name__ == "__main__":
    command.run(main, define_flags, measures=True)
