"""The settings of a run, their flags, and settings that have a name."""

from train.config.config import Config

__all__ = ["Config"]
