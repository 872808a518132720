//! Which of a step's ports its container exposes, and which places of the host lead to them: `publish` and `bindings` of
//! `backend_options.docker`. Not for what an engine says of a container's ports (`network`).

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU16;

use bollard::models::PortBinding;
use jobwright_backend::{Error, Result};
use jobwright_model::Step;
use serde::Deserialize;
use serde_json::Value;

use crate::options::Options;

/// A place of the host that leads to a TCP port of the step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Binding {
    /// The host's address; all IPv4 addresses without it.
    #[serde(default)]
    ip: Option<IpAddr>,
    /// The host's port; 0 for one that the engine chooses.
    host_port: u16,
    /// The step's port.
    port: NonZeroU16,
}

impl Binding {
    /// Reads a list of them; an error is what is wrong, for after the option's name.
    pub(crate) fn list(value: &Value) -> Result<Vec<Self>, String> {
        const FORM: &str = r#"{"ip": "127.0.0.1", "host_port": 8080, "port": 80}"#;
        let entries = value.as_array().ok_or(format!("is not a list of bindings like {FORM}"))?;
        let read = |(index, entry): (usize, &Value)| {
            Self::deserialize(entry).map_err(|why| format!("[{index}] is not a binding like {FORM}: {why}"))
        };
        entries.iter().enumerate().map(read).collect()
    }
}

/// What a container says of its ports.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Ports {
    /// `80/tcp`, none twice.
    pub(crate) exposed: Option<Vec<String>>,
    /// The host's places by exposed port.
    pub(crate) bindings: Option<HashMap<String, Option<Vec<PortBinding>>>>,
}

impl Ports {
    /// Those of `step`.
    ///
    /// # Errors
    /// [`Error::InvalidStep`] for a port that cannot be, bindings where the engine would leave them unheeded, and two that want one
    /// place of the host.
    pub(crate) fn of(step: &Step, options: &Options) -> Result<Self> {
        let wrong = |why: String| Error::invalid_step(step, why);
        let own = own(step)?;
        let mode = step.network_mode.as_str();
        if !options.bindings.is_empty() && (matches!(mode, "host" | "none") || mode.starts_with("container:"))
        {
            return Err(wrong(format!(
                "backend_options.docker.bindings need a network of the container's own, and network_mode is {mode:?}"
            )));
        }
        let published = own.iter().filter(|_| options.publish).map(Place::published);
        let bound = options.bindings.iter().map(Place::bound);
        let places = distinct(published.chain(bound)).map_err(wrong)?;
        let mut exposed = own.clone();
        exposed.extend(places.iter().map(|place| place.to.clone()));
        exposed.sort();
        exposed.dedup();
        let mut bindings: HashMap<_, Option<Vec<_>>> = HashMap::new();
        for place in places {
            bindings.entry(place.to.name()).or_default().get_or_insert_default().push(PortBinding {
                host_ip: Some(place.ip.to_string()),
                host_port: Some(place.port.to_string()),
            });
        }
        Ok(Self {
            exposed: Some(exposed.iter().map(Exposed::name).collect())
                .filter(|names: &Vec<_>| !names.is_empty()),
            bindings: Some(bindings).filter(|bindings| !bindings.is_empty()),
        })
    }
}

/// A port of the step.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Exposed {
    number: u16,
    protocol: String,
}

impl Exposed {
    fn name(&self) -> String {
        format!("{}/{}", self.number, self.protocol)
    }
}

/// The ports that the step itself has.
fn own(step: &Step) -> Result<Vec<Exposed>> {
    let mut ports = Vec::with_capacity(step.ports.len());
    for port in &step.ports {
        let protocol = if port.protocol.is_empty() { "tcp".to_owned() } else { port.protocol.to_lowercase() };
        if port.number == 0 || !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
            let why =
                format!("port {}/{} is not 1 to 65535 with tcp, udp or sctp", port.number, port.protocol);
            return Err(Error::invalid_step(step, why));
        }
        ports.push(Exposed { number: port.number, protocol });
    }
    ports.sort();
    ports.dedup();
    Ok(ports)
}

/// A place of the host, and the step's port that it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    ip: IpAddr,
    /// 0 for any.
    port: u16,
    to: Exposed,
}

impl Place {
    /// At its own number of the loopback address: reachable for the host's user, not for the host's neighbours.
    fn published(port: &Exposed) -> Self {
        Self { ip: Ipv4Addr::LOCALHOST.into(), port: port.number, to: port.clone() }
    }

    fn bound(binding: &Binding) -> Self {
        let to = Exposed { number: binding.port.get(), protocol: "tcp".to_owned() };
        let every = IpAddr::from(Ipv4Addr::UNSPECIFIED);
        Self { ip: binding.ip.unwrap_or(every), port: binding.host_port, to }
    }

    /// Whether the host cannot give both.
    fn collides(&self, other: &Self) -> bool {
        let one_address = self.ip == other.ip
            || self.ip.is_ipv4() == other.ip.is_ipv4()
                && (self.ip.is_unspecified() || other.ip.is_unspecified());
        self.port != 0 && self.port == other.port && self.to.protocol == other.to.protocol && one_address
    }

    fn words(&self) -> String {
        format!("{} port {} for {}", self.ip, self.port, self.to.name())
    }
}

