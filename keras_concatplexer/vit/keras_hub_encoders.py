"""The parts of keras-hub's encoders: DINOv2, CLIP and SigLIP."""

import keras
from keras import ops

from keras_concatplexer.vit.keras_hub_family import Family
from keras_concatplexer.vit.stages import BlockParts, EmbeddingParts
from keras_concatplexer.vit.token_embedding import TokenEmbedding


def _embedding(layer, dropout=None, **parts):
    """A `TokenEmbedding` in place of keras-hub's layer, under its name."""
    return TokenEmbedding(
        EmbeddingParts(**parts),
        dropout,
        dtype=layer.dtype_policy,
        trainable=layer.trainable,
        name=layer.name,
    )


def _embedding_parts(layer):
    return layer.parts


# === DINOv2 ===


def _dinov2_embedding(backbone):
    # keras-hub's own layer has a mask token without a gradient; and when a file is
    # loaded it sets its positions to those of the shape it was trained with.
    embedding = backbone.embeddings
    positions = embedding.interpolated_position_embeddings
    registers = embedding.num_register_tokens
    return _embedding(
        embedding,
        embedding.dropout if backbone.dropout_rate else None,
        projection=embedding.patch_embeddings.projection,
        prefix=(
            embedding.cls_token,
            *((embedding.register_tokens,) if registers else ()),
        ),
        positions=keras.Variable(
            ops.copy(positions.value),
            trainable=positions.trainable,
            dtype=positions.dtype,
            name=positions.name,
        ),
        antialias=embedding.antialias_in_interpolation,
    )


def _dinov2_refusal(backbone):
    if backbone.use_swiglu_ffn:
        return (
            "its MLPs are gated (SwiGLU, use_swiglu_ffn=True, as in the giant one); "
            "only two plain dense layers can be read."
        )
    if backbone.drop_path_rate:
        return (
            "keras-hub's stochastic depth cannot be trained on batches of any size. "
            "Build it with drop_path_rate=0. Received: "
            f"drop_path_rate={backbone.drop_path_rate}"
        )
    return None


def _dinov2_block_parts(block):
    return BlockParts(
        norm1=block.norm1,
        attention=block.attention.attention,
        norm2=block.norm2,
        mlp_in=block.mlp.fc1,
        mlp_out=block.mlp.fc2,
        activation=block.mlp.fc1.activation,
        dropouts=(block.attention.dropout, None, None),
        scales=(block.layer_scale1.lambda1, block.layer_scale2.lambda1),
    )


# === CLIP ===


def _clip_embedding(backbone):
    embedding = backbone.embedding
    # A fresh one of keras-hub gives all tokens the first position, by a table of
    # numbers that is 0. Here each token gets a position of its own, now the same.
    positions, numbers = embedding.position_embedding.embeddings, embedding.position_ids
    positions.assign(ops.take(positions, numbers[0], axis=0))
    numbers.assign(ops.arange(positions.shape[0])[None])
    return _embedding(
        embedding,
        projection=embedding.patch_embedding,
        prefix=(embedding.class_embedding,),
        positions=positions,
        norm=backbone.pre_layer_norm,
    )


def _clip_block_parts(block):
    return BlockParts(
        norm1=block.layer_norm_1,
        attention=block.attention,
        norm2=block.layer_norm_2,
        mlp_in=block.dense_1,
        mlp_out=block.dense_2,
        activation=block.activation.activation,
    )


# === SigLIP ===


def _siglip_embedding(backbone):
    # keras-hub's own layer tells one token more than it makes.
    embedding = backbone.embedding
    return _embedding(
        embedding,
        projection=embedding.patch_embedding,
        prefix=(),
        positions=embedding.position_embedding.embeddings,
    )


def _siglip_block_parts(block):
    return BlockParts(
        norm1=block.layer_norm1,
        attention=block.self_attn,
        norm2=block.layer_norm2,
        mlp_in=block.mlp.fc1,
        mlp_out=block.mlp.fc2,
        activation=block.mlp.fc1.activation,
    )


DINOV2 = Family(
    embedding=_dinov2_embedding,
    embedding_parts=_embedding_parts,
    blocks=lambda backbone: backbone.encoder.layers,
    block_parts=_dinov2_block_parts,
    norm=lambda backbone: backbone.layernorm,
    refusal=_dinov2_refusal,
)

CLIP = Family(
    embedding=_clip_embedding,
    embedding_parts=_embedding_parts,
    blocks=lambda backbone: backbone.encoder_layers,
    block_parts=_clip_block_parts,
    norm=lambda backbone: backbone.layer_norm,
)

SIGLIP = Family(
    embedding=_siglip_embedding,
    embedding_parts=_embedding_parts,
    blocks=lambda backbone: backbone.encoder_layers,
    block_parts=_siglip_block_parts,
    norm=lambda backbone: backbone.post_layer_norm,
    pooling=lambda backbone: backbone.head,
)
