"""Labelled images on their way from files to a model."""

from train.data.data import Data, load_data
from train.data.datasets import open_source

__all__ = ["Data", "load_data", "open_source"]
