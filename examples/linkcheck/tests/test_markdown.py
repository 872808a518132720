import unittest

from linkcheck.markdown import Link, anchors, links


class Links(unittest.TestCase):
    def test_inline_links_are_found_with_their_line(self):
        text = "one [a](a.md)\n\ntwo and [c](c.md 'title')\n"
        self.assertEqual(links(text), [Link("a.md", 1), Link("c.md", 3)])

    def test_images_and_reference_definitions_are_links(self):
        text = "![picture](x.png)\n\n[ref]: other.md \"title\"\n"
        self.assertEqual([link.target for link in links(text)], ["x.png", "other.md"])

    def test_what_stands_in_code_is_not_a_link(self):
        text = "`[a](a.md)`\n\n```\n[b](b.md)\n```\n\n~~~sh\n[c](c.md)\n~~~\n[d](d.md)\n"
        self.assertEqual(links(text), [Link("d.md", 10)])

    def test_an_escaped_bracket_is_not_a_link(self):
        self.assertEqual(links(r"\[a](a.md)"), [])


class Anchors(unittest.TestCase):
    def test_headings_become_slugs(self):
        self.assertEqual(anchors("# Hello, World!\n## `code` & more ##\n"), {"hello-world", "code--more"})

    def test_equal_headings_are_numbered(self):
        self.assertEqual(anchors("# A\n# A\n# A\n"), {"a", "a-1", "a-2"})

    def test_a_comment_in_code_is_not_a_heading(self):
        self.assertEqual(anchors("```sh\n# not a heading\n```\n"), set())


if __name__ == "__main__":
    unittest.main()
