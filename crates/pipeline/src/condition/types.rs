//! What a condition may say: every part of CEL's tree is given a type or refused, and what the run gives is replaced by inputs. Not for
//! values.

use std::fmt;

use cel::Value;
use cel::common::ast::operators;
use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue};

use crate::check::check_glob;
use crate::condition::inputs::{self, Input};
use crate::condition::syntax::{self, Parsed};
use crate::condition::{InvalidCondition, environment};
use crate::keys;
use crate::text::shown;

/// The deepest tree: evaluation recurses, and needs up to 60 KiB of stack a level in a build without optimisation.
const DEEPEST: usize = 16;

/// What is known of every run.
const FACTS: [(&str, Input); 4] =
    [("branch", Input::Branch), ("commit", Input::Commit), ("tag", Input::Tag), ("event", Input::Event)];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Text,
    Whole,
    Fraction,
    Flag,
    /// What was refused fits everywhere, so that one mistake is one finding.
    Unknown,
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "a text",
            Self::Whole => "a whole number",
            Self::Fraction => "a number with a fraction",
            Self::Flag => "true or false",
            Self::Unknown => "unknown",
        })
    }
}

/// The tree with inputs in place of what the run gives.
///
/// # Errors
/// All violations, in the order of their places.
pub(super) fn check(text: &str, parsed: Parsed) -> Result<(IdedExpr, Vec<Input>), Vec<InvalidCondition>> {
    let Parsed { mut expression, source } = parsed;
    let mut checker = Checker { text, source: &source, inputs: Vec::new(), wrong: Vec::new() };
    let kind = checker.kind(&mut expression, DEEPEST);
    if !matches!(kind, Type::Flag | Type::Unknown) {
        let help = match kind {
            Type::Text => "compare it, as in `… != \"\"`",
            _ => "compare it, as in `… > 0`",
        };
        checker.refuse(
            &expression,
            format!("a condition must be true or false, this is {kind}"),
            Some(help.to_owned()),
        );
    }
    let Checker { inputs, mut wrong, .. } = checker;
    if wrong.is_empty() {
        return Ok((expression, inputs));
    }
    wrong.sort_by_key(|error| error.place.start);
    Err(wrong)
}

struct Checker<'a> {
    text: &'a str,
    source: &'a cel::common::ast::SourceInfo,
    inputs: Vec<Input>,
    wrong: Vec<InvalidCondition>,
}

