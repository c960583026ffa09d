"""Exports a trained classifier as a SavedModel for TensorFlow Serving."""

from savedmodel_export.exporter import export

__all__ = ["export"]
