"""What every command shares: flags by topic, answers at once, errors of one line.

A command defines its flags by topic and imports what starts slowly (TensorFlow, Keras)
inside its main function. So `--help` and a mistyped flag are answered at once.
"""

import contextlib
import os
import signal
import sys

from absl import app, flags, logging

HELP_FLAGS = frozenset(
    dashes + name for dashes in ("-", "--") for name in ("help", "helpshort", "?")
)

_topics = []


@contextlib.contextmanager
def topic(title):
    """Shows the flags that are defined inside it under one title in `--help`.

    Yields:
        list that holds the names of these flags after the block.
    """
    before, names = set(flags.FLAGS), []
    yield names
    names += sorted(set(flags.FLAGS) - before)
    _topics.append(title)
    for name in names:
        # absl prints flags module by module: a topic is a module of its own there.
        flags.FLAGS.register_key_flag_for_module(title, flags.FLAGS[name])


def define_path(name, default, help_text, **options):
    """Defines a flag that holds a path, with `~` expanded."""
    flags.DEFINE(_PathParser(), name, default, help_text, **options)


def run(main, arguments=(), unknown_flags=False, description=None):
    """Parses the command line and calls the main function.

    TensorFlow's messages about the machine and absl's below a warning are left out,
    unless the environment or `--verbosity` asks for them. An interruption from the
    keyboard ends the command with one line and exit code 130.

    Args:
        main: function of as many str as `arguments` has.
        arguments: tuple of str, names of what stands behind the flags; a last one
            that ends in `...` takes any number, at least one.
        unknown_flags: bool. Whether flags that are not defined, and all that stands
            behind the flags, go to the main function as they are.
        description: str, what `--help` says first; by default the docstring of the
            script that runs. A console command's script has none.
    """
    # TensorFlow reports a missing GPU as an error.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

    def call(given):
        if not flags.FLAGS["verbosity"].present:
            logging.set_verbosity(logging.WARNING)
        try:
            return main(*given[1:])
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130

    def parse(given):
        if HELP_FLAGS & set(given):
            # So that `--help | head` ends quietly.
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            print(_help(arguments, description))
            sys.exit(0)
        return _parse(given, arguments, unknown_flags)

    app.run(call, flags_parser=parse)


def _parse(given, arguments, unknown_flags):
    try:
        rest = flags.FLAGS(given, known_only=unknown_flags)
    except flags.Error as error:
        sys.exit(f"error: {error}\nTry --help.")
    if unknown_flags:
        return rest
    num_given, num_expected = len(rest) - 1, len(arguments)
    more = bool(arguments) and arguments[-1].endswith("...")
    if num_given < num_expected or (num_given > num_expected and not more):
        expected = " ".join(arguments) or "flags only"
        sys.exit(f"error: Expected {expected}. Received: {rest[1:]}\nTry --help.")
    return rest


def _help(arguments, description):
    main = sys.modules["__main__"]
    usage = " ".join(("[flags]", *arguments))
    return "\n".join(
        [
            (description or main.__doc__ or "").strip(),
            f"\nUsage: {_program(main)} {usage}",
            *(flags.FLAGS.module_help(title).rstrip() for title in _topics),
            "\n--helpfull lists the flags of absl, too.",
        ]
    )


def _program(main):
    """Returns the words that run this command."""
    if main.__spec__:
        return f"python -m {main.__spec__.name.removesuffix('.__main__')}"
    return os.path.basename(sys.argv[0])


class _PathParser(flags.ArgumentParser):
    """Parses a path; `~` and `~user` become home directories."""

    def parse(self, argument):
        return os.path.expanduser(argument)

    def flag_type(self):
        return "path"
