"""The training application: `python -m train`."""

__all__ = ["Config", "Data", "Run", "load_data", "open_source"]


def __getattr__(name):
    # The command's flags must be there before TensorFlow is.
    if name == "Config":
        from .config import Config as found
    elif name == "Run":
        from .trainer import Run as found
    elif name in ("Data", "load_data", "open_source"):
        from . import data

        found = getattr(data, name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return found
