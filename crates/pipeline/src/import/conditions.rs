//! Conditions of our language, put together from parts and written as short as they can be. Not for what foreign conditions mean.

use crate::condition::Condition as Checked;

/// A condition on its way into the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Condition {
    /// Holds always.
    Always,
    /// Never holds.
    Never,
    /// An expression that binds tighter than `&&`.
    Term(String),
    /// The opposite of a term, with the opposite's own form where there is one.
    Not(Box<Condition>),
    /// All of them.
    All(Vec<Condition>),
    /// Any of them.
    Any(Vec<Condition>),
}

impl Condition {
    /// Both of them.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Never, _) | (_, Self::Never) => Self::Never,
            (Self::Always, other) | (other, Self::Always) => other,
            (one, other) if one == other => one,
            (Self::All(mut all), Self::All(more)) => {
                all.extend(more);
                Self::All(all)
            }
            (Self::All(mut all), other) => {
                all.push(other);
                Self::All(all)
            }
            (one, Self::All(more)) => Self::All(std::iter::once(one).chain(more).collect()),
            (one, other) => Self::All(vec![one, other]),
        }
    }

    /// Either of them.
    pub(super) fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Always, _) | (_, Self::Always) => Self::Always,
            (Self::Never, other) | (other, Self::Never) => other,
            (one, other) if one == other => one,
            (Self::Any(mut any), Self::Any(more)) => {
                any.extend(more);
                Self::Any(any)
            }
            (Self::Any(mut any), other) => {
                any.push(other);
                Self::Any(any)
            }
            (one, Self::Any(more)) => Self::Any(std::iter::once(one).chain(more).collect()),
            (one, other) => Self::Any(vec![one, other]),
        }
    }

    /// The opposite.
    pub(super) fn not(self) -> Self {
        match self {
            Self::Always => Self::Never,
            Self::Never => Self::Always,
            Self::Not(inner) => *inner,
            Self::Term(text) => match opposite(&text) {
                Some(text) => Self::Term(text),
                None => Self::Not(Box::new(Self::Term(text))),
            },
            other => Self::Not(Box::new(other)),
        }
    }

    /// `left == right`.
    pub(super) fn equals(left: &str, right: &str) -> Self {
        Self::Term(format!("{left} == {right}"))
    }

    /// The text of it, when it is one that a file may have.
    pub(super) fn text(&self) -> Option<String> {
        let mut text = String::new();
        self.write(&mut text, 0);
        (text.len() <= 1000 && Checked::parse(&text).is_ok()).then_some(text)
    }

    /// `binding`: 0 alone, 1 inside of `||`, 2 inside of `&&`, 3 behind `!`.
    fn write(&self, into: &mut String, binding: u8) {
        // No condition is as long; what is behind it need not be looked at.
        if into.len() > 2000 {
            return;
        }
        match self {
            Self::Always => into.push_str("true"),
            Self::Never => into.push_str("false"),
            Self::Term(text) if binding == 3 && !is_call(text) => bracket(into, |into| into.push_str(text)),
            Self::Term(text) => into.push_str(text),
            Self::Not(inner) => {
                into.push('!');
                inner.write(into, 3);
            }
            Self::All(parts) if binding == 3 => bracket(into, |into| join(into, parts, " && ", 2)),
            Self::All(parts) => join(into, parts, " && ", 2),
            Self::Any(parts) if binding >= 2 => bracket(into, |into| join(into, parts, " || ", 1)),
            Self::Any(parts) => join(into, parts, " || ", 1),
        }
    }
}

fn join(into: &mut String, parts: &[Condition], between: &str, binding: u8) {
    for (at, part) in parts.iter().enumerate() {
        if at > 0 {
            into.push_str(between);
        }
        part.write(into, binding);
    }
}

fn bracket(into: &mut String, inner: impl FnOnce(&mut String)) {
    into.push('(');
    inner(into);
    into.push(')');
}

/// Whether `!` may stand before it as it is.
fn is_call(text: &str) -> bool {
    text.ends_with(')') && !text.contains(" == ") && !text.contains(" != ") && !text.contains(" in ")
}

/// The same comparison turned around, when the text is one comparison.
fn opposite(text: &str) -> Option<String> {
    let is_name =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'));
    for (one, other) in [(" == ", " != "), (" != ", " == ")] {
        if let Some((left, right)) = text.split_once(one).filter(|(left, _)| is_name(left)) {
            return Some(format!("{left}{other}{right}"));
        }
    }
    None
}

/// A text as conditions quote it.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// The variable of that name.
pub(super) fn variable(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if plain { format!("vars.{name}") } else { format!("vars[{}]", quote(name)) }
}

/// Whether `subject` matches a regular expression, in the simplest form there is.
pub(super) fn matches(subject: &str, regex: &str) -> Condition {
    let (from_start, rest) = regex.strip_prefix('^').map_or((false, regex), |rest| (true, rest));
    let (to_end, rest) = match rest.strip_suffix('$') {
        Some(shorter) if !shorter.ends_with('\\') => (true, shorter),
        _ => (false, rest),
    };
    let Some(literal) = literal(rest) else {
        return Condition::Term(format!("{subject}.matches({})", quote(regex)));
    };
    let literal = quote(&literal);
    match (from_start, to_end) {
        (true, true) => Condition::equals(subject, &literal),
        (true, false) => Condition::Term(format!("{subject}.startsWith({literal})")),
        (false, true) => Condition::Term(format!("{subject}.endsWith({literal})")),
        (false, false) => Condition::Term(format!("{subject}.contains({literal})")),
    }
}

