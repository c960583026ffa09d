import numpy as np

from benchmarks.speed.profile_stages import (
    TracedGraph,
    operation_table,
    profile,
    stage_table,
)


def test_every_stage_is_found_in_the_trace(make_vit, images, tmp_path):
    import keras_concatplexer as kcp

    model = kcp.ConcatPlexer(make_vit(), num_mux=2)
    graph = TracedGraph(model, "float32", str(tmp_path))
    times = profile({"N = 2": graph}, np.asarray(images(4)), repeats=2)
    stages = {stage for stage, _ in times["N = 2"]}
    assert {"embedding", "patchifier", "multiplexer", "backbone", "head"} <= stages
    assert 0 < graph.macs["backbone"] < graph.macs["patchifier"]
    table = stage_table(times, {"N = 2": graph.macs}, 4)
    assert table.splitlines()[-1].startswith("| total | ")
    assert "MatMul" in operation_table(times)
