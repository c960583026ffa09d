"""Other runtimes: the ViT in PyTorch, and their int8 forms."""
