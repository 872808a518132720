//! What an engine records of its containers and of itself, as far as we need it. Own types: engines call a container's states
//! by more words than bollard's know, and one such word would make a whole answer unreadable. Not for what follows from a
//! record (`end`, `adopt`).

use jiff::Timestamp;
use jobwright_backend::Health;
use serde::Deserialize;

use crate::belongings::Labels;

/// A container, as `inspect` answers.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ContainerRecord {
    #[serde(default)]
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) state: Option<StateRecord>,
    #[serde(default)]
    config: Option<ConfigRecord>,
    #[serde(default)]
    host_config: Option<HostRecord>,
    /// Read by whoever asks for it (`network`): nothing else of the record is to depend on it.
    #[serde(default)]
    pub(crate) network_settings: serde_json::Value,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ConfigRecord {
    labels: Option<Labels>,
}

/// What the container may use of its host.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HostRecord {
    memory: Option<i64>,
}

impl ContainerRecord {
    /// How many bytes of memory it may use; none when nobody set that.
    pub(crate) fn memory_limit(&self) -> Option<u64> {
        let set = self.host_config.as_ref()?.memory?;
        u64::try_from(set).ok().filter(|set| *set > 0)
    }

    pub(crate) fn labels(&self) -> Option<&Labels> {
        self.config.as_ref()?.labels.as_ref()
    }

    /// What it says of the container's life; of a record without it, nothing is known.
    pub(crate) fn into_state(self) -> StateRecord {
        self.state.unwrap_or_default()
    }
}

/// A container's state, in the engine's own words.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct StateRecord {
    pub(crate) status: Option<String>,
    pub(crate) exit_code: Option<i64>,
    #[serde(rename = "OOMKilled")]
    pub(crate) oom_killed: Option<bool>,
    pub(crate) error: Option<String>,
    /// Engines write the year 1 for never.
    pub(crate) started_at: Option<String>,
    pub(crate) finished_at: Option<String>,
    pub(crate) health: Option<HealthRecord>,
}

/// What a health check found last.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct HealthRecord {
    /// Docker's `none` and Podman's empty word stand for no check.
    pub(crate) status: Option<String>,
}

impl HealthRecord {
    pub(crate) fn health(&self) -> Health {
        match self.status.as_deref() {
            Some("healthy") => Health::Healthy,
            Some("unhealthy") => Health::Unhealthy,
            None | Some("" | "none") => Health::Unchecked,
            // `starting`, and any word that an engine may come to use: it is not well yet.
            Some(_) => Health::Starting,
        }
    }
}

/// How far a container's life is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Life {
    /// It never ran.
    Before,
    /// It runs, or is paused, or is being stopped: it has processes, or will have again.
    Alive,
    /// It ran and has ended, and its record says how.
    Over,
    /// The engine's word for it says nothing to us, or its record is not whole yet. Nothing follows from that (DESIGN
    /// rules 1 and 6): look again.
    Unclear(String),
}

impl StateRecord {
    /// Whether it ever ran.
    pub(crate) fn began(&self) -> bool {
        said(&self.started_at).is_some()
    }

    /// When it began.
    pub(crate) fn started(&self) -> Option<Timestamp> {
        said(&self.started_at)?.parse().ok()
    }

    /// When it ended.
    pub(crate) fn finished(&self) -> Option<Timestamp> {
        said(&self.finished_at)?.parse().ok()
    }

    /// What its words mean. Podman's `stopped` is an end whose clean-up is still to come; its exit code and time are recorded
    /// together with it.
    pub(crate) fn life(&self) -> Life {
        let word = self.status.as_deref().unwrap_or_default();
        match (life_of(word), word) {
            (Life::Over, _) if !self.began() => Life::Before,
            (Life::Over, "exited") => Life::Over,
            (Life::Over, _) if said(&self.finished_at).is_none() => Life::Unclear(word.to_owned()),
            (life, _) => life,
        }
    }
}

/// What the word for a state says by itself. A container that is `removing`, or could not be removed (`dead`), has ended, if it
/// ever began.
fn life_of(word: &str) -> Life {
    match word {
        "created" | "configured" | "initialized" => Life::Before,
        "running" | "paused" | "pausing" | "restarting" | "stopping" => Life::Alive,
        "exited" | "stopped" | "dead" | "removing" => Life::Over,
        other => Life::Unclear(other.to_owned()),
    }
}

/// A time as it is written; none for the year 1, which stands for never.
fn said(time: &Option<String>) -> Option<&str> {
    time.as_deref().filter(|text| !text.is_empty() && !text.starts_with("0001"))
}

/// A container in a list.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListedContainer {
    pub(crate) id: String,
    #[serde(default)]
    names: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) labels: Option<Labels>,
    #[serde(default)]
    state: Option<String>,
}

impl ListedContainer {
    /// Its name, or its id where it has none.
    pub(crate) fn name(&self) -> &str {
        let name = self.names.iter().flatten().next();
        name.map_or(self.id.as_str(), |name| name.trim_start_matches('/'))
    }

    /// A label's value.
    pub(crate) fn label(&self, key: &str) -> Option<&str> {
        Some(self.labels.as_ref()?.get(key)?.as_str())
    }

