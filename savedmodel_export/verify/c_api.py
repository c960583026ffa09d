"""Runs a SavedModel by TensorFlow's C library alone.

TensorFlow Serving loads a SavedModel with this very loader. What runs here needs no
Python code of the exporter and no Python of TensorFlow: its package is located, but
not imported.
"""

import ctypes
import importlib.util
import os
import pathlib

import numpy as np

from savedmodel_export.verify.signature_def import read_signatures

LIBRARIES = (
    ("libtensorflow_framework.so.2", "libtensorflow_cc.so.2"),
    ("libtensorflow_framework.2.dylib", "libtensorflow_cc.2.dylib"),
)
STRING = 7
DTYPES = {1: np.float32, 2: np.float64, 3: np.int32, 4: np.uint8, 9: np.int64}
NUMBERS = {np.dtype(dtype): number for number, dtype in DTYPES.items()}
BYTES_PER_STRING = 24  # sizeof(TF_TString)
INVALID_ARGUMENT = 3


class CApiError(Exception):
    """A call of the C library failed.

    Attributes:
        code: int, TensorFlow's error code; 3 is InvalidArgument.
    """

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class _Buffer(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("length", ctypes.c_size_t),
        ("deallocator", ctypes.c_void_p),
    ]


class _Output(ctypes.Structure):
    _fields_ = [("operation", ctypes.c_void_p), ("index", ctypes.c_int)]


class LoadedModel:
    """A SavedModel in a session of the C library.

    Args:
        folder: path of the SavedModel.

    Raises:
        CApiError: if it cannot be loaded.
        ValueError: if the library is not installed.
    """

    def __init__(self, folder):
        library = self._library = _library()
        self._graph = library.TF_NewGraph()
        options = library.TF_NewSessionOptions()
        meta_graph = library.TF_NewBuffer()
        tags = (ctypes.c_char_p * 1)(b"serve")
        try:
            self._session = self._call(
                "TF_LoadSessionFromSavedModel",
                *(options, None, os.fsencode(folder), tags, 1),
                *(self._graph, meta_graph),
            )
            content = meta_graph.contents
            self.signatures = read_signatures(
                ctypes.string_at(content.data, content.length)
            )
        except CApiError:
            library.TF_DeleteGraph(self._graph)
            raise
        finally:
            library.TF_DeleteBuffer(meta_graph)
            library.TF_DeleteSessionOptions(options)

    def run(self, name, inputs):
        """Runs a signature.

        Args:
            name: str, key of the signature.
            inputs: dict, name -> numeric array, or array of bytes objects.

        Returns:
            dict, name -> array; strings as bytes objects.

        Raises:
            CApiError: if the graph refuses the inputs.
            ValueError: if the model is closed, or an array is of a type that no
                signature has.
        """
        if self._session is None:
            raise ValueError("This model is closed.")
        library, signature = self._library, self.signatures[name]
        fed = [self._output(signature.inputs[key].tensor) for key in inputs]
        fetched = [self._output(info.tensor) for info in signature.outputs.values()]
        values = [self._tensor(np.asarray(value)) for value in inputs.values()]
        results = (ctypes.c_void_p * len(fetched))()
        try:
            self._call(
                "TF_SessionRun",
                *(self._session, None),
                *((_Output * len(fed))(*fed), (ctypes.c_void_p * len(fed))(*values)),
                *(len(fed), (_Output * len(fetched))(*fetched), results),
                *(len(fetched), None, 0, None),
            )
            return {
                key: self._array(result)
                for key, result in zip(signature.outputs, results, strict=True)
            }
        finally:
            for tensor in [*values, *filter(None, results)]:
                library.TF_DeleteTensor(tensor)

    def close(self):
        """Frees the session and the weights; a second time it does nothing."""
        session, self._session = self._session, None
        if session is not None:
            self._call("TF_CloseSession", session)
            self._call("TF_DeleteSession", session)
            self._library.TF_DeleteGraph(self._graph)

    def _call(self, function, *arguments):
        library = self._library
        status = library.TF_NewStatus()
        try:
            result = getattr(library, function)(*arguments, status)
            code = library.TF_GetCode(status)
            if code:
                raise CApiError(code, library.TF_Message(status).decode())
            return result
        finally:
            library.TF_DeleteStatus(status)

    def _output(self, tensor_name):
        operation, _, index = tensor_name.partition(":")
        found = self._library.TF_GraphOperationByName(self._graph, operation.encode())
        if not found:
            raise CApiError(INVALID_ARGUMENT, f"The graph has no tensor {tensor_name}.")
        return _Output(found, int(index or 0))

    def _tensor(self, array):
        library = self._library
        shape = (ctypes.c_int64 * array.ndim)(*array.shape)
        if array.dtype != object:
            if array.dtype not in NUMBERS:
                raise ValueError(f"No signature takes arrays of {array.dtype}.")
            array = np.ascontiguousarray(array)
            tensor = library.TF_AllocateTensor(
                NUMBERS[array.dtype], shape, array.ndim, array.nbytes
            )
            data = library.TF_TensorData(tensor)
            ctypes.memmove(data, array.ctypes.data, array.nbytes)
            return tensor
        num_bytes = array.size * BYTES_PER_STRING
        tensor = library.TF_AllocateTensor(STRING, shape, array.ndim, num_bytes)
        data = library.TF_TensorData(tensor)
        for index, text in enumerate(array.flat):
            place = data + index * BYTES_PER_STRING
            library.TF_StringInit(place)
            library.TF_StringCopy(place, text, len(text))
        return tensor

    def _array(self, tensor):
        library = self._library
        rank = library.TF_NumDims(tensor)
        shape = tuple(library.TF_Dim(tensor, axis) for axis in range(rank))
        data = library.TF_TensorData(tensor)
        kind = library.TF_TensorType(tensor)
        if kind != STRING:
            size = library.TF_TensorByteSize(tensor)
            content = ctypes.string_at(data, size) if size else b""
            return np.frombuffer(content, DTYPES[kind]).reshape(shape)
        strings = np.empty(int(np.prod(shape)), object)
        for index in range(strings.size):
            place = data + index * BYTES_PER_STRING
            start = library.TF_StringGetDataPointer(place)
            strings[index] = ctypes.string_at(start, library.TF_StringGetSize(place))
        return strings.reshape(shape)


