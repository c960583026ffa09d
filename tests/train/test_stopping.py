import os
import signal

import pytest

from train.stopping import StopOnNonFiniteLoss, StopOnSigterm, TrainingStopped


def test_sigterm_stops_after_the_step():
    before = signal.getsignal(signal.SIGTERM)
    stop = StopOnSigterm()
    with stop.listening():
        stop.on_train_batch_end(0, {})
        os.kill(os.getpid(), signal.SIGTERM)
        for hook in (stop.on_train_batch_end, stop.on_test_batch_end):
            with pytest.raises(TrainingStopped, match="SIGTERM") as error:
                hook(1, {})
            assert error.value.exit_code == 143
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite(loss):
    stop = StopOnNonFiniteLoss()
    stop.on_epoch_begin(4)
    stop.on_train_batch_end(0, {"loss": 1.0})
    with pytest.raises(TrainingStopped, match="epoch 5, step 8"):
        stop.on_train_batch_end(7, {"loss": loss})
