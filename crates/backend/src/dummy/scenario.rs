//! What a step's environment asks of the dummy, read once and checked whole.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use jobwright_model::{Step, StepType, parse_duration};

use super::act::Act;
use super::variables as var;
use crate::{Error, ImageProblem, Result, StreamKind};

/// The exit code of a step that the memory limit ended: 128 + SIGKILL, as engines give it.
pub(super) const OOM_CODE: i32 = 137;

/// All that a dummy step does, and all that goes wrong with it.
#[derive(Debug, Clone, Default)]
pub(super) struct Scenario {
    pub(super) faults: Faults,
    pub(super) delivery: Delivery,
    pub(super) acts: Vec<Act>,
    /// In place of what the acts lead to.
    pub(super) end: EndOverride,
    pub(super) stats: Stats,
    /// None without a health check.
    pub(super) health: Option<Check>,
}

/// What a health check finds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Check {
    /// That the step is not well.
    Fails,
    /// That it is, so long after its start.
    SucceedsAfter(Duration),
}

/// Which calls fail, and how.
#[derive(Debug, Clone, Default)]
pub(super) struct Faults {
    pub(super) setup: Option<String>,
    pub(super) prepare: Option<String>,
    pub(super) image: Option<ImageProblem>,
    pub(super) start: bool,
    pub(super) tail: bool,
    pub(super) tail_break: Option<u64>,
    pub(super) wait: Option<String>,
    pub(super) destroy: Option<String>,
    pub(super) engine_gone: Option<Duration>,
}

/// How output is cut and paced.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Delivery {
    pub(super) chunk: Option<usize>,
    pub(super) line_delay: Option<Duration>,
}

/// What no act can say of an end.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct EndOverride {
    pub(super) oom: bool,
    pub(super) unknown: bool,
}

/// What the step is said to use.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Stats {
    pub(super) memory: u64,
    pub(super) cpu: Duration,
}

impl Scenario {
    /// Reads the environment of `step`.
    ///
    /// # Errors
    /// [`Error::InvalidStep`] names the variable whose value cannot be read, or that does not exist.
    pub(super) fn of(step: &Step) -> Result<Self> {
        let environment = Environment { step };
        environment.refuse_unknown()?;
        let scripted = environment.read::<Script>(var::SCRIPT)?;
        let acts = match scripted {
            Some(Script(acts)) => acts,
            None => environment.acts()?,
        };
        Ok(Self {
            faults: environment.faults()?,
            delivery: environment.delivery()?,
            acts,
            end: EndOverride {
                oom: environment.flag(var::OOM_KILLED)?,
                unknown: environment.flag(var::EXIT_UNKNOWN)?,
            },
            stats: Stats {
                memory: environment.read(var::STATS_MEMORY)?.unwrap_or_default(),
                cpu: environment.duration(var::STATS_CPU)?.unwrap_or_default(),
            },
            health: environment.health()?,
        })
    }
}

struct Script(Vec<Act>);

impl FromStr for Script {
    type Err = serde_json::Error;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        serde_json::from_str(text).map(Self)
    }
}

/// A step's variables, with readers that name the variable when its value is not one.
struct Environment<'s> {
    step: &'s Step,
}

