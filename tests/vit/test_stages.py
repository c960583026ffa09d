import keras
import numpy as np
import pytest

import keras_concatplexer as kcp
from keras_concatplexer.vit.stages import check_stages


def look_alike(vit, pool=False, hidden=False):
    """A model of the layers and names of `vit` that computes something else."""
    tokens = vit.get_layer("block_1").output
    pooled = keras.ops.mean(tokens, axis=1) if pool else tokens[:, 0]
    pooled = keras.layers.LayerNormalization(name="final_norm")(pooled)
    if hidden:
        pooled = keras.layers.Dense(16, "gelu")(pooled)
    return keras.Model(vit.input, keras.layers.Dense(10, name="head")(pooled))


@pytest.mark.parametrize("options", [{"pool": True}, {"hidden": True}])
def test_look_alikes_are_refused(tiny_vit, options):
    with pytest.raises(ValueError, match="must be a ViT classifier made by"):
        kcp.ConcatPlexer(look_alike(tiny_vit, **options), 2)


class Doubled(kcp.vit.KerasCVViT):
    def call(self, inputs, training=None, mask=None):
        return 2 * super().call(inputs, training=training, mask=mask)


def test_the_stages_are_compared_with_the_model():
    vit = Doubled(kcp.vit.ViTSize(16, 1, 2, 32, 4), (8, 8, 3), 10)
    with pytest.raises(ValueError, match="This ViT does not compute what .* differ by"):
        kcp.ConcatPlexer(vit, 2)


def test_they_are_compared_once(tiny_vit, monkeypatch):
    check_stages(tiny_vit)
    monkeypatch.setattr(type(tiny_vit), "read", None)
    check_stages(tiny_vit)


def test_lora_is_read_as_what_it_computes(tiny_vit, images):
    head = tiny_vit.get_layer("head")
    tokens = np.random.default_rng(0).normal(size=(3, 16)).astype("float32")
    head.enable_lora(2)
    head.lora_kernel_b.assign(np.ones(head.lora_kernel_b.shape))
    tiny_vit.read().check_plain_weights()
    np.testing.assert_allclose(
        head(tokens), tokens @ np.asarray(head.kernel) + np.asarray(head.bias), 1e-4
    )
