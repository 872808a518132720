//! How a step is reached, out of what an engine records of its container. Not for which ports a step asks for (`ports`).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use jobwright_model::{MappedPort, NetInfo};
use serde::Deserialize;

/// A container's networks and ports, as `inspect` answers. What a container has not got is absent, null or empty, as the engine likes.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct NetworkRecord {
    /// In the order of their names.
    networks: Option<BTreeMap<String, Option<EndpointRecord>>>,
    ports: Option<BTreeMap<String, Option<Vec<BindingRecord>>>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct EndpointRecord {
    #[serde(rename = "IPAddress")]
    ip_address: Option<String>,
    #[serde(rename = "IPPrefixLen")]
    ip_prefix_len: Option<u8>,
    #[serde(rename = "GlobalIPv6Address")]
    global_ipv6_address: Option<String>,
    #[serde(rename = "GlobalIPv6PrefixLen")]
    global_ipv6_prefix_len: Option<u8>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct BindingRecord {
    host_ip: Option<String>,
    host_port: Option<String>,
}

impl NetworkRecord {
    /// The first network in which the container has an address, and the host's ports that lead to it.
    pub(crate) fn told(&self) -> NetInfo {
        let endpoints = self.networks.iter().flatten();
        let found = endpoints.flat_map(|(name, endpoint)| Some((name, endpoint.as_ref()?.address()?))).next();
        let mapped_ports = self.mapped_ports();
        let Some((name, (address, prefix))) = found else {
            return NetInfo { mapped_ports, ..NetInfo::default() };
        };
        NetInfo {
            network: name.clone(),
            ip_address: address.to_string(),
            cidr: cidr(address, prefix),
            mapped_ports,
        }
    }

    fn mapped_ports(&self) -> Vec<MappedPort> {
        let ports = self.ports.iter().flatten();
        let bound = ports.flat_map(|(port, bindings)| {
            bindings.iter().flatten().filter_map(|binding| binding.mapped(port))
        });
        let mut mapped: Vec<_> = bound.collect();
        mapped.sort_by_key(|port| port.executor_port);
        mapped
    }
}

impl EndpointRecord {
    /// Its address with the length of its network's prefix; IPv4 where it has both.
    fn address(&self) -> Option<(IpAddr, u8)> {
        let read = |address: &Option<String>, prefix: Option<u8>| {
            Some((address.as_deref()?.parse().ok()?, prefix.unwrap_or_default()))
        };
        read(&self.ip_address, self.ip_prefix_len)
            .or_else(|| read(&self.global_ipv6_address, self.global_ipv6_prefix_len))
    }
}

impl BindingRecord {
    /// None for what leads nowhere, such as a place whose port the engine has not chosen yet. Podman says nothing for all addresses.
    fn mapped(&self, port: &str) -> Option<MappedPort> {
        let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
        let every = Ipv4Addr::UNSPECIFIED.to_string();
        Some(MappedPort {
            host_ip: self.host_ip.clone().filter(|ip| !ip.is_empty()).unwrap_or(every),
            host_port: self.host_port.as_deref()?.parse().ok().filter(|port| *port > 0)?,
            executor_port: number.parse().ok()?,
            protocol: protocol.to_owned(),
        })
    }
}

/// The network of `prefix` bits that `address` is in; empty when the engine told no such length.
fn cidr(address: IpAddr, prefix: u8) -> String {
    let bits = if address.is_ipv4() { 32 } else { 128 };
    if prefix == 0 || prefix > bits {
        return String::new();
    }
    let rest = u32::from(bits - prefix);
    let network: IpAddr = match address {
        IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits() >> rest << rest).into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> rest << rest).into(),
    };
    format!("{network}/{prefix}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(record: serde_json::Value) -> NetInfo {
        serde_json::from_value::<NetworkRecord>(record).unwrap().told()
    }

    /// As Docker answers, cut to what is read and a little beside it.
    // covers: nunet 72
    #[test]
    fn the_first_address_and_every_mapped_port_are_told() {
        let told = told(json!({
            "Bridge": "", "SandboxID": "x",
            "Ports": {
                "3000/tcp": [{"HostIp": "0.0.0.0", "HostPort": "49153"}, {"HostIp": "127.0.0.1", "HostPort": "8080"}],
                "80/tcp": [{"HostIp": "", "HostPort": "8081"}, {"HostIp": "", "HostPort": ""}],
                "53/udp": null,
            },
            "Networks": {
                "a": {"IPAddress": "", "IPPrefixLen": 0},
                "bridge": {"IPAddress": "172.17.5.3", "IPPrefixLen": 20, "Gateway": "172.17.0.1", "GlobalIPv6Address": "fd00::3"},
                "later": {"IPAddress": "10.0.0.2", "IPPrefixLen": 24},
            },
        }));
        let port = |host_ip: &str, host_port, executor_port| MappedPort {
            host_ip: host_ip.to_owned(),
            host_port,
            executor_port,
            protocol: "tcp".to_owned(),
        };
        let expected = NetInfo {
            network: "bridge".to_owned(),
            ip_address: "172.17.5.3".to_owned(),
            cidr: "172.17.0.0/20".to_owned(),
            mapped_ports: vec![
                port("0.0.0.0", 8081, 80),
                port("0.0.0.0", 49153, 3000),
                port("127.0.0.1", 8080, 3000),
            ],
        };
        assert_eq!(told, expected);
    }

    #[test]
    fn an_address_of_ipv6_alone_is_one() {
        let endpoint =
            json!({"IPAddress": "", "GlobalIPv6Address": "fd00:1:2::3", "GlobalIPv6PrefixLen": 40});
        let told = told(json!({ "Networks": { "six": endpoint } }));
        assert_eq!((&told.ip_address[..], &told.cidr[..]), ("fd00:1:2::3", "fd00:1::/40"));
    }

    #[test]
    fn a_container_without_a_network_of_its_own_has_nothing_to_tell() {
        for record in [
            json!({}),
            json!({"Ports": {}, "Networks": {"host": {"IPAddress": "", "IPPrefixLen": 0}}}),
            json!({"Ports": null, "Networks": {"none": null}}),
        ] {
            assert_eq!(told(record), NetInfo::default());
        }
    }

    #[test]
    fn a_length_that_no_prefix_has_is_not_made_up() {
        for length in [0, 33] {
            let told = told(json!({ "Networks": { "n": {"IPAddress": "10.0.0.2", "IPPrefixLen": length} } }));
            assert_eq!((&told.ip_address[..], &told.cidr[..]), ("10.0.0.2", ""));
        }
        assert_eq!(cidr(Ipv4Addr::new(10, 0, 0, 2).into(), 32), "10.0.0.2/32");
    }
}
