"""Whether a SavedModel answers as the live model does."""
