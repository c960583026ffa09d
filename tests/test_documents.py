"""The documents: their Python runs, their commands and links lead somewhere.

All Python blocks of a document run from top to bottom, as one script in an empty
folder. A comment right before a block, which no reader sees, may change that:

    <!-- not run: it needs a server -->     of the next block the imports run only

    <!-- run
    images = ...                            code that runs at this place
    -->
"""

import ast
import functools
import importlib.util
import pathlib
import re
import shlex
import subprocess
import sys

import markdown_it
import pytest

ROOT = pathlib.Path(__file__).parents[1]
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "savedmodel_export/**/*.md")
    for path in ROOT.glob(pattern)
)
PACKAGES = ("train", "savedmodel_export", "benchmarks")
# What pip installs -> what the checkout calls it.
CONSOLE = {
    "concatplexer-train": "train",
    "concatplexer-export": "savedmodel_export",
    "concatplexer-score": "savedmodel_export.scoring",
    "concatplexer-client": "savedmodel_export.client",
}
# Flags of other programs that the documents speak of.
FOREIGN_FLAGS = re.compile(r"--(tensorflow_|enable_|rest_api|model_config|no-deps)")

each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: p.name)


def tokens(document):
    return markdown_it.MarkdownIt("commonmark").enable("table").parse(text(document))


def text(document):
    return document.read_text(encoding="utf-8")


# === Python ===


def python_blocks(document):
    """Yields (number of the lines above, code, whether to run it)."""
    run = True
    for token in tokens(document):
        if token.type == "html_block":
            if hidden := re.match(r"<!-- run\n(.*)-->", token.content, re.DOTALL):
                yield token.map[0] + 1, hidden[1], True
            run = not token.content.startswith("<!-- not run: ")
        elif token.type == "fence":
            if token.info == "python":
                yield token.map[0] + 1, token.content, run
            run = True


def run_python(document):
    names = {"__name__": document.stem}
    for line, code, run in python_blocks(document):
        # Behind as many lines, so that a traceback names the document's own.
        script = ast.parse("\n" * line + code, str(document))
        if not run:
            imports = ast.Import | ast.ImportFrom
            script.body = [part for part in script.body if isinstance(part, imports)]
        exec(compile(script, str(document), "exec"), names)


# They train and export models of more than one kind.
LONG = ("README.md", "export.md")


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(path, marks=[pytest.mark.large] if path.name in LONG else [])
        for path in DOCUMENTS
        if any(run for *_, run in python_blocks(path))
    ],
    ids=lambda path: path.name,
)
@pytest.mark.usefixtures("eager")
def test_python_runs(document, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # Exports are verified in other tests; here a process of each would be started.
    monkeypatch.setattr("savedmodel_export.exporter.verify", lambda *_: None)
    run_python(document)


def test_blocks_share_their_names_and_some_are_not_run(tmp_path):
    document = tmp_path / "page.md"
    document.write_text(
        "<!-- run\nx = []\n-->\n\n```python\nx.append(1)\n```\n\n"
        "<!-- not run: no such name -->\n```python\ny\n```\n\n"
        "- a list\n  ```python\n  assert x == [2]\n  ```\n"
    )
    with pytest.raises(AssertionError) as error:
        run_python(document)
    assert error.traceback[-1].lineno + 1 == 16


# === Commands ===


def commands(document):
    """Yields the words of every command in the document's shell blocks."""
    for token in tokens(document):
        if token.type == "fence" and token.info in ("sh", "bash", "shell"):
            yield from split_commands(token.content)


def split_commands(script):
    for line in script.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        command = []
        for word in [*lexer, ";"]:
            if not set(word) <= set(";&|<>"):
                command.append(word)
            elif command:
                yield command
                command = []


@functools.cache
def help_of(module):
    """Returns what `python -m module --help` prints."""
    command = [sys.executable, "-m", module, "--help"]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT).stdout


def has_flag(module, flag):
    name = flag.removeprefix("--").partition("=")[0]
    names = [name, rf"\[no\]{name.removeprefix('no')}", rf"\[no\]{name}"]
    return re.search(rf"--({'|'.join(names)})\b", help_of(module)) is not None


def mistake(command):
    """Returns what is wrong with a command of this project, `None` of a right one."""
    if command[0].startswith("concatplexer-"):
        if command[0] not in CONSOLE:
            return f"no command {command[0]}"
        command = ["python", "-m", CONSOLE[command[0]], *command[1:]]
    if command[:2] == ["python", "-m"] and command[2].split(".")[0] in PACKAGES:
        module, arguments = command[2], command[3:]
        if importlib.util.find_spec(module) is None:
            return f"no module {module}"
        flags = [word for word in arguments if word.startswith("--")]
        unknown = [flag for flag in flags if not has_flag(module, flag)]
        return f"{module} has no {', '.join(unknown)}" if unknown else None
    if command[0] == "make":
        rules = set(re.findall(r"^([\w-]+):", text(ROOT / "Makefile"), re.MULTILINE))
        unknown = [word for word in command[1:] if "=" not in word]
        unknown = [word for word in unknown if word not in rules]
        return f"make has no {', '.join(unknown)}" if unknown else None
    return None


@each_document
def test_shell_blocks_can_be_parsed(document):
    for token in tokens(document):
        if token.type == "fence" and token.info in ("sh", "bash", "shell"):
            check = ["bash", "-n"]
            subprocess.run(check, input=token.content, text=True, check=True)


@each_document
def test_commands_have_their_flags(document):
    assert [found for c in commands(document) if (found := mistake(c))] == []


def test_mistakes_in_commands_are_found():
    script = """
        python -m train --epochs=1 --num_mox=2 \\
            --noema_swap &  # --comment
        make demo; make coffee DEMO_DIR=x
        python -m nothing.of_ours --flag
        python -m benchmarks.nothing | tee --log
        concatplexer-train --workdir=x --num_mox=2
        concatplexer-brew
    """
    assert [found for c in split_commands(script) if (found := mistake(c))] == [
        "train has no --num_mox=2, --noema_swap",
        "make has no coffee",
        "no module benchmarks.nothing",
        "train has no --num_mox=2",
        "no command concatplexer-brew",
    ]


# === Links ===


def inline(document, kind):
    for token in tokens(document):
        yield from (child for child in token.children or () if child.type == kind)


def anchors(document):
    """Returns the anchors that GitHub gives to the headings."""
    headings = re.findall(r"^#+ (.+)$", text(document), re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in headings
    }


@each_document
def test_links_lead_somewhere(document):
    links = [token.attrs["href"] for token in inline(document, "link_open")]
    links += [token.attrs["src"] for token in inline(document, "image")]
    dead = []
    for link in links:
        if re.match(r"\w+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (document.parent / name) if name else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    assert dead == []
