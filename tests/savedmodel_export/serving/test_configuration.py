import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest
import yaml
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
    wrappers_pb2,
)
from tensorflow_serving.config import model_server_config_pb2

from savedmodel_export.serving.configuration import (
    labelled_versions,
    write_serving_files,
)

INT64, BOOL, STRING, MESSAGE = 3, 8, 9, 11


def messages():
    """The fields of TensorFlow Serving's messages that the files may name."""
    file = descriptor_pb2.FileDescriptorProto(
        name="serving.proto",
        package="serving",
        syntax="proto3",
        dependency=["google/protobuf/wrappers.proto"],
    )

    def add(message, *fields):
        definition = file.message_type.add(name=message)
        for number, name, kind, *rest in fields:
            label = 3 if "repeated" in rest else 1
            field = definition.field.add(
                name=name, number=number, type=kind, label=label
            )
            if kind == MESSAGE:
                field.type_name = rest[0]

    wrapped = ".google.protobuf.Int64Value"
    add(
        "BatchingParameters",
        (1, "max_batch_size", MESSAGE, wrapped),
        (2, "batch_timeout_micros", MESSAGE, wrapped),
        (3, "max_enqueued_batches", MESSAGE, wrapped),
        (4, "num_batch_threads", MESSAGE, wrapped),
        (5, "thread_pool_name", MESSAGE, ".google.protobuf.StringValue"),
        (6, "allowed_batch_sizes", INT64, "repeated"),
        (7, "pad_variable_length_inputs", BOOL),
    )
    add("PrometheusConfig", (1, "enable", BOOL), (2, "path", STRING))
    add(
        "MonitoringConfig",
        (1, "prometheus_config", MESSAGE, ".serving.PrometheusConfig"),
    )
    pool = descriptor_pool.DescriptorPool()
    wrappers = descriptor_pb2.FileDescriptorProto()
    wrappers_pb2.DESCRIPTOR.CopyToProto(wrappers)
    pool.Add(wrappers)
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(
            pool.FindMessageTypeByName(f"serving.{name}")
        )
        for name in ("BatchingParameters", "MonitoringConfig")
    }


@pytest.fixture
def add_version(tmp_path):
    """Function: (model, version, does it mix images) -> the model's folder."""

    def add(name, version, mixes_images=False):
        folder = tmp_path / name / str(version)
        folder.mkdir(parents=True)
        card = json.dumps({"mixes_images": mixes_images})
        (folder / "model_card.json").write_text(card)
        return tmp_path / name

    return add


def read_config(root):
    config = model_server_config_pb2.ModelServerConfig()
    text_format.Parse((root / "models.config").read_text(), config)
    return {entry.name: entry for entry in config.model_config_list.config}


def test_stable_stays_and_canary_moves(add_version, tmp_path):
    folder = add_version("classifier", 1)
    assert write_serving_files(folder) == tmp_path
    (entry,) = read_config(tmp_path).values()
    assert entry.base_path == "/models/classifier"
    assert entry.model_platform == "tensorflow"
    assert entry.version_labels == {"stable": 1, "canary": 1}

    add_version("classifier", 2)
    add_version("classifier", 10)
    write_serving_files(folder)
    entry = read_config(tmp_path)["classifier"]
    assert entry.version_labels == {"stable": 1, "canary": 10}
    # A label for a version that is not loaded would be refused.
    assert list(entry.model_version_policy.specific.versions) == [1, 10]
    assert labelled_versions(folder) == {1, 10}

    write_serving_files(folder, stable=10)
    entry = read_config(tmp_path)["classifier"]
    assert entry.version_labels == {"stable": 10, "canary": 10}
    assert list(entry.model_version_policy.specific.versions) == [10]


def test_the_command_promotes(add_version, tmp_path):
    add_version("classifier", 1)
    folder = add_version("classifier", 2)
    program = "savedmodel_export.serving.configuration"

    def command(*arguments):
        return subprocess.run(
            [sys.executable, "-X", "importtime", "-m", program, folder, *arguments],
            capture_output=True,
            text=True,
        )

    result = command("--stable=1")
    assert result.returncode == 0
    # It starts at once.
    assert "tensorflow.python" not in result.stderr
    assert "keras.src" not in result.stderr
    entry = read_config(tmp_path)["classifier"]
    assert entry.version_labels == {"stable": 1, "canary": 2}
    result = command("--stable=3")
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith("error: ")


