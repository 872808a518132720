"""Reads links and headings out of Markdown. Knows nothing of files."""

import re
from dataclasses import dataclass

_FENCE = re.compile(r"^\s{0,3}(```+|~~~+)")
_CODE_SPAN = re.compile(r"(`+).+?\1")
_INLINE = re.compile(r"(?<!\\)\[[^\]]*\]\(\s*<?([^)\s>]+)>?(?:\s+[\"'][^\"']*[\"'])?\s*\)")
_REFERENCE = re.compile(r"^\s{0,3}\[[^\]]+\]:\s*<?(\S+?)>?(?:\s|$)")
_HEADING = re.compile(r"^\s{0,3}#{1,6}\s+(.*?)\s*#*\s*$")


@dataclass(frozen=True)
class Link:
    """A link's target as it is written, and the line that it stands in, from 1."""

    target: str
    line: int


def links(text):
    """All links outside of code, in order."""
    found = []
    for number, line in _prose(text):
        line = _CODE_SPAN.sub("", line)
        targets = _INLINE.findall(line)
        reference = _REFERENCE.match(line)
        if reference:
            targets.append(reference.group(1))
        found.extend(Link(target, number) for target in targets)
    return found


def anchors(text):
    """The fragments under which the headings can be reached, as GitHub makes them."""
    seen = {}
    result = set()
    for _, line in _prose(text):
        heading = _HEADING.match(line)
        if not heading:
            continue
        slug = _slug(heading.group(1))
        count = seen.get(slug, 0)
        seen[slug] = count + 1
        result.add(f"{slug}-{count}" if count else slug)
    return result


def _slug(heading):
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    kept = re.sub(r"[^\w\- ]", "", plain.lower())
    return kept.strip().replace(" ", "-")


def _prose(text):
    """Numbered lines without those of fenced code."""
    fence = None
    for number, line in enumerate(text.splitlines(), start=1):
        mark = _FENCE.match(line)
        if fence is None and mark:
            fence = mark.group(1)
        elif fence is not None:
            if mark and mark.group(1).startswith(fence):
                fence = None
        else:
            yield number, line
