import json

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from savedmodel_export.serving.warmup import write_warmup


@pytest.mark.parametrize(
    "kind", ["group", pytest.param("vit", marks=pytest.mark.large)]
)
def test_records_parsed_back_and_replayed(make_served, kind):
    served = make_served(kind)
    path = served.version / "assets.extra" / "tf_serving_warmup_requests"
    card = json.loads((served.version / "model_card.json").read_text())
    seen = set()
    for record in tf.data.TFRecordDataset(str(path)):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        if log.WhichOneof("log_type") == "classify_log":
            request = log.classify_log.request
            examples = request.input.example_list.examples
            inputs = [example.SerializeToString() for example in examples]
        else:
            request = log.predict_log.request
            (value,) = request.inputs.values()
            inputs = tf.make_ndarray(value)
        name = request.model_spec.signature_name
        outputs = served.answer(name, inputs)
        assert all(len(value) == len(inputs) for value in outputs.values())
        assert all(
            np.isfinite(value).all()
            for value in outputs.values()
            if value.dtype.kind == "f"
        )
        seen.add((name, len(inputs)))
    assert seen == {
        (name, size)
        for name in ("serving_default", "serve_groups", "serve_bytes", "classify")
        for size in card["allowed_batch_sizes"]
    }
    # A value stands for all of a tensor, or the file would outgrow the model.
    assert path.stat().st_size < 100_000


def test_more_records_than_the_server_takes(tmp_path):
    function = tf.function(
        lambda images: images, input_signature=[tf.TensorSpec((None, 2), name="images")]
    )
    signatures = {"serving_default": function.get_concrete_function()}
    with pytest.raises(ValueError, match="at most 1000 warmup records"):
        write_warmup(tmp_path, signatures, range(1, 1002))
