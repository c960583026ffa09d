"""Broken images against `serve_bytes`: a valid answer or InvalidArgument, no more."""

import pickle
import random
import subprocess
import sys

import numpy as np
import pytest

# Asks one by one in a process without Python's TensorFlow, a good image after each
# 50: one crash would end it, as it would the server.
PROGRAM = """
import pickle, sys
import numpy as np
from savedmodel_export.verify.c_api import CApiError, LoadedModel

def ask(content):
    array = np.empty(1, object)
    array[0] = content
    try:
        return model.run("serve_bytes", {"image_bytes": array})["logits"]
    except CApiError as error:
        return error.code, str(error)

version, contents, good = pickle.load(sys.stdin.buffer)
model = LoadedModel(version)
answers, good_answers = [], []
for index, content in enumerate(contents):
    answers.append(ask(content))
    if index % 50 == 49:
        good_answers.append(ask(good))
good_answers.append(ask(good))
pickle.dump((answers, good_answers), sys.stdout.buffer)
"""


def truncate(rng, content, others):
    return content[: rng.randrange(len(content))]


def flip_bits(rng, content, others):
    changed = bytearray(content)
    for _ in range(rng.choice([1, 3, 30])):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def flip_header_bits(rng, content, others):
    changed = bytearray(content)
    for _ in range(2):
        changed[rng.randrange(min(40, len(changed)))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def zero_bytes(rng, content, others):
    start = rng.randrange(len(content))
    length = rng.choice([4, 64, len(content)])
    return content[:start] + bytes(length) + content[start + length :]


def other_format(rng, content, others):
    length = rng.choice([3, 8, 30])
    return rng.choice(others)[:length] + content[length:]


def insert(rng, content, others):
    start = rng.randrange(len(content))
    return content[:start] + rng.randbytes(rng.choice([1, 100])) + content[start:]


def noise(rng, content, others):
    return rng.randbytes(rng.choice([0, 1, 10, 1000]))


MUTATIONS = (
    truncate,
    flip_bits,
    flip_header_bits,
    zero_bytes,
    other_format,
    insert,
    noise,
)


def mutate(good_files, number, seed):
    rng = random.Random(seed)
    files = list(good_files.values())
    return [
        MUTATIONS[index % len(MUTATIONS)](rng, rng.choice(files), files)
        for index in range(number)
    ]


@pytest.mark.parametrize(
    "number", [2000, pytest.param(20_000, marks=pytest.mark.large)]
)
def test_mutated_images(make_served, good_files, bombs, pixels, encoded, number):
    served = make_served("image")
    contents = [*good_files.values(), *bombs, *mutate(good_files, number, seed=number)]
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=pickle.dumps((str(served.version), contents, encoded[0])),
        stdout=subprocess.PIPE,
        check=True,
    )
    answers, good_answers = pickle.loads(result.stdout)
    invalid = 0
    for content, answer in zip(contents, answers, strict=True):
        if isinstance(answer, tuple):
            assert answer[0] == 3, (content[:40], answer)
            invalid += 1
        else:
            assert answer.shape == (1, 10) and np.isfinite(answer).all()
    assert all(isinstance(a, np.ndarray) for a in answers[: len(good_files)])
    assert all(isinstance(a, tuple) for a in answers[len(good_files) :][: len(bombs)])
    # Both kinds of answer occur, or the mutations test nothing.
    assert number / 4 < invalid < number
    expected = served.live(pixels[:1])
    assert len(good_answers) == 1 + len(contents) // 50
    for answer in good_answers:
        np.testing.assert_allclose(answer, expected, atol=1e-4)
