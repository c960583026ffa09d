import pytest
import yaml
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from savedmodel_export.serving.configuration import (
    model_name,
    named_versions,
    write_serving_files,
)


@pytest.fixture
def model(tmp_path, fill):
    """A folder with one version."""
    fill(tmp_path / "pets" / "1")
    return tmp_path / "pets"


def entry_of(folder):
    config = model_server_config_pb2.ModelServerConfig()
    text_format.Parse((folder / "serving" / "models.config").read_text(), config)
    (entry,) = config.model_config_list.config
    return entry


def test_stable_stays_and_canary_moves(model, fill):
    assert write_serving_files(model) == model / "serving"
    assert entry_of(model).version_labels == {"stable": 1, "canary": 1}
    fill(model / "2")
    fill(model / "10")
    write_serving_files(model)
    assert entry_of(model).version_labels == {"stable": 1, "canary": 10}
    assert named_versions(model) == {1, 10}
    write_serving_files(model, stable=10)
    assert entry_of(model).version_labels == {"stable": 10, "canary": 10}


def test_stable_never_moves_forward_by_itself(model, fill, caplog):
    for number in (2, 3, 4):
        fill(model / str(number))
    write_serving_files(model, stable=3)
    (model / "3" / "model_card.json").write_text("{")  # Damaged, but still there.
    write_serving_files(model)
    assert entry_of(model).version_labels["stable"] == 3
    (model / "3").rename(model.parent / "moved away")
    write_serving_files(model)
    assert entry_of(model).version_labels == {"stable": 2, "canary": 4}
    assert "labelled stable, is gone: the label moves to 2" in caplog.text


def test_monitoring(model, messages):
    write_serving_files(model)
    monitoring = messages["MonitoringConfig"]()
    text = (model / "serving" / "monitoring.config").read_text()
    text_format.Parse(text, monitoring)
    assert monitoring.prometheus_config.enable
    assert monitoring.prometheus_config.path == "/monitoring/prometheus/metrics"


@pytest.mark.parametrize("mixes_images", [False, True])
def test_compose_file(model, fill, mixes_images):
    fill(model / "1", mixes_images=mixes_images)
    write_serving_files(model)
    text = (model / "serving" / "docker-compose.yml").read_text()
    serving = yaml.safe_load(text)["services"]["serving"]
    assert serving["image"] == "tensorflow/serving:2.20.0"
    (volume,) = serving["volumes"]
    assert (volume["source"], volume["target"]) == ("..", entry_of(model).base_path)
    assert all(port.startswith("127.0.0.1:") for port in serving["ports"])
    assert "--model_config_file=/export_dir/serving/models.config" in serving["command"]
    assert ("--enable_batching=true" in serving["command"]) == (not mixes_images)


@pytest.mark.parametrize(
    "folder, name",
    [("pets-2.0", "pets-2.0"), ("my cats: all?", "my_cats__all_"), ("猫", "_")],
)
def test_the_models_name_can_stand_in_a_url(tmp_path, folder, name):
    assert model_name(tmp_path / folder) == name


def test_files_of_others_stay(model):
    write_serving_files(model)
    for name in ("models.config", "serve.sh", "docker-compose.yml"):
        path = model / "serving" / name
        ours = path.read_text()
        path.write_text("of somebody else")
        before = {p: p.read_bytes() for p in path.parent.iterdir()}
        with pytest.raises(ValueError, match=f"{name} was not written by this"):
            write_serving_files(model)
        assert {p: p.read_bytes() for p in path.parent.iterdir()} == before
        path.write_text(ours)


def test_errors(model, tmp_path):
    with pytest.raises(ValueError, match="not a folder"):
        write_serving_files(tmp_path / "none")
    assert not (tmp_path / "none").exists()
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="has no version of this program"):
        write_serving_files(tmp_path / "empty")
    with pytest.raises(ValueError, match="has no version 2 of .* Versions: .1."):
        write_serving_files(model, stable=2)
    write_serving_files(model)
    config = model / "serving" / "models.config"
    config.write_text(config.read_text() + "model_config_list { nonsense: 1 }")
    with pytest.raises(ValueError, match="models.config cannot be used: not a Model"):
        write_serving_files(model)
    config.write_bytes(b"# Written by savedmodel_export \xff")
    with pytest.raises(ValueError, match="models.config cannot be read: 'utf-8'"):
        write_serving_files(model)
