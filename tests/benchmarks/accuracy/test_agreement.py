import numpy as np

import keras_concatplexer as kcp
from benchmarks.accuracy.agreement import agreement


def test_each_precision_is_compared_with_the_live_model(tiny_vit, images, scramble):
    model = scramble(kcp.ConcatPlexer(tiny_vit, num_mux=2))
    batch = images(15)
    labels = np.asarray(model(batch)).argmax(-1)
    labels[:3] = (labels[:3] + 1) % 10
    results = agreement(model, batch, labels)
    assert results["float32"]["top1_agreement"] == 1
    assert results["float32"]["max_probability_difference"] < 1e-4
    assert results["float32"]["accuracy"] == results["float32"]["live_accuracy"] == 0.8
    assert 1e-4 < results["bfloat16"]["max_probability_difference"] < 0.1
