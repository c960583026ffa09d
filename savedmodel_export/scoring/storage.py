"""A folder on this machine or in a remote store, by fsspec.

`scores`, `file:///data/scores`, `gs://bucket/scores`, `s3://...`, `hdfs://...`: a
remote one needs fsspec's package for it (`gcsfs`, `s3fs`, ...).
"""

import contextlib
import os
import uuid

import fsspec

UNFINISHED = ".unfinished"


class Folder:
    """A folder whose files appear whole or not at all.

    Args:
        address: str, a path or URL.
    """

    def __init__(self, address):
        self.address = address
        self._files, self._path = fsspec.url_to_fs(os.path.expanduser(address))

    def make(self):
        """Makes the folder if it is missing."""
        self._files.makedirs(self._path, exist_ok=True)

    def names(self):
        """Returns the set of the names of its files; empty if it does not exist."""
        if not self._files.isdir(self._path):
            return set()
        # Another worker may have written since the store was last asked.
        self._files.invalidate_cache(self._path)
        paths = self._files.ls(self._path, detail=False)
        return {path.rstrip("/").rpartition("/")[2] for path in paths}

    def read(self, name):
        """Returns the bytes of a file."""
        with self._files.open(self._join(name), "rb") as file:
            return file.read()

    def open(self, name):
        """Returns a file to read from."""
        return self._files.open(self._join(name), "rb")

    @contextlib.contextmanager
    def writing(self, name):
        """Yields a file to write to. It gets its name at the end, if all went well."""
        # Two workers may write the same file: each has a name of its own for it.
        unfinished = self._join(f".{name}.{uuid.uuid4().hex}{UNFINISHED}")
        try:
            with self._files.open(unfinished, "wb") as file:
                yield file
                file.flush()
                if self.is_local:
                    os.fsync(file.fileno())
            self._files.mv(unfinished, self._join(name))
        except BaseException:
            with contextlib.suppress(OSError):
                self._files.rm(unfinished)
            raise

    def remove_unfinished(self):
        """Removes what killed runs have left."""
        for name in self.names():
            if name.endswith(UNFINISHED):
                self._files.rm(self._join(name))

    @property
    def is_local(self):
        """Whether the folder is one of this machine."""
        return isinstance(self._files, fsspec.implementations.local.LocalFileSystem)

    @property
    def path(self):
        """The path within its store."""
        return self._path

    def _join(self, name):
        return f"{self._path.rstrip('/')}/{name}"
