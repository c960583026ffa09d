"""What happens beside the steps of a training."""

import keras

from ..evaluation import ElasticValidation, Evaluation
from .console import EpochLines, is_terminal
from .measures import GradientNorm, Profile, Throughput
from .save_epochs import SaveEpochs
from .stopping import StopOnNonFiniteLoss, StopWithoutImprovement
from .tensorboard import TensorBoard


def callbacks_of(run):
    """Returns the callbacks of a `trainer.Run`, in the order that they need."""
    config = run.config
    callbacks = [StopOnNonFiniteLoss(), Throughput(config.batch_size)]
    if run.is_elastic:
        objective = run.objective
        evaluation = Evaluation(run.model, run.strategy, objective, run.loss())
        callbacks.append(
            ElasticValidation(evaluation, run.validation_batches(), objective.score)
        )
    if config.ema:
        # Validation sees the average, training does not.
        callbacks.append(keras.callbacks.SwapEMAWeights())
    if run.is_chief:
        folder = run.workdir / "tensorboard"
        batches = run.data.evaluation_batches("validation", config.batch_size)
        images, labels, _ = next(batches.as_numpy_iterator())
        callbacks += [
            GradientNorm(
                *(run.model, run.loss(), images),
                run.objective.targets(images, labels),
            ),
            TensorBoard(folder, run.workdir.name, config, run.model, run.cost),
        ]
        if config.profile:
            callbacks.append(Profile(folder, *config.profile_steps()))
    # Behind all that add logs.
    callbacks.append(
        SaveEpochs(run.checkpoints, run.progress, run.model, run.workdir, run.is_chief)
    )
    if config.early_stopping:
        callbacks.append(StopWithoutImprovement(config.early_stopping, run.progress))
    if run.is_chief and not is_terminal():
        callbacks.append(EpochLines(config.epochs))
    return callbacks
