"""Documentation names only what is there: links, files, settings, targets of make, statuses."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from rt_predictor.errors import grpc_statuses
from rt_predictor.model.files import BUNDLE_FILES
from rt_predictor.settings import Settings
from rt_predictor.settings.retired import RETIRED

PROJECT = Path(__file__).resolve().parents[1]
PAGES = (*sorted(PROJECT.glob("*.md")), *sorted(PROJECT.glob("docs/*.md")))
FOLDERS = "artifacts|config|deploy|docs|examples|requirements|rt_predictor|tests|tools"


def anchors(page: Path) -> set[str]:
    """Of a page's headings, as GitHub makes them."""
    prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def settings_of(section: type[BaseModel], prefix: str = "") -> set[str]:
    """Names of a section's settings and of the sections in it."""
    found = set()
    for name, field in section.model_fields.items():
        found.add(prefix + name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found |= settings_of(field.annotation, f"{prefix}{name}.")
    return found


pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))


@pages
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pages
def test_every_file_that_is_named_is_there(page: Path) -> None:
    for name in re.findall(rf"`((?:{FOLDERS})/[\w./-]+)`", page.read_text()):
        assert (PROJECT / name).exists(), name


@pages
def test_every_setting_that_is_named_exists(page: Path) -> None:
    known = settings_of(Settings) | {".".join(names) for names in RETIRED} | set(BUNDLE_FILES)
    of_a_section = rf"`((?:{'|'.join(Settings.model_fields)})\.[a-z0-9_.]+)(?: = [^`]+)?`"
    for name in re.findall(of_a_section, page.read_text()):
        assert name in known or name.startswith("history.sqlite"), name


@pages
def test_every_target_of_make_exists(page: Path) -> None:
    targets = re.findall(r"^([a-z0-9-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE)
    for name in re.findall(r"(?:`|^ {4})make ([a-z0-9-]+)", page.read_text(), re.MULTILINE):
        assert name in targets, name


def test_every_test_of_a_fault_is_there() -> None:
    faults = PROJECT / "tests/e2e/faults"
    rows = re.findall(r"`(tests/)?([\w/]+\.py)::(\w+)`", (PROJECT / "docs/faults.md").read_text())
    assert len(rows) > 20
    for elsewhere, file, name in rows:
        path = PROJECT / "tests" / file if elsewhere else faults / file
        assert f"def {name}(" in path.read_text(), name


def test_the_index_lists_every_page() -> None:
    index = (PROJECT / "docs/README.md").read_text()
    listed = set(re.findall(r"\]\(([\w-]+\.md)\)", index))
    assert listed == {page.name for page in PROJECT.glob("docs/*.md")} - {"README.md"}


def test_the_api_page_says_when_each_status_comes() -> None:
    table = (PROJECT / "docs/api.md").read_text().partition("| status | when |\n")[2]
    rows = table.partition("\n\n")[0].splitlines()[1:]
    told = [status for row in rows for status in re.findall(r"`([A-Z_]+)`", row.split("|")[1])]
    assert sorted(told) == sorted(grpc_statuses())


def test_every_folder_that_make_test_fast_leaves_out_is_there() -> None:
    (slow,) = re.findall(r"^SLOW := (.*)$", (PROJECT / "Makefile").read_text(), re.MULTILINE)
    assert [name for name in slow.split() if not (PROJECT / "tests" / name).is_dir()] == []
