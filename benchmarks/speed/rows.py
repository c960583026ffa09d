"""The rows of the comparison: what is measured, in which runtime and precision."""

import dataclasses

from savedmodel_export.choices import INT8, PRECISIONS

PLAIN = "vit_b16, plain Keras"
ALL_PRECISIONS = (*PRECISIONS, INT8)
# To save time on a long table, one scope alone in float32.
SCOPES = {"float32": ("group",)}
ALL_SCOPES = ("group", "image")
DEPTHS = {2: 6, 4: 3}
ELASTIC = {"num_mux": (1, 2, 4), "patchifier_depth": 3}


@dataclasses.dataclass(frozen=True)
class Row:
    """One model in one runtime and precision.

    Attributes:
        name: str, unique.
        precision: str, one of `ALL_PRECISIONS`.
        size: name of the ViT.
        kind: `"vit"`, `"concat"`, `"elastic"`, `"imagemux"` or `"gemm"`, a bare
            matrix product.
        arguments: tuple of pairs, arguments of the multiplexed model.
        runtime: name in `runtimes.RUNTIMES`.
        file_format: what the runtime reads: `"saved_model"`, another format of the
            exporter, or `None` for a model of its own.
        fuse: bool. Whether the fused graph is exported.
        compiled: bool. Whether PyTorch compiles it.
        quantizer: name in `quantized.QUANTIZERS`: how another runtime's file becomes
            int8; empty: not at all.
        num_mux: int or `None`. The N at which an elastic model runs.
        image_size: int. Side of the images.
    """

    name: str
    precision: str = "float32"
    size: str = "vit_b16"
    kind: str = "vit"
    arguments: tuple = ()
    runtime: str = "tensorflow"
    file_format: str | None = "saved_model"
    fuse: bool = True
    compiled: bool = False
    quantizer: str = ""
    num_mux: int | None = None
    image_size: int = 224

    @property
    def signature(self):
        """Name of the SavedModel's function."""
        return f"predict_n{self.num_mux}" if self.num_mux else "serving_default"

    @property
    def model_key(self):
        """What tells one Keras model from another."""
        return self.size, self.image_size, self.kind, self.arguments

    @property
    def file_key(self):
        """What tells one exported file from another; rows may share one."""
        # Only the fused graph is written in a precision of its own.
        precision = self.precision if self.fuse else None
        return *self.model_key, self.file_format, precision, self.quantizer


GEMMS = tuple(
    Row(f"gemm, {precision}", precision, kind="gemm", file_format=None)
    for precision in ALL_PRECISIONS
)


def vit_row(size, precision, **options):
    """The fused ViT itself."""
    return Row(f"{size}, {precision}", precision, size, **options)


def concat_row(size, num_mux, precision, name="", **options):
    """A ConcatPlexer, of a depth as in the table; `options` are its arguments."""
    arguments = {
        "num_mux": num_mux,
        "patchifier_depth": DEPTHS.get(num_mux),
        "attention_scope": "group",
        **options,
    }
    title = f"concatplexer_{size.removeprefix('vit_')}_n{num_mux}"
    scope = f", {arguments['attention_scope']} scope"
    return Row(
        f"{title}{scope}{name}, {precision}",
        precision,
        size,
        "concat",
        tuple(arguments.items()),
    )


def _elastic_row(num_mux, precision):
    return Row(
        f"elastic_b16 at N = {num_mux}, {precision}",
        precision,
        kind="elastic",
        arguments=tuple(ELASTIC.items()),
        num_mux=num_mux,
    )


def _imagemux_row(num_mux, precision):
    arguments = (("num_mux", num_mux), ("patchifier_depth", 0))
    name = f"imagemux_b16_n{num_mux}, {precision}"
    return Row(name, precision, kind="imagemux", arguments=arguments)


def _tome_row(num_mux, precision):
    options = {"reducer": "tome", "attention_scope": "image"}
    return concat_row("vit_b16", num_mux, precision, ", ToMe", **options)


def _torch_row(precision, form):
    return Row(
        f"vit_b16, PyTorch {form}, {precision}",
        precision,
        runtime="torch",
        file_format=None,
        compiled=form == "compiled",
    )


def _other_row(title, runtime, file_format, precision, quantizer=""):
    return Row(
        f"vit_b16, {title}, {precision}",
        precision,
        runtime=runtime,
        file_format=file_format,
        fuse=False,
        quantizer=quantizer,
    )


def full_rows():
    """The whole table, in its order."""
    rows = [Row(PLAIN, fuse=False)]
    for precision in ALL_PRECISIONS:
        rows.append(vit_row("vit_b16", precision))
        rows += [
            concat_row("vit_b16", num_mux, precision, attention_scope=scope)
            for num_mux in DEPTHS
            for scope in SCOPES.get(precision, ALL_SCOPES)
        ]
    rows += [
        _elastic_row(num_mux, precision)
        for precision in ("bfloat16", INT8)
        for num_mux in ELASTIC["num_mux"]
    ]
    rows += [_imagemux_row(num_mux, "bfloat16") for num_mux in DEPTHS]
    rows += [_tome_row(num_mux, "bfloat16") for num_mux in DEPTHS]
    rows += [
        vit_row(size, precision)
        for size in ("vit_b32", "vit_s16")
        for precision in ("bfloat16", INT8)
    ]
    rows += [
        _torch_row(precision, form)
        for form in ("eager", "compiled")
        for precision in PRECISIONS
    ]
    rows += [
        _other_row("OpenVINO", "openvino", "openvino", precision)
        for precision in PRECISIONS
    ]
    onnx = ("onnxruntime", "onnx")
    return [
        *rows,
        _other_row("OpenVINO by NNCF", "openvino", "openvino", INT8, "nncf"),
        _torch_row(INT8, "dynamic"),
        _other_row("ONNX Runtime", *onnx, "float32"),
        _other_row("ONNX Runtime static", *onnx, INT8, "static"),
        _other_row("ONNX Runtime dynamic", *onnx, INT8, "dynamic"),
    ]


def quick_rows():
    """The few rows of the two-minute check."""
    wanted = (
        PLAIN,
        "vit_b16, float32",
        "vit_b16, bfloat16",
        "vit_b16, int8",
        "concatplexer_b16_n2, group scope, bfloat16",
        "concatplexer_b16_n4, group scope, bfloat16",
        "vit_b16, PyTorch eager, bfloat16",
    )
    return [row for row in full_rows() if row.name in wanted]
