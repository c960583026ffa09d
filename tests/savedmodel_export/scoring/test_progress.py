import io

from savedmodel_export.scoring.job import Counts
from savedmodel_export.scoring.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def lines_of(total, seconds, skipped=None):
    """The lines of a run whose batches of ten come every so many seconds."""
    now, file = [0.0], io.StringIO()
    with Progress(total, lambda: now[0], file) as progress:
        progress.skip(skipped or Counts())
        for _ in range(5):
            now[0] += seconds
            progress.add(Counts(9, 1))
    return file.getvalue().splitlines()


def test_lines_now_and_then():
    assert lines_of(100, 5.0) == [
        "20 of 100 images, 2.0 images/s, 2 errors, 0:00:40 left",
        "40 of 100 images, 2.0 images/s, 4 errors, 0:00:30 left",
        "50 of 100 images, 2.0 images/s, 5 errors, 0:00:25 left",
    ]
    assert len(lines_of(100, 0.1)) == 1


def test_what_was_done_before_is_not_in_the_speed():
    lines = lines_of(100_000, 1000.0, Counts(50_000))
    assert lines[0] == "50,000 images are done"
    assert (
        lines[1] == "50,010 of 100,000 images, 0.0 images/s, 1 errors, 1388:36:40 left"
    )


def test_a_number_that_is_not_known():
    assert lines_of(None, 10.0)[0] == "10 images, 1.0 images/s, 1 errors"


def test_a_bar_on_a_terminal():
    file = Terminal()
    with Progress(20, file=file) as progress:
        progress.add(Counts(9, 1))
        progress.add(Counts(10, 0))
    assert "20/20" in file.getvalue() and "1 errors" in file.getvalue()


def test_no_line_of_nothing():
    file = io.StringIO()
    with Progress(10, file=file):
        pass
    assert file.getvalue() == ""
