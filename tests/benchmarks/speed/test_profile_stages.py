import numpy as np

import keras_concatplexer as kcp
from benchmarks.speed.profile_stages import (
    TracedGraph,
    operation_table,
    profile,
    stage_table,
)


def test_every_stage_is_found_in_the_trace(make_vit, images, tmp_path):
    model = kcp.ConcatPlexer(make_vit(), num_mux=2)
    given = np.asarray(images(4))
    graph = TracedGraph(model, "float32", str(tmp_path), given)
    times = profile({"N = 2": graph}, given, repeats=2)
    stages = {stage for stage, _ in times["N = 2"]}
    assert {"embedding", "patchifier", "multiplexer", "backbone", "head"} <= stages
    assert 0 < graph.macs["backbone"] < graph.macs["patchifier"]
    table = stage_table(times, {"N = 2": graph.macs}, 4)
    assert table.splitlines()[-1].startswith("| total | ")
    assert "MatMul" in operation_table(times)


def test_a_graph_in_int8(make_vit, images, tmp_path):
    given = np.asarray(images(8))
    graph = TracedGraph(make_vit(), "int8", str(tmp_path), given)
    times = profile({"ViT": graph}, given[:4], repeats=1)
    assert "_QuantizedMatMul" in operation_table(times, top=20)
    # The last block asks for one token, in int8 as in bfloat16.
    assert graph.macs["backbone"] < kcp.flops.count(make_vit()).stages["backbone"]
