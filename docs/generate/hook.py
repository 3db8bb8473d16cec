"""What MkDocs calls: adds the pages made from the code, and those that lie outside docs/."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:  # MkDocs loads this file by its path.
    sys.path.insert(0, str(ROOT))

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Adds every page of `pages`."""
    from mkdocs.structure.files import File

    for name, text in pages().items():
        files.append(File.generated(config, name, content=text))
    return files


def pages() -> dict[str, str]:
    """Page -> Markdown: the reference, the examples' READMEs and CONTRIBUTING.md."""
    from docs.generate import (
        boards_page,
        commands_page,
        configuration_page,
        passes_page,
        python_page,
    )

    made = {
        "reference/passes.md": passes_page.page(),
        "reference/configuration.md": configuration_page.page(),
        "reference/commands.md": commands_page.page(),
        "reference/boards.md": boards_page.page(),
        "reference/python.md": python_page.page(),
        "contributing.md": (ROOT / "CONTRIBUTING.md").read_text().replace("](docs/", "]("),
    }
    for readme in sorted(ROOT.glob("examples/*/README.md")):
        made[f"examples/{readme.parent.name}.md"] = readme.read_text()
    return made


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Links to an example's README lead to its page."""
    return re.sub(r"\]\((?:\.\./)+examples/(\w+)/README\.md\)", r"](examples/\1.md)", markdown)


def on_page_content(html: str, **_: Any) -> str:
    """The picture of the way is put in the page itself, where it takes its colours."""
    picture = (ROOT / "docs" / "way.svg").read_text()
    return re.sub(r"<p><img [^>]*src=\"way\.svg\"[^>]*></p>", lambda _: picture, html)
