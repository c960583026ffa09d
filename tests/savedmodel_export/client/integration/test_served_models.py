"""The shipped clients against servers that join, pad and cut requests."""

import concurrent.futures
import os
import shutil
import subprocess

import numpy as np
import pytest

from savedmodel_export.client.answers import INPUT, RequestError
from savedmodel_export.client.classification import MIXED, Classification, mixed_by
from savedmodel_export.client.grpc_client import GrpcClient
from savedmodel_export.client.inputs import find_images
from savedmodel_export.client.rest_client import RestClient
from savedmodel_export.serving.configuration import write_serving_files
from tests.savedmodel_export.batching_server import Servicer, start_grpc
from tests.savedmodel_export.client.integration.ports import free_port, wait_for
from tests.savedmodel_export.rest_server import start_rest

SIZES = [2, 4, 8]
REAL_SERVER = os.environ.get("TF_MODEL_SERVER") or shutil.which(
    "tensorflow_model_server"
)


@pytest.fixture(scope="module")
def servicers(make_served):
    """Function: kind of model -> (servicer, gRPC address, REST address)."""
    started, servers = {}, []

    def serve(kind):
        if kind not in started:
            servicer = Servicer(make_served(kind), SIZES)
            grpc_server, grpc_address = start_grpc(servicer)
            rest_server, rest_address = start_rest(servicer)
            servers.append((grpc_server, rest_server))
            started[kind] = servicer, grpc_address, rest_address
        return started[kind]

    yield serve
    for grpc_server, rest_server in servers:
        grpc_server.stop(None)
        rest_server.shutdown()


@pytest.fixture(scope="module")
def real_servers(make_served):
    """As `servicers`, with TensorFlow Serving itself, batching on."""
    if REAL_SERVER is None:
        pytest.skip("tensorflow_model_server is neither on PATH nor in TF_MODEL_SERVER")
    processes = {}

    def serve(kind):
        if kind not in processes:
            ports = [free_port(), free_port()]
            root = write_serving_files(make_served(kind).version.parent)
            processes[kind] = (
                ports,
                subprocess.Popen(
                    [root / "serve.sh"],
                    env={
                        **os.environ,
                        "TF_MODEL_SERVER": REAL_SERVER,
                        "BATCHING": "on",
                        "GRPC_PORT": str(ports[0]),
                        "REST_PORT": str(ports[1]),
                    },
                ),
            )
            wait_for(ports)
        (grpc_port, rest_port), _ = processes[kind]
        return None, f"localhost:{grpc_port}", f"http://localhost:{rest_port}"

    yield serve
    for _, process in processes.values():
        process.terminate()
        process.wait(30)


@pytest.fixture(params=["servicers", "real_servers"])
def connect(request):
    """Function: (kind of model, "rest" or "grpc", options) -> client."""
    serve = request.getfixturevalue(request.param)
    clients = []

    def connect(kind, protocol, **options):
        _, grpc_address, rest_address = serve(kind)
        client = (
            GrpcClient(grpc_address, kind, **options)
            if protocol == "grpc"
            else RestClient(rest_address, kind, **options)
        )
        clients.append(client)
        return client

    yield connect
    for client in clients:
        client.close()


PROTOCOLS = pytest.mark.parametrize("protocol", ["rest", "grpc"])


@PROTOCOLS
def test_every_signature(make_served, connect, pixels, encoded, protocol):
    served, client = make_served("image"), connect("image", protocol, label="stable")
    assert set(served.signatures) <= set(client.signatures())
    images = pixels[:6].astype("float32")
    logits = served.live(images)
    groups = images.reshape(3, 2, 16, 16, 3)
    answers = [
        client.predict({"images": images}),
        client.predict({"images": groups}, "serve_groups"),
        client.predict({"image_bytes": encoded[:6]}, "serve_bytes"),
    ]
    names = [served.class_names[i] for i in logits.argmax(-1)]
    for outputs in answers:
        np.testing.assert_allclose(
            outputs["logits"].reshape(logits.shape), logits, atol=1e-4
        )
        assert outputs["classes"].reshape(-1).tolist() == names
    classified = client.classify(encoded[:6])
    assert classified["classes"].tolist() == [list(served.class_names)] * 6
    np.testing.assert_allclose(
        classified["scores"], answers[0]["probabilities"], atol=1e-5
    )


