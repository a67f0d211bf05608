"""The server as programs use it: started from the command line, with a real client and hostile ones."""

import asyncio
import contextlib
import gzip
import hashlib
import json
import os
import re
import resource
import select
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import distribution, packages_distributions
from pathlib import Path
from typing import Any

import httpx2
import pandas as pd
import pytest
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from sentiment.api import open_classifier
from sentiment.errors import InputError
from sentiment.listening import listen
from sentiment.model.transformer import load_weights
from sentiment.onnx import graph
from tests.conftest import ROOT, Clone
from tests.helpers.blends import write_blend
from tests.helpers.servers import BIN, TEMPORARY, free_port, running
from tests.pipeline.test_export import write_random
from tests.test_docs import blocks, commands

pytest.importorskip("prometheus_fastapi_instrumentator", reason="pip install '.[serve]'")
pytest.importorskip("onnxruntime", reason="pip install '.[onnx]'")
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from sentiment.commands.serve import app, read_token
from sentiment.commands.serve.scoring_queue import CAPACITY, ScoringQueue, _Text
from sentiment.commands.serve.served_model import ServedModel

REVIEWS = [
    "A warm and funny film &amp; a <br /> wonderful cast, but far too long.",
    "Dull.",
    "  Zwei\tStunden 😀 NUL\x00 e\u0301 ",
    " ".join(f"word{number}" for number in range(300)),  # is truncated
]
TOKEN = "Zm9v.b-a_r~/+=="
LONG = [" ".join(["boat"] * (60 + number)) for number in range(32)]


