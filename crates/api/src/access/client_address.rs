//! Where a request came from: the peer, or what a proxy that is trusted says.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use actix_web::dev::ServiceRequest;
use actix_web::http::header::HeaderName;
use thiserror::Error;

/// The header in which proxies say for whom they ask, the nearest last.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// How many of its addresses are looked at; a chain of proxies is shorter.
const FORWARDS_MAX: usize = 16;

/// A range of addresses, such as `10.0.0.0/8`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    first: u128,
    mask: u128,
    is_v4: bool,
}

/// A text that is no network.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("must be addresses, or networks such as 10.0.0.0/8")]
pub struct NoNetwork;

impl FromStr for Network {
    type Err = NoNetwork;

    fn from_str(text: &str) -> Result<Self, NoNetwork> {
        let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
        let address: IpAddr = address.trim().parse().map_err(|_| NoNetwork)?;
        let bits = if address.is_ipv4() { 32_u32 } else { 128 };
        let length = length.map_or(Ok(bits), |length| length.trim().parse().map_err(|_| NoNetwork))?;
        let host_bits = bits.checked_sub(length).ok_or(NoNetwork)?;
        let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
        Ok(Self { first: number(address) & mask, mask, is_v4: address.is_ipv4() })
    }
}

impl Network {
    /// Whether the address lies in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.is_v4 && number(address) & self.mask == self.first
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

/// The address of the client: the peer, unless that is a trusted proxy; then the last address in `X-Forwarded-For` that is
/// none. What a client writes there itself stands before that, and is not believed.
#[must_use]
pub fn client_address(request: &ServiceRequest, trusted: &[Network]) -> IpAddr {
    let peer = request.peer_addr().map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), |peer| peer.ip().to_canonical());
    if trusted.is_empty() {
        return peer;
    }
    let said = request.headers().get_all(FORWARDED_FOR).filter_map(|value| value.to_str().ok()).collect::<Vec<_>>();
    behind_proxies(peer, said.iter().rev().flat_map(|value| value.rsplit(',')), trusted)
}

/// Walks from the peer outwards as long as who speaks is trusted.
fn behind_proxies<'a>(peer: IpAddr, forwards: impl Iterator<Item = &'a str>, trusted: &[Network]) -> IpAddr {
    let mut address = peer;
    for forward in forwards.take(FORWARDS_MAX) {
        if !trusted.iter().any(|network| network.contains(address)) {
            break;
        }
        let Some(before) = forwarded_address(forward.trim()) else { break };
        address = before.to_canonical();
    }
    address
}

/// An address as proxies write it: alone or with a port, and in brackets where it is IPv6.
fn forwarded_address(text: &str) -> Option<IpAddr> {
    let alone = text.parse().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let in_brackets = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6);
    alone.or_else(with_port).or_else(in_brackets)
}

/// What one client has for itself: its IPv4 address, or its /64 of IPv6, of which it can use any address.
#[must_use]
pub fn household(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from(u128::from(address) >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_its_addresses() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("10.1.2.3/8", "10.0.0.0", "9.255.255.255"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("0.0.0.0/0", "203.0.113.1", "::1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1"),
            ("::1", "::1", "::2"),
            ("::/0", "::1", "127.0.0.1"),
        ] {
            let network: Network = network.parse().unwrap();
            assert!(network.contains(inside.parse().unwrap()), "{network:?} {inside}");
            assert!(!network.contains(outside.parse().unwrap()), "{network:?} {outside}");
        }
        for text in ["", "x", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1", "10.0.0/8"] {
            assert_eq!(text.parse::<Network>(), Err(NoNetwork), "{text}");
        }
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        for (peer, forwarded, client) in [
            ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
            ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
            ("10.0.0.1", "1.2.3.4, 198.51.100.1", "198.51.100.1"),
            ("10.0.0.1", "198.51.100.1, 10.0.0.2", "198.51.100.1"),
            ("10.0.0.1", "198.51.100.1:5080", "198.51.100.1"),
            ("10.0.0.1", "198.51.100.1:5080, 10.0.0.2:80", "198.51.100.1"),
            ("10.0.0.1", "2001:db8::1", "2001:db8::1"),
            ("10.0.0.1", "[2001:db8::1]", "2001:db8::1"),
            ("10.0.0.1", "[2001:db8::1]:5080", "2001:db8::1"),
            ("10.0.0.1", "198.51.100.1:99999", "10.0.0.1"),
            ("10.0.0.1", "[198.51.100.1]", "10.0.0.1"),
            ("10.0.0.1", "", "10.0.0.1"),
            ("10.0.0.1", "unknown", "10.0.0.1"),
            ("10.0.0.1", "1.2.3.4, garbage, 10.0.0.2", "10.0.0.2"),
        ] {
            let address = behind_proxies(peer.parse().unwrap(), forwarded.rsplit(','), &trusted);
            assert_eq!(address.to_string(), client, "{peer} {forwarded}");
        }
    }

    #[test]
    fn an_ipv6_client_is_its_network() {
        assert_eq!(household("2001:db8:1:2:3:4:5:6".parse().unwrap()).to_string(), "2001:db8:1:2::");
        assert_eq!(household("192.0.2.7".parse().unwrap()).to_string(), "192.0.2.7");
    }
}
