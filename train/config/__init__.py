"""The settings of a run, their flags, and settings that have a name."""

from .config import Config

__all__ = ["Config"]