/// The one text that a regular expression means, when it means one.
fn literal(regex: &str) -> Option<String> {
    let mut text = String::new();
    let mut chars = regex.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => text.push(chars.next().filter(|c| c.is_ascii_punctuation())?),
            '.' | '*' | '+' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '|' | '^' | '$' => return None,
            c => text.push(c),
        }
    }
    Some(text)
}

/// Whether `subject` matches a glob in which `*` stays within a directory and `**` does not; nothing when it is none.
pub(super) fn globs(subject: &str, glob: &str) -> Option<Condition> {
    if !glob.contains(['*', '?', '[', '{', '\\']) {
        return Some(Condition::equals(subject, &quote(glob)));
    }
    if let Some(prefix) =
        glob.strip_suffix("**").filter(|prefix| !prefix.contains(['*', '?', '[', '{', '\\']))
    {
        return Some(Condition::Term(format!("{subject}.startsWith({})", quote(prefix))));
    }
    let mut regex = "^".to_owned();
    let mut chars = glob.chars().peekable();
    let mut braces = 0;
    while let Some(c) = chars.next() {
        match c {
            '*' if chars.peek() == Some(&'*') => {
                chars.next();
                regex.push_str(".*");
            }
            '*' => regex.push_str("[^/]*"),
            '?' => regex.push_str("[^/]"),
            '{' => {
                braces += 1;
                regex.push_str("(?:");
            }
            '}' if braces > 0 => {
                braces -= 1;
                regex.push(')');
            }
            ',' if braces > 0 => regex.push('|'),
            '[' | ']' | '\\' => return None,
            c if c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_') => regex.push(c),
            c if c.is_ascii() => regex.extend(['\\', c]),
            c => regex.push(c),
        }
    }
    regex.push('$');
    (braces == 0).then(|| Condition::Term(format!("{subject}.matches({})", quote(&regex))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn term(text: &str) -> Condition {
        Condition::Term(text.to_owned())
    }

    #[test]
    fn brackets_stand_only_where_they_are_needed() {
        let (a, b, c) = (term("vars.A == \"1\""), term("changed(\"x\")"), term("branch != \"\""));
        let text = |condition: Condition| condition.text().unwrap_or_default();
        assert_eq!(
            text(a.clone().and(b.clone().or(c.clone()))),
            "vars.A == \"1\" && (changed(\"x\") || branch != \"\")"
        );
        assert_eq!(
            text(a.clone().and(b.clone()).or(c.clone())),
            "vars.A == \"1\" && changed(\"x\") || branch != \"\""
        );
        assert_eq!(text(a.clone().or(b.clone()).not()), "!(vars.A == \"1\" || changed(\"x\"))");
        assert_eq!(text(b.not()), "!changed(\"x\")");
        assert_eq!(text(a.not()), "vars.A != \"1\"");
        assert_eq!(text(c.not()), "branch == \"\"");
    }

    #[test]
    fn always_and_never_disappear() {
        let a = term("vars.A == \"1\"");
        assert_eq!(a.clone().and(Condition::Always), a);
        assert_eq!(a.clone().or(Condition::Never), a);
        assert_eq!(a.clone().and(Condition::Never), Condition::Never);
        assert_eq!(a.clone().or(a.clone()), a);
        assert_eq!(a.clone().not().not(), a);
    }

    #[test]
    fn a_simple_regular_expression_is_said_more_simply() {
        for (regex, said) in [
            ("^main$", "branch == \"main\""),
            ("^release", "branch.startsWith(\"release\")"),
            ("-stable$", "branch.endsWith(\"-stable\")"),
            ("fix", "branch.contains(\"fix\")"),
            ("^v1\\.2", "branch.startsWith(\"v1.2\")"),
            ("^v\\d+$", "branch.matches(\"^v\\\\d+$\")"),
            ("price\\$", "branch.contains(\"price$\")"),
            ("a|b", "branch.matches(\"a|b\")"),
        ] {
            assert_eq!(matches("branch", regex).text().as_deref(), Some(said), "{regex}");
        }
    }

    #[test]
    fn a_star_of_a_glob_stays_within_a_directory() {
        for (glob, said) in [
            ("main", "branch == \"main\""),
            ("release/*", "branch.matches(\"^release/[^/]*$\")"),
            ("feature/**", "branch.startsWith(\"feature/\")"),
            ("{a,b}.x", "branch.matches(\"^(?:a|b)\\\\.x$\")"),
        ] {
            assert_eq!(
                globs("branch", glob).and_then(|condition| condition.text()).as_deref(),
                Some(said),
                "{glob}"
            );
        }
        assert_eq!(globs("branch", "[a]"), None);
        assert_eq!(globs("branch", "{a"), None);
    }
}
