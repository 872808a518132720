"""Command line: python3 -m linkcheck PATH..."""

import sys
from pathlib import Path

from .check import broken_links, markdown_files


def main(arguments):
    if not arguments:
        print("usage: python3 -m linkcheck PATH...", file=sys.stderr)
        return 2
    missing = [path for path in arguments if not Path(path).exists()]
    for path in missing:
        print(f"{path}: no such file or folder", file=sys.stderr)
    if missing:
        return 2
    files = sorted(markdown_files(Path(argument) for argument in arguments))
    broken = [link for file in files for link in broken_links(file)]
    for link in broken:
        print(link)
    print(f"{len(files)} files, {len(broken)} broken links")
    return 1 if broken else 0


def run():
    """Entry point of the packaged program."""
    sys.exit(main(sys.argv[1:]))


if __name__ == "__main__":
    run()
