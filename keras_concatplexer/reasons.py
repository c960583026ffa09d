"""Why TensorFlow refused something, in words for people."""

import re

# What TensorFlow adds: names of functions and, behind the reason, of nodes.
FUNCTION = re.compile(r"\{\{function_node .*?\}\}")
AFTER = re.compile(r"\[\[\{\{|\[\[\w+/|\[Op:")
LONGEST = 500


def reason_of(error):
    """Returns the reason in an error of TensorFlow's, as one line.

    Args:
        error: `tf.errors.OpError`.
    """
    message = AFTER.split(FUNCTION.sub("", error.message), maxsplit=1)[0]
    # The lines above the last one, if any, say where the graph was made.
    message = message.strip().rpartition("\n")[2]
    if (start := "assertion failed: ") in message:
        # The parts of a sentence of ours, each in brackets.
        message = re.sub(r"[\[\]]", "", message.partition(start)[2])
    return " ".join(message.split())[:LONGEST] or "cannot be decoded"
