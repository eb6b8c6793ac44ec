"""A person in front of the dashboard: real Chromium, what it complains of, and what it sends.

Whatever the browser writes to its console, a violation of the Content-Security-Policy among it,
fails the test, unless the test has said that it will make the server say no.
"""

import re
import shutil
from typing import Any

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    FilePayload,
    Locator,
    Playwright,
    Request,
    expect,
)

ARGUMENTS = [
    "--no-sandbox",  # tests may run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",  # else it asks its maker for updates
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS = 8_000.0
ROWS = "Rows to predict"


def launch(playwright: Playwright) -> Browser:
    """Start Debian's Chromium."""
    path = shutil.which("chromium")
    assert path is not None, "chromium is missing: ops/test installs it"
    expect.set_options(timeout=PATIENCE_MS)
    return playwright.chromium.launch(executable_path=path, args=ARGUMENTS)


class Visitor:
    """One page in a browser that knows nothing yet.

    Args:
        context: With its cookies and storage; closed by the caller.
        url: Of the dashboard, with a slash at its end.

    Attributes:
        page: Playwright's.
        requests: All that the page has sent.
    """

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.page = context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.url = url
        self.requests: list[Request] = []
        self._complaints: list[str] = []
        self._expected: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request))
        self.page.on("console", self._listen)
        self.page.on("pageerror", lambda error: self._complaints.append(str(error)))

    def open(self, view: str = "try") -> "Visitor":
        """Go to a view, and wait until it is there."""
        self.page.goto(f"{self.url}#/{view}")
        expect(self.view(view)).to_be_visible()
        return self

    def view(self, name: str) -> Locator:
        """The part of the page that a view fills."""
        return self.page.locator(f"#view-{name}")

    def expects_status(self, *statuses: int) -> None:
        """Tell that the server will refuse something: the browser logs it by itself."""
        self._expected += [f"responded with a status of {status}" for status in statuses]

    def expects_outage(self) -> None:
        """Tell that nobody will answer for a while."""
        self.expects_status(502, 503, 504)
        self._expected += ["net::ERR_"]

    def complaints(self) -> list[str]:
        """What the browser has said that the test has not announced."""
        return [c for c in self._complaints if not any(e in c for e in self._expected)]

    # What a person does.

    def button(self, name: str) -> Locator:
        """A button whose name begins so."""
        return self.page.get_by_role("button", name=re.compile(f"^{re.escape(name)}"))

    def predict(self) -> None:
        """Press Predict, and wait for the answer."""
        before = self.request_id
        self.button("Predict").click()
        expect(self.answer.locator(".mono")).not_to_have_text(before or "none yet")

    def batch(self) -> None:
        """Press Batch, and wait for the answer."""
        before = self.request_id
        self.button("Batch").click()
        expect(self.answer.locator(".mono")).not_to_have_text(before or "none yet")

    def has_sample(self) -> None:
        """Wait until the sample's rows are in the table."""
        expect(self.cell(1, 0)).not_to_have_value("")

    def cell(self, row: int, column: int) -> Locator:
        """An input of the table; rows from 1, columns from 0."""
        return self.page.locator(f'[data-row="{row - 1}"][data-column="{column}"]')

    def paste(self, target: Locator, text: str) -> None:
        """Paste into a cell, as after copying elsewhere."""
        target.evaluate(
            """(element, text) => {
              const clipboardData = new DataTransfer();
              clipboardData.setData("text/plain", text);
              const options = { clipboardData, bubbles: true, cancelable: true };
              element.dispatchEvent(new ClipboardEvent("paste", options));
            }""",
            text,
        )

    def upload(self, text: str) -> None:
        """Choose a CSV file."""
        file: FilePayload = {"name": "rows.csv", "mimeType": "text/csv", "buffer": text.encode()}
        self.page.get_by_label("Upload a CSV file").set_input_files(files=[file])

    # What a person sees.

    @property
    def answer(self) -> Locator:
        """The card with the answer."""
        return self.page.locator("#view-try .answer")

    @property
    def problem(self) -> Locator:
        """The note that says what went wrong."""
        return self.page.locator("#try-problem")

    @property
    def request_id(self) -> str:
        """Id of the request whose answer is shown."""
        shown = self.answer.locator(".mono")
        return shown.inner_text() if shown.count() else ""

    def sent(self, path: str) -> Any:
        """Body of the last request to a path."""
        found = [request for request in self.requests if f"{path}?" in request.url]
        return found[-1].post_data_json

    def tile(self, index: int) -> Locator:
        """A figure of the strip above every view."""
        return self.page.locator(".tile .value").nth(index)

    def _listen(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self._complaints.append(message.text)
