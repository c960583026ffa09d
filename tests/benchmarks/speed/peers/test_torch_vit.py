import numpy as np
import pytest

torch = pytest.importorskip("torch")


def copy(parameter, value):
    value = torch.from_numpy(np.array(value, "float32"))
    assert value.numel() == parameter.numel()
    parameter.copy_(value.reshape(parameter.shape))


def copy_dense(linear, kernel, bias):
    copy(linear.weight, np.asarray(kernel).T)
    copy(linear.bias, bias)


def copy_norm(norm, layer):
    copy(norm.weight, layer.gamma)
    copy(norm.bias, layer.beta)
    norm.eps = layer.epsilon


def test_it_is_the_vit_that_keras_has(scramble):
    import keras_concatplexer as kcp
    from benchmarks.speed.peers.torch_vit import ViT

    size = kcp.vit.ViTSize(32, 3, 2, 64, 4)
    model = scramble(kcp.vit.keras_cv_vit(size, (16, 16, 3), 10))
    stages = kcp.vit.read_stages(model)
    peer = ViT(size, 16, 10).eval()
    with torch.inference_mode():
        embedding = stages.embedding_parts
        kernel = np.asarray(embedding.projection.kernel)
        copy(peer.patches.weight, kernel.transpose(3, 2, 0, 1))
        copy(peer.patches.bias, embedding.projection.bias)
        copy(peer.class_token, embedding.prefix[0])
        copy(peer.positions, embedding.positions)
        for block, parts in zip(peer.blocks, stages.block_parts, strict=True):
            attention = parts.attention
            projections = [
                getattr(attention, f"{name}_dense")
                for name in ("query", "key", "value")
            ]
            kernels = [np.reshape(p.kernel, (32, 32)) for p in projections]
            biases = [np.reshape(p.bias, -1) for p in projections]
            copy_dense(block.qkv, np.concatenate(kernels, 1), np.concatenate(biases))
            output = attention.output_dense
            copy_dense(
                block.attention_out, np.reshape(output.kernel, (32, 32)), output.bias
            )
            copy_dense(block.mlp[0], parts.mlp_in.kernel, parts.mlp_in.bias)
            copy_dense(block.mlp[2], parts.mlp_out.kernel, parts.mlp_out.bias)
            copy_norm(block.norm1, parts.norm1)
            copy_norm(block.norm2, parts.norm2)
        copy_norm(peer.norm, stages.norm)
        copy_dense(peer.head, stages.head.kernel, stages.head.bias)
        pixels = np.random.default_rng(0).uniform(0, 255, (3, 16, 16, 3))
        pixels = pixels.astype("float32")
        answered = peer(torch.from_numpy(pixels)).numpy()
    preprocessed = kcp.preprocessing.ImagePreprocessor((16, 16, 3))(pixels)
    expected = np.asarray(model(preprocessed))
    np.testing.assert_allclose(answered, expected, atol=1e-4 * np.abs(expected).max())
