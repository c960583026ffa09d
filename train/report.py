"""What a finished run comes to: scores on the test split, results, images."""

import json

import keras_concatplexer as kcp

from .callbacks.tensorboard import can_draw, write_images, write_scores
from .evaluation import Evaluation
from .workdir import write_text

RESULTS_FILE = "results.json"


def report(run):
    """Evaluates the saved models of a run and writes `results.json`.

    Args:
        run: `trainer.Run` whose training has ended.

    Returns:
        dict, what the file holds.
    """
    config, progress, data = run.config, run.progress, run.data
    objective = run.objective
    with run.strategy.scope():
        # By the bundle, which names a file that is damaged.
        model = kcp.bundle.load_model(run.workdir, "last")
        best = kcp.bundle.load_model(run.workdir, "best").get_weights()
    evaluation = Evaluation(model, run.strategy, objective, objective.loss())
    test = data.evaluation_batches("test", config.batch_size)
    scores = {"last": evaluation.scores(test)}
    model.set_weights(best)
    scores["best"] = evaluation.scores(test)
    results = {
        "model": config.model,
        "dataset": config.dataset,
        "num_train_images": data.num_images("train"),
        "num_test_images": data.num_images("test"),
        "splits": data.splits,
        "left_out": data.left_out(),
        "shared_images": [
            {"split": first, "also_in": second, "num_images": num_images}
            for first, second, num_images in data.overlaps()
        ],
        "epochs": progress.epochs,
        "steps": progress.steps,
        "training_seconds": round(progress.seconds, 1),
        "gmacs_per_image": run.cost.gmacs_per_image,
        "parameters": run.model.count_params(),
        **{name: by_num_mux[run.num_mux] for name, by_num_mux in scores.items()},
        # Of the best model.
        "per_num_mux": [
            {
                "num_mux": num_mux,
                "gmacs_per_image": (
                    run.cost if num_mux == run.num_mux else kcp.flops.count(single)
                ).gmacs_per_image,
                **scores["best"][num_mux],
            }
            for num_mux, single in kcp.models.by_num_mux(model).items()
        ],
        "history": progress.history,
        f"test_{objective.score}": scores["best"][run.num_mux][objective.score],
    }
    if run.is_chief:
        folder = run.workdir / "tensorboard"
        write_scores(folder, progress.epochs, scores["best"])
        _write_images(run, folder)
        write_text(run.workdir / RESULTS_FILE, f"{json.dumps(results, indent=2)}\n")
    return results


def _write_images(run, folder):
    config, data = run.config, run.data
    # What is drawn are classes.
    if not config.image_summaries or not run.objective.class_names:
        return
    if not can_draw():
        print("No images for TensorBoard: matplotlib is not installed.")
        return
    # On this process alone: a copy outside the strategy.
    model = kcp.bundle.load_model(run.workdir)
    batches = data.batches("test", config.batch_size)
    predictions = model.predict(batches, verbose=0).argmax(-1)
    images, _ = next(batches.as_numpy_iterator())
    write_images(
        folder,
        run.progress.epochs,
        data.class_names,
        run.num_mux,
        (images * data.preprocessor.std + data.preprocessor.mean).clip(0, 1),
        [int(label) for label in batches.map(lambda _, y: y).unbatch()],
        predictions,
    )