def _library():
    package = importlib.util.find_spec("tensorflow")
    if package is None:
        raise ValueError("TensorFlow is not installed.")
    folder = pathlib.Path(package.submodule_search_locations[0])
    for framework, main in LIBRARIES:
        if (folder / main).exists():
            # Not RTLD_GLOBAL: TensorFlow's copy of OpenSSL's functions would take the
            # place of those that Python's hashlib and ssl are made for.
            ctypes.CDLL(str(folder / framework))
            return _declare(ctypes.CDLL(str(folder / main)))
    raise ValueError(f"The installed TensorFlow has no {LIBRARIES[0][1]}.")


def _declare(library):
    pointer, text = ctypes.c_void_p, ctypes.c_char_p
    size, number = ctypes.c_size_t, ctypes.c_int
    buffer, long = ctypes.POINTER(_Buffer), ctypes.c_int64
    declarations = {
        "TF_NewGraph": (pointer,),
        "TF_DeleteGraph": (None, pointer),
        "TF_CloseSession": (None, pointer, pointer),
        "TF_DeleteSession": (None, pointer, pointer),
        "TF_NewSessionOptions": (pointer,),
        "TF_DeleteSessionOptions": (None, pointer),
        "TF_NewBuffer": (buffer,),
        "TF_DeleteBuffer": (None, buffer),
        "TF_NewStatus": (pointer,),
        "TF_DeleteStatus": (None, pointer),
        "TF_GetCode": (number, pointer),
        "TF_Message": (text, pointer),
        "TF_GraphOperationByName": (pointer, pointer, text),
        "TF_AllocateTensor": (pointer, number, pointer, number, size),
        "TF_DeleteTensor": (None, pointer),
        "TF_TensorData": (pointer, pointer),
        "TF_TensorType": (number, pointer),
        "TF_TensorByteSize": (size, pointer),
        "TF_NumDims": (number, pointer),
        "TF_Dim": (long, pointer, number),
        "TF_StringInit": (None, pointer),
        "TF_StringCopy": (None, pointer, text, size),
        "TF_StringGetDataPointer": (pointer, pointer),
        "TF_StringGetSize": (size, pointer),
        "TF_LoadSessionFromSavedModel": (
            *(pointer, pointer, pointer, text, pointer, number, pointer),
            *(buffer, pointer),
        ),
        "TF_SessionRun": (
            *(None, pointer, pointer, pointer, pointer, number, pointer, pointer),
            *(number, pointer, number, pointer, pointer),
        ),
    }
    for name, (result, *arguments) in declarations.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
