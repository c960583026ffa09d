"""A run from its settings to its results: prepare, fit, evaluate."""

import pathlib
import shutil

import keras
import tensorflow as tf

import keras_concatplexer as kcp
from train.augmentation import Augmentation
from train.checkpoint import Checkpoints, checkpoint_bytes, state_variables
from train.data import load_data
from train.distillation import Distillation, load_teacher
from train.evaluation import ElasticValidation, Evaluation, accuracy_metrics
from train.files import check_writable
from train.models import build_model
from train.multi_worker import distributable
from train.optimizer import make_optimizer
from train.report import report
from train.save_epochs import SaveEpochs
from train.stopping import StopOnNonFiniteLoss, StopOnSigterm, TrainingStopped
from train.strategy import (
    check_batch_size,
    check_one_device,
    check_same_progress,
    is_chief,
    is_multi_worker,
    make_strategy,
    sharded_by_rows,
)
from train.summaries import (
    GradientNorm,
    RunDescription,
    Throughput,
)


class Run:
    """A prepared run. Everything a user can get wrong is found while making it.

    A workdir that holds a run with the same settings is gone on with from its last
    completed epoch; one whose run is finished is evaluated again.

    Args:
        config: `Config`.
        workdir: folder of the run's files; made if missing.

    Raises:
        ValueError: for settings that do not fit each other, the data, the devices
            or the workdir.
    """

    def __init__(self, config, workdir):
        config.check()
        config.check_same_run(workdir)
        self.config = config
        self.strategy = make_strategy(config)
        check_one_device(config, self.strategy)
        self.is_chief = is_chief(self.strategy)
        self.workdir = pathlib.Path(workdir)
        if self.is_chief:
            check_writable(self.workdir)
        keras.config.set_dtype_policy(config.dtype_policy)
        keras.utils.set_random_seed(config.seed)
        self.data = load_data(config)
        self.steps_per_epoch = self.data.num_images("train") // config.batch_size
        if self.steps_per_epoch == 0:
            raise ValueError(
                f"A batch of {config.batch_size} is larger than the training split "
                f"of {self.data.num_images('train')} images. Lower --batch_size."
            )
        self.checkpoints = Checkpoints(self.workdir)
        self.progress = self.checkpoints.progress()
        check_same_progress(self.strategy, self.progress.epochs)
        self.augmentation = Augmentation.of(config, self.data.preprocessor.image_shape)
        self.is_finished = self.progress.epochs >= config.epochs
        if self.is_finished:
            self.model = kcp.bundle.load_model(self.workdir, "last")
            self.cost = kcp.flops.count(self.model)
            return
        with self.strategy.scope():
            self.model = build_model(
                config, self.data.preprocessor.image_shape, len(self.data.class_names)
            )
            # An elastic model cuts a batch into full groups by itself.
            check_batch_size(
                config.batch_size,
                self.strategy.num_replicas_in_sync,
                1 if self.is_elastic else self.num_mux,
            )
            self.trained_model = self._trained_model()
            self._compile()
        self.cost = kcp.flops.count(self.model)
        if self.is_chief:
            self._start_workdir()

    @property
    def num_mux(self):
        """Images per sequence: 1 of a ViT, the first N of an elastic model."""
        return next(iter(kcp.models.by_num_mux(self.model)))

    @property
    def is_elastic(self):
        """Whether the model has several N."""
        return len(kcp.models.by_num_mux(self.model)) > 1

    def fit(self):
        """Trains, evaluates the best model on the test split, writes the results.

        Returns:
            dict, what `results.json` holds.

        Raises:
            TrainingStopped: if the loss is not finite, a worker is lost, the disk
                is full, or SIGTERM comes.
        """
        try:
            if not self.is_finished:
                self._train()
            # The chief has written the models when this is passed.
            check_same_progress(self.strategy, self.progress.epochs)
            return report(self)
        except (tf.errors.UnavailableError, tf.errors.AbortedError) as error:
            raise TrainingStopped(
                f"Another worker was lost: {error.message.splitlines()[0]} Start all "
                "workers again to go on from the last completed epoch."
            ) from error

    # === Preparing ===

    def _trained_model(self):
        config = self.config
        if config.teacher:
            if is_multi_worker(self.strategy):
                raise ValueError(
                    "--teacher works on one device and under --strategy=mirrored, not "
                    "with several workers."
                )
            image_shape = self.data.preprocessor.image_shape
            return Distillation(
                load_teacher(config.teacher, image_shape, len(self.data.class_names)),
                self.model,
                self._loss(),
                config.distillation_weight,
                config.distillation_temperature,
            )
        if is_multi_worker(self.strategy):
            return distributable(self.model)
        return self.model

    def _compile(self):
        config, model = self.config, self.trained_model
        model.compile(
            make_optimizer(config, self.steps_per_epoch, self.model),
            self._loss(),
            weighted_metrics=accuracy_metrics(
                len(self.data.class_names), 1 if self.is_elastic else self.num_mux
            ),
            jit_compile=config.jit_compile,
            steps_per_execution=config.steps_per_execution,
        )
        model.optimizer.build(model.trainable_variables)
        self.checkpoints.restore(state_variables(self.model, model.optimizer))

    def _loss(self):
        return keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=self.config.label_smoothing
        )

    def _start_workdir(self):
        needed = checkpoint_bytes(
            state_variables(self.model, self.trained_model.optimizer)
        )
        free = shutil.disk_usage(self.workdir).free
        if free < needed:
            raise ValueError(
                f"The disk of {self.workdir} has {free / 1e6:.0f} MB free; the run's "
                f"checkpoints need about {needed / 1e6:.0f} MB. Choose another "
                "--workdir."
            )
        self.checkpoints.clean()
        self.config.save(self.workdir)
        kcp.bundle.write_description(
            self.workdir, self.data.preprocessor, self.data.class_names
        )

    # === Training ===

    def _train(self):
        config = self.config
        stop_on_sigterm = StopOnSigterm()
        with stop_on_sigterm.listening():
            self.trained_model.fit(
                sharded_by_rows(
                    self.data.training_batches(
                        config.batch_size,
                        config.seed,
                        self.augmentation,
                        config.epochs,
                        self.progress.epochs,
                    )
                ),
                validation_data=None if self.is_elastic else self._validation_batches(),
                epochs=config.epochs,
                initial_epoch=self.progress.epochs,
                steps_per_epoch=self.steps_per_epoch,
                callbacks=[stop_on_sigterm, *self._callbacks()],
                # The data set has its own order.
                shuffle=False,
                verbose="auto" if self.is_chief else 0,
            )

    def _validation_batches(self):
        batches = self.data.evaluation_batches("validation", self.config.batch_size)
        return sharded_by_rows(batches)

    def _callbacks(self):
        config = self.config
        callbacks = [StopOnNonFiniteLoss(), Throughput(config.batch_size)]
        if self.is_elastic:
            evaluation = Evaluation(self.model, self.strategy, self._loss())
            callbacks.append(ElasticValidation(evaluation, self._validation_batches()))
        if config.ema:
            # Validation sees the average, training does not.
            callbacks.append(keras.callbacks.SwapEMAWeights())
        if self.is_chief:
            folder = self.workdir / "tensorboard"
            batches = self.data.evaluation_batches("validation", config.batch_size)
            images, labels, _ = next(batches.as_numpy_iterator())
            callbacks += [
                GradientNorm(self.model, self._loss(), images, labels),
                keras.callbacks.TensorBoard(
                    folder, profile_batch=config.profile_steps()
                ),
                RunDescription(folder / "train", config, self.model, self.cost),
            ]
        save = SaveEpochs(
            self.checkpoints, self.progress, self.model, self.workdir, self.is_chief
        )
        return [*callbacks, save]