def test_several_models_share_the_files(add_version, tmp_path):
    write_serving_files(add_version("a", 3))
    write_serving_files(add_version("b", 1, mixes_images=True))
    entries = read_config(tmp_path)
    assert {name: dict(e.version_labels) for name, e in entries.items()} == {
        "a": {"stable": 3, "canary": 3},
        "b": {"stable": 1, "canary": 1},
    }


def test_monitoring_and_batching_parameters(add_version, tmp_path, make_served):
    write_serving_files(add_version("classifier", 1))
    kinds = messages()
    monitoring = kinds["MonitoringConfig"]()
    text_format.Parse((tmp_path / "monitoring.config").read_text(), monitoring)
    assert monitoring.prometheus_config.enable
    assert monitoring.prometheus_config.path == "/monitoring/prometheus/metrics"
    for kind, multiple_of in (("vit", 1), ("image", 1), ("group", 2)):
        text = (make_served(kind).version / "batching_params.pbtxt").read_text()
        batching = text_format.Parse(text, kinds["BatchingParameters"]())
        sizes = list(batching.allowed_batch_sizes)
        assert sizes == sorted(set(sizes))
        assert sizes[0] == multiple_of
        assert all(size % multiple_of == 0 for size in sizes)
        assert sizes[-1] == batching.max_batch_size.value == 32


@pytest.mark.parametrize("mixes_images", [False, True])
def test_compose_file(add_version, tmp_path, mixes_images):
    write_serving_files(add_version("classifier", 1, mixes_images))
    text = (tmp_path / "docker-compose.yml").read_text()
    serving = yaml.safe_load(text)["services"]["serving"]
    assert serving["image"] == "tensorflow/serving:2.20.0"
    assert serving["volumes"] == [".:/models:ro"]
    assert "--model_config_file=/models/models.config" in serving["command"]
    assert ("--enable_batching=true" in serving["command"]) == (not mixes_images)


@pytest.mark.parametrize("mixes_images", [False, True])
def test_the_script_starts_the_server(add_version, tmp_path, mixes_images):
    write_serving_files(add_version("classifier", 1, mixes_images))
    server = tmp_path / "server"
    server.write_text(
        "#!/usr/bin/env bash\n"
        'printf "%s\\n" "$@" > "$0.arguments"\n'
        'for a in "$@"; do case "$a" in --model_config_file=*)\n'
        '  echo "${a#*=}" > "$0.config" && cp "${a#*=}" "$0.models" ;; esac; done\n'
        'trap "echo stopped > $0.stopped; exit 0" TERM\n'
        'touch "$0.started"; while true; do sleep 0.05; done\n'
    )
    server.chmod(0o755)
    script = subprocess.Popen(
        [str(tmp_path / "serve.sh"), "--num_load_threads=1"],
        env={**os.environ, "TF_MODEL_SERVER": str(server), "GRPC_PORT": "9000"},
    )
    deadline = time.monotonic() + 20
    while not (tmp_path / "server.started").exists():
        assert time.monotonic() < deadline and script.poll() is None
        time.sleep(0.02)
    script.send_signal(signal.SIGTERM)
    script.wait(20)
    assert (tmp_path / "server.stopped").exists()
    arguments = (tmp_path / "server.arguments").read_text().splitlines()
    assert {"--port=9000", "--rest_api_port=8501", "--num_load_threads=1"} <= set(
        arguments
    )
    # Joining requests is the operator's decision where images see each other.
    assert ("--enable_batching=true" in arguments) == (not mixes_images)
    assert f"--monitoring_config_file={tmp_path}/monitoring.config" in arguments
    assert (
        f'base_path: "{tmp_path}/classifier"'
        in (tmp_path / "server.models").read_text()
    )
    config = pathlib.Path((tmp_path / "server.config").read_text().strip())
    assert not config.exists()


def test_errors(add_version, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="has no version"):
        write_serving_files(tmp_path / "empty")
    folder = add_version("classifier", 1)
    with pytest.raises(ValueError, match="has no version 2"):
        write_serving_files(folder, stable=2)
    (tmp_path / "models.config").write_text("model_config_list { nonsense: 1 }")
    with pytest.raises(ValueError, match="models.config cannot be read"):
        write_serving_files(folder)
