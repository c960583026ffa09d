import numpy as np

import keras_concatplexer as kcp
from benchmarks.accuracy.outliers import add_outliers


def test_channels_become_large_and_the_answers_stay(tiny_vit, images, scramble):
    model = scramble(kcp.ConcatPlexer(tiny_vit, num_mux=2))
    batch = images(4)
    expected = np.asarray(model(batch))
    norms = [p.norm2 for p in kcp.vit.read_stages(tiny_vit).block_parts]
    before = [np.array(norm.gamma) for norm in norms]
    add_outliers(tiny_vit, num_channels=2, factor=30.0)
    for old, norm in zip(before, norms, strict=True):
        ratios = np.sort(np.array(norm.gamma) / old)
        np.testing.assert_allclose(ratios[-2:], 30, rtol=1e-5)
        np.testing.assert_allclose(ratios[:-2], 1, rtol=1e-5)
    np.testing.assert_allclose(model(batch), expected, atol=1e-4)
