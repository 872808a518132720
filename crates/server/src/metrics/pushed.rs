//! Metrics that an agent told, read line by line. What is no line of Prometheus' text format is left out, so that one agent's nonsense does not cost
//! the metrics of all. Families that tell of the agent's process and not of its work are left out, and each line says whose it is
//! (`reference/sourcegraph.md` 6).

use std::collections::HashMap;

use super::families::{Families, Kind, escaped};

/// How the names of families begin that are left out.
const LEFT_OUT: [&str; 3] = ["go_", "promhttp_", "process_"];
/// The label that says which agent.
const INSTANCE: &str = "sg_instance";
/// The label that says what the agent is, and what it says.
const JOB: (&str, &str) = ("sg_job", "sourcegraph-executors");

/// What lines `HELP` and `TYPE` say of a family.
struct Declared<'a> {
    kind: Kind,
    help: &'a str,
}

/// Adds what an agent told. How many lines could not be taken.
pub(super) fn add(families: &mut Families, agent: &str, text: &str) -> usize {
    let mut declared = HashMap::new();
    let mut unread = 0;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(comment) = line.strip_prefix('#') {
            declare(&mut declared, comment);
            continue;
        }
        let Some(sample) = Sample::read(line) else {
            unread += 1;
            continue;
        };
        let (name, kind, help) = family(&declared, sample.name);
        if LEFT_OUT.iter().any(|beginning| name.starts_with(beginning)) {
            continue;
        }
        unread += usize::from(!families.add(name, kind, help, &sample.of(agent)));
    }
    unread
}

fn declare<'a>(declared: &mut HashMap<&'a str, Declared<'a>>, comment: &'a str) {
    let mut words = comment.trim_start().splitn(3, [' ', '\t']);
    let (Some(what), Some(name)) = (words.next(), words.next()) else { return };
    let rest = words.next().unwrap_or_default().trim();
    let family = || Declared { kind: Kind::Untyped, help: "" };
    match what {
        "HELP" => declared.entry(name).or_insert_with(family).help = rest,
        "TYPE" => declared.entry(name).or_insert_with(family).kind = Kind::from_word(rest),
        _ => {}
    }
}

/// The family of a sample: that of its name, or one of whose parts it is.
fn family<'a>(declared: &HashMap<&'a str, Declared<'a>>, sample: &'a str) -> (&'a str, Kind, &'a str) {
    if let Some(Declared { kind, help }) = declared.get(sample) {
        return (sample, *kind, *help);
    }
    // A counter as OpenMetrics declares it, without the end of its samples' names: in this format that belongs to its family's name.
    if let Some(Declared { kind: Kind::Counter, help }) =
        sample.strip_suffix("_total").and_then(|name| declared.get(name))
    {
        return (sample, Kind::Counter, *help);
    }
    let parts = ["_bucket", "_sum", "_count"].iter().filter_map(|part| sample.strip_suffix(part));
    for name in parts {
        if let Some(Declared { kind: kind @ (Kind::Histogram | Kind::Summary), help }) = declared.get(name) {
            return (name, *kind, *help);
        }
    }
    (sample, Kind::Untyped, "")
}

/// A line that is no comment.
struct Sample<'a> {
    name: &'a str,
    /// Names, and values as they are written.
    labels: Vec<(&'a str, &'a str)>,
    /// The value, and perhaps a time.
    rest: Vec<&'a str>,
}

impl<'a> Sample<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let (name, rest) = word(line, ":")?;
        let (labels, rest) = match rest.trim_start().strip_prefix('{') {
            Some(rest) => labels(rest)?,
            None if rest.starts_with([' ', '\t']) => (Vec::new(), rest),
            None => return None,
        };
        let rest: Vec<_> = rest.split_ascii_whitespace().collect();
        let is_number = rest.first()?.parse::<f64>().is_ok();
        let has_time = rest.get(1).is_none_or(|time| time.parse::<i64>().is_ok());
        (is_number && has_time && rest.len() <= 2).then_some(Self { name, labels, rest })
    }

    /// The line, with whose it is where it does not say that itself.
    fn of(&self, agent: &str) -> String {
        let mut labels: Vec<_> =
            self.labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        for (name, value) in [(INSTANCE, agent), JOB] {
            if !self.labels.iter().any(|(known, _)| *known == name) {
                labels.push(format!("{name}=\"{}\"", escaped(value)));
            }
        }
        format!("{}{{{}}} {}\n", self.name, labels.join(","), self.rest.join(" "))
    }
}

/// A name of letters, digits, `_` and what `more` has, and what comes after it.
fn word<'a>(text: &'a str, more: &str) -> Option<(&'a str, &'a str)> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || more.contains(c);
    let (word, rest) = text.split_at(text.find(|c: char| !is_part(c)).unwrap_or(text.len()));
    word.starts_with(|c: char| !c.is_ascii_digit()).then_some((word, rest))
}

/// Names of labels, and their values as they are written.
type Labels<'a> = Vec<(&'a str, &'a str)>;

