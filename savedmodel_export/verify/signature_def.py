"""The signatures of a SavedModel, read without TensorFlow.

A MetaGraphDef is parsed with message definitions that name only the fields needed:
protobuf skips the others.
"""

import dataclasses

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

STRING, ENUM_AS_INT, MESSAGE = 9, 5, 11  # types of protobuf fields


@dataclasses.dataclass(frozen=True)
class TensorInfo:
    """A named input or output.

    Attributes:
        tensor: str, name of the tensor in the graph.
        dtype: int, number of TensorFlow's DataType.
    """

    tensor: str
    dtype: int


@dataclasses.dataclass(frozen=True)
class Signature:
    """A signature: its method, and name -> `TensorInfo` of inputs and outputs."""

    method_name: str
    inputs: dict
    outputs: dict


def read_signatures(meta_graph):
    """Returns dict, name -> `Signature`, of a serialized MetaGraphDef."""
    parsed = _meta_graph_class().FromString(meta_graph)
    return {
        name: Signature(
            definition.method_name,
            _infos(definition.inputs),
            _infos(definition.outputs),
        )
        for name, definition in sorted(parsed.signature_def.items())
        # The loader's own entry has no method.
        if definition.method_name
    }


def _infos(fields):
    return {
        name: TensorInfo(info.name, info.dtype) for name, info in sorted(fields.items())
    }


def _meta_graph_class():
    file = descriptor_pb2.FileDescriptorProto(
        name="savedmodel_export/meta_graph.proto",
        package="savedmodel_export",
        syntax="proto3",
    )
    info = file.message_type.add(name="TensorInfo")
    _field(info, "name", 1, STRING)
    _field(info, "dtype", 2, ENUM_AS_INT)
    signature = file.message_type.add(name="SignatureDef")
    _map_field(signature, "inputs", 1, "TensorInfo")
    _map_field(signature, "outputs", 2, "TensorInfo")
    _field(signature, "method_name", 3, STRING)
    _map_field(
        file.message_type.add(name="MetaGraph"), "signature_def", 5, "SignatureDef"
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(
        pool.FindMessageTypeByName("savedmodel_export.MetaGraph")
    )


def _field(message, name, number, kind):
    message.field.add(name=name, number=number, type=kind, label=1)


def _map_field(message, name, number, value_type):
    entry_name = "".join(part.capitalize() for part in name.split("_")) + "Entry"
    entry = message.nested_type.add(name=entry_name)
    entry.options.map_entry = True
    _field(entry, "key", 1, STRING)
    entry.field.add(
        name="value",
        number=2,
        type=MESSAGE,
        label=1,
        type_name=f".savedmodel_export.{value_type}",
    )
    message.field.add(
        name=name,
        number=number,
        type=MESSAGE,
        label=3,
        type_name=f".savedmodel_export.{message.name}.{entry_name}",
    )
