"""How every benchmark's command begins and ends."""

import sys

from absl import flags

from benchmarks import machine
from savedmodel_export import command

define_path = command.define_path


def run(main, define_flags, measures=False):
    """Parses the flags and calls `main` with them.

    What the user can mend ends the command with one line.

    Args:
        main: function of the parsed flags.
        define_flags: function that defines the command's own flags.
        measures: bool. Whether the command measures speed. It then refuses a busy
            machine, unless it is given `--allow_load`.
    """
    with command.topic("Flags"):
        define_flags()
        if measures:
            define_allow_load()

    def call():
        try:
            if measures:
                check_idle(flags.FLAGS)
            main(flags.FLAGS)
        except (ValueError, OSError, machine.BusyError) as error:
            sys.exit(f"error: {error}")

    command.run(call)


def define_allow_load():
    """Defines the flag that `check_idle` reads."""
    flags.DEFINE_bool("allow_load", False, "Measure on a busy machine too.")


def check_idle(values):
    """Raises `machine.BusyError` on a busy machine, unless the flags allow it."""
    if not values.allow_load:
        machine.check_idle()