impl Checker<'_> {
    fn refuse(&mut self, expression: &IdedExpr, message: String, help: Option<String>) -> Type {
        let mut extent = None;
        self.extend(expression, &mut extent);
        let place = extent.map_or(0..self.text.len(), |extent| syntax::place(self.text, extent));
        self.wrong.push(InvalidCondition { place, message, help });
        Type::Unknown
    }

    /// Widens `extent` to all that was written for `expression`, as far as the parser tells.
    fn extend(&self, expression: &IdedExpr, extent: &mut Option<(u32, u32)>) {
        if let Some((start, stop)) = self.source.offset_for(expression.id) {
            // A call is said to be where its bracket is.
            let before = match &expression.expr {
                Expr::Call(call) if call.func_name.starts_with(|c: char| c.is_ascii_alphabetic()) => {
                    call.func_name.chars().count()
                }
                _ => 0,
            };
            let start = start.saturating_sub(u32::try_from(before).unwrap_or_default());
            let (first, last) = extent.unwrap_or((start, stop));
            *extent = Some((first.min(start), last.max(stop)));
        }
        match &expression.expr {
            Expr::Call(call) => {
                call.target.iter().for_each(|target| self.extend(target, extent));
                call.args.iter().for_each(|argument| self.extend(argument, extent));
            }
            Expr::Select(select) => self.extend(&select.operand, extent),
            Expr::List(list) => list.elements.iter().for_each(|element| self.extend(element, extent)),
            Expr::Comprehension(all) => self.extend(&all.iter_range, extent),
            _ => {}
        }
    }

    /// Puts an input in place of `expression`.
    fn give(&mut self, expression: &mut IdedExpr, input: Input, kind: Type) -> Type {
        let number = self.inputs.iter().position(|known| *known == input).unwrap_or_else(|| {
            self.inputs.push(input);
            self.inputs.len() - 1
        });
        expression.expr = Expr::Ident(inputs::name(number));
        kind
    }

    fn kind(&mut self, expression: &mut IdedExpr, depth: usize) -> Type {
        let Some(depth) = depth.checked_sub(1) else {
            return self.refuse(expression, "this condition is nested too deep".to_owned(), None);
        };
        match &expression.expr {
            Expr::Literal(_) => self.literal(expression),
            Expr::Ident(name) => match FACTS.into_iter().find(|(fact, _)| fact == name) {
                Some((_, input)) => self.give(expression, input, Type::Text),
                None => self.unknown_name(expression),
            },
            Expr::Select(_) => self.select(expression),
            Expr::Call(_) => self.call(expression, depth),
            Expr::List(_) => {
                let help = "write `VALUE in [..]`".to_owned();
                self.refuse(expression, "a list stands behind `in` only".to_owned(), Some(help))
            }
            Expr::Comprehension(_) => self.refuse(expression, "conditions have no loops".to_owned(), None),
            _ => self.refuse(expression, "this part of CEL is not part of conditions".to_owned(), None),
        }
    }

    fn literal(&mut self, expression: &IdedExpr) -> Type {
        let Expr::Literal(literal) = &expression.expr else { return Type::Unknown };
        match literal {
            LiteralValue::Boolean(_) => Type::Flag,
            LiteralValue::Double(_) => Type::Fraction,
            LiteralValue::Int(_) => Type::Whole,
            LiteralValue::String(_) => Type::Text,
            LiteralValue::Null => {
                let help = "a variable that is not set is the empty text: compare it with `\"\"`";
                self.refuse(expression, "conditions have no `null`".to_owned(), Some(help.to_owned()))
            }
            LiteralValue::Bytes(_) | LiteralValue::UInt(_) => {
                self.refuse(expression, "conditions have texts and signed numbers only".to_owned(), None)
            }
        }
    }

    fn select(&mut self, expression: &mut IdedExpr) -> Type {
        let Expr::Select(select) = &expression.expr else { return Type::Unknown };
        let name = select.field.clone();
        let of_vars = matches!(&select.operand.expr, Expr::Ident(vars) if vars == "vars");
        match (of_vars, select.test) {
            (true, false) => self.give(expression, Input::Variable(name), Type::Text),
            (true, true) => self.give(expression, Input::IsSet(name), Type::Flag),
            (false, _) => {
                let help = Some("only `vars` has names in it".to_owned());
                self.refuse(expression, format!("there is no `.{}` here", shown(&name)), help)
            }
        }
    }

    fn unknown_name(&mut self, expression: &IdedExpr) -> Type {
        let Expr::Ident(name) = &expression.expr else { return Type::Unknown };
        let (message, help) = match name.as_str() {
            "vars" => ("`vars` alone has no value".to_owned(), "write `vars.NAME`".to_owned()),
            "changed" => ("`changed` must be called".to_owned(), "write `changed(\"src/**\")`".to_owned()),
            name => {
                let facts = FACTS.iter().map(|(fact, _)| *fact).chain(["vars", "changed"]);
                let help = keys::nearest(name, facts).map_or_else(
                    || format!("a variable is `vars.{}`, a text has quotes", shown(name)),
                    |name| format!("did you mean `{name}`?"),
                );
                (format!("there is no `{}`", shown(name)), help)
            }
        };
        self.refuse(expression, message, Some(help))
    }

    fn call(&mut self, expression: &mut IdedExpr, depth: usize) -> Type {
        let Expr::Call(mut call) = std::mem::take(&mut expression.expr) else { return Type::Unknown };
        let special = self.special(expression, &mut call, depth);
        if let Some(kind) = special {
            if matches!(expression.expr, Expr::Unspecified) {
                expression.expr = Expr::Call(call);
            }
            return kind;
        }
        let kinds: Vec<Type> = call
            .target
            .iter_mut()
            .map(|target| &mut **target)
            .chain(&mut call.args)
            .map(|argument| self.kind(argument, depth))
            .collect();
        let name = call.func_name.clone();
        let is_method = call.target.is_some();
        if name == "matches" && is_method {
            self.check_regex(&call);
        }
        expression.expr = Expr::Call(call);
        match result(&name, is_method, &kinds) {
            _ if kinds.contains(&Type::Unknown) && result_is_known(&name) => Type::Flag,
            _ if kinds.contains(&Type::Unknown) => Type::Unknown,
            Ok(kind) => kind,
            Err(message) => self.refuse(expression, message, None),
        }
    }

    /// Calls whose arguments are no plain values. They put something in place of `expression` or leave it empty.
    fn special(&mut self, expression: &mut IdedExpr, call: &mut CallExpr, depth: usize) -> Option<Type> {
        let is_vars = |argument: &IdedExpr| matches!(&argument.expr, Expr::Ident(name) if name == "vars");
        match (call.func_name.as_str(), call.args.as_mut_slice()) {
            (operators::INDEX, [vars, name]) if is_vars(vars) => {
                let name = literal(name)?.to_owned();
                Some(self.give(expression, Input::Variable(name), Type::Text))
            }
            (operators::IN, [name, vars]) if is_vars(vars) => {
                let name = literal(name)?.to_owned();
                Some(self.give(expression, Input::IsSet(name), Type::Flag))
            }
            (operators::IN, [value, list]) if matches!(list.expr, Expr::List(_)) => {
                let kind = self.kind(value, depth);
                self.elements(kind, list, depth);
                Some(Type::Flag)
            }
            ("changed", globs) if call.target.is_none() => {
                let mut patterns = Vec::new();
                for glob in globs {
                    match literal(glob).map(|text| (text, check_glob(text))) {
                        Some((text, Ok(()))) => patterns.push(text.to_owned()),
                        Some((text, Err(why))) => {
                            let message = format!("`{}` {why}", shown(text));
                            self.refuse(glob, message, None);
                        }
                        None => {
                            let message = "`changed` takes texts that are written there".to_owned();
                            self.refuse(glob, message, Some("write `changed(\"src/**\")`".to_owned()));
                        }
                    }
                }
                Some(self.give(expression, Input::Changed(patterns), Type::Flag))
            }
            _ => None,
        }
    }

    fn elements(&mut self, kind: Type, list: &mut IdedExpr, depth: usize) {
        let Expr::List(list) = &mut list.expr else { return };
        for element in &mut list.elements {
            let other = self.kind(element, depth);
            if !fits(kind, other) {
                self.refuse(element, format!("{kind} is looked for, and this is {other}"), None);
            }
        }
    }

    /// The pattern stands in the condition, so that whether it is one is known now.
    fn check_regex(&mut self, call: &CallExpr) {
        let [pattern] = call.args.as_slice() else { return };
        let Some(_) = literal(pattern) else {
            let message = "`matches` takes a text that is written there".to_owned();
            self.refuse(pattern, message, None);
            return;
        };
        let empty = LiteralValue::String(String::new().into());
        let mut call = call.clone();
        call.target = Some(Box::new(IdedExpr { id: 0, expr: Expr::Literal(empty) }));
        let trial = IdedExpr { id: 0, expr: Expr::Call(call) };
        if Value::resolve(&trial, &cel::Context::with_env(environment())).is_err() {
            let message = "this is no regular expression".to_owned();
            self.refuse(pattern, message, Some("the syntax is that of the Rust crate `regex`".to_owned()));
        }
    }
}