    /// What the list says of its life, which is less than its own record.
    pub(crate) fn life(&self) -> Life {
        life_of(self.state.as_deref().unwrap_or_default())
    }
}

/// The engine, as `info` answers.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct EngineRecord {
    #[serde(rename = "ID")]
    pub(crate) id: Option<String>,
    /// Its host's name.
    pub(crate) name: Option<String>,
    /// Where it keeps what it has.
    pub(crate) docker_root_dir: Option<String>,
    pub(crate) cgroup_version: Option<String>,
    pub(crate) server_version: Option<String>,
    #[serde(rename = "OSType")]
    pub(crate) os_type: Option<String>,
    pub(crate) architecture: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded from Docker 20.10 and Podman 4.3, cut to what is read and a little beside it.
    fn life(state: &str) -> Life {
        let whole = format!(r#"{{"Id":"c1","Name":"/n","Config":{{"Labels":null}},"State":{state}}}"#);
        serde_json::from_str::<ContainerRecord>(&whole).unwrap().into_state().life()
    }

    #[test]
    fn docker_s_states_are_understood() {
        let created = r#"{"Status":"created","Running":false,"Pid":0,"ExitCode":0,"Error":"","StartedAt":"0001-01-01T00:00:00Z","FinishedAt":"0001-01-01T00:00:00Z"}"#;
        let running = r#"{"Status":"running","Running":true,"Pid":31,"ExitCode":0,"Error":"","StartedAt":"2026-11-21T02:50:04.676672248Z","FinishedAt":"0001-01-01T00:00:00Z"}"#;
        let exited = r#"{"Status":"exited","Running":false,"OOMKilled":false,"Pid":0,"ExitCode":3,"Error":"","StartedAt":"2026-11-21T02:50:04.676672248Z","FinishedAt":"2026-11-21T02:50:04.977373404Z"}"#;
        assert_eq!([created, running, exited].map(life), [Life::Before, Life::Alive, Life::Over]);
    }

    #[test]
    fn podman_s_stopped_is_an_end_that_is_recorded() {
        let stopped = r#"{"Status":"stopped","Running":false,"Paused":false,"OOMKilled":false,"Dead":false,"Pid":0,"ExitCode":0,"Error":"","StartedAt":"2026-11-21T02:50:04.676672248Z","FinishedAt":"2026-11-21T02:51:00.065373404Z","Health":{"Status":"","FailingStreak":0,"Log":null}}"#;
        assert_eq!(life(stopped), Life::Over);
        let not_whole = stopped.replace("2026-11-21T02:51:00.065373404Z", "0001-01-01T00:00:00Z");
        assert_eq!(life(&not_whole), Life::Unclear("stopped".to_owned()));
    }

    /// Podman says that a container which is being stopped is not running, although its processes still write.
    #[test]
    fn what_is_being_stopped_is_alive() {
        let stopping = r#"{"Status":"stopping","Running":false,"Pid":31,"ExitCode":0,"StartedAt":"2026-11-21T02:50:04.676672248Z","FinishedAt":"0001-01-01T00:00:00Z"}"#;
        assert_eq!(life(stopping), Life::Alive);
    }

    /// DESIGN rule 1: its exit code is 0, and it is no success.
    #[test]
    fn what_is_removed_before_it_ran_never_ended() {
        for word in ["removing", "dead", "stopped", "exited"] {
            let state = format!(
                r#"{{"Status":"{word}","ExitCode":0,"StartedAt":"0001-01-01T00:00:00Z","FinishedAt":"0001-01-01T00:00:00Z"}}"#
            );
            assert_eq!(life(&state), Life::Before, "{word}");
        }
    }

    /// DESIGN rules 1 and 6.
    #[test]
    fn a_word_that_nobody_told_us_says_nothing() {
        let state = |word: &str| {
            format!(
                r#"{{"Status":{word},"ExitCode":0,"StartedAt":"2026-11-21T02:50:04Z","FinishedAt":"2026-11-21T02:50:05Z"}}"#
            )
        };
        assert_eq!(life(&state(r#""hibernating""#)), Life::Unclear("hibernating".to_owned()));
        assert_eq!(life(&state("null")), Life::Unclear(String::new()));
        assert_eq!(life("null"), Life::Unclear(String::new()));
    }

    #[test]
    fn one_odd_container_does_not_spoil_a_list() {
        let list = r#"[
            {"Id":"c1","Names":["/jw_t_s"],"State":"running","Status":"Up 2 seconds","Labels":{"a":"b"}},
            {"Id":"c2","Names":["jw_t_u"],"State":"stopping","Status":"","Labels":null},
            {"Id":"c3","Names":null,"State":"hibernating","Labels":{}}]"#;
        let list: Vec<ListedContainer> = serde_json::from_str(list).unwrap();
        let seen: Vec<_> = list.iter().map(|one| (one.name(), one.life(), one.label("a"))).collect();
        let expected = [
            ("jw_t_s", Life::Alive, Some("b")),
            ("jw_t_u", Life::Alive, None),
            ("c3", Life::Unclear("hibernating".to_owned()), None),
        ];
        assert_eq!(seen, expected);
    }
}
