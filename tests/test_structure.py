"""The form of the source: who imports whom, and how large a file or folder is.

Nothing is imported here: the source is read, so imports inside functions count too.
"""

import ast
import collections
import functools
import graphlib
import itertools
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
LIBRARY = "keras_concatplexer"
APPLICATIONS = ("train", "savedmodel_export", "benchmarks")
FOLDERS = (LIBRARY, *APPLICATIONS, "tests")

# Part of the library -> the parts that it may import. Above all of them stands the
# package itself, which gathers the public names.
LIBRARY_IMPORTS = {
    "arguments": set(),
    "choices": set(),
    "version": set(),
    "classifier": set(),
    "layers": {"arguments", "choices"},
    "metrics": {"arguments"},
    "preprocessing": {"arguments"},
    "vit": {"arguments", "classifier", "layers", "preprocessing"},
    "models": {"arguments", "choices", "classifier", "layers", "vit"},
    "flops": {"arguments"},
    "analysis": {"arguments", "classifier", "layers", "models"},
    "budget": {"arguments"},
    "bundle": {"arguments", "preprocessing"},
    "image_formats": set(),
    "image_decoding": {"image_formats"},
    "reasons": set(),
}
# The parts that are TensorFlow graphs; the package itself does not import them.
TENSORFLOW_PARTS = {"image_decoding", "image_formats"}

# What other parts import inside functions only: each may be missing, or is slow.
OPTIONAL = {"jax", "keras_cv", "keras_hub", "tensorflow"}

# What the applications offer each other, wherever it stands in them.
PUBLIC = {
    "train": {"Config", "Data", "Run", "digits", "load_data", "open_source"},
    "savedmodel_export": {
        "AdaptivePolicy",
        "CALIBRATION_IMAGES",
        "FORMATS",
        "FusedClassifier",
        "INT8",
        "Job",
        "LoadedModel",
        "ModelInfo",
        "OTHER_IMAGES",
        "PRECISIONS",
        "Settings",
        "begins_as_image",
        "choose_inference",
        "command",
        "cpu_info",
        "export",
        "export_other",
        "has_image_name",
        "infer_at_each",
        "is_system",
        "make_plan",
        "multiplies_bfloat16",
        "score_shard",
    },
    "benchmarks": set(),
}

MAX_LINES = 300
MAX_FILES = 14


@functools.cache
def sources():
    """Dotted name -> path of every Python file of the four packages."""
    paths = [path for name in (LIBRARY, *APPLICATIONS) for path in python_files(name)]
    return {dotted_name(path): path for path in paths}


def python_files(folder):
    return sorted((ROOT / folder).rglob("*.py"))


def dotted_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def tree(path):
    parsed = ast.parse(path.read_text())
    folder = path.relative_to(ROOT).parent.parts
    for statement in ast.walk(parsed):
        if isinstance(statement, ast.ImportFrom) and statement.level:
            above = folder[: len(folder) - statement.level + 1]
            statement.module = ".".join(filter(None, (*above, statement.module)))
    return parsed


def test_only_what_has_another_name_in_the_wheel_imports_relatively():
    for module, path in sources().items():
        for statement in ast.walk(tree(path)):
            if isinstance(statement, ast.ImportFrom):
                own = (statement.module or "").split(".")[0] == module.split(".")[0]
                renamed = module.split(".")[0] == "train"
                assert bool(statement.level) == (renamed and own), path
            elif isinstance(statement, ast.Import):
                names = [alias.name.split(".")[0] for alias in statement.names]
                assert "train" not in names or not module.startswith("train"), path


def imported_names(node):
    """Yields the full name of everything that the statements in `node` import."""
    for statement in ast.walk(node):
        if isinstance(statement, ast.Import):
            yield from (alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            yield from (f"{statement.module}.{alias.name}" for alias in statement.names)


def module_of(name):
    """Returns the module that the import of a full name runs."""
    return name if name in sources() else name.rpartition(".")[0]


def imported_modules(module):
    """Returns the modules of this project that `module` imports."""
    names = imported_names(tree(sources()[module]))
    return {found for name in names if (found := module_of(name)) in sources()}


def part_of_library(module):
    return module.split(".")[1] if module.startswith(f"{LIBRARY}.") else None


def test_no_circle_of_imports():
    graph = {module: imported_modules(module) for module in sources()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


def test_the_library_imports_downwards():
    upwards = []
    for module in sources():
        part = part_of_library(module)
        if part is None:
            continue
        assert part in LIBRARY_IMPORTS, f"Say what {module} may import."
        for imported in imported_modules(module):
            allowed = LIBRARY_IMPORTS[part] | {part}
            if part_of_library(imported) not in allowed:
                upwards.append(f"{module} imports {imported}")
    assert not upwards


def test_applications_meet_in_public_names_only():
    private = []
    for module, path in sources().items():
        for name in imported_names(tree(path)):
            root, last = name.split(".")[0], name.split(".")[-1]
            another = root in PUBLIC and root != module.split(".")[0]
            if another and last not in PUBLIC[root]:
                private.append(f"{module} imports {name}")
    assert not private


def statements_at_import(node):
    """Yields the statements that run when the module is imported."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield child
            yield from statements_at_import(child)


@pytest.mark.parametrize("module", [m for m in sources() if m.startswith(LIBRARY)])
def test_the_library_imports_optional_packages_lazily(module):
    optional = set(OPTIONAL)
    if part_of_library(module) in TENSORFLOW_PARTS:
        optional.remove("tensorflow")
    for statement in statements_at_import(tree(sources()[module])):
        if isinstance(statement, ast.Import | ast.ImportFrom):
            roots = {name.split(".")[0] for name in imported_names(statement)}
            assert not roots & optional


def is_command(path):
    return path.name == "__main__.py" or 'if __name__ == "__main__"' in path.read_text()


def imported_at_start(module, found):
    """Adds to `found` the names of all that the import of `module` imports."""
    # The import of `a.b` runs `a`, too.
    for name in itertools.accumulate(module.split("."), "{}.{}".format):
        if name in found or name not in sources():
            continue
        found.add(name)
        for statement in statements_at_import(tree(sources()[name])):
            if isinstance(statement, ast.Import | ast.ImportFrom):
                for imported in imported_names(statement):
                    imported_at_start(module_of(imported), found)
                    found.add(imported)
    return found


@pytest.mark.parametrize("module", [m for m, p in sources().items() if is_command(p)])
def test_commands_answer_before_keras_is_imported(module):
    found = {name.split(".")[0] for name in imported_at_start(module, set())}
    assert not found & {"keras", "tensorflow", "tensorflow_datasets"}


def test_no_private_part_of_keras():
    private = ("keras.src", "keras_cv.src", "keras_hub.src")
    for folder in FOLDERS:
        for path in python_files(folder):
            names = [
                *imported_names(tree(path)),
                *(ast.unparse(n) for n in ast.walk(tree(path)) if is_attribute(n)),
            ]
            assert not [name for name in names if name.startswith(private)], path


def is_attribute(node):
    return isinstance(node, ast.Attribute) and node.attr == "src"


def test_files_are_short():
    lines = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for folder in FOLDERS
        for path in python_files(folder)
    }
    assert not {path: n for path, n in lines.items() if n > MAX_LINES}


def test_folders_are_small():
    files = collections.Counter(
        str(path.parent.relative_to(ROOT))
        for folder in FOLDERS
        for path in python_files(folder)
    )
    # A layer a file: their folder has as many as there are layers.
    assert not {
        folder: n
        for folder, n in files.items()
        if n > MAX_FILES and not folder.endswith("layers")
    }
