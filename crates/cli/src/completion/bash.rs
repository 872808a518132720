//! What bash gives a completion is a line and where the cursor is, and what it takes back stands in place of a part of the word there. Not
//! for what could stand there.

use std::ffi::OsString;

/// Signs that mean something to bash outside of quotes.
const SPECIAL: &str = " \t\"'`\\$&|;<>()[]{}*?!#~^";

/// A line up to the cursor.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// The words as a program would get them. The last is the one that is being typed, and may be empty.
    pub(super) words: Vec<OsString>,
    /// That word as it is typed.
    raw: String,
    /// The quote that is open in it, and the place behind the sign that opened it.
    open: Option<(char, usize)>,
}

impl Line {
    /// Reads `line` up to its byte `point`.
    pub(super) fn read(line: &str, point: usize) -> Self {
        let line = &line[..line.floor_char_boundary(point.min(line.len()))];
        let mut read = Self { words: Vec::new(), raw: String::new(), open: None };
        let (mut word, mut is_word, mut chars) = (String::new(), false, line.chars());
        while let Some(c) = chars.next() {
            let quote = read.open.map(|(quote, _)| quote);
            if c.is_whitespace() && quote.is_none() {
                if is_word {
                    read.words.push(std::mem::take(&mut word).into());
                }
                read.raw.clear();
                is_word = false;
                continue;
            }
            is_word = true;
            read.raw.push(c);
            match (c, quote) {
                ('\'' | '"', None) => read.open = Some((c, read.raw.len())),
                (c, Some(quote)) if c == quote => read.open = None,
                ('\\', None) => word.extend(chars.next().inspect(|next| read.raw.push(*next))),
                ('\\', Some('"')) => match chars.next() {
                    Some(next) => {
                        read.raw.push(next);
                        word.extend((!"\"\\$`".contains(next)).then_some('\\'));
                        word.push(next);
                    }
                    None => word.push('\\'),
                },
                (c, _) => word.push(c),
            }
        }
        read.words.push(word.into());
        read
    }

    /// What bash has to be given so that `value` stands in place of the word, when it cuts words at `breaks`; none when it cannot stand there.
    pub(super) fn insertion(&self, value: &str, breaks: &str) -> Option<String> {
        let kept = self.kept(breaks);
        let before = Self::read(&self.raw[..kept], kept).words.pop()?;
        let rest = value.strip_prefix(before.to_str()?)?;
        match self.open {
            Some(('\'', _)) => (!rest.contains('\'')).then(|| rest.to_owned()),
            Some(_) => Some(escaped(rest, "\"\\$`")),
            None => Some(escaped(rest, SPECIAL)),
        }
    }

    /// How many bytes of the word bash leaves as they are: up to the open quote, or to the last of `breaks`.
    fn kept(&self, breaks: &str) -> usize {
        if let Some((_, behind)) = self.open {
            return behind;
        }
        let (mut kept, mut quote, mut escaped) = (0, None, false);
        for (at, c) in self.raw.char_indices() {
            match (c, quote) {
                _ if escaped => escaped = false,
                ('\\', None | Some('"')) => escaped = true,
                ('\'' | '"', None) => quote = Some(c),
                (c, Some(open)) if c == open => quote = None,
                (c, None) if breaks.contains(c) => kept = at + c.len_utf8(),
                _ => {}
            }
        }
        kept
    }
}

fn escaped(text: &str, special: &str) -> String {
    text.chars().flat_map(|c| special.contains(c).then_some('\\').into_iter().chain([c])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BREAKS: &str = " \t\n\"'@><=;|&(:";

    fn words(line: &str) -> Vec<String> {
        let words = Line::read(line, line.len()).words;
        words.into_iter().map(|word| word.into_string().unwrap()).collect()
    }

    fn inserted(line: &str, value: &str) -> Option<String> {
        Line::read(line, line.len()).insertion(value, BREAKS)
    }

    #[test]
    fn a_line_is_read_as_bash_reads_it() {
        assert_eq!(words("jobwright run  -j bu"), ["jobwright", "run", "-j", "bu"]);
        assert_eq!(words("jobwright run -j "), ["jobwright", "run", "-j", ""]);
        assert_eq!(words(r#"a "b c" 'd $e' f\ g "h\"i\j" ''"#), ["a", "b c", "d $e", "f g", "h\"i\\j", ""]);
        assert_eq!(words("a 'b c"), ["a", "b c"]);
        assert_eq!(words("a b\\"), ["a", "b"]);
    }

    #[test]
    fn only_what_is_before_the_cursor_counts() {
        assert_eq!(Line::read("ab cd", 4).words, ["ab", "c"]);
        assert_eq!(Line::read("é é", 1).words, [""]);
        assert_eq!(Line::read("a", 100).words, ["a"]);
    }

    #[test]
    fn a_value_is_inserted_so_that_it_means_itself() {
        assert_eq!(inserted("x bu", "build").as_deref(), Some("build"));
        assert_eq!(inserted("x ", "build & $(run) *").as_deref(), Some("build\\ \\&\\ \\$\\(run\\)\\ \\*"));
        assert_eq!(inserted("x 'bu", "build it").as_deref(), Some("build it"));
        assert_eq!(inserted("x 'bu", "bu'x"), None);
        assert_eq!(inserted("x \"bu", "build \"$it\"").as_deref(), Some("build \\\"\\$it\\\""));
    }

    #[test]
    fn what_bash_leaves_as_it_is_is_not_inserted_again() {
        assert_eq!(inserted("x --job=bu", "--job=build").as_deref(), Some("build"));
        assert_eq!(inserted("x build:li", "build:linux").as_deref(), Some("linux"));
        assert_eq!(inserted("x build\\ it:li", "build it:linux").as_deref(), Some("linux"));
        assert_eq!(inserted("x a,bu", "a,build").as_deref(), Some("a,build"));
    }
}
