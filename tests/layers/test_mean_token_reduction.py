import numpy as np

from keras_concatplexer.layers import ConvTokenReduction, MeanTokenReduction


def test_layer(check_layer):
    check_layer(MeanTokenReduction((4, 4), (2, 2)), (3, 16, 8), (3, 4, 8))


def test_is_what_the_convolution_starts_as():
    tokens = np.random.default_rng(0).normal(size=(2, 35, 6)).astype("float32")
    mean = MeanTokenReduction((5, 7), (2, 4))
    convolution = ConvTokenReduction((5, 7), (2, 4), kernel_size=(2, 4))
    np.testing.assert_allclose(mean(tokens), convolution(tokens), atol=1e-6)
    assert mean.weights == []
