"""The scoring of image files against the exported model alone."""
