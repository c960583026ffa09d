"""Tells how far a run is: a bar on a terminal, else a line now and then."""

import sys
import time

from savedmodel_export.scoring.job import Counts

# Seconds between two lines.
EVERY = 10.0


class Progress:
    """Prints images, images per second, errors and the time left.

    Args:
        total: int or `None`, images of the whole run.
        clock: function -> seconds.
        file: text file, the standard error by default.
    """

    def __init__(self, total, clock=time.monotonic, file=None):
        self._total, self._clock = total, clock
        self._file = file or sys.stderr
        self._skipped, self._new = Counts(), Counts()
        self._start = self._said = clock()
        self._bar = None

    def __enter__(self):
        if self._file.isatty():
            self._bar = _bar(self._total, self._file)
            self._bar.start()
        return self

    def __exit__(self, *error):
        if self._bar is not None:
            self._bar.stop()
        elif self._new.images:
            self._say()

    def skip(self, counts):
        """Takes note of what earlier runs have done."""
        self._skipped = counts
        self._start = self._said = self._clock()
        if counts.images:
            print(f"{counts.images:,} images are done", file=self._file)

    def add(self, counts):
        """Takes note of a batch."""
        self._new += counts
        if self._bar is not None:
            done = self._skipped + self._new
            self._bar.update(
                self._bar.task_ids[0],
                completed=done.images,
                errors=done.errors,
                rate=self.rate,
            )
        elif self._clock() >= self._said + EVERY:
            self._said = self._clock()
            self._say()

    @property
    def rate(self):
        """Images per second of this run."""
        return self._new.images / max(self._clock() - self._start, 1e-9)

    def _say(self):
        done = self._skipped + self._new
        words = f"{done.images:,} images"
        if self._total is not None:
            words = f"{done.images:,} of {self._total:,} images"
        words += f", {self.rate:.1f} images/s, {done.errors:,} errors"
        if self._total is not None and self._new.images:
            left = (self._total - done.images) / self.rate
            words += f", {_duration(left)} left"
        print(words, file=self._file, flush=True)


def _duration(seconds):
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"


def _bar(total, file):
    from rich import progress
    from rich.console import Console

    bar = progress.Progress(
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TextColumn("{task.fields[rate]:.1f} images/s"),
        progress.TextColumn("{task.fields[errors]} errors"),
        progress.TimeRemainingColumn(),
        console=Console(file=file),
    )
    bar.add_task("", total=total, errors=0, rate=0.0)
    return bar
