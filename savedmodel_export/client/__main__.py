"""Classifies image files by a server.

`python -m savedmodel_export.client IMAGES ... --model=NAME --output=answers.csv`

IMAGES are files and folders. The files are sent as they are, in batches, to the
signature `serve_bytes`. Each gives one line of the output: its name, the class, the
class's number and probability. Files without an answer stand in answers.errors.csv.
A run that was ended goes on when the same command runs again.

With `--adaptive --target_p95_ms=200 --concurrency=8` an elastic model is asked at the
N that keeps the 95th percentile of the latency below the target.
"""

from savedmodel_export import command
from savedmodel_export.client.command import define_flags, main


def run():
    """Runs the command."""
    define_flags()
    command.run(main, ("IMAGES...",), description=__doc__)


if __name__ == "__main__":
    run()
