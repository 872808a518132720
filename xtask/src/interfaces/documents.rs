//! Reads the names that an interface document declares: types, fields, methods, functions, constants, and the
//! types of other packages that it speaks of. Not for what stands for them here.
//!
//! The documents are package pages saved as text: Go declarations between prose.

use std::collections::BTreeSet;

use regex::Regex;

/// The interface documents, by file name.
pub(crate) const NAMES: [&str; 5] = [
    "woodpecker-backend-types.txt",
    "local-ci-engine.txt",
    "nunet-executor.txt",
    "sourcegraph-executor-types.txt",
    "bosun-executor.txt",
];

/// Packages of Go's own library, whose types need no counterpart.
const STANDARD: [&str; 4] = ["context", "errors", "io", "time"];

/// Labels that stand right behind a name where the page lost a line break.
const GLUED: [&str; 2] = ["input", "output"];

/// One interface document.
pub(crate) struct Document {
    pub(crate) name: String,
    /// `Type`, `Type.Member`, `Function` and `Constant`, sorted.
    pub(crate) names: BTreeSet<String>,
    /// All of its words, one space between them.
    words: String,
}

impl Document {
    /// Whether the words stand in the document; line breaks and comment marks do not matter.
    pub(crate) fn says(&self, quote: &str) -> bool {
        self.words.contains(&words(quote))
    }

    /// Whether it has the name, declared or only mentioned.
    pub(crate) fn mentions(&self, name: &str) -> bool {
        self.names.contains(name) || self.words.contains(name)
    }
}

/// Reads one document.
pub(crate) fn read(name: &str, text: &str) -> Document {
    let mut names = BTreeSet::new();
    let mut reader = Reader::default();
    for line in text.lines() {
        reader.line(line.trim(), &mut names);
    }
    names.extend(foreign_types(text).difference(&names.clone()).cloned());
    Document { name: name.to_owned(), names, words: words(text) }
}

/// What a declaration that spans lines belongs to.
#[derive(Default)]
enum Reader {
    #[default]
    Prose,
    Struct(String),
    Interface(String),
    Constants,
}

impl Reader {
    fn line(&mut self, line: &str, names: &mut BTreeSet<String>) {
        let code = line.split("//").next().unwrap_or(line).trim();
        match self {
            Self::Prose => self.declaration(line, code, names),
            Self::Struct(_) | Self::Interface(_) if code.starts_with('}') => *self = Self::Prose,
            Self::Struct(of) => names.extend(field(code).map(|field| format!("{of}.{field}"))),
            Self::Interface(of) => names.extend(method(code).map(|method| format!("{of}.{method}"))),
            Self::Constants => {
                names.extend(constants(line));
                if line.ends_with(')') && (line == ")" || line.ends_with(" )")) {
                    *self = Self::Prose;
                }
            }
        }
    }

    fn declaration(&mut self, line: &str, code: &str, names: &mut BTreeSet<String>) {
        if let Some(rest) = code.strip_prefix("type ") {
            let Some(name) = first_word(rest) else { return };
            // Headings of the page repeat a type's name with a mark behind it; they declare nothing new.
            names.insert(name.clone());
            if code.ends_with("struct {") {
                *self = Self::Struct(name);
            } else if code.ends_with("interface {") {
                *self = Self::Interface(name);
            }
        } else if let Some(rest) = line.strip_prefix("const (") {
            names.extend(constants(rest));
            if !line.ends_with(')') {
                *self = Self::Constants;
            }
        } else if let Some(rest) = code.strip_prefix("func ") {
            names.extend(function(rest));
        } else if let Some(rest) = code.strip_prefix("var ") {
            names.extend(first_word(rest));
        }
    }
}

fn first_word(text: &str) -> Option<String> {
    let word: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!word.is_empty()).then_some(word)
}

/// A struct's field; one that is embedded goes by its type's name.
fn field(code: &str) -> Option<String> {
    let name = code.split_whitespace().next()?;
    first_word(name.rsplit('.').next()?).filter(|word| word.starts_with(char::is_uppercase))
}

fn method(code: &str) -> Option<String> {
    code.contains('(').then(|| first_word(code)).flatten()
}

