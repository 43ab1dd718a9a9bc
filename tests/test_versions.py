"""One version, wherever it is written."""

import re

import yaml

from disentangle_bench import __version__
from tests.helpers import ROOT

RELEASE = re.compile(r"^## (\d+\.\d+\.\d+) - (\d{4}-\d{2}-\d{2})$", re.MULTILINE)


def test_package_citation_and_changelog_name_the_same_version_and_day() -> None:
    newest = RELEASE.findall((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))[0]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert newest[0] == __version__
    assert newest == (citation["version"], str(citation["date-released"]))


def test_the_changelog_goes_from_the_newest_version_down() -> None:
    found = RELEASE.findall((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
    versions = [tuple(map(int, version.split("."))) for version, _ in found]
    assert versions == sorted(set(versions), reverse=True)
    assert [day for _, day in found] == sorted((day for _, day in found), reverse=True)
