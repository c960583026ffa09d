"""ViT as one writes it in PyTorch for inference."""

import torch
from torch import nn
from torch.nn import functional


class Block(nn.Module):
    """A transformer block: one QKV product, fused attention, tanh GELU."""

    def __init__(self, hidden_dim, num_heads, mlp_dim):
        super().__init__()
        self.num_heads = num_heads
        self.norm1 = nn.LayerNorm(hidden_dim, eps=1e-6)
        self.qkv = nn.Linear(hidden_dim, 3 * hidden_dim)
        self.attention_out = nn.Linear(hidden_dim, hidden_dim)
        self.norm2 = nn.LayerNorm(hidden_dim, eps=1e-6)
        self.mlp = nn.Sequential(
            nn.Linear(hidden_dim, mlp_dim),
            nn.GELU(approximate="tanh"),
            nn.Linear(mlp_dim, hidden_dim),
        )

    def forward(self, tokens):
        batch_size, num_tokens, hidden_dim = tokens.shape
        # (B, T, 3 * D) -> (3, B, heads, T, D / heads)
        qkv = self.qkv(self.norm1(tokens))
        qkv = qkv.reshape(batch_size, num_tokens, 3, self.num_heads, -1)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        mixed = mixed.transpose(1, 2).reshape(batch_size, num_tokens, hidden_dim)
        tokens = tokens + self.attention_out(mixed)
        return tokens + self.mlp(self.norm2(tokens))


class ViT(nn.Module):
    """A Vision Transformer that normalises its images itself.

    Args:
        size: `keras_concatplexer.vit.ViTSize`, or anything with its attributes.
        image_size: int. Side of the images.
        num_classes: int.

    Call arguments: float32 images `(B, H, W, 3)`, values 0 to 255.
    """

    def __init__(self, size, image_size, num_classes):
        super().__init__()
        width, patch = size.hidden_dim, size.patch_size
        num_tokens = 1 + (image_size // patch) ** 2
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.randn(1, num_tokens, width) * 0.02)
        self.blocks = nn.Sequential(
            *(
                Block(width, size.num_heads, size.mlp_dim)
                for _ in range(size.num_layers)
            )
        )
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.head = nn.Linear(width, num_classes)

    def forward(self, images):
        images = (images / 255.0 - 0.5) / 0.5
        # (B, H, W, 3) -> (B, 3, H, W) -> (B, P, D)
        images = images.to(self.patches.weight.dtype).permute(0, 3, 1, 2)
        tokens = self.patches(images).flatten(2).transpose(1, 2)
        front = self.class_token.expand(len(tokens), -1, -1)
        tokens = torch.cat([front, tokens], dim=1) + self.positions
        return self.head(self.norm(self.blocks(tokens))[:, 0]).float()
