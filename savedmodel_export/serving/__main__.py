"""Writes the server's files of an export folder anew, for example to promote a canary.

`python -m savedmodel_export.serving EXPORT_DIR --stable=3`
"""

import os
import sys

from absl import flags

from savedmodel_export import command

with command.topic("Labels"):
    flags.DEFINE_integer(
        "stable",
        None,
        "Version to label `stable`; by default the label stays where it is.",
        lower_bound=1,
    )


def main(export_dir):
    """Writes the files and prints the folder that they stand in."""
    from savedmodel_export.serving.configuration import write_serving_files

    try:
        print(write_serving_files(os.path.expanduser(export_dir), flags.FLAGS.stable))
    except ValueError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    command.run(main, ("EXPORT_DIR",))
