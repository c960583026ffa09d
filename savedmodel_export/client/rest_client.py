"""TensorFlow Serving's REST interface."""

import base64
import json
import urllib.parse

import numpy as np

from savedmodel_export.client.answers import (
    ANSWER,
    INPUT,
    SERVER,
    RequestError,
    check_outputs,
    check_scores,
)
from savedmodel_export.client.http import TRANSIENT, Http

MAX_ANSWER_BYTES = 2**26
# Statuses that say that the request itself is at fault.
AT_FAULT = (400, 413, 422)


class RestClient:
    """Asks one model of a server. Safe for threads. Needs no TensorFlow.

    Args:
        url: str, for example `"http://localhost:8501"`, or `https://...`.
        model: str, its name in `models.config`.
        label: str or `None`, for example `"stable"`.
        version: int or `None`. Without it and `label` the newest version answers.
        timeout: float. Seconds for an answer in all, repeats included.
        retries: int. Times to repeat a request where the server is busy, fails,
            cuts its answer or is unreachable.
        root_certificates: path or `None`. PEM file of the authorities to trust in
            place of the system's.
        max_answer_bytes: int. A longer answer is refused.
    """

    def __init__(
        self,
        url,
        model,
        label=None,
        version=None,
        timeout=60.0,
        retries=4,
        root_certificates=None,
        max_answer_bytes=MAX_ANSWER_BYTES,
    ):
        self._http = Http(url, timeout, retries, max_answer_bytes, root_certificates)
        self._url = f"{url.rstrip('/')}/v1/models/{urllib.parse.quote(model, safe='')}"
        if label:
            self._url += f"/labels/{urllib.parse.quote(label, safe='')}"
        elif version is not None:
            self._url += f"/versions/{version}"

    def predict(self, inputs, signature="serving_default"):
        """Runs a signature.

        Args:
            inputs: dict, name -> numeric array, or sequence of bytes.
            signature: str.

        Returns:
            dict, name of an output -> array.

        Raises:
            RequestError: if there is no answer, or it makes no sense.
        """
        content = {name: _to_json(value) for name, value in inputs.items()}
        outputs = self._post("predict", signature, {"inputs": content}, "outputs", dict)
        arrays = {name: _array(name, value) for name, value in outputs.items()}
        return check_outputs(arrays, len(next(iter(inputs.values()))))

    def classify(self, encoded_images, signature="classify"):
        """Classifies encoded images by tf.Examples.

        Args:
            encoded_images: sequence of bytes.
            signature: str.

        Returns:
            dict, `classes` (str) and `scores` (float), `(batch_size, num_classes)`.

        Raises:
            RequestError: if there is no answer, or it makes no sense.
        """
        examples = [{"image/encoded": _base64(image)} for image in encoded_images]
        rows = self._post(
            "classify", signature, {"examples": examples}, "results", list
        )
        try:
            pairs = [[(name, score) for name, score in row] for row in rows]
        except (TypeError, ValueError) as error:
            raise RequestError(
                "The answer makes no sense: `results` has other items than "
                "[class, score]."
            ) from error
        return check_scores(
            _array("classes", [[name for name, _ in row] for row in pairs]),
            _array("scores", [[score for _, score in row] for row in pairs]),
            len(encoded_images),
        )

    def signatures(self):
        """Returns the names of the model's signatures.

        Raises:
            RequestError: if the server does not tell them.
        """
        metadata = self._ask("GET", "/metadata", None, "metadata", dict)
        definitions = metadata.get("signature_def")
        if isinstance(definitions, dict):
            definitions = definitions.get("signature_def")
        if not isinstance(definitions, dict):
            raise RequestError("The model's metadata names no signatures.")
        return list(definitions)

    def close(self):
        """Closes the connections."""
        self._http.close()

    def _post(self, method, signature, content, name, kind):
        body = json.dumps({"signature_name": signature, **content}).encode()
        return self._ask("POST", f":{method}", body, name, kind)

    def _ask(self, method, path, body, name, kind):
        status, content = self._http.request(method, self._url + path, body)
        try:
            answer = json.loads(content)
        except (ValueError, RecursionError) as error:
            if status == 200:
                raise RequestError("The answer is no JSON.") from error
            answer = None
        if status != 200:
            raise RequestError(
                f"HTTP {status}: {_reason(answer, content)}", _fault(status)
            )
        value = answer.get(name) if isinstance(answer, dict) else None
        if not isinstance(value, kind):
            raise RequestError(f"The answer makes no sense: it has no `{name}`.")
        return value


def _fault(status):
    if status in AT_FAULT:
        return INPUT
    return ANSWER if status in TRANSIENT else SERVER


def _array(name, value):
    try:
        return np.array(value)
    except (ValueError, OverflowError, RecursionError) as error:
        raise RequestError(
            f"The answer makes no sense: `{name}` is no array ({error})."
        ) from error


def _to_json(value):
    if isinstance(value, np.ndarray) and value.dtype != object:
        return value.tolist()
    return [_base64(content) for content in value]


def _base64(content):
    return {"b64": base64.b64encode(content).decode()}


def _reason(answer, content):
    reason = answer.get("error") if isinstance(answer, dict) else None
    if not isinstance(reason, str):
        reason = content[:500].decode(errors="replace")
    return " ".join(reason.split())[:500]
