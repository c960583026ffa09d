"""What a trained multiplexed model does."""

from keras_concatplexer.analysis.accuracy import Accuracy
from keras_concatplexer.analysis.interference import Interference, interference

__all__ = ["Accuracy", "Interference", "interference"]
