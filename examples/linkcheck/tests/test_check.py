import contextlib
import io
import tempfile
import unittest
from pathlib import Path

from linkcheck.__main__ import main
from linkcheck.check import broken_links, markdown_files


class Folder(unittest.TestCase):
    """A folder of Markdown files that is gone after the test."""

    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.root = Path(place.name)

    def write(self, name, text):
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file


class Checking(Folder):
    def reasons(self, text):
        return [link.reason for link in broken_links(self.write("page.md", text))]

    def test_a_link_to_an_existing_file_or_folder_is_good(self):
        self.write("docs/other.md", "# Other\n")
        self.assertEqual(self.reasons("[a](docs/other.md) [b](docs/) [c](page.md)\n"), [])

    def test_a_link_to_nothing_is_broken_and_says_where(self):
        file = self.write("page.md", "\n[a](missing.md)\n")
        self.assertEqual([str(link) for link in broken_links(file)], [f"{file}:2: missing.md: no such file"])

    def test_a_fragment_must_be_a_heading_of_its_file(self):
        self.write("other.md", "# There\n")
        text = "# Here\n[a](#here) [b](other.md#there) [c](#there) [d](other.md#here)\n"
        self.assertEqual(self.reasons(text), ["no such heading", "no such heading"])

    def test_escaped_characters_of_a_path_are_read(self):
        self.write("a b.md", "")
        self.assertEqual(self.reasons("[a](a%20b.md)\n"), [])

    def test_the_network_is_left_alone(self):
        self.assertEqual(self.reasons("[a](https://example.invalid/x) [b](mailto:a@b) [c](//host/x)\n"), [])

    def test_folders_are_searched_for_markdown(self):
        self.write("a.md", "")
        self.write("deep/er/b.md", "")
        self.write("c.txt", "")
        names = sorted(file.name for file in markdown_files([self.root]))
        self.assertEqual(names, ["a.md", "b.md"])


class CommandLine(Folder):
    def run_main(self, *arguments):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main([str(argument) for argument in arguments])
        return code, out.getvalue(), err.getvalue()

    def test_good_links_end_with_zero(self):
        self.write("a.md", "[self](a.md)\n")
        self.assertEqual(self.run_main(self.root), (0, "1 files, 0 broken links\n", ""))

    def test_a_broken_link_ends_with_one_and_is_printed(self):
        self.write("a.md", "[x](x.md)\n")
        code, out, _ = self.run_main(self.root)
        self.assertEqual(code, 1)
        self.assertIn("x.md: no such file", out)

    def test_wrong_use_ends_with_two(self):
        self.assertEqual(self.run_main()[0], 2)
        code, _, err = self.run_main(self.root / "nowhere")
        self.assertEqual(code, 2)
        self.assertIn("no such file or folder", err)


if __name__ == "__main__":
    unittest.main()
