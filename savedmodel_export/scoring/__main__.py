"""Scores many images with an exported model, on this machine or on Apache Beam.

`python -m savedmodel_export.scoring --model=served/NAME/1 --input=IMAGES --output=DIR`

Writes `part-00000.parquet` ... with a row per image: its key, the class, the class's
number and probability. Images that cannot be read or decoded stand in
`errors-00000.parquet` ... with the reason. A run that was ended goes on when the same
command runs again: a table that is there is complete and is not made again.
"""

from savedmodel_export import command
from savedmodel_export.scoring.command import define_flags, main


def run():
    """Runs the command."""
    define_flags()
    command.run(main, unknown_flags=True, description=__doc__)


if __name__ == "__main__":
    run()
