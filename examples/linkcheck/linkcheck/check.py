"""Follows the links of Markdown files to other files and headings. Does not go over the network."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from .markdown import anchors, links


@dataclass(frozen=True)
class BrokenLink:
    file: Path
    line: int
    target: str
    reason: str

    def __str__(self):
        return f"{self.file}:{self.line}: {self.target}: {self.reason}"


def markdown_files(paths):
    """The Markdown files among the paths and below them."""
    for path in paths:
        if path.is_dir():
            yield from (file for file in path.rglob("*.md") if file.is_file())
        else:
            yield path


def broken_links(file):
    """The links of one file that lead nowhere, in order."""
    text = file.read_text(encoding="utf-8")
    for link in links(text):
        reason = _why_broken(file, text, link.target)
        if reason:
            yield BrokenLink(file, link.line, link.target, reason)


def _why_broken(file, text, target):
    parts = urlsplit(target)
    if parts.scheme or parts.netloc:
        return None
    path = unquote(parts.path)
    destination = file.parent / path if path else file
    if not destination.exists():
        return "no such file"
    fragment = unquote(parts.fragment)
    if not fragment or destination.suffix != ".md":
        return None
    headings = text if destination == file else destination.read_text(encoding="utf-8")
    return None if fragment in anchors(headings) else "no such heading"