/// The text that stands there.
fn literal(expression: &IdedExpr) -> Option<&str> {
    match &expression.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}

fn fits(one: Type, other: Type) -> bool {
    one == other || one == Type::Unknown || other == Type::Unknown
}

/// Whether a call is true or false whatever its arguments are.
fn result_is_known(name: &str) -> bool {
    result(name, false, &[Type::Flag, Type::Flag]) == Ok(Type::Flag)
        || result(name, true, &[Type::Text, Type::Text]) == Ok(Type::Flag)
}

/// The type of a call with arguments of these types, the text whose method it is first.
fn result(name: &str, is_method: bool, kinds: &[Type]) -> Result<Type, String> {
    use Type::{Flag, Text, Whole};
    let both = |what: &str, one: Type, other: Type| format!("{what}: one side is {one}, the other {other}");
    match (name, is_method, kinds) {
        (operators::LOGICAL_AND | operators::LOGICAL_OR, false, kinds) => {
            match kinds.iter().find(|kind| **kind != Flag) {
                None => Ok(Flag),
                Some(kind) => Err(format!("`&&` and `||` join what is true or false, this is {kind}")),
            }
        }
        (operators::LOGICAL_NOT, false, [Flag]) => Ok(Flag),
        (operators::LOGICAL_NOT, false, [kind]) => {
            Err(format!("`!` takes what is true or false, this is {kind}"))
        }
        (operators::CONDITIONAL, false, [Flag, one, other]) if one == other => Ok(*one),
        (operators::CONDITIONAL, false, [Flag, one, other]) => {
            Err(both("`?` chooses between two of a kind", *one, *other))
        }
        (operators::CONDITIONAL, false, [kind, ..]) => {
            Err(format!("what stands before `?` must be true or false, this is {kind}"))
        }
        (operators::EQUALS | operators::NOT_EQUALS, false, [one, other]) if one == other => Ok(Flag),
        (
            operators::LESS | operators::LESS_EQUALS | operators::GREATER | operators::GREATER_EQUALS,
            false,
            [one, other],
        ) if one == other && *one != Flag => Ok(Flag),
        (
            operators::EQUALS
            | operators::NOT_EQUALS
            | operators::LESS
            | operators::LESS_EQUALS
            | operators::GREATER
            | operators::GREATER_EQUALS,
            false,
            [one, other],
        ) => Err(both("these cannot be compared", *one, *other)),
        (operators::IN, ..) => {
            Err("`in` looks a value up in a list that is written there, or a name in `vars`".to_owned())
        }
        (operators::ADD, false, [Text, Text]) => Ok(Text),
        (operators::ADD, false, _) => Err("`+` joins two texts".to_owned()),
        ("size", _, [Text]) | ("int", false, [Text]) => Ok(Whole),
        ("size" | "int", ..) => Err(format!("`{name}` takes one text")),
        ("startsWith" | "endsWith" | "contains" | "matches", true, [Text, Text]) => Ok(Flag),
        ("startsWith" | "endsWith" | "contains" | "matches", ..) => {
            Err(format!("`{name}` belongs to a text and takes one: `branch.{name}(\"…\")`"))
        }
        (name, ..) if name.starts_with(|c: char| c.is_ascii_alphabetic()) => {
            Err(format!("there is no function `{}` in conditions", shown(name)))
        }
        _ => Err("conditions do no arithmetic".to_owned()),
    }
}
