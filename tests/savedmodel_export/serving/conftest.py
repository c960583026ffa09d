"""The server's own messages: tensorflow-serving-api holds no Python of these."""

import pytest
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    wrappers_pb2,
)

INT64, BOOL, STRING, MESSAGE = 3, 8, 9, 11


@pytest.fixture(scope="session")
def messages():
    """dict, name -> class, with the fields that our files may name."""
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
