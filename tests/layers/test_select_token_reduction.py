import keras
import numpy as np

from keras_concatplexer.layers import ClassAttention, SelectTokenReduction


def test_layer(check_layer):
    scores = np.random.default_rng(0).normal(size=(3, 16)).astype("float32")
    layer = SelectTokenReduction((4, 4), (2, 2))
    outputs = check_layer(layer, (3, 16, 8), (3, 4, 8), scores=scores)
    tokens = np.random.default_rng(3).normal(size=(3, 16, 8)).astype("float32")
    for image in range(3):
        best = np.sort(np.argsort(-scores[image])[:4])
        np.testing.assert_array_equal(outputs[image], tokens[image, best])


def test_class_attention_is_the_attention_of_the_block():
    tokens = np.random.default_rng(0).normal(size=(3, 17, 8)).astype("float32")
    norm = keras.layers.LayerNormalization()
    attention = keras.layers.MultiHeadAttention(num_heads=2, key_dim=4)
    normed = norm(tokens)
    _, scores = attention(normed, normed, return_attention_scores=True)
    layer = ClassAttention(norm, attention, num_prefix_tokens=2)
    # (B, heads, L, L): the row of the class token, mean over heads.
    expected = np.mean(scores, axis=1)[:, 0, 2:]
    np.testing.assert_allclose(layer(tokens), expected, atol=1e-6)
