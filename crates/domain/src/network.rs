//! Where a request comes from: the address of the client behind proxies, and the network that it
//! is counted by.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// What an address is counted by: itself for IPv4, its /64 for IPv6, since whoever has one
/// address of those has them all.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Network(IpAddr);

impl Network {
    /// The network of an address; one that is not known is counted with all others of its kind.
    pub fn of(ip: Option<IpAddr>) -> Self {
        match ip.map(|ip| ip.to_canonical()) {
            Some(IpAddr::V6(v6)) => {
                let [a, b, c, d, ..] = v6.segments();
                Self(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into())
            }
            Some(v4) => Self(v4),
            None => Self(Ipv6Addr::UNSPECIFIED.into()),
        }
    }
}

/// A range of addresses: `10.0.0.0/8`, `2001:db8::/32`, or one address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cidr {
    address: IpAddr,
    prefix: u32,
}

/// A text that is no range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an IP address or a range such as 10.0.0.0/8")]
pub struct InvalidCidr;

impl Cidr {
    /// Whether every address of a kind lies in the range.
    pub const fn is_everything(&self) -> bool {
        self.prefix == 0
    }

    /// Whether an address lies in the range. An IPv4 address is the same when it is written as an
    /// IPv6 one (RFC 4291 §2.5.5.2).
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.address, ip.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(ip)) => {
                first(own.to_bits().into(), ip.to_bits().into(), 32, self.prefix)
            }
            (IpAddr::V6(own), IpAddr::V6(ip)) => first(own.to_bits(), ip.to_bits(), 128, self.prefix),
            _ => false,
        }
    }
}

/// Whether the first `prefix` of `width` bits are the same.
fn first(one: u128, other: u128, width: u32, prefix: u32) -> bool {
    (one ^ other).checked_shr(width - prefix).unwrap_or(0) == 0
}

impl FromStr for Cidr {
    type Err = InvalidCidr;

    fn from_str(text: &str) -> Result<Self, InvalidCidr> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) if prefix.bytes().all(|b| b.is_ascii_digit()) => (address, Some(prefix)),
            Some(_) => return Err(InvalidCidr),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| InvalidCidr)?;
        let (width, bits) = match address {
            IpAddr::V4(v4) => (32, u128::from(v4.to_bits())),
            // Written as an IPv6 address, an IPv4 one would never match.
            IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => return Err(InvalidCidr),
            IpAddr::V6(v6) => (128, v6.to_bits()),
        };
        let prefix = prefix.map_or(Ok(width), str::parse).map_err(|_| InvalidCidr)?;
        // An address with bits after its prefix is a slip: which of the two was meant?
        if prefix > width || bits.checked_shl(128 - width + prefix).unwrap_or(0) != 0 {
            return Err(InvalidCidr);
        }
        Ok(Self { address, prefix })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// How the address of a client is found behind proxies.
#[derive(Clone, Debug, Default)]
pub struct ClientAddress {
    /// The one header that is read, such as `X-Forwarded-For`; without one, none is.
    pub header: Option<String>,
    /// The proxies whose word is taken.
    pub trusted: Vec<Cidr>,
}

impl ClientAddress {
    /// The client's address: `peer`, unless that is a trusted proxy. Then the lines of the header
    /// are read from the right, each hop vouching for the one before it, up to the first that is
    /// not trusted. What stands further left may have been written by anybody. Where a trusted
    /// proxy names nothing that is an address, it is the client itself as far as we know.
    pub fn of<'a>(&self, peer: IpAddr, lines: impl DoubleEndedIterator<Item = &'a str>) -> IpAddr {
        let mut nearest = peer.to_canonical();
        let hops = lines.flat_map(|line| line.split(',')).rev().map(str::trim);
        // RFC 9110 §5.6.1.2: empty elements of a list are ignored.
        for hop in hops.filter(|hop| !hop.is_empty()) {
            if !self.trusted.iter().any(|range| range.contains(nearest)) {
                break;
            }
            let Some(ip) = address(hop) else { break };
            nearest = ip.to_canonical();
        }
        nearest
    }
}