@pytest.mark.parametrize(
    ("kind", "signature"),
    [("image", "serving_default"), ("image", "serve_bytes"), ("group", "serve_groups")],
)
def test_company_in_the_batch_does_not_matter(
    make_served, connect, pixels, encoded, kind, signature
):
    rng = np.random.default_rng(3)
    clients = [connect(kind, "grpc"), connect(kind, "rest")]
    key = "image_bytes" if signature == "serve_bytes" else "images"

    def make_request(num_rows):
        if signature == "serve_bytes":
            return [encoded[i] for i in rng.integers(0, len(encoded), num_rows)]
        shape = (2, 16, 16, 3) if signature == "serve_groups" else (16, 16, 3)
        return rng.uniform(0, 255, (num_rows, *shape)).astype("float32")

    # Up to 11 rows: more than the largest batch, so that some requests are cut.
    requests = [make_request(n) for n in rng.integers(1, 12, 40)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = pool.map(
            lambda pair: pair[1].predict({key: pair[0]}, signature),
            zip(requests, clients * 20, strict=True),
        )
        answers = list(answers)
    for request, together in zip(requests, answers, strict=True):
        alone = make_served(kind).answer(signature, request)
        np.testing.assert_allclose(together["logits"], alone["logits"], atol=1e-5)
        assert together["class_ids"].tolist() == alone["class_ids"].tolist()


def test_requests_were_joined_padded_and_cut(servicers, pixels):
    servicer, address, _ = servicers("image")
    client = GrpcClient(address, "image")
    servicer.batchers["serving_default"].batches.clear()
    client.predict({"images": np.repeat(pixels, 3, 0)[:19].astype("float32")})
    assert servicer.batchers["serving_default"].batches == [(8, 8), (8, 8), (3, 4)]


def test_in_group_scope_company_does_matter(servicers, pixels, encoded, tmp_path):
    # Why server-side batching is off by default for such a model.
    _, address, _ = servicers("group")
    client = GrpcClient(address, "group")
    for index, content in enumerate(encoded[:2]):
        (tmp_path / f"{index}.png").write_bytes(content)
    assert mixed_by(client, sorted(tmp_path.iterdir())) > MIXED
    in_image_scope = GrpcClient(servicers("image")[1], "image")
    assert mixed_by(in_image_scope, sorted(tmp_path.iterdir())) == 0
    images = pixels[:4].astype("float32")
    alone = client.predict({"images": images[:1]})["logits"]
    together = client.predict({"images": images})["logits"][:1]
    assert np.abs(alone - together).max() > 1e-3


@pytest.mark.large
@PROTOCOLS
def test_an_elastic_model_switches_with_every_request(
    make_served, servicers, connect, pixels, protocol
):
    served, client = make_served("elastic"), connect("elastic", protocol)
    servicer, *_ = servicers("elastic")
    images = pixels[:8].astype("float32")
    alone = {n: served.answer(f"predict_n{n}", images)["logits"] for n in (1, 2, 4)}
    assert np.abs(alone[1] - alone[2]).max() > 1e-3
    assert np.abs(alone[2] - alone[4]).max() > 1e-3
    for n in (1, 4, 2, 1, 4):
        together = client.predict({"images": images}, f"predict_n{n}")
        np.testing.assert_allclose(together["logits"], alone[n], atol=1e-5)
        assert servicer.specs[-1].signature_name == f"predict_n{n}"


@PROTOCOLS
def test_a_corrupt_image_is_an_invalid_argument(connect, encoded, protocol):
    client = connect("image", protocol)
    with pytest.raises(RequestError, match="Not an image") as caught:
        client.predict({"image_bytes": [encoded[0], b"text"]}, "serve_bytes")
    assert caught.value.fault == INPUT
    assert len(client.predict({"image_bytes": encoded[:1]}, "serve_bytes")) == 5


def test_messages_above_the_stock_limit(servicers):
    _, address, _ = servicers("image")
    images = np.zeros((2000, 16, 16, 3), "float32")
    assert images.nbytes > 4 * 2**20
    outputs = GrpcClient(address, "image").predict({"images": images})
    assert outputs["logits"].shape == (2000, 10)


def test_only_the_corrupt_file_gets_an_error(
    tmp_path, connect, make_served, pixels, encoded
):
    contents = [*encoded[:7], b"text"]
    for index, content in enumerate(contents):
        (tmp_path / f"{index}.png").write_bytes(content)
    paths, _ = find_images([tmp_path])
    class_ids = make_served("image").live(pixels[:7]).argmax(-1)
    for concurrency in (1, 4):
        batches = Classification(connect("image", "grpc"), 3, concurrency).rows(paths)
        rows = [row for batch in batches for row in batch]
        assert [row["file"] for row in rows] == [str(path) for path in paths]
        assert [row["class_id"] for row in rows[:7]] == class_ids.tolist()
        assert set(rows[7]) == {"file", "error"}
