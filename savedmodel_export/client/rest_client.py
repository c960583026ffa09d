"""TensorFlow Serving's REST interface. Needs no TensorFlow."""

import base64

import numpy as np
import requests

from savedmodel_export.client.retry import RequestError, Unavailable, with_retries

BUSY = (429, 503)
# Of a client that several threads share; more would be closed after each answer.
MAX_CONNECTIONS = 64


class RestClient:
    """Asks one model of a server.

    Args:
        url: str, for example `"http://localhost:8501"`.
        model: str, its name in `models.config`.
        label: str or `None`, for example `"stable"`.
        version: int or `None`. Without it and `label` the newest version answers.
        timeout: float. Seconds to wait for an answer.
        retries: int. Times to ask again where the server is busy or unreachable.
    """

    def __init__(self, url, model, label=None, version=None, timeout=60.0, retries=5):
        part = f"/labels/{label}" if label else f"/versions/{version}"
        chosen = part if label or version else ""
        self._url = f"{url.rstrip('/')}/v1/models/{model}{chosen}"
        self._timeout, self._retries = timeout, retries
        self._session = requests.Session()
        for scheme in ("http://", "https://"):
            adapter = requests.adapters.HTTPAdapter(pool_maxsize=MAX_CONNECTIONS)
            self._session.mount(scheme, adapter)

    def predict(self, inputs, signature="serving_default"):
        """Runs a signature.

        Args:
            inputs: dict, name -> numeric array, or sequence of bytes.
            signature: str.

        Returns:
            dict, name of an output -> array.

        Raises:
            RequestError: if the server refuses, or cannot be reached.
        """
        content = {name: _to_json(value) for name, value in inputs.items()}
        answer = self._post("predict", signature, {"inputs": content})
        return {name: np.array(value) for name, value in answer["outputs"].items()}

    def classify(self, encoded_images, signature="classify"):
        """Classifies encoded images by tf.Examples.

        Args:
            encoded_images: sequence of bytes.
            signature: str.

        Returns:
            dict, `classes` (str) and `scores` (float), `(batch_size, num_classes)`.

        Raises:
            RequestError: if the server refuses, or cannot be reached.
        """
        examples = [{"image/encoded": _base64(image)} for image in encoded_images]
        answer = self._post("classify", signature, {"examples": examples})
        pairs = answer["results"]
        return {
            "classes": np.array([[name for name, _ in row] for row in pairs]),
            "scores": np.array([[score for _, score in row] for row in pairs]),
        }

    def signatures(self):
        """Returns the names of the model's signatures.

        Raises:
            RequestError: if the server refuses, or cannot be reached.
        """
        answer = self._ask("get", "/metadata")
        return list(answer["metadata"]["signature_def"]["signature_def"])

    def close(self):
        """Closes the connection."""
        self._session.close()

    def _post(self, method, signature, content):
        body = {"signature_name": signature, **content}
        return self._ask("post", f":{method}", body)

    def _ask(self, verb, path, body=None):
        return with_retries(lambda: self._ask_once(verb, path, body), self._retries)

    def _ask_once(self, verb, path, body):
        try:
            response = self._session.request(
                verb, self._url + path, json=body, timeout=self._timeout
            )
        except requests.Timeout as error:
            raise RequestError(
                f"{self._url} did not answer in {self._timeout} s."
            ) from error
        except requests.ConnectionError as error:
            raise Unavailable(f"{self._url} cannot be reached.") from error
        except requests.RequestException as error:
            raise RequestError(f"{self._url}: {error}") from error
        if response.status_code in BUSY:
            raise Unavailable(_reason(response), _seconds_to_wait(response))
        if not response.ok:
            raise RequestError(_reason(response), response.status_code == 400)
        return response.json()


def _to_json(value):
    if isinstance(value, np.ndarray) and value.dtype != object:
        return value.tolist()
    return [_base64(content) for content in value]


def _base64(content):
    return {"b64": base64.b64encode(content).decode()}


def _reason(response):
    try:
        reason = response.json()["error"]
    except (ValueError, KeyError, TypeError):
        reason = response.text
    return f"HTTP {response.status_code}: {reason}"


def _seconds_to_wait(response):
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isdecimal() else None
