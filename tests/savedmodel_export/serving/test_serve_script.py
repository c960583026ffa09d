"""The script that starts the server, with a stand-in for the server."""

import os
import pathlib
import shutil
import signal
import subprocess
import time

import pytest
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from savedmodel_export.serving.configuration import write_serving_files

# Writes down what it was given, then waits for a signal.
SERVER = """\
#!/usr/bin/env bash
cd "$RECORDS"
printf '%s\\0' "$@" > arguments
for argument in "$@"; do
  case "$argument" in
    --model_config_file=*) printf '%s' "${argument#*=}" > config ;;
  esac
done
trap 'touch stopped; exit 7' TERM
echo $$ > pid.new && mv pid.new pid
while true; do sleep 0.02; done
"""

NAMES = (
    "pets",
    "s|x|$(touch hacked)|e;w hacked;#",
    "a & b",
    'quote"s and \\back\\slashes\\',
    "'single' `touch hacked` $HOME *",
    "line\nbreak",
    "ends in a line break\n",
    "日本語 ünïcode",
    "-rf",
    "a:b,c=d",
)


def wait_for(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Script:
    """A running serve.sh and what its server wrote down."""

    def __init__(self, folder, records, *arguments, **variables):
        self.records = records
        records.mkdir()
        server = records / "server"
        server.write_text(SERVER)
        server.chmod(0o755)
        environment = {
            **os.environ,
            "LC_ALL": "C",
            "TF_MODEL_SERVER": str(server),
            "RECORDS": str(records),
            "TMPDIR": str(records),
            **variables,
        }
        self.process = subprocess.Popen(
            [folder / "serving" / "serve.sh", *arguments],
            env=environment,
            cwd=records,
            stderr=subprocess.PIPE,
        )
        wait_for((records / "pid").exists)

    @property
    def arguments(self):
        return (self.records / "arguments").read_bytes().decode().split("\0")

    @property
    def config_path(self):
        return pathlib.Path((self.records / "config").read_text())

    @property
    def model(self):
        """The one entry of the configuration that the server reads."""
        config = model_server_config_pb2.ModelServerConfig()
        text_format.Parse(self.config_path.read_text("utf-8"), config)
        return config.model_config_list.config[0]

    def server_lives(self):
        try:
            os.kill(int((self.records / "pid").read_text()), 0)
        except ProcessLookupError:
            return False
        return True

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        _, errors = self.process.communicate(timeout=20)
        return errors.decode()


@pytest.fixture
def start(tmp_path, fill):
    """Function: (name of a folder, ...) -> `Script`; all are stopped at the end."""
    running = []

    def start(name, *arguments, mixes_images=False, **variables):
        folder = tmp_path / "served" / name
        fill(folder / "1", mixes_images=mixes_images)
        write_serving_files(folder)
        records = tmp_path / f"records {len(running)}"
        running.append(Script(folder, records, *arguments, **variables))
        return running[-1]

    yield start
    for script in running:
        if script.process.poll() is None:
            script.stop()


def test_any_name_of_a_folder(start, tmp_path):
    scripts = [start(name, POLL_SECONDS="60") for name in NAMES]
    for name, script in zip(NAMES, scripts, strict=True):
        folder = tmp_path / "served" / name
        assert script.model.base_path == str(folder)
        monitoring = f"--monitoring_config_file={folder}/serving/monitoring.config"
        assert monitoring in script.arguments
    assert not list(tmp_path.rglob("hacked*"))


@pytest.mark.parametrize("mixes_images", [False, True])
def test_arguments_signals_and_exit_code(start, mixes_images):
    script = start(
        "pets", "--num_load_threads=1", mixes_images=mixes_images, GRPC_PORT="9000"
    )
    assert {"--port=9000", "--rest_api_port=8501", "--num_load_threads=1"} <= set(
        script.arguments
    )
    # Joining requests is the operator's decision where images see each other.
    assert ("--enable_batching=true" in script.arguments) == (not mixes_images)
    errors = script.stop()
    assert (script.records / "stopped").exists()
    assert script.process.returncode == 7
    assert not script.config_path.parent.exists()
    # The server listens on all addresses: it has no flag for one.
    assert "ports 9000 and 8501 are open on all addresses" in errors


def test_promotions_arrive_and_a_failure_does_not_end_that(start, tmp_path, fill):
    script = start("pets", POLL_SECONDS="1", LISTEN="0.0.0.0")
    folder = tmp_path / "served" / "pets"
    config = folder / "serving" / "models.config"
    text = config.read_text()
    config.unlink()
    reason, line = (script.process.stderr.readline().decode() for _ in range(2))
    assert "No such file" in reason
    assert line == "serve.sh: models.config cannot be read; the last one stays\n"
    assert script.model.version_labels == {"stable": 1, "canary": 1}
    config.write_text(text)
    fill(folder / "2")
    write_serving_files(folder, stable=2)
    wait_for(lambda: script.model.version_labels["stable"] == 2)
    assert script.model.base_path == str(folder)


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs util-linux")
def test_a_killed_script_leaves_no_server(start):
    script = start("pets", POLL_SECONDS="1")
    script.process.kill()
    script.process.wait()
    wait_for(lambda: not script.server_lives())
    assert (script.records / "stopped").exists()
    wait_for(lambda: not script.config_path.parent.exists())


def test_the_container_where_there_is_no_server(tmp_path, fill):
    folder = tmp_path / 'a"b,c:d'
    fill(folder / "1")
    write_serving_files(folder)
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text('#!/usr/bin/env bash\nprintf "%s\\n" "$@"\n')
    docker.chmod(0o755)
    result = subprocess.run(
        [folder / "serving" / "serve.sh", "--num_load_threads=1"],
        env={**os.environ, "PATH": f"{docker.parent}:/usr/bin:/bin", "REST_PORT": "81"},
        capture_output=True,
        text=True,
        check=True,
    )
    arguments = result.stdout.splitlines()
    assert {"127.0.0.1:81:8501", "127.0.0.1:8500:8500", "--num_load_threads=1"} <= set(
        arguments
    )
    mount = arguments[arguments.index("--mount") + 1]
    source = str(folder).replace('"', '""')
    assert mount == f'type=bind,"source={source}",target=/export_dir,readonly'


@pytest.mark.parametrize(
    "name, value",
    [("GRPC_PORT", "85OO"), ("POLL_SECONDS", "0"), ("BATCHING", "yes")],
)
def test_wrong_settings_are_refused(tmp_path, fill, name, value):
    fill(tmp_path / "pets" / "1")
    script = write_serving_files(tmp_path / "pets") / "serve.sh"
    result = subprocess.run(
        [script], env={**os.environ, name: value}, capture_output=True, text=True
    )
    assert result.returncode == 2
    assert value in result.stderr and result.stderr.startswith("serve.sh: ")
