from train.callbacks.console import EpochLines


def test_a_log_has_one_line_per_epoch(capsys):
    lines = EpochLines(epochs=2)
    for epoch in range(2):
        lines.on_epoch_begin(epoch)
        lines.on_epoch_end(epoch, {"loss": 0.123456, "val_accuracy": 0.5})
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("Epoch 1/2: ")
    assert first.endswith(" s, loss 0.1235, val_accuracy 0.5")
    assert second.startswith("Epoch 2/2: ")
