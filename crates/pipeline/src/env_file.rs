//! Files with variables (`env_file`): one `NAME=VALUE` a line. Not for finding or reading them. No message quotes a value.

use std::collections::BTreeMap;

use crate::check::check_variable_name;

/// Why a text is no file of variables.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
#[non_exhaustive]
pub struct InvalidEnvFile {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

/// The variables of a file. Empty lines and lines that begin with `#` say nothing; `export` before a name is taken. A value in single
/// quotes is as it stands; in double quotes `\n`, `\t`, `\"`, `\\` and `\$` are escapes; any other is what stands on the rest of the
/// line, without blanks around it. Nothing is replaced in values, and of a name that is there twice the later one holds.
///
/// # Errors
/// [`InvalidEnvFile`] for the first line that is no variable.
pub fn parse(text: &str) -> Result<BTreeMap<String, String>, InvalidEnvFile> {
    let mut variables = BTreeMap::new();
    for (at, line) in text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = variable(line).map_err(|reason| InvalidEnvFile { line: at + 1, reason })?;
        variables.insert(name, value);
    }
    Ok(variables)
}

fn variable(line: &str) -> Result<(String, String), String> {
    let (name, value) = line.split_once('=').ok_or("a variable needs a `=` behind its name")?;
    let name = name.trim_end();
    let name = name.strip_prefix("export ").map_or(name, str::trim_start);
    check_variable_name(name).map_err(|error| error.to_string())?;
    if name.contains(char::is_whitespace) {
        return Err("the name of a variable has blanks inside".to_owned());
    }
    let value = value.trim_start();
    let value = match value.chars().next() {
        Some('\'') => within(value, '\'')?.to_owned(),
        Some('"') => unescaped(within(value, '"')?),
        _ => value.to_owned(),
    };
    if value.contains('\0') {
        return Err("the value has a NUL character".to_owned());
    }
    Ok((name.to_owned(), value))
}

fn within(value: &str, quote: char) -> Result<&str, String> {
    let inner = value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    inner.ok_or_else(|| "the value's closing quote is missing, or something stands behind it".to_owned())
}

fn unescaped(text: &str) -> String {
    let mut value = String::new();
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match (c, c == '\\') {
            (_, true) => match characters.next() {
                Some('n') => value.push('\n'),
                Some('t') => value.push('\t'),
                Some(escaped @ ('"' | '\\' | '$')) => value.push(escaped),
                Some(other) => value.extend(['\\', other]),
                None => value.push('\\'),
            },
            (c, false) => value.push(c),
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_variables_comments_or_nothing() {
        let text = "\u{feff}# a comment\n\nA=1\r\nexport B = two words # all of it\nC='$x \\n'\nD=\"a\\n\\\"\\$b\\x\"\nE=\nA=2\nF=a=b\n";
        let variables = parse(text).unwrap();
        let shown: Vec<(&str, &str)> = variables.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let expected = [
            ("A", "2"),
            ("B", "two words # all of it"),
            ("C", "$x \\n"),
            ("D", "a\n\"$b\\x"),
            ("E", ""),
            ("F", "a=b"),
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn what_is_no_variable_is_named_by_its_line_without_its_value() {
        for text in [
            "A=1\nhunter2",
            "A=1\n=hunter2",
            "A=1\nB='hunter2",
            "A=1\nB=\"hunter2\" x",
            "A=1\nB C=hunter2",
            "\nA=hunter2\0",
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.starts_with("line 2: ") && !error.contains("hunter"), "{error}");
        }
    }
}
