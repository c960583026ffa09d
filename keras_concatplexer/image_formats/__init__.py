"""Decoders of image formats as TensorFlow graphs, one file for each format.

TensorFlow's own decoders take memory and time before they look at what a file asks
for, and some are wrong or unsafe for parts of their format. Each module here reads the
header bytes itself, refuses what is too large, hands TensorFlow's decoder a file with
nothing in it but the one image, and turns the result upright. Pure graph operations:
they run in a data pipeline and in a SavedModel without Python.
"""
