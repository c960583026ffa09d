"""A run of scoring: its settings, and the manifest of its output folder."""

import dataclasses
import importlib.metadata
import json

from savedmodel_export.scoring.model import Model, ModelInfo
from savedmodel_export.scoring.plan import Plan
from savedmodel_export.scoring.storage import Folder
from savedmodel_export.scoring.tables import count_rows

MANIFEST = "manifest.json"
MARK = "keras_concatplexer scoring"


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the user chose, as far as the tables depend on it.

    Attributes:
        input: str, as of `plan.make_plan`.
        batch_size: int. Images per call of the model.
        shard_size: int. Images per table.
        top_k: int. Classes in the lists of the most probable ones; 0 for no lists.
        outputs: tuple of `tables.VECTORS`.
        format: one of `tables.FORMATS`.
    """

    input: str
    batch_size: int = 32
    shard_size: int = 10_000
    top_k: int = 0
    outputs: tuple = ()
    format: str = "parquet"


@dataclasses.dataclass(frozen=True)
class Counts:
    """Images with and without an answer."""

    scored: int = 0
    errors: int = 0

    def __add__(self, other):
        return Counts(self.scored + other.scored, self.errors + other.errors)

    @property
    def images(self):
        """All of them."""
        return self.scored + self.errors


@dataclasses.dataclass(frozen=True)
class Job:
    """A run. It goes to other machines: no loaded model, no open file.

    Attributes:
        settings: `Settings`.
        info: `ModelInfo`.
        output: str, path or URL of the output folder.
        plan: `Plan`.
        max_error_share: float.
        threads: int or `None`, as of `Model`.
    """

    settings: Settings
    info: ModelInfo
    output: str
    plan: Plan
    max_error_share: float = 0.01
    threads: int | None = None

    def load_model(self):
        """Returns the `Model`."""
        return Model(self.info, self.settings.outputs, self.threads)

    def table_name(self, index):
        """Returns the name of a shard's table of scores."""
        return f"part-{index:05}.{self.settings.format}"

    def errors_name(self, index):
        """Returns the name of a shard's table of errors."""
        return f"errors-{index:05}.{self.settings.format}"

    @property
    def max_errors(self):
        """Int or `None` if the number of images is not known."""
        if self.plan.num_images is None:
            return None
        return int(self.max_error_share * self.plan.num_images)

    def finished(self):
        """Returns dict, index of a shard that is finished -> its `Counts`."""
        folder = Folder(self.output)
        names = folder.names()
        return {
            shard.index: Counts(
                self._count(folder, names, self.table_name(shard.index)),
                self._count(folder, names, self.errors_name(shard.index)),
            )
            for shard in self.plan.shards
            if self.table_name(shard.index) in names
        }

    def begin(self):
        """Makes the output folder, or checks that this run may go on in it.

        Raises:
            ValueError: if it holds something else, or scores by other settings.
        """
        folder = Folder(self.output)
        folder.make()
        names = folder.names()
        if MANIFEST not in names:
            strangers = sorted(n for n in names if not n.startswith("."))
            if strangers:
                raise ValueError(
                    f"--output={self.output} holds files, but no {MANIFEST} of this "
                    f"program: {', '.join(strangers[:3])}. Name a new folder."
                )
            self.write_manifest(Counts(), finished=False)
            return
        try:
            manifest = json.loads(folder.read(MANIFEST))
            if manifest["made_by"] != MARK:
                raise ValueError("it is not of this program")
            there = manifest["identity"]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{self.output}/{MANIFEST} cannot be used ({error}). Name a new folder."
            ) from error
        identity = json.loads(json.dumps(self._identity()))
        if there != identity:
            keys = sorted(k for k in identity if identity[k] != there.get(k))
            changes = "; ".join(
                f"{key}={there.get(key)!r}, not {identity[key]!r}" for key in keys
            )
            raise ValueError(
                f"--output={self.output} holds the scores of another run: {changes}. "
                "Name a new folder, or go on with those."
            )

    def write_manifest(self, counts, finished):
        """Writes what the folder holds.

        Args:
            counts: `Counts` of all shards.
            finished: bool. Whether all shards are finished.
        """
        content = {
            "made_by": MARK,
            "finished": finished,
            "images": counts.images,
            "scored": counts.scored,
            "errors": counts.errors,
            "identity": self._identity(),
            "tables": [self.table_name(shard.index) for shard in self.plan.shards],
            "class_names": self.info.class_names,
            "versions": {
                name: importlib.metadata.version(name)
                for name in ("tensorflow", "pyarrow")
            },
        }
        with Folder(self.output).writing(MANIFEST) as file:
            file.write(json.dumps(content, indent=2).encode() + b"\n")

    def _identity(self):
        return {
            **dataclasses.asdict(self.settings),
            "model_card_sha256": self.info.identity,
            "num_mux": self.info.num_mux,
            "images_sha256": self.plan.digest,
        }

    def _count(self, folder, names, name):
        if name not in names:
            return 0
        with folder.open(name) as file:
            return count_rows(file, self.settings.format)
