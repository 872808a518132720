//! How a step is reached and what it can reach.

use serde::{Deserialize, Serialize};

use crate::workflow::null_as_empty;

/// A network to join and the names under which the step is found there (`Conn`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conn {
    /// The network's name.
    #[serde(default)]
    pub name: String,
    /// Names that resolve to the step within that network.
    #[serde(default, deserialize_with = "null_as_empty", serialize_with = "crate::workflow::empty_as_null")]
    pub aliases: Vec<String>,
}

/// A port of a service (`Port`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// The port's number, 1 to 65535.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub number: u16,
    /// `tcp`, `udp` or `sctp` in any case; empty means TCP.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub protocol: String,
}

fn is_zero(number: &u16) -> bool {
    *number == 0
}

/// A line of the hosts file (`HostAlias`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostAlias {
    /// The host's name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its address, IPv4 or IPv6.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub ip: String,
}
