"""The README says what the code says: settings, metrics, routes, links."""

import re

import pytest
from prometheus_client import Metric

from ml_pipeline.settings import settings_table
from ml_pipeline.web.operations import OPERATIONS
from tests.fakes import idle_metrics, shown
from tests.server import ROOT

README = (ROOT / "README.md").read_text()
LINKS = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
NGINX_VARIABLES = dict(
    re.findall(
        r"\$\{((?:RATE|CONNECTIONS|MAX|TRUSTED|HTTPS)_\w+?):?=(.*?)\}",
        (ROOT / "nginx" / "variables.envsh").read_text(),
    )
)


def metric_names() -> list[str]:
    """Name of each metric as a scrape shows it, but for the process's own."""
    ours = [each for each in shown(idle_metrics()) if each.name.startswith("ml_api_")]
    return [_shown(family) for family in ours]


def _shown(family: Metric) -> str:
    return f"{family.name}_total" if family.type == "counter" else family.name


def test_the_settings_table_is_that_of_the_code() -> None:
    """The README holds what `settings_table()` writes, line by line."""
    missing = [line for line in settings_table().splitlines() if line not in README]

    assert not missing, "not in README.md:\n" + "\n".join(missing)


def test_the_settings_table_is_one_piece() -> None:
    """The lines stand together and in order, without any that the code does not have."""
    assert settings_table() + "\n\n" in README


@pytest.mark.parametrize("name", metric_names())
def test_every_metric_is_explained(name: str) -> None:
    """Each metric has a place in the README."""
    assert re.search(rf"`{name}[`{{]", README), f"{name} is not in README.md"


def test_the_readme_explains_no_other_metric() -> None:
    """What the README calls a metric is one."""
    told = set(re.findall(r"`(ml_api_\w+)", README))

    assert told - set(metric_names()) == set()


@pytest.mark.parametrize("path", [o.path for o in OPERATIONS if o.path != "/"])
def test_every_route_is_named(path: str) -> None:
    """Each route of the OpenAPI document is in the README."""
    assert f"{path}`" in README


@pytest.mark.parametrize("name", NGINX_VARIABLES)
def test_every_variable_of_nginx_is_explained(name: str) -> None:
    """What an operator may set is in the README, with its default."""
    (line,) = re.findall(rf"^\| [^|]*`{name}`[^|]* \| .*$", README, re.MULTILINE)
    default = NGINX_VARIABLES[name]

    assert not default or f"`{default}`" in line


@pytest.mark.parametrize("link", LINKS)
def test_every_relative_link_leads_somewhere(link: str) -> None:
    """A link to a file finds it, a link to a heading finds that."""
    target, _, anchor = link.partition("#")

    assert (ROOT / target).exists()
    if anchor and not target:
        assert anchor in headings()


def headings() -> set[str]:
    """Anchors of the README's headings, as GitHub makes them."""
    found = re.findall(r"^#+ (.+)$", README, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in found}


def test_files_that_the_readme_names_exist() -> None:
    """Files and commands of this repository that the README names are there."""
    paths = re.findall(r"`(?:\./)?((?:ops|tests|app|bench)/[\w./]+)[^`]*`", README)

    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []
