//! GitLab's `if` expressions in our language: `$A == "x" && $B =~ /y/`. Not for what a rule does when its expression holds.

use crate::import::Notes;
use crate::import::conditions::{Condition, matches, quote, variable};
use crate::source::Span;

/// The longest expression that is looked at; a condition of ours is shorter.
const LONGEST: usize = 2_000;
/// The most brackets inside of each other.
const DEEPEST: usize = 12;

/// The flags of a regular expression. GitLab puts them in front of it as `(?ims)` for RE2, which means by them what we do: `m` is for `^`
/// and `$` at the lines of a text, not for Ruby's `.` over line feeds.
const FLAGS: &str = "ismU";

/// What GitLab knows of a pipeline, and how we say it.
const FACTS: [(&str, &str); 5] = [
    ("CI_COMMIT_BRANCH", "branch"),
    ("CI_COMMIT_TAG", "tag"),
    ("CI_COMMIT_SHA", "commit"),
    ("CI_PIPELINE_SOURCE", "event"),
    ("CI_COMMIT_REF_NAME", "(branch != \"\" ? branch : tag)"),
];

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Open,
    Close,
    And,
    Or,
    Equal,
    Unequal,
    Match,
    NoMatch,
    Null,
    Variable(String),
    Text(String),
    Pattern(String),
}

/// Reads an expression.
///
/// # Errors
/// Why it cannot be said in our language, after "because".
pub(super) fn read(text: &str, span: Span, notes: &mut Notes) -> Result<Condition, String> {
    if text.len() > LONGEST {
        return Err("it is too long".to_owned());
    }
    let tokens = tokens(text)?;
    let mut reader = Reader { tokens: &tokens, at: 0, span, notes };
    let condition = reader.any(0)?;
    match reader.peek() {
        None => Ok(condition),
        Some(_) => Err("it goes on where it should end".to_owned()),
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let simple = [
            ("&&", Token::And),
            ("||", Token::Or),
            ("==", Token::Equal),
            ("!=", Token::Unequal),
            ("=~", Token::Match),
            ("!~", Token::NoMatch),
            ("(", Token::Open),
            (")", Token::Close),
        ];
        if let Some((sign, token)) = simple.into_iter().find(|(sign, _)| rest.starts_with(sign)) {
            tokens.push(token);
            rest = &rest[sign.len()..];
        } else if first == '$' {
            let name = &rest[1..];
            let (name, behind) = match name.strip_prefix('{') {
                Some(name) => name.split_once('}').ok_or("a `}` is missing")?,
                None => name.split_at(word_end(name)),
            };
            if name.is_empty() || word_end(name) != name.len() {
                return Err("a variable has no name".to_owned());
            }
            tokens.push(Token::Variable(name.to_owned()));
            rest = behind;
        } else if matches!(first, '"' | '\'') {
            let (text, behind) = rest[1..].split_once(first).ok_or("a closing quote is missing")?;
            tokens.push(Token::Text(text.to_owned()));
            rest = behind;
        } else if first == '/' {
            let (pattern, behind) = pattern(&rest[1..])?;
            tokens.push(Token::Pattern(pattern));
            rest = behind;
        } else {
            let end = word_end(rest);
            match &rest[..end] {
                "null" => tokens.push(Token::Null),
                _ => return Err("it has a part that is no expression of GitLab's".to_owned()),
            }
            rest = &rest[end..];
        }
        rest = rest.trim_start();
    }
    Ok(tokens)
}

fn word_end(text: &str) -> usize {
    text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len())
}

/// `main$/i` as a regular expression, and what is behind it.
pub(super) fn pattern(text: &str) -> Result<(String, &str), String> {
    let mut escaped = false;
    let end = text.char_indices().find(|(_, c)| {
        let ends = *c == '/' && !escaped;
        escaped = *c == '\\' && !escaped;
        ends
    });
    let (end, _) = end.ok_or("a closing `/` is missing")?;
    let behind = &text[end + 1..];
    let flags = behind.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(behind.len());
    let (flags, behind) = behind.split_at(flags);
    if flags.contains(|flag| !FLAGS.contains(flag)) {
        return Err(format!("`/{flags}` is unknown"));
    }
    // Which of several matches is taken is nothing that a condition asks.
    let flags = flags.replace('U', "");
    let regex = text[..end].replace("\\/", "/");
    let regex = if flags.is_empty() { regex } else { format!("(?{flags}){regex}") };
    Ok((regex, behind))
}

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
    span: Span,
    notes: &'a mut Notes,
}

