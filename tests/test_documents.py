"""What the pages for administrators say: nothing is left out, and links lead somewhere."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from retouchd.job import Companion, Drop, FileStat, Job, Place, Role, State

REPOSITORY = Path(__file__).parents[1]
PAGES = sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md")])
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives a page's headings."""
    headings = HEADING.findall(page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_page_and_a_heading(page: Path) -> None:
    for target, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        found = (page.parent / target).resolve() if target else page
        assert found.exists(), target
        if anchor:
            assert anchor in anchors(found), f"{target}#{anchor}"


@pytest.mark.parametrize("kind", [Job, Drop, Companion, FileStat])
def test_every_field_of_a_job_in_json_is_explained(kind: type) -> None:
    page = (REPOSITORY / "docs/operating.md").read_text(encoding="utf-8")
    section = page[page.index("## `jobs --json`") :]
    assert {field.name for field in fields(kind)} <= set(re.findall(r"`(\w+)`", section))


@pytest.mark.parametrize("names", [State, Role, Place])
def test_every_word_that_a_field_may_have_is_named(names: type[State | Role | Place]) -> None:
    page = (REPOSITORY / "docs/operating.md").read_text(encoding="utf-8")
    section = page[page.index("## `jobs --json`") :]
    assert {name.value for name in names} <= set(re.findall(r"`(\w+)`", section))
