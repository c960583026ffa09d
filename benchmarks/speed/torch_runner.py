"""The same ViT in PyTorch, eager or compiled."""

import types

import torch

from benchmarks.speed.runner import Runner
from benchmarks.speed.torch_vit import ViT

NUM_CLASSES = 1000


class TorchRunner(Runner):
    """Runs a ViT written in PyTorch, with random weights."""

    def __init__(self, threads):
        super().__init__(threads)
        torch.set_num_threads(threads)
        torch.manual_seed(0)

    def load(self, row, path):
        model = ViT(types.SimpleNamespace(**path), row.image_size, NUM_CLASSES).eval()
        model = model.to(getattr(torch, row.precision))
        if row.compiled:
            # One graph for all batch sizes: each more takes half a minute to compile.
            model = torch.compile(model, dynamic=True)

        def predict(images):
            with torch.inference_mode():
                return model(images).numpy()

        return predict

    def to_input(self, images):
        return torch.from_numpy(images)