/// An address as proxies write it, some of them with a port.
fn address(hop: &str) -> Option<IpAddr> {
    let bare = hop.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match bare {
        Some(v6) => v6.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => hop.parse().ok().or_else(|| hop.parse::<SocketAddr>().ok().map(|address| address.ip())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn ipv6_is_counted_by_its_64_first_bits_and_ipv4_by_all() {
        let network = |text| Network::of(Some(ip(text)));
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), network("2001:db8:1:2:ffff::"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"), "not one network for all of IPv4");
        assert_ne!(network("::ffff:192.0.2.1"), network("::ffff:192.0.2.2"));
    }

    #[test]
    fn ranges_are_read_strictly() {
        for (text, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("192.0.2.7", "::ffff:192.0.2.7", "192.0.2.8"),
            ("0.0.0.0/0", "203.0.113.9", "::1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1"),
            ("::1", "::1", "127.0.0.1"),
            ("::/0", "2001:db8::1", "10.0.0.1"),
        ] {
            let range: Cidr = text.parse().unwrap();
            assert!(range.contains(ip(inside)) && !range.contains(ip(outside)), "{text}");
            assert_eq!(range.to_string().parse::<Cidr>(), Ok(range));
        }
        for text in [
            "",
            "/",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "::1/129",
            "::2/64",
            "localhost",
            "10.0.0.0/8 ",
            "::ffff:10.0.0.0/104",
            "10/8",
        ] {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
    }

    fn behind(trusted: &[&str]) -> ClientAddress {
        let trusted = trusted.iter().map(|text| text.parse().unwrap()).collect();
        ClientAddress { header: Some("x-forwarded-for".to_owned()), trusted }
    }

    #[test]
    fn the_header_is_read_from_the_right_up_to_the_first_hop_that_is_not_trusted() {
        let proxies = behind(&["10.0.0.0/8", "2001:db8::/32"]);
        for (peer, lines, client) in [
            // A stranger who connects directly may write what they like.
            ("192.0.2.9", vec!["203.0.113.1"], "192.0.2.9"),
            ("10.0.0.1", vec!["203.0.113.1"], "203.0.113.1"),
            // Whoever sends the header through the proxy gains nothing.
            ("10.0.0.1", vec!["198.51.100.1, 203.0.113.1"], "203.0.113.1"),
            ("10.0.0.1", vec!["198.51.100.1", "203.0.113.1"], "203.0.113.1"),
            ("10.0.0.1", vec!["10.0.0.2, 203.0.113.1, 10.0.0.3"], "203.0.113.1"),
            ("10.0.0.1", vec!["203.0.113.1", "10.0.0.3,,10.0.0.2"], "203.0.113.1"),
            // All of them trusted: the furthest.
            ("10.0.0.1", vec!["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            // Nonsense is no address, and hides nobody.
            ("10.0.0.1", vec!["203.0.113.1, unknown"], "10.0.0.1"),
            ("10.0.0.1", vec!["nonsense, 203.0.113.1"], "203.0.113.1"),
            ("10.0.0.1", vec![], "10.0.0.1"),
            ("10.0.0.1", vec!["", " , "], "10.0.0.1"),
            ("::ffff:10.0.0.1", vec!["203.0.113.1:443"], "203.0.113.1"),
            ("2001:db8::1", vec!["[2001:db9::1]:443"], "2001:db9::1"),
            ("2001:db8::1", vec!["[2001:db9::1]"], "2001:db9::1"),
            ("10.0.0.1", vec!["::ffff:203.0.113.1"], "203.0.113.1"),
        ] {
            assert_eq!(proxies.of(ip(peer), lines.iter().copied()), ip(client), "{peer} {lines:?}");
        }
        assert_eq!(behind(&[]).of(ip("10.0.0.1"), ["203.0.113.1"].into_iter()), ip("10.0.0.1"));
    }

    proptest! {
        /// A client behind one proxy is seen as itself, whatever it sends.
        #[test]
        fn nobody_can_pretend(line in "\\PC{0,60}", client in 0_u32..0x0a00_0000) {
            let client = IpAddr::from(std::net::Ipv4Addr::from_bits(client));
            let appended = format!("{line}, {client}");
            prop_assert_eq!(behind(&["10.0.0.0/8"]).of(ip("10.0.0.1"), [appended.as_str()].into_iter()), client);
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,60}") {
            let _ = (text.parse::<Cidr>(), address(&text));
        }
    }
}
