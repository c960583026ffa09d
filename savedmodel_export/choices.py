"""What the exporter's flags let a user choose; read without TensorFlow."""

# Of the fused graph's weights and tokens.
PRECISIONS = ("float32", "bfloat16")

# Of the flat images that `serving_default` takes.
INPUT_DTYPES = ("float32", "uint8")

# The format for TensorFlow Serving; those of other runtimes are `formats.FORMATS`.
SAVED_MODEL = "tf_saved_model"

# The largest batch that the server may form.
MAX_BATCH_SIZE = 32