class Server:
    """A server started from the command line."""

    def __init__(self, clone: Clone, options: str, program: str = "-m sentiment"):
        self.process = clone.start(f"python {program} serve {options}")
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line.endswith("(Ctrl-C stops the server)\n"), line + self.process.stdout.read()
        self.address = line.split()[0]

    def connect(self) -> socket.socket:
        """A connection that waits for answers for at most a minute."""
        host, port = self.address.removeprefix("http://").split(":")
        return socket.create_connection((host, int(port)), timeout=60)

    def raw(self, request: bytes) -> bytes:
        """Everything that the server sends for these bytes until it closes the connection."""
        with self.connect() as client:
            client.sendall(request)
            return b"".join(iter(lambda: client.recv(2**16), b""))

    def post(self, body: Any, path: str = "/") -> httpx2.Response:
        """The answer to a body; anything but bytes is sent as JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return httpx2.post(self.address + path, content=content, timeout=60)

    def metric(self, name: str, **labels: str) -> float:
        """The value of a metric, summed over the labels that are not given."""
        text = httpx2.get(f"{self.address}/metrics", timeout=60).text
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        return sum(
            each.value for each in samples if each.name == name and labels.items() <= each.labels.items()
        )

    def stop(self) -> str:
        """Send SIGTERM; return what the server printed."""
        self.process.send_signal(signal.SIGTERM)
        printed, _ = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, printed
        return printed


@pytest.fixture(scope="module")
def served(ran: Clone) -> Iterator[Server]:
    """A server of a classifier with little training."""
    server = Server(ran, f"--port {free_port()}")
    yield server
    assert server.stop() == "stopped\n"


@pytest.fixture(scope="module")
def int8(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An int8 model of one layer with random weights."""
    folder = tmp_path_factory.mktemp("models")
    sizes = {"hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 96}
    write_random(folder / "classifier", "bert", **sizes)
    shutil.copytree(folder / "classifier", folder / "int8", ignore=shutil.ignore_patterns("*.safetensors"))
    graph.write(load_weights(folder / "classifier"), folder / "int8/model.onnx", "int8")
    return folder / "int8"


@pytest.fixture(scope="module")
def served_int8(ran: Clone, int8: Path) -> Iterator[Server]:
    """A server of the int8 model."""
    server = Server(ran, f"--model {int8} --port {free_port()}")
    yield server
    assert server.stop() == "stopped\n"


def predicted(clone: Clone, model: str | Path, texts: list[str]) -> list[tuple[str, float]]:
    """Label and probability of POSITIVE of each text, by `sentiment predict`."""
    (clone.folder.parent / "reviews.jsonl").write_text(
        "".join(json.dumps({"text": text}) + "\n" for text in texts)
    )
    printed = clone.run(
        f"sentiment predict --model {model} --input ../reviews.jsonl --format jsonl 2> {os.devnull}"
    )
    scores = [json.loads(line) for line in printed.splitlines()]
    return [(score["label"], score["probability"]) for score in scores]


def answered(ranking: list[dict[str, Any]]) -> tuple[str, float]:
    """The more probable label of a text, and the score of POSITIVE."""
    scores = {each["label"]: each["score"] for each in ranking}
    assert sum(scores.values()) == 1
    assert list(scores.values()) == sorted(scores.values(), reverse=True)
    return ranking[0]["label"], scores["POSITIVE"]


def test_the_client_of_hugging_face_gets_the_scores_of_predict(ran: Clone, served: Server) -> None:
    client = InferenceClient(served.address)
    expected = predicted(ran, "models/classifier", REVIEWS)
    assert [
        answered([dict(each) for each in client.text_classification(text)]) for text in REVIEWS
    ] == expected
    together = [*REVIEWS, *LONG[len(REVIEWS) :]]
    assert [answered(each) for each in served.post({"inputs": together}).json()][: len(REVIEWS)] == expected
    assert [answered(each) for each in served.post({"inputs": LONG}).json()] == predicted(
        ran, "models/classifier", LONG
    )


def test_int8_gives_the_scores_of_predict(ran: Clone, int8: Path, served_int8: Server) -> None:
    client = InferenceClient(served_int8.address)
    expected = predicted(ran, int8, REVIEWS)
    assert [
        answered([dict(each) for each in client.text_classification(text)]) for text in REVIEWS
    ] == expected
    assert [answered(each) for each in served_int8.post({"inputs": REVIEWS}).json()] == expected


def test_a_blend_gives_the_scores_of_predict(ran: Clone, tmp_path: Path) -> None:
    blend = write_blend(tmp_path / "blend.json", ran)
    texts = pd.read_parquet(ran.folder / "data/prepared/test.parquet")["text"].head(24).tolist() + REVIEWS
    expected = predicted(ran, blend, texts)
    server = Server(ran, f"--model {blend} --port {free_port()}")
    assert [answered(each) for each in server.post({"inputs": texts}).json()] == expected
    with ThreadPoolExecutor(len(texts)) as clients:
        answers = list(clients.map(lambda text: server.post({"inputs": text}).json()[0], texts))
    assert [answered(each) for each in answers] == expected
    decided, read = (
        server.metric("sentiment_texts_by_ngrams_total"),
        server.metric("sentiment_text_tokens_count"),
    )
    assert decided + read == server.metric("sentiment_texts_total") == 2 * len(texts)
    assert min(decided, read) > 0
    assert server.metric("sentiment_queue_texts") == 0
    info = httpx2.get(f"{server.address}/info").json()
    assert (info["model"], info["max_length"], info["test_accuracy"]) == (str(blend), 32, None)
    files = [blend, ran.folder / "models/baseline.npz", ran.folder / "models/classifier/model.safetensors"]
    assert info["weights"] == [
        {"file": file.name, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()} for file in files
    ]
    assert server.stop() == "stopped\n"


def test_many_clients_at_once_get_the_same_scores(served: Server) -> None:
    alone = [served.post({"inputs": text}).json() for text in LONG]
    with ThreadPoolExecutor(len(LONG)) as clients:
        assert list(clients.map(lambda text: served.post({"inputs": text}).json(), LONG)) == alone


def test_answers_have_the_formats_of_both_apis(served: Server) -> None:
    one, two = (served.post({"inputs": text}, "/predict").json() for text in REVIEWS[:2])
    assert [set(each) for each in one] == [{"label", "score"}] * 2
    assert served.post({"inputs": REVIEWS[0]}).json() == [one]  # Hugging Face's inference API
    for path in ("/", "/predict"):
        assert served.post({"inputs": REVIEWS[:2]}, path).json() == [one, two]
        assert served.post({"inputs": [[text] for text in REVIEWS[:2]]}, path).json() == [one, two]
        assert served.post({"inputs": REVIEWS[:1]}, path).json() == [one]
    plain = {
        "truncate": True,
        "raw_scores": False,
        "parameters": {"function_to_apply": "softmax", "top_k": 7},
    }
    assert served.post({"inputs": REVIEWS[0], **plain}, "/predict").json() == one


def test_parameters_are_applied_or_refused(served: Server) -> None:
    client = InferenceClient(served.address)
    both = client.text_classification("Dull.")
    assert client.text_classification("Dull.", top_k=1) == both[:1]
    with pytest.raises(HfHubHTTPError, match="parameters.function_to_apply: 'sigmoid' is not allowed"):
        client.text_classification("Dull.", function_to_apply="sigmoid")


def run_program(program: str, server: Server) -> str:
    """What a program of the page prints: both labels of a text."""
    run = [sys.executable, "-c", program.replace("http://127.0.0.1:8000", server.address)]
    environment = os.environ | {"SENTIMENT_TOKEN": TOKEN}
    printed = subprocess.run(run, env=environment, text=True, stdout=subprocess.PIPE, check=True).stdout
    assert printed.count("label=") == 2
    return printed


def test_the_program_and_the_request_of_the_page_are_answered(served: Server) -> None:
    program, with_token = blocks("docs/serving.md", "python")
    assert run_program(program, served) == run_program(with_token, served)
    curl, _ = (shlex.split(command) for command in commands("docs/serving.md") if command.startswith("curl "))
    assert curl[1:3] == ["http://127.0.0.1:8000/predict", "--json"]
    assert len(served.post(curl[3].encode(), "/predict").json()) == 2


def test_info_matches_the_run(ran: Clone, served: Server, served_int8: Server, int8: Path) -> None:
    info = httpx2.get(f"{served.address}/info").json()
    assert info["commit"] == ran.run("git rev-parse --short HEAD").strip()
    assert info["stale"] == []
    measured = ran.details("test")
    assert info["test_accuracy"] == {
        key: measured[key] for key in ("accuracy", "accuracy_low", "accuracy_high")
    }
    assert (info["model"], info["max_length"], info["truncation"]) == ("models/classifier", 32, "head_tail")
    weights = (ran.folder / "models/classifier/model.safetensors").read_bytes()
    assert info["weights"] == [{"file": "model.safetensors", "sha256": hashlib.sha256(weights).hexdigest()}]
    copy = httpx2.get(f"{served_int8.address}/info").json()
    assert (copy["model"], copy["commit"], copy["test_accuracy"]) == (str(int8), None, None)
    weights = (int8 / "model.onnx").read_bytes()
    assert copy["weights"] == [{"file": "model.onnx", "sha256": hashlib.sha256(weights).hexdigest()}]


@pytest.mark.parametrize("path", ["/", "/docs", "/health", "/ready", "/info", "/metrics", "/openapi.json"])
def test_head_is_answered_like_get_without_the_body(served_int8: Server, path: str) -> None:
    get, head = (httpx2.request(method, served_int8.address + path) for method in ("GET", "HEAD"))
    assert (get.status_code, head.status_code) == (200, 200)
    assert get.headers["content-type"] == head.headers["content-type"]
    assert get.content
    assert not head.content


def test_the_printed_address_is_a_page_with_an_example_request(served_int8: Server) -> None:
    page = httpx2.get(served_int8.address, headers={"Host": 'x"><script>'}).text
    assert "<script>" not in page
    page = httpx2.get(served_int8.address).text
    for link in re.findall(r'href="(.*?)"', page):
        assert httpx2.get(f"{served_int8.address}/{link}").status_code == 200
    command = re.search("<pre>(.*)</pre>", page)
    assert command
    curl = shlex.split(command[1])
    assert curl[1:3] == [f"{served_int8.address}/predict", "--json"]
    assert served_int8.post(curl[3].encode(), "/predict").status_code == 200


def test_openapi_json_describes_every_answer(served_int8: Server) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="make extras")
    document = httpx2.get(f"{served_int8.address}/openapi.json").json()
    operations = {
        (method, path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    assert set(operations) == {
        ("post", "/"),
        ("post", "/predict"),
        ("get", "/health"),
        ("get", "/ready"),
        ("get", "/info"),
    }
    assert len({operation["operationId"] for operation in operations.values()}) == len(operations)
    # Code generators resolve only references to named schemas.
    references = set(re.findall(r'"\$ref": "(.*?)"', json.dumps(document)))
    assert references
    assert references <= {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}

    def check(answer: httpx2.Response, method: str, path: str) -> None:
        content = operations[method, path]["responses"][str(answer.status_code)]["content"]
        schema = content["application/json"]["schema"] | {"components": document["components"]}
        jsonschema.Draft202012Validator(schema).validate(answer.json())
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.Draft202012Validator(schema).validate({"label": "POSITIVE"})

    for path in ("/health", "/ready", "/info"):
        check(httpx2.get(served_int8.address + path), "get", path)
    for path in ("/", "/predict"):
        body = operations["post", path]["requestBody"]["content"]["application/json"]["schema"]
        assert body == {"$ref": "#/components/schemas/PredictRequest"}
        for inputs, status in (("A joy.", 200), (["A joy.", "Dull."], 200), ("", 422), (["x"] * 33, 413)):
            answer = served_int8.post({"inputs": inputs}, path)
            assert answer.status_code == status
            check(answer, "post", path)


def test_metrics_count_what_was_scored(served: Server, ran: Clone) -> None:
    def counts() -> dict[str, float]:
        names = ("sentiment_text_tokens_count", "sentiment_text_tokens_sum", "sentiment_unknown_tokens_total")
        labels = {
            label: served.metric("sentiment_texts_total", label=label) for label in ("NEGATIVE", "POSITIVE")
        }
        requests = served.metric("http_requests_total", handler="/predict", status="200")
        waited = served.metric("sentiment_queue_seconds_count")
        return (
            {name: served.metric(name) for name in names} | labels | {"requests": requests, "waited": waited}
        )

    encoder = open_classifier(ran.folder / "models/classifier").encoder  # type: ignore[attr-defined]
    texts = [*LONG[:3], "film 映画 \u16a0\u16a1"]
    encoded = encoder(texts)
    assert encoded.unknown > 0
    before = counts()
    labels = [ranking[0]["label"] for ranking in served.post({"inputs": texts}, "/predict").json()]
    change = {name: value - before[name] for name, value in counts().items()}
    assert change == {
        "sentiment_text_tokens_count": 4,
        "sentiment_text_tokens_sum": encoded.tokens,
        "waited": 4,
        "requests": 1,
        "sentiment_unknown_tokens_total": encoded.unknown,
        "POSITIVE": labels.count("POSITIVE"),
        "NEGATIVE": labels.count("NEGATIVE"),
    }
    assert served.metric("sentiment_queue_texts") == 0
    assert served.metric("http_request_duration_seconds_count", handler="/predict") >= 1


def test_clients_cannot_add_metrics(served_int8: Server) -> None:
    def probe(numbers: range) -> int:
        for number in numbers:
            for line in ("M{} /predict", "GET /{}", "POST /predict/{}", "GET /?{}", "PUT /{}", "GET /%{}"):
                request = f"{line.format(number)} HTTP/1.1\r\nHost: {number}\r\nConnection: close\r\n\r\n"
                assert served_int8.raw(request.encode()).startswith(b"HTTP/1.1 ")
        return len(httpx2.get(f"{served_int8.address}/metrics").text.splitlines())

    assert probe(range(10)) == probe(range(10, 40))
    assert served_int8.raw(b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n").startswith(b"HTTP/1.1 501 ")


LIMITS = "body: more than 2,097,152 bytes"
ALLOWED = "allowed: a text, or a list of texts"


@pytest.mark.parametrize(
    ("body", "status", "line"),
    [
        (b"x" * 100_000_000, 413, LIMITS),
        (b'{"inputs": "' + b"x" * 2**21 + b'"}', 413, LIMITS),
        ({"inputs": "x" * 50_001}, 413, "inputs.0: 50,001 characters; allowed: 50,000"),
        ({"inputs": ["x"] * 33}, 413, "inputs: 33 texts; allowed: 32 per request"),
        (b"", 422, "Invalid JSON: EOF"),
        (b"inputs=x", 422, "Invalid JSON: expected value"),
        ('{"inputs": "x"}'.encode("utf-16"), 422, "Invalid JSON: expected value"),
        (b"[" * 1_000_000, 422, "Invalid JSON: recursion limit exceeded"),
        (b'{"inputs":' * 100_000, 422, "Invalid JSON: recursion limit exceeded"),
        (b'{"inputs": "\xff"}', 422, "Invalid JSON: invalid unicode"),
        (rb'{"inputs": "half \ud83d"}', 422, "Invalid JSON: "),
        (rb'{"inputs": "half \udc4d"}', 422, "Invalid JSON: "),
        (b'{"inputs": ' + b"9" * 1_000_000 + b"}", 422, "Invalid JSON: number out of range"),
        (b'{"inputs": 1e999}', 422, f"inputs: inf is not allowed; {ALLOWED}"),
        (b'{"inputs": NaN}', 422, f"inputs: nan is not allowed; {ALLOWED}"),
        ({"inputs": [1] * 500_000}, 422, f"inputs.0: 1 is not allowed; {ALLOWED}"),
        ({f"key {number}": 1 for number in range(50_000)}, 422, f"inputs is missing; {ALLOWED}"),
        ({}, 422, f"inputs is missing; {ALLOWED}"),
        ([], 422, "Input should be an object"),
        (None, 422, "Input should be an object"),
        ({"inputs": None}, 422, f"inputs: None is not allowed; {ALLOWED}"),
        ({"inputs": {"text": "x"}}, 422, f"is not allowed; {ALLOWED}"),
        ({"inputs": ["x", 5]}, 422, f"inputs.1: 5 is not allowed; {ALLOWED}"),
        ({"inputs": [["x", "y"]]}, 422, f"inputs.0: ['x', 'y'] is not allowed; {ALLOWED}"),
        ({"inputs": []}, 422, f"inputs: is empty; {ALLOWED}"),
        ({"inputs": ""}, 422, "inputs.0: the text is empty"),
        ({"inputs": ["x", " <br />\u3000"]}, 422, "inputs.1: the text is empty"),
        (
            {"inputs": "x", "options": {}},
            422,
            "unknown key 'options'; allowed: inputs, parameters, raw_scores, truncate",
        ),
        ({"inputs": "x", "truncate": False}, 422, "truncate: False is not allowed"),
        ({"inputs": "x", "raw_scores": True}, 422, "raw_scores: True is not allowed"),
        ({"inputs": "x", "parameters": {"top_k": 0}}, 422, "parameters.top_k: 0 is not allowed"),
        ({"inputs": "x", "parameters": {"top_k": True}}, 422, "parameters.top_k: True is not allowed"),
        ({"inputs": "x", "parameters": {"topk": 1}}, 422, "parameters.topk: 1 is not allowed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_hostile_body_gets_an_error_of_one_line(
    served_int8: Server, body: Any, status: int, line: str
) -> None:
    answer = served_int8.post(body)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert line in error
    assert "\n" not in error
    assert len(error) < 300
    assert served_int8.post({"inputs": "still \x00 up"}).status_code == 200


def test_json_of_any_content_type_is_accepted_and_compression_refused(served_int8: Server) -> None:
    def status(body: bytes, **headers: str) -> int:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx2.post(f"{served_int8.address}/predict", content=body, headers=names).status_code

    body = b'{"inputs": "A joy."}'
    for kind in (
        "application/json",
        "application/json; charset=utf-8",
        "application/x-www-form-urlencoded",
        "text/plain",
    ):
        assert status(body, content_type=kind) == 200
    assert status(b"\xef\xbb\xbf" + body) == 200  # a byte order mark, which Windows writes
    assert status(body, content_encoding="identity") == 200
    assert status(gzip.compress(body), content_encoding="gzip") == 415


BODY = b'{"inputs": "A joy."}'
CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
NEXT = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked\r\n"


@pytest.mark.parametrize(
    ("headers", "body", "statuses"),
    [
        (LENGTH, BODY, [200, 200]),  # two unambiguous requests at once
        (CHUNKED, CHUNKS, [200]),  # nothing after chunks is read
        (CHUNKED, CHUNKS.replace(b"\r\n", b";a=b\r\n", 1), [200]),
        (CHUNKED, CHUNKS[:-2] + b"\n", [200]),
        (CHUNKED, CHUNKS[:-2] + LENGTH + b"\r\n", [200]),
        (CHUNKED, CHUNKS.replace(b"\r\n", b";a\n\r\n", 1), [400]),
        (CHUNKED, CHUNKS.replace(b"\r\n", b"\n"), [400]),
        (CHUNKED, b"0x" + CHUNKS, [400]),
        (CHUNKED, b"-" + CHUNKS, [400]),
        (LENGTH + CHUNKED, CHUNKS, [400]),
        (CHUNKED + LENGTH, CHUNKS, [400]),
        (b"content-LENGTH:0\r\n" + CHUNKED, CHUNKS, [400]),
        (LENGTH + LENGTH, BODY, [400]),
        (LENGTH + b"Content-Length: 0\r\n", BODY, [400]),
        (b"Content-Length: 0, 20\r\n", BODY, [400]),
        (b"Content-Length: 20, 20\r\n", BODY, [400]),
        (b"Content-Length: +20\r\n", BODY, [400]),
        (b"Content-Length: 0x14\r\n", BODY, [400]),
        (b"Content-Length:\r\n 20\r\n", BODY, [400]),
        (b"Content-Length : 20\r\n", BODY, [400]),
        (b"Transfer-Encoding:\r\n chunked\r\n", CHUNKS, [400]),
        (b"X: a\r\n\tTransfer-Encoding: chunked\r\n", BODY, [400]),
        (b"X: a\n" + LENGTH, BODY, [400]),
        (b"X: a\rTransfer-Encoding: chunked\r\n", CHUNKS, [400]),
        (b"X: a\0b\r\n" + LENGTH, BODY, [400]),
        (b"Transfer-Encoding : chunked\r\n", CHUNKS, [400]),
        (b"Transfer-Encoding: \x0bchunked\r\n", CHUNKS, [400]),
        (b"Transfer-Encoding: chunked, identity\r\n", CHUNKS, [400]),
        (b"Transfer-Encoding: identity\r\n", CHUNKS, [501]),
        (b"Transfer-Encoding: xchunked\r\n", CHUNKS, [501]),
        (CHUNKED + b"Transfer-Encoding: identity\r\n", CHUNKS, [400]),
        (b"Host: y\r\n" + LENGTH, BODY, [400]),
        (b"X: %s\r\n" % (b"a" * 20_000), b"", [431]),
    ],
)
def test_an_ambiguous_request_is_refused(
    served_int8: Server, headers: bytes, body: bytes, statuses: list[int]
) -> None:
    answer = served_int8.raw(b"POST /predict HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n" + body + NEXT)
    assert [int(status) for status in re.findall(rb"HTTP/1.1 (\d+)", answer)] == statuses
    if statuses[0] != 200:
        assert set(json.loads(answer.partition(b"\r\n\r\n")[2])) == {"error"}


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET /health HTTP/1.0", 200),
        (b"GET /h%65alth HTTP/1.1", 200),
        (b"GET /%FF%00 HTTP/1.1", 404),
        (b"OPTIONS /predict HTTP/1.1", 405),
        (b"CONNECT x:80 HTTP/1.1", 404),
        (b"GET /health HTTP/2.0", 505),
        (b"get /health HTTP/1.1", 501),
        (b"GET /health", 400),
        (b"\x16\x03\x01\x02", 400),  # TLS
    ],
)
def test_an_unusual_request_line_is_answered(served_int8: Server, request_line: bytes, status: int) -> None:
    answer = served_int8.raw(request_line + b"\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 %d " % status)


def test_a_body_that_is_too_large_is_refused_before_it_is_sent(served_int8: Server) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
    with served_int8.connect() as client:
        client.sendall(head % 3_000_000)
        assert client.recv(12) == b"HTTP/1.1 413"
    with served_int8.connect() as client:
        client.sendall(head % len(BODY))
        assert client.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(BODY)
        assert b"HTTP/1.1 200" in client.recv(1000)


def test_other_addresses_and_methods_are_refused(served_int8: Server) -> None:
    assert httpx2.get(f"{served_int8.address}/nosuch").json() == {"error": "Not Found"}
    answer = httpx2.get(f"{served_int8.address}/predict")
    assert (answer.status_code, answer.json()) == (405, {"error": "Method Not Allowed"})


def ask(server: Server, texts: list[str]) -> socket.socket:
    """Send a request and leave the answer unread."""
    body = json.dumps({"inputs": texts}).encode()
    client = server.connect()
    client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    return client


def test_a_full_queue_refuses_texts_and_drops_those_of_disconnected_clients(served: Server) -> None:
    before = served.metric("sentiment_texts_total")
    clients = [ask(served, LONG) for _ in range(60)]  # 1,920 texts; 1,024 may wait
    while not served.metric("http_requests_total", status="503"):
        pass
    refused = served.post({"inputs": LONG})
    assert refused.status_code == 503
    assert int(refused.headers["Retry-After"]) >= 1
    assert refused.json() == {"error": "1024 texts are already waiting; try again later"}
    for client in clients:
        client.close()
    while served.metric("sentiment_queue_texts"):
        pass
    assert served.metric("sentiment_texts_total") - before < 60 * len(LONG)  # most were never scored
    assert served.metric("http_requests_total", status="499") >= 1
    assert served.post({"inputs": LONG}).status_code == 200


def test_retry_after_is_the_time_that_the_waiting_texts_take(int8: Path) -> None:
    queue = ScoringQueue(open_classifier(int8))  # type: ignore[arg-type]
    queue._seconds, queue._tokens, queue.threads = 3.0, 1000, 2
    for length in (200, 600, 8200):
        waiting = _Text("inputs.0", "x", ids=[0] * length)
        queue._waiting[waiting] = None
    assert queue._full().headers == {"Retry-After": "14"}  # 9,000 tokens of 3 ms by two threads: 13.5 s
    queue.end()


HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n"
HALVES = [
    b"",
    b"POST / HT",
    b"POST / HTTP/1.1\r\nHost: x\r\nX-",
    HEAD + b"{",
    HEAD.replace(b"/ ", b"/nosuch ") + b"{",
]


def test_an_incomplete_request_does_not_stop_the_server(served_int8: Server) -> None:
    for piece in (*HALVES, b"\x16\x03\x01\x00"):
        with served_int8.connect() as client:
            client.sendall(piece)
    assert served_int8.post({"inputs": "x"}).status_code == 200


def ask_and_never_read(client: socket.socket) -> None:
    """Send requests until the server closes the connection, for at most a minute."""
    client.setblocking(False)
    for _ in range(600):
        with contextlib.suppress(BlockingIOError):
            client.send(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
        time.sleep(0.1)


def test_incomplete_requests_and_unread_answers_time_out(ran: Clone, int8: Path) -> None:
    (ran.folder.parent / "hurried.py").write_text(
        "from sentiment import cli\nfrom sentiment.commands.serve import server\n"
        "server.TRANSFER_SECONDS = 1\ncli.main()\n"
    )
    server = Server(ran, f"--model {int8} --port {free_port()}", "../hurried.py")
    try:
        with ThreadPoolExecutor(len(HALVES)) as clients:
            answers = list(clients.map(server.raw, HALVES))
        statuses = [re.findall(rb"HTTP/1.1 (\d+)", answer) for answer in answers]
        assert statuses == [[], [b"408"], [b"408"], [b"408"], [b"404"]]
        with server.connect() as client:  # sending a byte from time to time does not help
            for _ in range(600):
                client.sendall(b"X")
                if select.select([client], [], [], 0.1)[0]:
                    break
            assert client.recv(12) == b"HTTP/1.1 408"
        with server.connect() as client, pytest.raises(ConnectionError):
            ask_and_never_read(client)
    finally:
        assert server.stop() == "stopped\n"


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only on Linux")
def test_half_open_connections_do_not_lock_others_out(ran: Clone, int8: Path) -> None:
    server = Server(ran, f"--model {int8} --port {free_port()}")
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (64, 64))
    halves = []
    for half in HALVES:
        for _ in range(100):
            halves.append(server.connect())
            halves[-1].sendall(half)
        assert server.post({"inputs": "A joy."}).status_code == 200
    assert re.match(rb"HTTP/1.1 503 .*too many connections", halves[100].recv(1000), re.DOTALL)
    assert server.stop() == "stopped\n"  # although some are still open
    for client in halves:
        client.close()


def test_it_restarts_after_a_kill_under_load_and_stops_on_sigterm(ran: Clone, int8: Path) -> None:
    options = f"--model {int8} --port {free_port()}"
    server = Server(ran, options)
    expected = server.post({"inputs": REVIEWS}).json()
    clients = [ask(server, LONG) for _ in range(20)]
    server.process.kill()
    server.process.wait()
    for client in clients:
        client.close()

    again = Server(ran, options)
    assert again.post({"inputs": REVIEWS}).json() == expected
    with ThreadPoolExecutor(20) as threads:
        answers = [threads.submit(again.post, {"inputs": LONG}) for _ in range(20)]
        while again.metric("http_requests_total", handler="/", status="200") < 2:  # the first was `expected`
            pass
        assert again.stop() == "stopped\n"
        ended = [answer.exception() or answer.result().status_code for answer in answers]
    assert 200 in ended
    assert all(isinstance(end, httpx2.TransportError) or end in (200, 503) for end in ended), ended


def test_requests_received_before_sigterm_are_answered(ran: Clone, int8: Path) -> None:
    server = Server(ran, f"--model {int8} --port {free_port()}")
    with ask(server, LONG) as first, ask(server, LONG) as second:
        while server.metric("sentiment_queue_texts") + server.metric("sentiment_texts_total") < 2 * len(LONG):
            pass  # until both have arrived
        assert server.stop() == "stopped\n"
        for client in (first, second):
            assert client.recv(100).startswith(b"HTTP/1.1 200 OK")
    with pytest.raises(ConnectionRefusedError):
        ask(server, LONG)


def test_a_port_that_is_taken_is_one_line(ran: Clone, served: Server) -> None:
    port = served.address.rsplit(":", 1)[1]
    printed = ran.run(f"python -m sentiment serve --port {port}", fails=True)
    assert (
        printed == f"error: --port {port}: Address already in use; another one: sentiment serve --port 8001\n"
    )


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("192.0.2.1", "Cannot assign requested address"),
        ("2001:db8::1", ""),
        ("::ffff:192.0.2.1", ""),
        ("256.1.1.1", "no such address or host name"),
        ("nosuch.invalid", "no such address or host name"),
        ("[::1]", "no such address or host name"),
        ("127.0.0.1:8000", "no such address or host name"),
        ("http://127.0.0.1", "no such address or host name"),
        ("a..b", "not a valid address or host name"),
        ("x" * 300, "not a valid address or host name"),
        ("", "is empty"),
        (" ", "is empty"),
        ("a\nb\0", ""),
    ],
)
def test_an_invalid_host_is_one_line(host: str, reason: str) -> None:
    with pytest.raises(InputError, match=f"^--host.*: {reason}") as error:
        listen(host, 0, "")
    assert str(error.value).endswith("; allowed: an address of this machine, 0.0.0.0 for all of them")
    assert str(error.value).isprintable()


def test_a_privileged_port_is_one_line() -> None:
    first = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    if not first.exists() or int(first.read_text()) <= 80:
        pytest.skip("every user may listen on every port")
    program = (
        "import encodings.idna, os; from sentiment.listening import listen; "
        "os.geteuid() or os.setuid(65534); listen('127.0.0.1', 80, 'x')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, text=True, stderr=subprocess.PIPE, check=False
    )
    assert re.search("InputError: --port 80: Permission denied .*; another one: x\n$", done.stderr)


def test_it_listens_only_on_this_machine(served: Server) -> None:
    port = int(served.address.rsplit(":", 1)[1])
    # 127.0.0.2 is this machine too; a server that listens on all addresses would answer there.
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.2", port)) != 0


def test_a_model_that_cannot_be_served_is_one_line(ran: Clone) -> None:
    printed = ran.run("python -m sentiment serve --port 0 --model models/baseline.npz", fails=True)
    allowed = "models/classifier, models/fp32, models/int8, models/blend.json, or a copy of one"
    assert printed == f"error: models/baseline.npz: cannot be served; allowed: {allowed}\n"


def replace_model(target: Path, source: Path) -> None:
    """Make the link `target` lead to another model, in one step."""
    link = target.with_name("link")
    link.symlink_to(source)
    link.replace(target)


def test_a_reload_under_load_loses_no_request(ran: Clone, int8: Path, tmp_path: Path) -> None:
    other = shutil.copytree(int8, tmp_path / "other")
    config = json.loads((other / "config.json").read_text())
    config["id2label"] = {"0": "POSITIVE", "1": "NEGATIVE"}  # so that its answers are the opposite
    (other / "config.json").write_text(json.dumps(config))
    current = tmp_path / "current"
    current.symlink_to(int8)
    server = Server(ran, f"--model {current} --port {free_port()}")
    assert server.process.stdout
    before = server.post({"inputs": REVIEWS}).json()
    answers: list[httpx2.Response] = []
    ended = threading.Event()

    def post_until_the_end() -> None:
        while not ended.is_set():
            answers.append(server.post({"inputs": REVIEWS}))

    with ThreadPoolExecutor(8) as clients:
        posting = [clients.submit(post_until_the_end) for _ in range(8)]
        for model in (other, int8, other):
            replace_model(current, model)
            server.process.send_signal(signal.SIGHUP)
            assert server.process.stdout.readline() == f"reloaded {current}\n"
        ended.set()
    for each in posting:
        each.result()
    after = server.post({"inputs": REVIEWS}).json()
    assert [answered(each) for each in after] != [answered(each) for each in before]
    assert {answer.status_code for answer in answers} == {200}
    received = [answer.json() for answer in answers]
    assert before in received
    assert after in received
    assert all(each in (before, after) for each in received)  # never a mixture of both models
    assert httpx2.get(f"{server.address}/info").json()["model"] == str(other)  # where the link leads
    assert server.metric("http_requests_total", handler="/", status="200") == len(answers) + 2
    assert server.metric("sentiment_texts_total") == len(REVIEWS) * (len(answers) + 2)
    assert server.metric("sentiment_queue_texts") == 0
    assert server.stop() == "stopped\n"


def test_a_model_that_cannot_be_loaded_leaves_the_old_one_in_service(
    ran: Clone, int8: Path, tmp_path: Path
) -> None:
    current = shutil.copytree(int8, tmp_path / "current")
    server = Server(ran, f"--model {current} --port {free_port()}")
    assert server.process.stdout
    before, info = server.post({"inputs": REVIEWS}).json(), httpx2.get(f"{server.address}/info").json()
    for damage in ("model.onnx", "tokenizer.json", "config.json"):
        (current / damage).write_bytes(b"{")
        server.process.send_signal(signal.SIGHUP)
        line = server.process.stdout.readline()
        assert line.startswith(f"not reloaded, the old model stays in service: {current}: "), line
        assert server.post({"inputs": REVIEWS}).json() == before
        assert httpx2.get(f"{server.address}/info").json() == info
        assert httpx2.get(f"{server.address}/ready").status_code == 200
        shutil.copy(int8 / damage, current)
    server.process.send_signal(signal.SIGHUP)
    assert server.process.stdout.readline() == f"reloaded {current}\n"
    assert server.stop() == "stopped\n"


def test_a_reloaded_transformer_uses_as_many_cores(ran: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        with ServedModel(ran.folder / "models/classifier", "fp32") as served:
            first = served._queue
            with ThreadPoolExecutor() as thread:  # the tests' own thread may run Playwright's event loop
                thread.submit(asyncio.run, served.reload()).result()
            assert served._queue is not first
            assert (first.threads, served._queue.threads) == (3, 3)
    finally:
        torch.set_num_threads(threads)


def test_closing_the_terminal_stops_the_server(ran: Clone, int8: Path) -> None:
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "sentiment", "serve", "--model", str(int8), "--port", "0"],
        cwd=ran.folder,
        env=ran.environment,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout
    assert process.stdout.readline().startswith(b"http://")
    os.close(theirs)
    os.close(ours)
    process.send_signal(signal.SIGHUP)
    assert process.communicate(timeout=60) == (b"stopped\n", b"")
    assert process.returncode == 0


@pytest.fixture(scope="module")
def guarded(ran: Clone, int8: Path) -> Iterator[Server]:
    """A server with a token."""
    clone = Clone(ran.folder)
    clone.environment["SENTIMENT_TOKEN"] = TOKEN
    server = Server(clone, f"--model {int8} --port {free_port()}")
    yield server
    assert server.stop() == "stopped\n"


@pytest.mark.parametrize("path", ["/", "/predict", "/info", "/metrics", "/docs", "/openapi.json", "/nosuch"])
@pytest.mark.parametrize(
    "sent", [None, "", TOKEN, "Bearer", "Bearer x", f"Basic {TOKEN}", f"Bearer {TOKEN[:-1]}", "Bearer \xff"]
)
def test_a_request_without_the_token_is_refused(guarded: Server, path: str, sent: str | None) -> None:
    headers = [] if sent is None else [(b"Authorization", sent.encode("latin-1"))]
    answer = httpx2.post(guarded.address + path, headers=headers, json={"inputs": "A joy."})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.json() == {"error": "no valid token; allowed: the header `Authorization: Bearer TOKEN`"}


def test_a_request_with_the_token_is_answered(guarded: Server) -> None:
    assert len(InferenceClient(guarded.address, token=TOKEN).text_classification("A joy.")) == 2
    _, program = blocks("docs/serving.md", "python")
    run_program(program, guarded)
    for path in ("/", "/info", "/metrics", "/docs", "/openapi.json"):
        answer = httpx2.get(guarded.address + path, headers={"Authorization": f"bearer {TOKEN}"})
        assert answer.status_code == 200
    for path in ("/health", "/ready"):
        assert httpx2.get(guarded.address + path).status_code == 200


@pytest.mark.parametrize("token", ["", " ", "a b", "a\u00e9", "a\nb", "="])
def test_an_invalid_token_is_one_line_before_anything_is_loaded(
    token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENTIMENT_TOKEN", token)
    with pytest.raises(
        InputError, match="^SENTIMENT_TOKEN: .*; allowed: .*; to allow all requests, unset it$"
    ):
        read_token()


def test_the_server_is_not_ready_while_its_queue_is_full_or_it_stops(int8: Path) -> None:
    with ServedModel(int8, "auto") as served, TestClient(app.build(served, None)) as client:
        assert client.get("/ready").json() == {"status": "ok"}
        served._queue._waiting.update(dict.fromkeys(_Text("inputs.0", "x", ids=[1]) for _ in range(CAPACITY)))
        full = client.get("/ready")
        assert (full.status_code, client.get("/health").status_code) == (503, 200)
        assert "already waiting" in full.json()["error"]
        served._queue._waiting.clear()
        served.refuse_new()
        assert client.get("/ready").json() == {"error": "the server is stopping"}
        assert client.get("/health").json() == {"status": "ok"}


def test_nginx_of_the_page_adds_tls_and_a_rate_limit(served_int8: Server, tmp_path: Path) -> None:
    nginx = shutil.which("nginx", path=BIN) or pytest.skip("nginx is not installed (Debian: nginx-light)")
    openssl = shutil.which("openssl") or pytest.skip("openssl is not installed")
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", f"{tmp_path}/privkey.pem", "-out", f"{tmp_path}/fullchain.pem"]
    certificate = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", *names, *files]
    subprocess.run(certificate, check=True, stderr=subprocess.DEVNULL)
    (settings,) = blocks("docs/serving.md", "nginx")
    port = free_port()
    for old, new in (
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("/etc/letsencrypt/live/reviews.example.org", str(tmp_path)),
        ("http://127.0.0.1:8000", served_int8.address),
    ):
        assert old in settings
        settings = settings.replace(old, new)
    temporary = "".join(f"{kind}_temp_path {tmp_path}/{kind};\n" for kind in TEMPORARY)
    (tmp_path / "nginx.conf").write_text(
        f"daemon off; pid {tmp_path}/nginx.pid; error_log {tmp_path}/error.log; events {{}}\n"
        f"http {{ access_log off; {temporary} {settings} }}\n"
    )
    address = f"https://localhost:{port}"
    trusted = ssl.create_default_context(cafile=tmp_path / "fullchain.pem")
    command = [nginx, "-e", str(tmp_path / "error.log"), "-c", str(tmp_path / "nginx.conf")]
    with running(command, port), httpx2.Client(base_url=address, verify=trusted) as client:
        answer = client.post("/predict", json={"inputs": REVIEWS})
        assert answer.json() == served_int8.post({"inputs": REVIEWS}, "/predict").json()
        assert "https://localhost" in client.get("/").text  # the address of the example request
        assert client.get("/metrics").status_code == 403
        assert client.post("/predict", content=b"x" * 3_000_000).status_code == 413
        statuses = [client.get("/health").status_code for _ in range(100)]
    assert set(statuses) == {200, 429}


BLOCK = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

BLOCKED = set(sys.argv.pop(1).split(","))
sys.meta_path.insert(0, Blocked())
from sentiment.cli import main
main()
"""


def required_packages(names: Iterable[str]) -> set[str]:
    """Normalised names of these packages and of all that they require in this environment."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name not in found:
            found.add(name)
            requirements = map(Requirement, distribution(name).requires or ())
            waiting += [each.name for each in requirements if not each.marker or each.marker.evaluate()]
    return found


def test_the_packages_of_the_image_suffice_and_are_pinned(int8: Path, tmp_path: Path) -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    listed = re.search(r"-c extras.lock \\\n(.*?)&&", dockerfile, re.DOTALL)
    assert listed
    image = required_packages(listed[1].replace("\\", "").split())
    assert not image & {"torch", "transformers", "dvc", "scipy", "pyarrow"}
    locks = "".join((ROOT / lock).read_text() for lock in ("requirements.lock", "extras.lock"))
    pinned = {canonicalize_name(name) for name in re.findall(r"^([\w.-]+)==", locks, re.MULTILINE)}
    assert image <= pinned

    providers = {
        module: set(map(canonicalize_name, names)) for module, names in packages_distributions().items()
    }
    blocked = {module for module, names in providers.items() if not names & image} - {"sentiment"}
    assert {"torch", "scipy"} <= blocked
    process = subprocess.Popen(
        [sys.executable, "-c", BLOCK, ",".join(blocked), "serve", "--model", str(int8), "--port", "0"],
        cwd=tmp_path,  # no project, as in the image
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout
    line = process.stdout.readline()
    assert line.startswith("http://"), line + process.stdout.read()
    answer = httpx2.post(f"{line.split()[0]}/predict", json={"inputs": REVIEWS}, timeout=60)
    process.terminate()
    assert process.communicate(timeout=60)[0] == "stopped\n"
    assert answer.status_code == 200


def test_the_context_of_the_image_is_what_the_dockerfile_copies() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    sources = {source for line in copied for source in line.split()}
    ignored, *allowed, caches = [
        line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")
    ]
    assert (ignored, caches) == ("*", "**/__pycache__")
    assert {line.removeprefix("!") for line in allowed} == sources
