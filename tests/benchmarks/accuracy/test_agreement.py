import keras_concatplexer as kcp
from benchmarks.accuracy.agreement import agreement
from train.config import Config
from train.data import load_data


def test_half_precision_agrees_on_digits(trained_concatplexer, digits_dir):
    model = kcp.bundle.load_model(trained_concatplexer[0])
    data = load_data(Config(data_dir=str(digits_dir)))
    batches = [(x, y.numpy()) for x, y in data.batches("test", 64)]
    results = agreement(model, batches)
    assert results["float32"]["top1_agreement"] == 1
    assert results["float32"]["max_probability_difference"] < 1e-4
    assert results["bfloat16"]["top1_agreement"] >= 0.99
    assert results["bfloat16"]["max_probability_difference"] < 0.1
