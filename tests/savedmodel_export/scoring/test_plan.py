import os

import fsspec
import numpy as np
import pytest
import tensorflow as tf

from savedmodel_export.scoring.plan import make_plan
from savedmodel_export.scoring.sources import RecordFile


def images(plan):
    return [image for shard in plan.shards for image in shard.source.read()]


def keys(plan):
    return [image.key for image in images(plan)]


def test_a_folder(folder, encoded):
    (folder / "more").mkdir()
    (folder / "more" / "x.jpg").write_bytes(b"x")
    (folder / "notes.txt").write_text("no image")
    plan = make_plan(str(folder), 4)
    assert keys(plan) == [*(f"{i}.png" for i in range(9)), "more/x.jpg"]
    assert [len(shard.source) for shard in plan.shards] == [4, 4, 2]
    assert [shard.index for shard in plan.shards] == [0, 1, 2]
    assert plan.num_images == 10
    assert images(plan)[0].content == encoded[0]


def test_a_folder_within_that_cannot_be_read(folder, monkeypatch):
    real = os.scandir

    def scandir(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    (folder / "closed").mkdir()
    monkeypatch.setattr(os, "scandir", scandir)
    last = images(make_plan(str(folder), 100))[-1]
    # Root may open it: what else there is to say is that it is no file.
    assert last.key == "closed" and last.error


def test_globs_and_lists(folder, tmp_path):
    plan = make_plan(f"{folder}/[12].png", 10)
    assert keys(plan) == [f"{folder}/1.png", f"{folder}/2.png"]
    (tmp_path / "list.txt").write_text(f"{folder}/2.png\n\n{folder}/1.png\n" * 2)
    plan = make_plan(str(tmp_path / "list.txt"), 10)
    assert keys(plan) == [f"{folder}/2.png", f"{folder}/1.png"]
    single = make_plan(f"{folder}/1.png", 10)
    assert single.num_images == 1


def test_home(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder.parent))
    assert make_plan("~/images", 100).num_images == 9


def test_a_remote_folder():
    files = fsspec.filesystem("memory")
    files.store.clear()
    for i in range(3):
        files.pipe(f"/bucket/images/sub/{i}.png", b"%d" % i)
    files.pipe("/bucket/images/notes.md", b"no image")
    files.pipe("/bucket/list.txt", b"memory://bucket/images/sub/1.png\nmemory://gone\n")
    files.pipe("/bucket/images/empty.png", b"")
    plan = make_plan("memory://bucket/images", 2)
    assert keys(plan) == ["empty.png", "sub/0.png", "sub/1.png", "sub/2.png"]
    assert [image.content for image in images(plan)] == [None, b"0", b"1", b"2"]
    assert images(plan)[0].error == "empty file"
    found = images(make_plan("memory://bucket/images/sub/*.png", 9))
    assert [image.content for image in found] == [b"0", b"1", b"2"]
    listed = images(make_plan("memory://bucket/list.txt", 9))
    assert listed[0].content == b"1" and listed[1].error
    with pytest.raises(ValueError, match="holds no image"):
        make_plan("memory://bucket/nothing", 9)
    files.store.clear()


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("nothing", "nothing does not exist"),
        ("nothing*", "holds no image"),
        ("empty", "holds no image"),
        ("tfrecord:nothing*", "matches no file"),
        ("tfds:no_such_set", "tfds:no_such_set:test: "),
    ],
)
def test_nothing_there(tmp_path, monkeypatch, address, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=message):
        make_plan(address, 10)


def test_the_digest_changes_with_the_images(folder):
    first = make_plan(str(folder), 4).digest
    assert make_plan(str(folder), 4).digest == first
    assert make_plan(str(folder), 5).digest != first
    (folder / "10.png").write_bytes(b"x")
    assert make_plan(str(folder), 4).digest != first


def record(**features):
    return tf.train.Example(
        features=tf.train.Features(
            feature={
                name.replace("__", "/"): tf.train.Feature(
                    bytes_list=tf.train.BytesList(value=value)
                )
                if value and isinstance(value[0], bytes)
                else tf.train.Feature(int64_list=tf.train.Int64List(value=value))
                for name, value in features.items()
            }
        )
    ).SerializeToString()


def write_records(path, records):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for content in records:
            writer.write(content)


def test_records(tmp_path):
    path = tmp_path / "a.tfrecord"
    good = record(image__encoded=[b"x"], name=[b"first"])
    write_records(
        path,
        [good, b"\xff\xff", record(name=[b"none"]), record(image__encoded=[b"y"]), good]
        + [record(image__encoded=[b"z"], name=[7])],
    )
    write_records(tmp_path / "b.tfrecord", [good])
    plan = make_plan(f"tfrecord:{tmp_path}/*.tfrecord", 2)
    assert plan.num_images is None and len(plan.shards) == 2
    assert keys(plan) == [f"{path}:{i}" for i in range(6)] + [
        f"{tmp_path}/b.tfrecord:0"
    ]
    reasons = [image.error for image in images(plan)]
    assert reasons[:3] == [
        None,
        "the record is no tf.Example",
        "the record has no image/encoded",
    ]
    named = list(RecordFile(str(path), "name").read())
    assert [image.key for image in named] == [
        *("first", f"{path}:1", "none", f"{path}:3", "first", "7")
    ]
    assert named[3].error == "the record has no name"


def test_a_damaged_record_file(tmp_path):
    path = tmp_path / "a.tfrecord"
    write_records(path, [record(image__encoded=[b"x" * 100])] * 4)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 + 20] ^= 1
    path.write_bytes(content)
    found = list(RecordFile(str(path)).read())
    assert [image.content is None for image in found] == [False, False, True]
    assert "corrupted record" in found[2].error


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """A prepared TFDS data set `tiny` with 7 test images."""
    import tensorflow_datasets as tfds

    folder = tmp_path_factory.mktemp("tfds")
    pixels = np.random.default_rng(0).integers(0, 256, (7, 4, 4, 3), "uint8")
    tfds.dataset_builders.store_as_tfds_dataset(
        name="tiny",
        version="1.0.0",
        features=tfds.features.FeaturesDict(
            {"image": tfds.features.Image(shape=(4, 4, 3)), "label": tf.int64}
        ),
        split_datasets={
            "test": tf.data.Dataset.from_tensor_slices(
                {"image": pixels, "label": np.arange(7)}
            )
        },
        data_dir=folder,
    )
    return folder, pixels


def test_tfds(data_dir):
    folder, pixels = data_dir
    for name in ("tiny", "tiny:test", "tiny:1.0.0", "tiny:1.0.0:test"):
        plan = make_plan(f"tfds:{name}", 3, str(folder))
        assert [len(shard.source) for shard in plan.shards] == [3, 3, 1]
    found = images(plan)
    assert len({image.key for image in found}) == 7
    decoded = [tf.io.decode_png(image.content).numpy() for image in found]
    assert sorted(map(bytes, decoded)) == sorted(map(bytes, pixels))
    part = images(make_plan("tfds:tiny:test[2:6]", 3, str(folder)))
    assert part == found[2:6]
    with pytest.raises(ValueError, match="tfds:tiny:train: "):
        make_plan("tfds:tiny:train", 3, str(folder))
