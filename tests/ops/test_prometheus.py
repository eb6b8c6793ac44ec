"""The rules and alerts of `ops/prometheus/`, as Prometheus itself reads them."""

import re
import subprocess

import pytest
from prometheus_client import Metric

from tests.fakes import idle_metrics
from tests.fakes import shown as families
from tests.server import ROOT

FOLDER = ROOT / "ops" / "prometheus"
TEXT = "\n".join(path.read_text() for path in FOLDER.glob("*.yml") if "_test" not in path.name)
ALERTS = re.findall(r"alert: (\w+)", TEXT)


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Prometheus' own tool in the folder of the rules."""
    return subprocess.run(
        ["promtool", *arguments], cwd=FOLDER, capture_output=True, text=True, timeout=60
    )


def samples_of(family: Metric) -> list[str]:
    """Names that a scrape shows for a family."""
    if family.type == "histogram":
        return [f"{family.name}_{end}" for end in ("bucket", "sum", "count")]
    return [f"{family.name}_total" if family.type == "counter" else family.name]


def test_rules_are_valid() -> None:
    """Prometheus accepts every rule and every alert."""
    done = promtool("check", "rules", "recording.yml", "alerts.yml")

    assert done.returncode == 0, done.stdout + done.stderr


def test_alerts_fire_when_they_should() -> None:
    """The unit tests of the alerts pass."""
    done = promtool("test", "rules", "alerts_test.yml")

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_is_tested(alert: str) -> None:
    """For each alert there is a case in which it fires."""
    tests = (FOLDER / "alerts_test.yml").read_text()

    assert re.search(rf"alertname: {alert}\n\s+exp_alerts:\n", tests)


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_is_in_the_runbook(alert: str) -> None:
    """Who is woken finds what to do under the alert's name."""
    assert f"\n## {alert}\n" in (ROOT / "ops" / "runbook.md").read_text()


def test_the_runbook_has_no_other_alerts() -> None:
    """A section of an alert that is gone would mislead."""
    sections = re.findall(r"^## (\w+)$", (ROOT / "ops" / "runbook.md").read_text(), re.MULTILINE)

    assert sections == ALERTS


def test_rules_read_metrics_that_exist() -> None:
    """Every metric of ours in an expression is one that the server shows."""
    shown = {name for family in families(idle_metrics()) for name in samples_of(family)}

    read = set(re.findall(r"\bml_api_\w+(?=[\[{ )])", TEXT)) - set(
        re.findall(r"- name: (\w+)", TEXT)
    )

    assert read
    assert read - shown == set()


def test_alerts_read_records_that_exist() -> None:
    """Every recorded series that is read is recorded."""
    recorded = set(re.findall(r"record: (\S+)", TEXT))
    read = set(re.findall(r"ml_api:[\w:]+", TEXT))

    assert read - recorded == set()
