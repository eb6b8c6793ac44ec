"""*Try it*: the same request as code is the same request."""

import json
import subprocess
import sys
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.visitor import Visitor

COMMANDS = {
    "curl": ["bash", "-c"],
    "Python": [sys.executable, "-c"],
    "JavaScript": ["node", "--input-type=module", "-e"],
}


def code(visitor: Visitor, language: str) -> str:
    """Choose a language, and read the code."""
    visitor.page.get_by_role("button", name=language, exact=True).click()
    return visitor.page.get_by_role("region", name="Code of the request").inner_text()


def run(language: str, text: str) -> str:
    """Run it as its reader would."""
    done = subprocess.run(
        [*COMMANDS[language], text], capture_output=True, text=True, timeout=20, check=True
    )
    return done.stdout


@pytest.mark.parametrize("language", COMMANDS)
def test_code_gives_the_same_answer(visit: Visit, url: str, language: str) -> None:
    """What is pasted into a terminal is answered as the page is."""
    visitor = visit(url).open()
    visitor.has_sample()
    visitor.predict()

    printed = run(language, code(visitor, language))
    for text in visitor.answer.locator("tbody td:nth-child(2)").all_inner_texts():
        assert text in printed


@pytest.mark.parametrize("language", COMMANDS)
def test_code_of_words_that_shells_trip_over(visit: Visit, zoo: str, language: str) -> None:
    """Quotes, dollars, backslashes and line ends arrive as they were typed."""
    word = 'it\'s "$HOME" `b` \\n true é 😀'
    visitor = visit(zoo).open()
    visitor.page.get_by_label("Model").first.select_option("a word")
    expect(visitor.cell(1, 0)).to_have_value("it's")
    visitor.cell(1, 1).fill(word)
    visitor.predict()
    body = [r for r in visitor.requests if "/predict?" in r.url][-1].post_data

    text = code(visitor, language)
    assert json.loads(body or "")["data"] == [["it's", word]]
    assert "predictions" in run(language, text)
    assert _sent_by(language, text) == json.loads(body or "")


def _sent_by(language: str, text: str) -> Any:
    """The body that code sends, written by itself in place of its request."""
    if language == "curl":
        script = 'curl() { printf %s "${!#}"; }\n' + text
    elif language == "Python":
        script = text.split("answer =")[0] + "import json; print(json.dumps(body))"
    else:
        shim = "globalThis.fetch = async (_, { body }) => (console.log(body), process.exit());\n"
        script = shim + text
    return json.loads(run(language, script))


@pytest.mark.parametrize("language", COMMANDS)
def test_code_keeps_the_digits_of_whole_numbers(visit: Visit, zoo: str, language: str) -> None:
    """An integer beyond 2^53 is the same in every language."""
    visitor = visit(zoo).open()
    visitor.page.get_by_label("Model").first.select_option("whole")
    visitor.has_sample()
    visitor.cell(1, 0).fill("9007199254740993")

    assert _sent_by(language, code(visitor, language))["data"][0][0] == 9007199254740993


def test_copy_copies_all_of_it(visit: Visit, bare: str) -> None:
    """Copy puts the whole code on the clipboard, also what is too long to be shown."""
    visitor = visit(bare, permissions=["clipboard-read", "clipboard-write"]).open()
    visitor.has_sample()
    visitor.upload("1,2,3,4,5,6,7,8,9,10\n" * 500)
    visitor.button("Copy").click()
    expect(visitor.view("try")).to_contain_text("Copied.")

    copied = visitor.page.evaluate("navigator.clipboard.readText()")
    assert copied.count("[1,2,3,4,5,6,7,8,9,10]") == 500
    expect(visitor.view("try")).to_contain_text("letters more, which Copy takes too")


def test_a_browser_that_does_not_let_the_page_copy(visit: Visit, bare: str) -> None:
    """Where the clipboard is closed the code is selected, and that is told."""
    visitor = visit(bare)
    closed = "Object.defineProperty(navigator, 'clipboard', { value: undefined })"
    visitor.page.add_init_script(closed)
    visitor.open().has_sample()
    visitor.button("Copy").click()

    expect(visitor.view("try")).to_contain_text("the code is selected")
    assert visitor.page.evaluate("getSelection().toString()").startswith("curl -s")
