import keras_concatplexer as kcp


def test_every_layer_has_its_stage():
    vit = kcp.vit.keras_cv_vit("vit_nano4", (16, 16, 3), 10)
    model = kcp.ConcatPlexer(vit, num_mux=2, patchifier_depth=2)
    stages = model.layer_stages
    assert stages == {
        "embedding": "embedding",
        "block_0": "patchifier",
        "block_1": "patchifier",
        "multiplexer": "multiplexer",
        "block_2": "backbone",
        "block_3": "backbone",
        "block_4": "backbone",
        "block_5": "backbone",
        "demultiplexer": "demultiplexer",
        "final_norm": "head",
        "head": "head",
    }
    assert set(stages) <= {layer.name for layer in model.layers}
    assert list(dict.fromkeys(stages.values())) == [
        "embedding",
        "patchifier",
        "multiplexer",
        "backbone",
        "demultiplexer",
        "head",
    ]
