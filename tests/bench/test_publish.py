"""docs/benchmarks.md is what `python -m bench docs` writes; the README has no other figures."""

import re
from pathlib import Path

import pytest

from bench import publish
from bench.targets import read_targets
from tests.server import ROOT

README = (ROOT / "README.md").read_text()
SECTION = README[README.index("## Measured") : README.index("| command |")]
LINKS = [link for link in re.findall(r"\]\(([^)]+)\)", publish.render()) if "://" not in link]


def test_the_page_is_as_it_is_written() -> None:
    """What was kept is on the page, and nobody has edited it by hand."""
    assert publish.PAGE.read_text() == publish.render()


def test_every_target_of_the_suite_is_on_the_page() -> None:
    """With its limit of today, in the table that was published last."""
    missing = [
        each.what
        for each in read_targets()["suite"]
        if f"| {each.what} {each.demand} |" not in publish.render()
    ]

    assert missing == []


def test_every_figure_of_the_readme_is_on_the_page() -> None:
    """The README's short table has no figure of its own."""
    rows = [line.split("|")[2:] for line in SECTION.splitlines() if line.startswith("| ")][1:]
    figures = {figure for row in rows for figure in re.findall(r"\d[\d,.]*", " ".join(row))}

    assert len(rows) == 6
    assert {figure for figure in figures if figure not in publish.render()} == set()


@pytest.mark.parametrize("link", LINKS)
def test_every_link_of_the_page_leads_somewhere(link: str) -> None:
    """To a file of the repository, and there to a heading."""
    path, _, anchor = link.partition("#")
    target = publish.PAGE.parent / path

    assert target.exists()
    if anchor:
        titles = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE)
        assert anchor in {title.lower().replace(" ", "-") for title in titles}


def test_a_report_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    """And the page is written anew, around it."""
    (tmp_path / "benchmarks.md").write_text("Before $redis after\n")
    (tmp_path / "redis.md").write_text("old\n")

    publish.keep("redis", "new", folder=tmp_path, page=tmp_path / "page")

    assert (tmp_path / "page").read_text() == "Before new after\n"
