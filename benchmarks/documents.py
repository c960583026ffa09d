"""`python -m benchmarks.documents`: writes the documents' tables from the results.

In README.md and BUILD_NOTES.md a table stands between `<!-- table: NAME -->` and
`<!-- end -->`; NAME is one of `TABLES`.
"""

import json
import pathlib
import re

from absl import app

from benchmarks.accuracy import frontier_report
from benchmarks.results_file import ResultsFile
from benchmarks.speed import report
from benchmarks.speed import training_steps as steps
from benchmarks.speed.rows import DEPTHS, PLAIN, PRECISIONS

ROOT = pathlib.Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
DOCUMENTS = (ROOT / "README.md", ROOT / "BUILD_NOTES.md")
MARKED = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def throughput(folder):
    """The rows and columns of the throughput table that a first look needs."""
    results = json.loads((folder / "throughput.json").read_text())
    names = [PLAIN]
    for precision in PRECISIONS:
        names.append(f"vit_b16, {precision}")
        names += [
            f"concatplexer_b16_n{num_mux}, group scope, {precision}"
            for num_mux in DEPTHS
        ]
    names += [
        "imagemux_b16_n2, bfloat16",
        "vit_b32, bfloat16",
        "vit_s16, bfloat16",
        "vit_b16, PyTorch compiled, bfloat16",
        "vit_b16, OpenVINO, bfloat16",
        "vit_b16, ONNX Runtime, float32",
    ]
    ratios = ("over_plain_keras", "over_fused_vit", "of_ideal")
    return report.markdown(results, names, ratios, details=False)


def throughput_full(folder):
    """The whole throughput table."""
    return report.markdown(json.loads((folder / "throughput.json").read_text()))


def training_steps(folder):
    """Images/s in training."""
    results = json.loads((folder / "training.json").read_text())
    return steps.table(results["images_per_second"])


def adaptive(folder):
    """Latencies with and without the adaptive policy."""
    return json.loads((folder / "adaptive.json").read_text())["table"]


def elastic(folder):
    """An elastic model against dedicated ones, on the digits."""
    rows = ResultsFile(folder / "frontier_digits.jsonl").rows()
    return frontier_report.elastic_table(frontier_report.summarise(rows))


def _written(name):
    """A table that a command has written as Markdown."""
    return lambda folder: (folder / f"{name}.md").read_text().strip()


# Name in a document -> function, folder of the results -> Markdown.
TABLES = {
    "throughput": throughput,
    "throughput_full": throughput_full,
    "training": training_steps,
    "adaptive": adaptive,
    "elastic": elastic,
    "frontier_digits": _written("frontier_digits"),
    "frontier_cifar10": _written("frontier_cifar10"),
}


def render(text, folder=RESULTS, tables=None):
    """Returns a Markdown text with all marked tables made anew.

    Args:
        text: str.
        folder: path of the results.
        tables: dict, name -> function; `TABLES` by default.

    Raises:
        ValueError: for a marker that names no table.
    """
    tables = TABLES if tables is None else tables

    def replace(found):
        start, name, end = found.groups()
        if name not in tables:
            raise ValueError(
                f"Expected the name of a table, one of {', '.join(tables)}. "
                f"Received: {name}"
            )
        return f"{start}{tables[name](pathlib.Path(folder))}\n{end}"

    return MARKED.sub(replace, text)


def main(argv):
    """Rewrites the documents in place."""
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    for document in DOCUMENTS:
        document.write_text(render(document.read_text()))


if __name__ == "__main__":
    app.run(main)
