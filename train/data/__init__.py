"""Labelled images on their way from files to a model."""

from .data import Data, load_data
from .datasets import open_source

__all__ = ["Data", "load_data", "open_source"]
