"""Scores many images with an exported model: images in, tables out."""
