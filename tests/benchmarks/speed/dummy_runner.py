"""A runtime that computes nothing, for the tests of the worker's protocol."""

from benchmarks.speed.runtimes import Runner


class DummyRunner(Runner):
    """Counts its calls; `path` is what it raises, if anything."""

    def load(self, row, path):
        if path:
            raise ValueError(path)
        self.seen = []
        return lambda images: self.seen.append(images.shape)

    def shapes(self):
        return self.seen

    def end(self):
        raise SystemExit(3)