impl Reader<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn any(&mut self, depth: usize) -> Result<Condition, String> {
        let mut condition = self.all(depth)?;
        while self.peek() == Some(&Token::Or) {
            self.at += 1;
            condition = condition.or(self.all(depth)?);
        }
        Ok(condition)
    }

    fn all(&mut self, depth: usize) -> Result<Condition, String> {
        let mut condition = self.one(depth)?;
        while self.peek() == Some(&Token::And) {
            self.at += 1;
            condition = condition.and(self.one(depth)?);
        }
        Ok(condition)
    }

    fn one(&mut self, depth: usize) -> Result<Condition, String> {
        if depth > DEEPEST {
            return Err("it is nested too deep".to_owned());
        }
        let left = self.next().ok_or("it ends too early")?;
        if left == Token::Open {
            let inner = self.any(depth + 1)?;
            return match self.next() {
                Some(Token::Close) => Ok(inner),
                _ => Err("a `)` is missing".to_owned()),
            };
        }
        let sign = match self.peek() {
            Some(Token::Equal | Token::Unequal | Token::Match | Token::NoMatch) => self.next(),
            _ => None,
        };
        let Some(sign) = sign else {
            return match left {
                Token::Variable(name) => Ok(Condition::Term(format!("{} != \"\"", self.subject(&name)))),
                Token::Text(text) => Ok(if text.is_empty() { Condition::Never } else { Condition::Always }),
                Token::Null => Ok(Condition::Never),
                _ => Err("an operand is missing".to_owned()),
            };
        };
        let right = self.next().ok_or("it ends too early")?;
        match sign {
            Token::Equal => self.equal(&left, &right),
            Token::Unequal => self.equal(&left, &right).map(Condition::not),
            Token::Match => self.matching(&left, &right),
            _ => self.matching(&left, &right).map(Condition::not),
        }
    }

    fn equal(&mut self, left: &Token, right: &Token) -> Result<Condition, String> {
        use Token::{Null, Text, Variable};
        Ok(match (left, right) {
            (Variable(name), Null) | (Null, Variable(name)) => self.is_set(name).not(),
            (Variable(name), Text(text)) | (Text(text), Variable(name))
                if text.is_empty() && fact(name).is_none() =>
            {
                let subject = self.subject(name);
                self.is_set(name).and(Condition::equals(&subject, "\"\""))
            }
            (Variable(name), Text(text)) | (Text(text), Variable(name)) => {
                Condition::equals(&self.subject(name), &quote(text))
            }
            (Variable(one), Variable(other)) => {
                let (one, other) = (self.subject(one), self.subject(other));
                Condition::equals(&one, &other)
            }
            (Text(one), Text(other)) if one == other => Condition::Always,
            (Null, Null) => Condition::Always,
            (Text(_) | Null, Text(_) | Null) => Condition::Never,
            _ => return Err("an operand is missing".to_owned()),
        })
    }

    fn matching(&mut self, left: &Token, right: &Token) -> Result<Condition, String> {
        let regex = match right {
            Token::Pattern(regex) => regex.clone(),
            Token::Text(text) if text.starts_with('/') => pattern(&text[1..])?.0,
            Token::Variable(_) => return Err("its pattern is in a variable".to_owned()),
            _ => return Err("a pattern is missing".to_owned()),
        };
        let subject = match left {
            Token::Variable(name) => self.subject(name),
            Token::Text(text) => quote(text),
            _ => return Err("an operand is missing".to_owned()),
        };
        let condition = matches(&subject, &regex);
        match condition.text() {
            Some(_) => Ok(condition),
            None => Err("its pattern is none of ours".to_owned()),
        }
    }

    fn is_set(&mut self, name: &str) -> Condition {
        let subject = self.subject(name);
        match fact(name) {
            Some(_) => Condition::Term(format!("{subject} != \"\"")),
            None => Condition::Term(match subject.strip_prefix("vars.") {
                Some(_) => format!("has({subject})"),
                None => format!("({} in vars)", quote(name)),
            }),
        }
    }

    fn subject(&mut self, name: &str) -> String {
        if let Some(fact) = fact(name) {
            return fact.to_owned();
        }
        if super::is_predefined(name) {
            self.notes.reads_foreign(name, self.span);
        }
        variable(name)
    }
}

fn fact(name: &str) -> Option<&'static str> {
    FACTS.iter().find(|(known, _)| *known == name).map(|(_, fact)| *fact)
}
