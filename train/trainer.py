"""A run from its settings to its results: prepare, fit, evaluate."""

import pathlib

import keras
import tensorflow as tf

import keras_concatplexer as kcp

from .callbacks import callbacks_of
from .callbacks.console import is_terminal
from .callbacks.stopping import StopOnSignal, as_stopped
from .checkpoint import (
    Checkpoints,
    Progress,
    disk_bytes,
    restore,
    state_variables,
)
from .data.augmentation import Augmentation
from .data.fitting import check_cost, fitting_size
from .data.run_data import check_same_data, load_run_data, remember_data
from .init_from import load_initial
from .models import build_model
from .objective import make_objective
from .optimizer import make_optimizer
from .report import report
from .strategy import (
    check_batch_size,
    check_one_device,
    check_same_progress,
    is_chief,
    make_strategy,
    sharded_by_rows,
)
from .workdir import Workdir


class Run:
    """A prepared run. Everything a user can get wrong is found while making it.

    A workdir that holds a run with the same settings is gone on with from its last
    completed epoch; one whose run is finished is evaluated again. The workdir is this
    run's alone until `fit` ends, or `close` is called.

    Args:
        config: `Config`.
        workdir: folder of the run's files; made if missing.
        evaluate_only: bool. Whether to end the run where it stands.

    Raises:
        ValueError: for settings that do not fit each other, the data, the devices
            or the workdir.
    """

    def __init__(self, config, workdir, evaluate_only=False):
        config.check()
        if evaluate_only and config.saved_in(workdir) is None:
            raise ValueError(f"{workdir} holds no training run to evaluate.")
        self.config, self.evaluate_only = config, evaluate_only
        self.strategy = make_strategy(config)
        check_one_device(config, self.strategy)
        self.is_chief = is_chief(self.strategy)
        # The others read what the chief writes.
        self._folder = Workdir(workdir) if self.is_chief else None
        self.workdir = pathlib.Path(workdir).expanduser()
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    def close(self):
        """Lets other processes use the workdir."""
        if self._folder is not None:
            self._folder.close()

    def _prepare(self):
        config = self.config
        changes = config.check_same_run(self.workdir)
        keras.config.set_dtype_policy(config.dtype_policy)
        keras.utils.set_random_seed(config.seed)
        self.checkpoints = Checkpoints(self.workdir)
        checkpoint = self.checkpoints.newest()
        self.progress = Progress.of(checkpoint)
        check_same_progress(self.strategy, self.progress.epochs)
        self._check_epochs()
        with self.strategy.scope():
            initial = self._load_initial()
        self.data = self._load_data(initial)
        check_same_data(self.workdir, self.data)
        self.objective = make_objective(config, self.strategy, self.data, initial)
        self.steps_per_epoch = self.data.num_images("train") // config.batch_size
        if self.steps_per_epoch == 0:
            raise ValueError(
                f"A batch of {config.batch_size} is larger than the training split "
                f"of {self.data.num_images('train')} images. Lower --batch_size."
            )
        self.augmentation = Augmentation.of(config, self.data.preprocessor)
        if self.is_finished:
            self.model = kcp.bundle.load_model(self.workdir, "last")
        else:
            with self.strategy.scope():
                self._make_model(checkpoint, initial)
        self.cost = kcp.flops.count(self.model)
        if self.is_chief:
            self._start_workdir(changes)

    @property
    def is_finished(self):
        """Whether no epoch is left to train."""
        patience, progress = self.config.early_stopping, self.progress
        return (
            self.evaluate_only
            or progress.epochs >= self.config.epochs
            or 0 < patience <= progress.epochs_without_improvement
        )

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
                is full, the data is damaged, or SIGTERM or Ctrl-C comes.
        """
        try:
            if not self.is_finished:
                self._train()
            # The chief has written the models when this is passed.
            check_same_progress(self.strategy, self.progress.epochs)
            return report(self)
        except (OSError, tf.errors.OpError) as error:
            stopped = as_stopped(error, self.workdir, self.data)
            if stopped is None:
                raise
            raise stopped from error
        finally:
            self.close()

    # === Preparing ===

    def _check_epochs(self):
        completed = self.progress.epochs
        if self.evaluate_only and not completed:
            raise ValueError(f"The run in {self.workdir} has not completed an epoch.")
        if self.config.epochs < completed:
            raise ValueError(
                f"The run in {self.workdir} has completed {completed} epochs: "
                f"--epochs must be {completed} to end it, or more. Received: "
                f"{self.config.epochs}"
            )

    def _load_initial(self):
        if self.is_finished or not self.config.init_from:
            return None
        return load_initial(self.config.init_from)

    def _load_data(self, initial):
        if self.is_finished:
            description = kcp.bundle.read_description(self.workdir)
            return load_run_data(self.config, lambda _: description.preprocessor)
        if initial is None:
            return load_run_data(self.config)
        return load_run_data(
            self.config,
            lambda channels: initial.preprocessor_for(self.config, channels),
        )

    def _make_model(self, checkpoint, initial):
        config, data = self.config, self.data
        if initial is None:
            side = data.preprocessor.image_shape[0]
            check_cost(
                fitting_size(config.size, side),
                side,
                config.batch_size,
                self.strategy.num_replicas_in_sync,
            )
        self.model = build_model(
            *(config, data.preprocessor.image_shape),
            *(self.objective.class_names, initial),
        )
        check_batch_size(
            config.batch_size,
            self.strategy.num_replicas_in_sync,
            # An elastic model cuts a batch into full groups by itself.
            1 if self.is_elastic else self.num_mux,
        )
        self.trained_model = self.objective.trained(self.model)
        self._compile()
        if checkpoint is not None:
            optimizer = self.trained_model.optimizer
            restore(checkpoint, state_variables(self.model, optimizer))

    def _compile(self):
        config, model = self.config, self.trained_model
        model.compile(
            make_optimizer(config, self.steps_per_epoch, self.model),
            self.loss(),
            weighted_metrics=self.objective.metrics(
                1 if self.is_elastic else self.num_mux
            ),
            jit_compile=config.jit_compile,
            steps_per_execution=config.steps_per_execution,
        )
        model.optimizer.build(model.trainable_variables)

    def loss(self):
        """The loss of the training, a new instance."""
        return self.objective.loss(self.config.label_smoothing)

    def _start_workdir(self, changes):
        for name, old, new in changes:
            print(
                f"--{name} was {old}, is {new} from epoch {self.progress.epochs + 1}."
            )
        if not self.is_finished:
            variables = state_variables(self.model, self.trained_model.optimizer)
            self._folder.check_space(*disk_bytes(self.model, variables))
            kcp.bundle.write_description(
                self.workdir, self.data.preprocessor, self.objective.class_names
            )
        if not self.evaluate_only:
            self.config.save(self.workdir)
            remember_data(self.workdir, self.data)

    # === Training ===

    def _train(self):
        config = self.config
        stop_on_signal = StopOnSignal()
        with stop_on_signal.listening():
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
                validation_data=None if self.is_elastic else self.validation_batches(),
                epochs=config.epochs,
                initial_epoch=self.progress.epochs,
                steps_per_epoch=self.steps_per_epoch,
                callbacks=[stop_on_signal, *callbacks_of(self)],
                # The data set has its own order.
                shuffle=False,
                verbose=1 if self.is_chief and is_terminal() else 0,
            )

    def validation_batches(self):
        """The validation data in full batches."""
        batches = self.data.evaluation_batches("validation", self.config.batch_size)
        return sharded_by_rows(batches)
