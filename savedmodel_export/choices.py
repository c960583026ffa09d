"""What the exporter's flags let a user choose; read without TensorFlow."""

# Of the fused graph's weights and tokens.
PRECISIONS = ("float32", "bfloat16")
# Of its matrix products only; it needs images to calibrate on.
INT8 = "int8"
# The least share of images whose best class int8 must leave as it is.
INT8_MIN_AGREEMENT = 0.99
CALIBRATION_IMAGES = 512

# Of the flat images that `serving_default` takes.
INPUT_DTYPES = ("float32", "uint8")

# The format for TensorFlow Serving; those of other runtimes are `formats.FORMATS`.
SAVED_MODEL = "tf_saved_model"

# The largest batch that the server may form.
MAX_BATCH_SIZE = 32