/// The labels behind an opening brace, and what comes behind the closing one.
fn labels(mut text: &str) -> Option<(Labels<'_>, &str)> {
    let mut labels: Labels<'_> = Vec::new();
    loop {
        text = text.trim_start();
        if let Some(rest) = text.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, rest) = word(text, "")?;
        let rest = rest.trim_start().strip_prefix('=')?.trim_start().strip_prefix('"')?;
        let (value, rest) = rest.split_at(end(rest)?);
        if labels.iter().any(|(known, _)| *known == name) {
            return None;
        }
        labels.push((name, value));
        let rest = rest.strip_prefix('"')?.trim_start();
        text = match rest.strip_prefix(',') {
            Some(rest) => rest,
            None if rest.starts_with('}') => rest,
            None => return None,
        };
    }
}

/// Where the quote stands that ends a value.
fn end(text: &str) -> Option<usize> {
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some(at),
            '\\' if !matches!(characters.next()?.1, '\\' | '"' | 'n') => return None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(texts: &[(&str, &str)]) -> String {
        let mut families = Families::default();
        families.own("own", Kind::Gauge, "Ours.", "own{} 1\n".to_owned());
        for (agent, text) in texts {
            add(&mut families, agent, text);
        }
        families.text()
    }

    #[test]
    fn each_line_says_whose_it_is_and_a_family_stands_together() {
        let text = "# HELP runs Runs.\n# TYPE runs counter\nruns 1\nruns{op=\"a\"} 2 1700000000000\n";
        let own = "runs{sg_instance=\"mine\",sg_job=\"other\"} 3";
        assert_eq!(
            told(&[
                ("e", text),
                ("f\"\\", &text.replace("Runs.", "Others.")),
                ("g", &format!("# TYPE runs counter\n{own}"))
            ]),
            "# HELP own Ours.\n# TYPE own gauge\nown{} 1\n\
             # HELP runs Runs.\n# TYPE runs counter\n\
             runs{sg_instance=\"e\",sg_job=\"sourcegraph-executors\"} 1\n\
             runs{op=\"a\",sg_instance=\"e\",sg_job=\"sourcegraph-executors\"} 2 1700000000000\n\
             runs{sg_instance=\"f\\\"\\\\\",sg_job=\"sourcegraph-executors\"} 1\n\
             runs{op=\"a\",sg_instance=\"f\\\"\\\\\",sg_job=\"sourcegraph-executors\"} 2 1700000000000\n\
             runs{sg_instance=\"mine\",sg_job=\"other\"} 3\n"
        );
    }

    #[test]
    fn the_parts_of_a_histogram_are_of_its_family() {
        let text = "# TYPE t histogram\nt_bucket{le=\"+Inf\"} 1\nt_sum 0.5\nt_count 1\nt_other 1\n";
        let told = told(&[("e", text), ("f", text)]);
        assert_eq!(told.matches("# TYPE t histogram").count(), 1);
        let (family, other) = told.split_once("# TYPE t_other untyped").unwrap();
        assert_eq!((family.matches("t_bucket{").count(), family.matches("t_count{").count()), (2, 2));
        assert_eq!(other.matches("t_other{").count(), 2);
    }

    #[test]
    fn a_counter_is_one_in_either_format() {
        let [one, other] = [
            "# HELP c C.\n# TYPE c counter\nc_total 1\n",
            "# HELP c_total C.\n# TYPE c_total counter\nc_total 2\n",
        ];
        let told = told(&[("e", one), ("f", other)]);
        assert!(told.contains("# HELP c_total C.\n# TYPE c_total counter\nc_total{"), "{told}");
        assert_eq!((told.matches("\nc_total{").count(), told.matches("# TYPE").count()), (2, 2), "{told}");
    }

    #[test]
    fn what_is_of_the_process_or_nonsense_or_ours_is_left_out() {
        let nothing = told(&[]);
        for text in [
            "go_goroutines 3",
            "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total 1",
            "promhttp_x{a=\"b\"} 1",
            "# TYPE own gauge\nown 7",
            "own 7",
            "1x 1",
            "x",
            "x y",
            "x 1 y",
            "x 1 2 3",
            "x{a=\"b\" 1",
            "x{a=b} 1",
            "x{a=\"b\\q\"} 1",
            "x{a=\"1\",a=\"2\"} 1",
            "x{a=\"b\"c=\"d\"} 1",
            "x{a=\"b\"} 1 # {trace=\"y\"} 1",
            "{a=\"b\"} 1",
            "# EOF",
            "#",
        ] {
            assert_eq!(told(&[("e", text)]), nothing, "{text}");
        }
        let conflict = told(&[("e", "# TYPE x gauge\nx 1"), ("f", "# TYPE x counter\nx 2")]);
        assert!(conflict.contains("# TYPE x gauge") && !conflict.contains("counter"), "{conflict}");
        for text in ["x{} NaN", "x{ a = \"}\\\"\" , } +Inf", "x\t-1e3"] {
            assert!(told(&[("e", text)]).contains("\nx{"), "{text}");
        }
    }
}
