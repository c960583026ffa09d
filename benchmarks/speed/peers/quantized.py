"""The int8 forms of other runtimes' files, made as their own documentation says.

Weights are random, so images are too: speed does not depend on the ranges.
"""

import pathlib

import numpy as np

NUM_IMAGES, BATCH_SIZE = 32, 8


def calibration_batches(image_size):
    """Returns a few batches of float32 images, values 0 to 255."""
    rng = np.random.default_rng(0)
    shape = (BATCH_SIZE, image_size, image_size, 3)
    return [
        rng.uniform(0, 255, shape).astype("float32")
        for _ in range(NUM_IMAGES // BATCH_SIZE)
    ]


def nncf(path, target, image_size):
    """Post-training quantization of an OpenVINO model by NNCF, for transformers."""
    import nncf
    import openvino

    model = openvino.Core().read_model(path)
    batches = nncf.Dataset(calibration_batches(image_size))
    quantized = nncf.quantize(
        model,
        batches,
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=NUM_IMAGES // BATCH_SIZE,
    )
    openvino.save_model(quantized, target / "model.xml")
    return str(target / "model.xml")


def onnx_static(path, target, image_size):
    """Static QDQ quantization by ONNX Runtime, weights per channel."""
    from onnxruntime import quantization

    prepared = prepared_onnx(path, target)
    given = _input_name(prepared)

    class Reader(quantization.CalibrationDataReader):
        """Hands out the batches once."""

        def __init__(self):
            self._batches = iter(calibration_batches(image_size))

        def get_next(self):
            batch = next(self._batches, None)
            return None if batch is None else {given: batch}

    quantization.quantize_static(
        prepared,
        str(target / "model.onnx"),
        Reader(),
        quant_format=quantization.QuantFormat.QDQ,
        per_channel=True,
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
        op_types_to_quantize=["MatMul", "Gemm"],
    )
    return str(target / "model.onnx")


def onnx_dynamic(path, target, image_size):
    """Dynamic quantization by ONNX Runtime: ranges are measured in each call."""
    from onnxruntime import quantization

    quantization.quantize_dynamic(
        prepared_onnx(path, target),
        str(target / "model.onnx"),
        per_channel=True,
        weight_type=quantization.QuantType.QInt8,
        op_types_to_quantize=["MatMul", "Gemm"],
    )
    return str(target / "model.onnx")


def prepared_onnx(path, target):
    """Infers shapes and optimizes, as ONNX Runtime advises before quantizing."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared = str(target / "prepared.onnx")
    quant_pre_process(path, prepared, skip_symbolic_shape=True)
    return prepared


def _input_name(path):
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.get_inputs()[0].name


QUANTIZERS = {"nncf": nncf, "static": onnx_static, "dynamic": onnx_dynamic}


def quantize(method, path, target, image_size):
    """Returns the path of the int8 form of a file.

    Args:
        method: name in `QUANTIZERS`.
        path: str, of the float32 file.
        target: folder for the new one; made.
        image_size: int. Side of its images.
    """
    target = pathlib.Path(target)
    target.mkdir(parents=True)
    return QUANTIZERS[method](path, target, image_size)
