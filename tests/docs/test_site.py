"""The site as a reader gets it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import ROOT

ELSEWHERE = r'"(?:https?:)?//'
LOADED = re.compile(rf'<(?:script|img|iframe)[^>]*src={ELSEWHERE}|<link[^>]*rel="stylesheet"[^>]*href={ELSEWHERE}')


@pytest.mark.slow
def test_the_site_is_built_strictly_and_asks_no_other_server_for_anything(tmp_path: Path) -> None:
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > 50
    for page in pages:
        assert not LOADED.search(page.read_text(encoding="utf-8")), page