/// `NewRunID` of `NewRunID() string`, `Runner.Run` of `(r *Runner) Run(...)`.
fn function(rest: &str) -> Option<String> {
    let Some(receiver) = rest.strip_prefix('(') else { return first_word(rest) };
    let (receiver, rest) = receiver.split_once(')')?;
    let of = receiver.rsplit([' ', '*']).next()?;
    Some(format!("{of}.{}", first_word(rest.trim_start())?))
}

/// The names in a part of a constant block. A page that lost its line breaks has several to a line, each but
/// the first behind the comment of the one before; a name is the last word before a comment then.
fn constants(line: &str) -> Vec<String> {
    let typed = Regex::new(r"(\w+)\s+\w+\s*=\s*iota").expect("the pattern is a constant");
    let line = typed.replace_all(line, "$1");
    let Some((code, _last_comment)) = line.rsplit_once("//") else {
        return line.split_whitespace().filter_map(constant).collect();
    };
    code.split("//").filter_map(|part| constant(part.split_whitespace().last()?)).collect()
}

fn constant(word: &str) -> Option<String> {
    first_word(word).filter(|word| word.starts_with(char::is_uppercase))
}

/// `JobPlanner` of `ports.JobPlanner`.
fn foreign_types(text: &str) -> BTreeSet<String> {
    let qualified = Regex::new(r"\b([a-z]\w*)\.([A-Z]\w+)").expect("the pattern is a constant");
    let foreign = |found: regex::Captures<'_>| {
        let (package, name) = (found[1].to_owned(), found[2].to_owned());
        // A page that lost its line breaks glues the next label to a name: "executor.ExecutionRequestoutput".
        let name = GLUED.iter().find_map(|label| name.strip_suffix(label)).unwrap_or(&name).to_owned();
        (!STANDARD.contains(&package.as_str()) && name != "The").then_some(name)
    };
    qualified.captures_iter(text).filter_map(foreign).collect()
}

fn words(text: &str) -> String {
    text.split_whitespace().filter(|word| *word != "//").collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        read("x", text).names.into_iter().collect()
    }

    #[test]
    fn types_their_fields_and_their_methods_are_names() {
        let text = "type Step ¶\ntype Step struct {\n// A comment (here)\nName string `json:\"name\"`\n\
            workerutil.ExecutionLogEntry\n}\nStep defines a process.\ntype Backend interface {\n// Name returns it.\n\
            Name() string\nLoad(ctx context.Context) error\n}\n";
        let expected = [
            "Backend",
            "Backend.Load",
            "Backend.Name",
            "ExecutionLogEntry",
            "Step",
            "Step.ExecutionLogEntry",
            "Step.Name",
        ];
        assert_eq!(names(text), expected);
    }

    #[test]
    fn functions_methods_and_variables_are_names() {
        let text = "func New( planner ports.JobPlanner,\nfunc (*Executor) DryRun ¶\nfunc (r *Runner) Run(e X) error\n\
            var ErrNoCliContextFound = errors.New(\"x\")\n";
        assert_eq!(
            names(text),
            ["ErrNoCliContextFound", "Executor.DryRun", "JobPlanner", "New", "Runner.Run"]
        );
    }

    #[test]
    fn constants_are_names_also_when_their_lines_were_joined() {
        let joined = "const ( StreamStdout StreamKind = iota StreamStderr )\ntype A int\n";
        assert_eq!(names(joined), ["A", "StreamStderr", "StreamStdout"]);
        let commented =
            "const ( RunStarted EventType = iota // Mode, Order RunFinished // Err Diagnostic // a (b) )\n";
        assert_eq!(names(commented), ["Diagnostic", "RunFinished", "RunStarted"]);
        let apart = "const ( RunStarted EventType = iota // Mode, Order\nRunFinished // Duration\n\
            Diagnostic // Data (a line) )\ntype A int\n";
        assert_eq!(names(apart), ["A", "Diagnostic", "RunFinished", "RunStarted"]);
    }

    #[test]
    fn a_quote_is_found_across_lines_and_comment_marks() {
        let document = read("x", "// Waits for the step\n// to complete.\n");
        assert!(document.says("Waits for the step to complete."));
        assert!(!document.says("Waits for nothing"));
    }
}
