//! Which hosts are this machine itself: one rule for where a server may listen, under which name it is asked, and whom a client asks
//! without a proxy.

use std::net::{IpAddr, Ipv6Addr};

/// Whether an address leads to this machine itself; an IPv4 one in IPv6 form (`::ffff:127.0.0.1`) is what it stands for.
#[must_use]
pub fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// Whether the host of a URL or of the header `host`, without its port, is this machine itself: `localhost`, or a loopback address, an IPv6
/// one in brackets.
#[must_use]
pub fn is_loopback_host(host: &str) -> bool {
    let address = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').and_then(|text| text.parse::<Ipv6Addr>().ok()).map(IpAddr::from),
        None => host.parse().ok(),
    };
    host.eq_ignore_ascii_case("localhost") || address.is_some_and(is_loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loopback_host_is_one_in_each_of_its_forms() {
        for host in [
            "localhost",
            "LocalHost",
            "127.0.0.1",
            "127.9.9.9",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
        ] {
            assert!(is_loopback_host(host), "{host}");
        }
        for host in [
            "",
            "[",
            "[]",
            "[::1",
            "192.0.2.1",
            "[::]",
            "[::ffff:192.0.2.1]",
            "[127.0.0.1]",
            "localhost.example.org",
        ] {
            assert!(!is_loopback_host(host), "{host}");
        }
    }
}
