"""What a trained multiplexed model does."""

from keras_concatplexer.analysis import pictures
from keras_concatplexer.analysis.accuracy import Accuracy
from keras_concatplexer.analysis.interference import Interference, interference
from keras_concatplexer.analysis.tokens import attention_between_images, kept_of_patches

__all__ = [
    "Accuracy",
    "Interference",
    "attention_between_images",
    "interference",
    "kept_of_patches",
    "pictures",
]
