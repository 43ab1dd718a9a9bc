"""What MkDocs does beside copying pages: it adds those that are made from the code, and mends what only a site needs.

Everything that is written here is written by `reference_pages`, whose functions return Markdown.
"""

from __future__ import annotations

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from reference_pages import made_pages, reference_nav
from reference_pages.links import PICTURES, for_the_site
from reference_pages.markdown import with_lists

ROOT = Path(__file__).resolve().parents[1]


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fill the section Reference of the nav."""
    for section in config.nav or []:
        if "Reference" in section:
            section["Reference"] = reference_nav()
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made, and the pictures that lie outside docs/."""
    for path, text in made_pages().items():
        files.append(File.generated(config, path, content=text))
    for source, path in PICTURES.items():
        files.append(File.generated(config, path, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links that lead out of docs/ lead to where that stands on the site; lists are seen as code hosts see them."""
    return with_lists(for_the_site(markdown, page.file.src_uri))