/// All of them in their order; what is asked for twice in the same words, such as by `publish` and by a binding, once.
fn distinct(places: impl Iterator<Item = Place>) -> Result<Vec<Place>, String> {
    let mut kept: Vec<Place> = Vec::new();
    for place in places {
        match kept.iter().find(|other| place.collides(other)) {
            Some(same) if *same == place => {}
            Some(other) => {
                return Err(format!(
                    "backend_options.docker wants one place of the host twice: {} and {}",
                    other.words(),
                    place.words()
                ));
            }
            None => kept.push(place),
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use jobwright_model::{Port, StepUuid};
    use serde_json::json;

    use super::*;

    fn ports(options: Value, own: &[(u16, &str)], mode: &str) -> Result<Ports> {
        let mut step = Step::new("web", StepUuid::new("s1").unwrap());
        step.backend_options.insert("docker".to_owned(), options);
        step.ports =
            own.iter().map(|&(number, protocol)| Port { number, protocol: protocol.to_owned() }).collect();
        step.network_mode = mode.to_owned();
        Ports::of(&step, &Options::of(&step)?)
    }

    fn places(ports: &Ports, port: &str) -> Vec<String> {
        let bindings = ports.bindings.as_ref().unwrap()[port].iter().flatten();
        bindings
            .map(|one| format!("{}:{}", one.host_ip.as_ref().unwrap(), one.host_port.as_ref().unwrap()))
            .collect()
    }

    #[test]
    fn ports_are_published_only_when_asked_and_only_on_the_host_itself() {
        let own = [(80, ""), (53, "UDP"), (80, "tcp")];
        let hidden = ports(json!({}), &own, "").unwrap();
        let exposed = Some(vec!["53/udp".to_owned(), "80/tcp".to_owned()]);
        assert_eq!((&hidden.exposed, &hidden.bindings), (&exposed, &None));
        let published = ports(json!({"publish": true}), &own, "").unwrap();
        assert_eq!(places(&published, "80/tcp"), ["127.0.0.1:80"]);
        assert_eq!(places(&published, "53/udp"), ["127.0.0.1:53"]);
        assert_eq!(ports(json!({}), &[], "").unwrap(), Ports::default());
    }

    // covers: nunet 64
    #[test]
    fn bindings_expose_their_port_and_lead_to_it_from_each_of_their_places() {
        let bindings = json!([
            {"host_port": 8080, "port": 3000}, {"ip": "127.0.0.1", "host_port": 0, "port": 3000},
            {"ip": "::1", "host_port": 0, "port": 3000}, {"ip": null, "host_port": 9000, "port": 9000},
        ]);
        let made = ports(json!({ "bindings": bindings }), &[(53, "udp")], "").unwrap();
        assert_eq!(places(&made, "3000/tcp"), ["0.0.0.0:8080", "127.0.0.1:0", "::1:0"]);
        assert_eq!(places(&made, "9000/tcp"), ["0.0.0.0:9000"]);
        let exposed = ["53/udp", "3000/tcp", "9000/tcp"].map(str::to_owned).to_vec();
        assert_eq!(made.exposed, Some(exposed));
        assert!(!made.bindings.unwrap().contains_key("53/udp"), "only what is bound is published");
    }

    #[test]
    fn bindings_are_added_to_what_publish_publishes() {
        let bindings =
            json!([{"ip": "127.0.0.1", "host_port": 80, "port": 80}, {"host_port": 8080, "port": 80}]);
        let made = ports(json!({"publish": true, "bindings": bindings}), &[(80, "")], "").unwrap();
        assert_eq!(places(&made, "80/tcp"), ["127.0.0.1:80", "0.0.0.0:8080"]);
    }

    #[test]
    fn one_place_of_the_host_for_two_is_refused() {
        let two = |one: Value, other: Value| json!({ "bindings": [one, other] });
        let local = json!({"ip": "127.0.0.1", "host_port": 8080, "port": 80});
        for (options, own) in [
            (two(local.clone(), json!({"ip": "127.0.0.1", "host_port": 8080, "port": 81})), &[][..]),
            (two(local.clone(), json!({"host_port": 8080, "port": 80})), &[]),
            (json!({"publish": true, "bindings": [{"host_port": 8080, "port": 80}]}), &[(8080, "tcp")]),
        ] {
            let error = ports(options, own, "").unwrap_err().to_string();
            assert!(error.contains("127.0.0.1 port 8080") && error.contains("twice"), "{error}");
        }
        let elsewhere = json!({"ip": "127.0.0.2", "host_port": 8080, "port": 80});
        assert!(ports(two(local.clone(), elsewhere), &[], "").is_ok());
        assert!(ports(two(local, json!({"ip": "::", "host_port": 8080, "port": 80})), &[], "").is_ok());
        let udp = json!({"publish": true, "bindings": [{"ip": "127.0.0.1", "host_port": 53, "port": 53}]});
        assert!(ports(udp, &[(53, "udp")], "").is_ok());
    }

    #[test]
    fn bindings_without_a_network_of_the_container_s_own_are_refused() {
        let options = || json!({"bindings": [{"host_port": 0, "port": 80}]});
        for mode in ["host", "none", "container:abc"] {
            let error = ports(options(), &[], mode).unwrap_err().to_string();
            assert!(error.contains("network_mode") && error.contains(mode), "{error}");
        }
        assert!(ports(options(), &[], "bridge").is_ok());
    }
}
