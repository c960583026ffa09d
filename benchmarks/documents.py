"""Writes the documents' tables from the files of results.

`python -m benchmarks.documents` rewrites README.md, BUILD_NOTES.md and docs/*.md in
place. In them a table stands between `<!-- table: NAME -->` and `<!-- end -->`; NAME is
one of `TABLES`, or that of a Markdown file among the results.
"""

import collections
import json
import pathlib
import re
import statistics

from benchmarks import command
from benchmarks.markdown import table
from benchmarks.results_file import ResultsFile
from benchmarks.speed import report
from benchmarks.speed.rows import DEPTHS, PLAIN
from savedmodel_export.choices import INT8

ROOT = pathlib.Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
DOCUMENTS = (ROOT / "README.md", ROOT / "BUILD_NOTES.md", *ROOT.glob("docs/*.md"))
MARKED = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
# N -> the dedicated model that an elastic one is compared with.
DEDICATED = {1: "vit", 2: "concat n2 group", 4: "concat n4 group"}


def throughput(folder):
    """The rows and columns of the throughput table that a first look needs."""
    names = [PLAIN, "vit_b16, float32"]
    for precision in ("bfloat16", INT8):
        names.append(f"vit_b16, {precision}")
        names += [
            f"concatplexer_b16_n{num_mux}, image scope, {precision}"
            for num_mux in DEPTHS
        ]
    names += [
        "vit_b16, PyTorch eager, bfloat16",
        "vit_b16, OpenVINO, bfloat16",
        "vit_b16, OpenVINO by NNCF, int8",
        "vit_b16, ONNX Runtime dynamic, int8",
    ]
    ratios = ("over_plain_keras", "over_fused_vit", "of_ideal")
    return report.markdown(_json(folder, "throughput"), names, ratios, details=False)


def throughput_full(folder):
    """The whole throughput table."""
    return report.markdown(_json(folder, "throughput"))


def throughput_full_avx512(folder):
    """The same of a processor without AMX, measured before there was int8."""
    return report.markdown(_json(folder, "throughput_avx512"))


def training(folder):
    """Images/s in training."""
    from benchmarks.speed import training_steps

    return training_steps.rates_table(_json(folder, "training")["images_per_second"])


def scoring(folder):
    """Images/s of files that are scored, beside the export alone."""
    from benchmarks.speed.scoring import __main__ as command_of_scoring

    return command_of_scoring.rates_table(ResultsFile(folder / "scoring.jsonl").rows())


def features_cifar10(folder):
    """Features before and after a model was adapted without labels."""
    from benchmarks.accuracy import features

    rows = ResultsFile(folder / "features_cifar10.jsonl").rows()
    return table(features.COLUMNS, map(features.table_line, rows))


def adaptive(folder):
    """Latencies with and without the adaptive policy."""
    return _json(folder, "adaptive")["table"]


def elastic(folder):
    """An elastic model against dedicated ones, on the digits."""
    accuracies = collections.defaultdict(list)
    for row in ResultsFile(folder / "frontier_digits.jsonl").rows():
        accuracies[row["name"]].append(100 * row["test_accuracy"])
    lines = []
    for num_mux, dedicated in DEDICATED.items():
        own = statistics.mean(accuracies[dedicated])
        shared = statistics.mean(accuracies[f"elastic n{num_mux}"])
        texts = (f"{own:.1f}", f"{shared:.1f}", f"{shared - own:+.1f}")
        lines.append([str(num_mux), dedicated, *texts])
    columns = ["N", "dedicated model", "its accuracy", "elastic", "difference, points"]
    return table(columns, lines)


def scaling(folder):
    """The tables against N, image size and batch, one level below a page's sections."""
    text = (folder / "scaling.md").read_text()
    return text[text.index("## ") :].replace("## ", "### ").strip()


TABLES = {
    function.__name__: function
    for function in (
        throughput,
        throughput_full,
        throughput_full_avx512,
        training,
        scoring,
        features_cifar10,
        adaptive,
        elastic,
        scaling,
    )
}


def _json(folder, name):
    return json.loads((folder / f"{name}.json").read_text())


def render(text, folder=RESULTS):
    """Returns a Markdown text with all marked tables made anew.

    Args:
        text: str.
        folder: path of the results.

    Raises:
        ValueError: for a marker that names no table.
    """
    folder = pathlib.Path(folder)
    written = {path.stem: path for path in folder.glob("*.md")}

    def replace(found):
        start, name, end = found.groups()
        if name in TABLES:
            made = TABLES[name](folder)
        elif name in written:
            made = written[name].read_text().strip()
        else:
            raise ValueError(
                "Expected the name of a table, one of "
                f"{', '.join((*TABLES, *written))}. Received: {name}"
            )
        return f"{start}{made}\n{end}"

    return MARKED.sub(replace, text)


def main(_):
    """Rewrites the documents in place."""
    for document in DOCUMENTS:
        document.write_text(render(document.read_text()))


if __name__ == "__main__":
    command.run(main, lambda: None)