impl Environment<'_> {
    fn text(&self, name: &str) -> Option<&str> {
        self.step.environment.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    fn owned(&self, name: &str) -> Option<String> {
        self.text(name).map(str::to_owned)
    }

    fn bad(&self, name: &str, why: impl Display) -> Error {
        Error::invalid_step(self.step, format!("the dummy cannot read the variable {name}: {why}"))
    }

    fn read<T: FromStr>(&self, name: &str) -> Result<Option<T>>
    where
        T::Err: Display,
    {
        let value = self.text(name).map(str::parse);
        value.transpose().map_err(|why| self.bad(name, why))
    }

    fn duration(&self, name: &str) -> Result<Option<Duration>> {
        self.text(name).map(parse_duration).transpose().map_err(|why| self.bad(name, why))
    }

    /// A boolean as Go's `strconv.ParseBool` reads it; nothing is false.
    fn flag(&self, name: &str) -> Result<bool> {
        match self.text(name) {
            None | Some("0" | "f" | "F" | "FALSE" | "false" | "False") => Ok(false),
            Some("1" | "t" | "T" | "TRUE" | "true" | "True") => Ok(true),
            Some(_) => Err(self.bad(name, "use true or false")),
        }
    }

    fn refuse_unknown(&self) -> Result<()> {
        let ours = self.step.environment.keys().filter(|name| name.starts_with(var::PREFIX));
        match ours.into_iter().find(|name| !var::OURS.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => Err(self.bad(name, format!("it knows only {}", var::OURS.join(", ")))),
        }
    }

    fn faults(&self) -> Result<Faults> {
        Ok(Faults {
            setup: self.owned(var::SETUP_FAIL),
            prepare: self.owned(var::PREPARE_FAIL),
            image: self.image_problem()?,
            start: self.flag(var::START_FAIL)?,
            tail: self.flag(var::TAIL_FAIL)?,
            tail_break: self.read(var::TAIL_BREAK)?,
            wait: self.owned(var::WAIT_FAIL),
            destroy: self.owned(var::DESTROY_FAIL),
            engine_gone: self.duration(var::ENGINE_GONE)?,
        })
    }

    fn image_problem(&self) -> Result<Option<ImageProblem>> {
        let scripted = || format!("scripted by {}", var::IMAGE_FAIL);
        match self.text(var::IMAGE_FAIL) {
            None if is_below_invalid(&self.step.image) => {
                Ok(Some(ImageProblem::NotFound("no registry is below the domain invalid".to_owned())))
            }
            None if self.step.image.contains(char::is_whitespace) => {
                Ok(Some(ImageProblem::InvalidReference("a reference holds no white space".to_owned())))
            }
            None => Ok(None),
            Some("absent") => Ok(Some(ImageProblem::Absent)),
            Some("not-found") => Ok(Some(ImageProblem::NotFound(scripted()))),
            Some("unauthorized") => Ok(Some(ImageProblem::Unauthorized(scripted()))),
            Some("pull-failed") => Ok(Some(ImageProblem::PullFailed(scripted()))),
            Some("invalid") => Ok(Some(ImageProblem::InvalidReference(scripted()))),
            Some(_) => {
                Err(self.bad(var::IMAGE_FAIL, "use absent, not-found, unauthorized, pull-failed or invalid"))
            }
        }
    }

    fn health(&self) -> Result<Option<Check>> {
        match self.text(var::HEALTH) {
            Some("unhealthy") => Ok(Some(Check::Fails)),
            _ => Ok(self.duration(var::HEALTH)?.map(Check::SucceedsAfter)),
        }
    }

    fn delivery(&self) -> Result<Delivery> {
        let chunk: Option<usize> = self.read(var::SPLIT)?;
        if chunk == Some(0) {
            return Err(self.bad(var::SPLIT, "a chunk has at least one byte"));
        }
        Ok(Delivery { chunk, line_delay: self.duration(var::LINE_DELAY)? })
    }

    /// The acts that the variables other than the script mean.
    fn acts(&self) -> Result<Vec<Act>> {
        let mut acts = Vec::new();
        if self.flag(var::IGNORE_TERM)? {
            acts.push(Act::IgnoreTerm);
        }
        self.output(&mut acts)?;
        if self.flag(var::LOG_OPEN)? {
            acts.push(Act::LeaveBehind);
        }
        if let Some(every) = self.duration(var::LOG_ENDLESS)? {
            acts.push(Act::LeaveBehindWriting { line: b"still here\n".to_vec(), every });
        }
        acts.extend(self.time()?);
        acts.push(self.end()?);
        Ok(acts)
    }

    fn output(&self, acts: &mut Vec<Act>) -> Result<()> {
        let mut print = |to, text: String| acts.push(Act::Print { to, bytes: text.into_bytes() });
        print(StreamKind::Stdout, self.owned(var::OUTPUT).unwrap_or_else(|| heading(self.step)));
        if let Some(text) = self.owned(var::STDERR) {
            print(StreamKind::Stderr, text);
        }
        for number in 1..=self.read::<u64>(var::LINES)?.unwrap_or(0) {
            print(StreamKind::Stdout, format!("line {number}\n"));
        }
        for number in 1..=self.read::<u64>(var::INTERLEAVE)?.unwrap_or(0) {
            print(StreamKind::Stdout, format!("out {number}\n"));
            print(StreamKind::Stderr, format!("err {number}\n"));
        }
        for name in self.text(var::PRINT_ENV).into_iter().flat_map(|names| names.split(',')) {
            let value = variable(self.step, name.trim()).map_or("", String::as_str);
            print(StreamKind::Stdout, format!("{}={value}\n", name.trim()));
        }
        if let Some(count) = self.read(var::OUTPUT_BYTES)? {
            acts.push(Act::FillLines { count });
        }
        Ok(())
    }

    /// How long it takes: a service that says nothing of it runs until it is ended.
    fn time(&self) -> Result<Option<Act>> {
        let sleep = self.duration(var::SLEEP)?.map(Act::Sleep);
        let ends = [var::EXIT_CODE, var::SIGNAL].iter().any(|name| self.text(name).is_some());
        if sleep.is_none() && self.step.kind == StepType::Service && !ends {
            return Ok(Some(Act::Forever));
        }
        Ok(sleep)
    }

    fn end(&self) -> Result<Act> {
        if let Some(signal) = self.read::<i32>(var::SIGNAL)? {
            if !(1..=64).contains(&signal) {
                return Err(self.bad(var::SIGNAL, "signals are 1 to 64"));
            }
            return Ok(Act::Die(signal));
        }
        let code = self.read::<u8>(var::EXIT_CODE)?;
        let default = if self.flag(var::OOM_KILLED)? { OOM_CODE as u8 } else { 0 };
        Ok(Act::Exit(code.unwrap_or(default)))
    }
}

/// The value of a variable of `step`: its own, or the secret of that name.
pub(super) fn variable<'s>(step: &'s Step, name: &str) -> Option<&'s String> {
    step.environment.get(name).or_else(|| step.secret_mapping.get(name))
}

/// What Woodpecker's dummy prints of a step.
fn heading(step: &Step) -> String {
    const RULE: &str = "------------------";
    let mut text = format!(
        "StepName: {}\nStepType: {}\nStepUUID: {}\nStepCommands:\n{RULE}\n",
        step.name, step.kind, step.uuid
    );
    for command in &step.commands {
        text.push_str(command);
        text.push('\n');
    }
    text + RULE + "\n"
}

fn is_below_invalid(image: &str) -> bool {
    let registry = image.split_once('/').map_or("", |(registry, _)| registry);
    let host = registry.split_once(':').map_or(registry, |(host, _)| host);
    host == "invalid" || host.ends_with(".invalid")
}
