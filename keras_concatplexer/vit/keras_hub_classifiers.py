"""The parts of keras-hub's ViT and DeiT."""

import keras

from keras_concatplexer.vit.keras_hub_family import Family
from keras_concatplexer.vit.stages import BlockParts, EmbeddingParts


class DroppedEmbedding(keras.layers.Layer):
    """A keras-hub embedding, then the dropout that its encoder begins with.

    Args:
        embedding: layer, images -> tokens.
        dropout: layer, tokens -> tokens.

    Both are used, not copied. Shapes are those of `embedding`. The classifier
    rebuilds this layer from its backbone, so it has no config of its own.
    """

    def __init__(self, embedding, dropout):
        super().__init__(dtype=embedding.dtype_policy, name=embedding.name)
        self.embedding = embedding
        self.dropout = dropout

    def build(self, images_shape):
        self.built = True

    def call(self, images):
        return self.dropout(self.embedding(images))

    def compute_output_shape(self, images_shape):
        return self.embedding.compute_output_shape(images_shape)


class TokensOfBlock(keras.layers.Layer):
    """A DeiT block of keras-hub without the attention scores it also returns.

    Args:
        block: layer, tokens -> (tokens, scores). It is used, not copied.

    Input and output shape: `(batch_size, num_tokens, hidden_dim)`. The classifier
    rebuilds this layer from its backbone, so it has no config of its own.
    """

    def __init__(self, block):
        super().__init__(dtype=block.dtype_policy, name=block.name)
        self.block = block

    def build(self, tokens_shape):
        self.built = True

    def call(self, tokens):
        return self.block(tokens)[0]

    def compute_output_shape(self, tokens_shape):
        return tuple(tokens_shape)


# === ViT ===


def _vit_embedding_parts(layer):
    embedding = layer.embedding if isinstance(layer, DroppedEmbedding) else layer
    return EmbeddingParts(
        projection=embedding.patch_embedding,
        prefix=(embedding.class_token,),
        positions=embedding.position_embedding.embeddings,
    )


def _vit_embedding(backbone):
    embedding = backbone.get_layer("vit_patching_and_embedding")
    if not backbone.dropout_rate:
        return embedding
    return DroppedEmbedding(embedding, backbone.get_layer("vit_encoder").dropout)


def _vit_refusal(backbone):
    if not backbone.use_class_token:
        return (
            "the head reads the class token, and this backbone has none. Build it "
            "with use_class_token=True. Received: use_class_token=False"
        )
    return None


def _vit_block_parts(block):
    return BlockParts(
        norm1=block.layer_norm_1,
        attention=block.mha,
        norm2=block.layer_norm_2,
        mlp_in=block.mlp.dense_1,
        mlp_out=block.mlp.dense_2,
        activation=block.mlp.dense_1.activation,
        dropouts=(block.dropout, block.mlp.dropout, block.mlp.dropout),
    )


# === DeiT ===


def _deit_embedding_parts(embedding):
    return EmbeddingParts(
        projection=embedding.patch_embedding,
        prefix=(embedding.class_token, embedding.distillation_token),
        positions=embedding.position_embedding,
    )


def _deit_blocks(backbone):
    return list(map(TokensOfBlock, backbone.get_layer("deit_encoder").encoder_layers))


def _deit_block_parts(layer):
    block = layer.block
    return BlockParts(
        norm1=block.layer_norm_1,
        attention=block.mha,
        norm2=block.layer_norm_2,
        mlp_in=block.mlp.dense,
        mlp_out=block.output_layer.dense,
        activation=block.mlp.dense.activation,
        dropouts=(None, None, block.output_layer.dropout),
    )


VIT = Family(
    embedding_parts=_vit_embedding_parts,
    embedding=_vit_embedding,
    blocks=lambda backbone: backbone.get_layer("vit_encoder").encoder_layers,
    block_parts=_vit_block_parts,
    norm=lambda backbone: backbone.get_layer("vit_encoder").layer_norm,
    mlp_dim="mlp_dim",
    refusal=_vit_refusal,
)

DEIT = Family(
    embedding_parts=_deit_embedding_parts,
    # Its dropout is inside.
    embedding=lambda backbone: backbone.get_layer("deit_patching_and_embedding"),
    blocks=_deit_blocks,
    block_parts=_deit_block_parts,
    norm=lambda backbone: backbone.get_layer("deit_encoder").layer_norm,
)
