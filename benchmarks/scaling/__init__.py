"""How speed and memory change with N, image size and batch."""
