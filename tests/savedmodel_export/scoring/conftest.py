"""Images as files, and jobs on exported models that other tests share."""

import numpy as np
import pytest

from savedmodel_export.scoring.job import Job, Settings
from savedmodel_export.scoring.model import ModelInfo
from savedmodel_export.scoring.plan import make_plan

BAD = (3, 7)


@pytest.fixture
def folder(tmp_path, encoded):
    """Nine image files, of which 3 and 7 are none."""
    folder = tmp_path / "images"
    folder.mkdir()
    for i, content in enumerate(encoded):
        (folder / f"{i}.png").write_bytes(b"text" if i in BAD else content)
    return folder


@pytest.fixture
def make_job(make_served, folder, tmp_path):
    """Function: kind of model, options of `Job` and `Settings` -> `Job`, begun."""

    def make(
        kind="group", input=folder, output="scores", num_mux=None, share=0.5, **chosen
    ):
        settings = Settings(str(input), **{"batch_size": 4, "shard_size": 5, **chosen})
        info = ModelInfo(make_served(kind).version, num_mux)
        plan = make_plan(settings.input, settings.shard_size)
        job = Job(settings, info, str(tmp_path / output), plan, share)
        job.begin()
        return job

    return make


class QuickModel:
    """Answers at once, and as it likes."""

    def answer(self, contents):
        good = [i for i, content in enumerate(contents) if content != b"text"]
        logits = np.eye(10, dtype="float32")[[i % 10 for i in good]]
        outputs = {
            "logits": logits,
            "probabilities": logits,
            "class_ids": logits.argmax(-1),
        }
        wrong = set(range(len(contents))) - set(good)
        return good, outputs if good else {}, dict.fromkeys(wrong, "Not an image")


@pytest.fixture
def quick_model():
    """What stands for a `Model` where its answers are not what is tested."""
    return QuickModel()


@pytest.fixture(scope="session")
def load():
    """Function: `Job` -> its `Model`, loaded once for each version and N."""
    loaded = {}

    def load(job):
        key = job.info.version, job.info.signature
        if key not in loaded:
            loaded[key] = job.load_model()
        return loaded[key]

    return load
