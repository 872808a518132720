//! A step's environment: a little of the host's, the step's own, and what only the backend knows.

use std::collections::BTreeMap;
use std::path::Path;

use jobwright_model::Step;

/// What steps get of the host's environment, unless the operator names more. A trailing `*` stands for the rest of a name.
const FROM_HOST: [&str; 7] = ["PATH", "LANG", "LANGUAGE", "LC_*", "TZ", "USER", "LOGNAME"];
/// Those of them that say who Jobwright runs as.
const WHO: [&str; 2] = ["USER", "LOGNAME"];
/// What the step's own environment cannot set.
const OURS: [&str; 3] = ["HOME", "SHELL", "CI_WORKSPACE"];
/// What a generated script is no part of but gets from other compilers.
const DROPPED: &str = "CI_SCRIPT";

/// The allowed part of this process's environment. Values that are not UTF-8 are left out, as an order cannot carry them.
pub(crate) fn from_host(more: &[String], as_another_user: bool) -> BTreeMap<String, String> {
    let names: Vec<&str> = FROM_HOST
        .into_iter()
        .filter(|name| !(as_another_user && WHO.contains(name)))
        .chain(more.iter().map(String::as_str))
        .collect();
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| names.iter().any(|pattern| matches(pattern, name)))
        .collect()
}

fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
}

/// The whole environment of `step`.
pub(crate) fn of_step(
    host: &BTreeMap<String, String>,
    step: &Step,
    home: &Path,
    workspace: &Path,
    shell: &str,
) -> BTreeMap<String, String> {
    let mut environment = host.clone();
    let own = step.environment.iter().chain(&step.secret_mapping);
    let own = own.filter(|(name, _)| !name.is_empty() && !OURS.contains(&name.as_str()) && *name != DROPPED);
    environment.extend(own.map(|(name, value)| (name.clone(), value.clone())));
    environment.insert("HOME".into(), home.to_string_lossy().into_owned());
    environment.insert("CI_WORKSPACE".into(), workspace.to_string_lossy().into_owned());
    environment.insert("SHELL".into(), shell.to_owned());
    environment
}

#[cfg(test)]
mod tests {
    use jobwright_model::StepUuid;

    use super::*;

    #[test]
    fn names_are_matched_whole_or_up_to_a_star() {
        assert!(matches("LC_*", "LC_ALL") && matches("PATH", "PATH"));
        assert!(!matches("PATH", "PATHS") && !matches("LC_*", "LANG"));
    }

    // covers: woodpecker 76
    #[test]
    fn the_steps_own_environment_wins_but_for_what_isolates_it() {
        let host =
            BTreeMap::from([("PATH".to_owned(), "/bin".to_owned()), ("LANG".to_owned(), "C".to_owned())]);
        let mut step = Step::new("s", StepUuid::new("s").unwrap());
        for (name, value) in
            [("PATH", "/own"), ("HOME", "/root"), ("CI_WORKSPACE", "/x"), ("CI_SCRIPT", "y"), ("A", "1")]
        {
            step.environment.insert(name.into(), value.into());
        }
        let environment = of_step(&host, &step, Path::new("/home/task"), Path::new("/work"), "/bin/sh");
        let expected = [
            ("A", "1"),
            ("CI_WORKSPACE", "/work"),
            ("HOME", "/home/task"),
            ("LANG", "C"),
            ("PATH", "/own"),
            ("SHELL", "/bin/sh"),
        ];
        assert!(environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).eq(expected));
    }
}
