"""Secrets that are planted where they belong, and requests with right and wrong ones.

What comes back, and what is logged, is then searched for each of them.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from ml_pipeline.web.openapi import openapi_document

ADMIN_TOKEN = "planted-admin-token-4f1c"
WRONG_TOKEN = "planted-wrong-token-92ab"
REDIS_PASSWORD = "planted-redis-password-77de"
KEY_SECRET = "planted-key-secret-0123456789abcdef-31c5"
WRONG_SECRET = "planted-wrong-key-0123456789abcdef-e40b"
ROW_WORD, ROW_NUMBER = "planted-row-word-5a5a", "987651234567.75"

PLANTED = {
    "admin token": ADMIN_TOKEN,
    "another token": WRONG_TOKEN,
    "Redis' password": REDIS_PASSWORD,
    "key": KEY_SECRET,
    "another key": WRONG_SECRET,
    "word of a row": ROW_WORD,
    "number of a row": ROW_NUMBER.removesuffix(".75"),
}
"""What may be found nowhere, by what it is."""

CREDENTIALS: dict[str, dict[str, str]] = {
    "nothing": {},
    "key": {"X-API-Key": f"alice.{KEY_SECRET}"},
    "bearer key": {"Authorization": f"Bearer alice.{KEY_SECRET}"},
    "wrong key": {"X-API-Key": f"alice.{WRONG_SECRET}"},
    "unknown name": {"Authorization": f"Bearer carol.{WRONG_SECRET}"},
    "no key": {"X-API-Key": f"alice:{WRONG_SECRET}"},
    "token": {"Authorization": f"Bearer {ADMIN_TOKEN}", "X-API-Key": f"alice.{KEY_SECRET}"},
    "wrong token": {"Authorization": f"Bearer {WRONG_TOKEN}", "X-API-Key": f"alice.{KEY_SECRET}"},
    "another scheme": {"Authorization": f"Basic {ADMIN_TOKEN}"},
}

_number = float(ROW_NUMBER)
_row = [13.32, 3.24, 21.5, 1.93, 0.76, 0.45, 8.42, 0.55, 1.62, 650.0]
BODIES: dict[str, list[Any]] = {
    "/predict": [
        {"data": [_row]},
        {"data": [[_number, 1.0]]},
        {"data": [[ROW_WORD]]},
        {"data": ROW_WORD},
        {"data": [[{"x": ROW_WORD}]]},
        ROW_WORD,
        f'{{"data": [[{ROW_NUMBER}, {ROW_WORD}'.encode(),
    ],
    "/predict/batch": [
        {"requests": [{"data": [_row]}, {"data": [[_number]]}, {"data": ROW_WORD}]},
        {"requests": ROW_WORD},
    ],
    "/infer": [
        {"inputs": [{"name": "float_input", "shape": [1, 10], "datatype": "FP32", "data": data}]}
        for data in (_row, [_number] * 3, [ROW_WORD] * 10, ROW_WORD)
    ],
}


def requests() -> Iterator[tuple[str, str, bytes]]:
    """Method, path and body of every documented route, with good bodies and bad ones."""
    for template, item in msgspec.json.decode(openapi_document())["paths"].items():
        model = "nope" if template.endswith("/unload") else "wine"
        path = template.replace("{name}", model).replace("{version}", "1")
        kind = "/infer" if path.endswith("/infer") else path
        for method in item:
            for body in BODIES.get(kind, [b""]):
                yield method, path, body if isinstance(body, bytes) else json.dumps(body).encode()


def tell(ask: Callable[..., Any]) -> dict[str, str]:
    """Send every request with every credential; gives body and headers of each answer."""
    told = {}
    for number, (method, path, content) in enumerate(requests()):
        for name, headers in CREDENTIALS.items():
            answer = ask(method, path, content=content, headers=headers)
            place = f"{method} {path} #{number} with {name}: {answer.status_code}"
            told[place] = f"{answer.text}\n{answer.headers.multi_items()}"
    return told


def found(secret: str, told: dict[str, str]) -> list[str]:
    """Places where a secret is."""
    return [place for place, text in told.items() if secret in text]
