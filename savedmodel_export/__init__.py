"""Exports a trained classifier as a SavedModel for TensorFlow Serving."""

__all__ = ["export"]


def __getattr__(name):
    # The client and the check of a version must start without TensorFlow.
    if name == "export":
        from savedmodel_export.exporter import export

        return export
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
