//! Whose request it is behind proxies: the address that the outermost trusted one saw.
//!
//! What a request says of addresses is believed only as far as trusted proxies wrote it: each adds to the
//! right whom it heard from, so the right-most address that is no trusted proxy is the client, and whatever
//! stands left of it is the client's own words.

use std::{fmt, net::IpAddr, str::FromStr};

use hyper::{
    HeaderMap,
    header::{FORWARDED, HeaderName},
};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// A proxy that is believed: a network in CIDR notation, an address, or `unix`, whoever speaks over the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrustedProxy {
    /// Whoever speaks over the unix socket.
    Unix,
    /// Whoever has one of these addresses.
    Network {
        /// Its first address.
        address: IpAddr,
        /// Bits that all of its addresses share.
        prefix: u8,
    },
}

/// A text that names no proxy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no network; write one like `10.0.0.0/8`, an address like `10.0.0.1`, or `unix`")]
pub struct ProxyError(String);

impl FromStr for TrustedProxy {
    type Err = ProxyError;

    fn from_str(text: &str) -> Result<Self, ProxyError> {
        if text == "unix" {
            return Ok(Self::Unix);
        }
        let wrong = || ProxyError(text.chars().take(60).flat_map(char::escape_debug).collect());
        let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => most,
            Some(text) => text.parse().ok().filter(|prefix| *prefix <= most).ok_or_else(wrong)?,
        };
        // Bits beyond the prefix are most likely a slip, which would trust more than was meant.
        match masked(address, prefix) == address {
            true => Ok(Self::Network { address, prefix }),
            false => Err(wrong()),
        }
    }
}

impl fmt::Display for TrustedProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix => f.write_str("unix"),
            Self::Network { address, prefix } => write!(f, "{address}/{prefix}"),
        }
    }
}

impl TrustedProxy {
    fn is(&self, address: IpAddr) -> bool {
        match self {
            Self::Unix => false,
            Self::Network { address: network, prefix } => {
                network.is_ipv4() == address.is_ipv4() && masked(address, *prefix) == *network
            }
        }
    }
}

/// An address without the bits after the prefix.
fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
            IpAddr::from((u32::from(v4) & mask).to_be_bytes())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix.min(128))).unwrap_or(0);
            IpAddr::from((u128::from(v6) & mask).to_be_bytes())
        }
    }
}

/// What an address is counted under: whoever has one address of version 6 has the 2^64 beside it.
pub(crate) fn counted(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        v4 @ IpAddr::V4(_) => v4,
        v6 @ IpAddr::V6(_) => masked(v6, 64),
    }
}

/// Whether whoever speaks is a trusted proxy; without an address it speaks over the unix socket.
pub(crate) fn is_trusted(peer: Option<IpAddr>, trusted: &[TrustedProxy]) -> bool {
    trusted.iter().any(|proxy| match peer {
        Some(peer) => proxy.is(peer.to_canonical()),
        None => *proxy == TrustedProxy::Unix,
    })
}

/// The address of the client: that of whoever speaks, or what the outermost trusted proxy saw.
///
/// Where `Forwarded` and `X-Forwarded-For` say different things one of them went through a proxy that does not
/// write it, and is the client's own: then it is the proxy that speaks.
pub(crate) fn client(peer: Option<IpAddr>, headers: &HeaderMap, trusted: &[TrustedProxy]) -> Option<IpAddr> {
    let peer = peer.map(|peer| peer.to_canonical());
    if !is_trusted(peer, trusted) {
        return peer;
    }
    let said = |name: &HeaderName, read: fn(&str) -> Vec<Option<IpAddr>>| {
        let lines = headers.get_all(name).iter();
        // What is no text is nobody's address.
        let hops: Vec<Option<IpAddr>> =
            lines.flat_map(|line| line.to_str().map_or_else(|_| vec![None], read)).collect();
        (!hops.is_empty()).then(|| outermost(&hops, trusted))
    };
    match (said(&FORWARDED, forwarded), said(&X_FORWARDED_FOR, x_forwarded_for)) {
        (Some(one), Some(other)) if one != other => peer,
        (Some(seen), _) | (None, Some(seen)) => seen.or(peer),
        (None, None) => peer,
    }
}

/// The right-most address that is no trusted proxy; the left-most trusted one where nothing usable stands left
/// of it.
fn outermost(hops: &[Option<IpAddr>], trusted: &[TrustedProxy]) -> Option<IpAddr> {
    let mut seen = None;
    for hop in hops.iter().rev() {
        let Some(address) = hop else { return seen };
        seen = Some(*address);
        if !is_trusted(seen, trusted) {
            return seen;
        }
    }
    seen
}

fn x_forwarded_for(line: &str) -> Vec<Option<IpAddr>> {
    line.split(',').map(|hop| address(hop.trim())).collect()
}

/// `for` of each element of a `Forwarded` line (RFC 7239, section 4).
fn forwarded(line: &str) -> Vec<Option<IpAddr>> {
    let of_element = |element: &str| {
        let mut found = None;
        for pair in unquoted(element, ';')? {
            let (name, value) = pair.split_once('=')?;
            if name.trim().eq_ignore_ascii_case("for") && found.replace(value.trim()).is_some() {
                return None;
            }
        }
        address(found?.trim_matches('"'))
    };
    match unquoted(line, ',') {
        Some(elements) => elements.into_iter().map(of_element).collect(),
        None => vec![None],
    }
}

/// The parts between separators that stand outside of quotes (RFC 9110, section 5.6.4: a backslash quotes what
/// follows it); none where a quote does not end, since then nobody can tell what was said by whom.
fn unquoted(text: &str, separator: char) -> Option<Vec<&str>> {
    let (mut quoted, mut escaped) = (false, false);
    let parts = text
        .split(|c: char| {
            let literal = std::mem::take(&mut escaped);
            escaped = quoted && c == '\\' && !literal;
            quoted ^= c == '"' && !literal;
            c == separator && !quoted
        })
        .collect();
    (!quoted).then_some(parts)
}

/// An address, perhaps with a port; version 6 in brackets where there is one.
fn address(text: &str) -> Option<IpAddr> {
    let plain = text.parse::<IpAddr>().ok();
    let in_brackets = || text.strip_prefix('[')?.split_once(']')?.0.parse::<IpAddr>().ok();
    let with_port = || text.parse::<std::net::SocketAddrV4>().ok().map(|a| IpAddr::V4(*a.ip()));
    plain.or_else(in_brackets).or_else(with_port).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, lines: &[(&str, &str)]) -> String {
        let trusted: Vec<TrustedProxy> =
            ["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "unix"].map(|text| text.parse().unwrap()).into();
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        client(peer.parse().ok(), &headers, &trusted).map_or_else(|| "nobody".to_owned(), |a| a.to_string())
    }

    #[test]
    fn what_a_client_leaves_open_hides_no_proxy() {
        let ip = |text: &str| Some(text.parse::<IpAddr>().unwrap());
        let said = |line: &str| forwarded(line);
        assert_eq!(said("for=192.0.2.1, for=192.0.2.2"), [ip("192.0.2.1"), ip("192.0.2.2")]);
        assert_eq!(said(r#"for=192.0.2.1;x="a\"b,c", for=192.0.2.2"#), [ip("192.0.2.1"), ip("192.0.2.2")]);
        // A quote within a quote does not end it.
        assert_eq!(said(r#"for=192.0.2.1;x="\"", for=192.0.2.2"#), [ip("192.0.2.1"), ip("192.0.2.2")]);
        // One that does not end would make the proxy's own word a part of the client's.
        assert_eq!(said(r#"for=192.0.2.1;x="a, for=192.0.2.2"#), [None]);
    }

    #[test]
    fn the_right_most_address_that_is_no_trusted_proxy_is_the_client() {
        let x = "x-forwarded-for";
        for (peer, lines, who) in [
            // Whoever is no proxy is itself, whatever it says.
            ("203.0.113.9", vec![(x, "198.51.100.1")], "203.0.113.9"),
            ("10.0.0.1", vec![], "10.0.0.1"),
            ("10.0.0.1", vec![(x, "198.51.100.1")], "198.51.100.1"),
            ("::ffff:10.0.0.1", vec![(x, "198.51.100.1")], "198.51.100.1"),
            ("2001:db8::1", vec![(x, "2001:db9::2")], "2001:db9::2"),
            ("unix", vec![(x, "198.51.100.1")], "198.51.100.1"),
            ("unix", vec![], "nobody"),
            // What the client wrote itself stands left of what the proxies saw.
            ("10.0.0.1", vec![(x, "1.1.1.1, 198.51.100.1, 10.2.3.4, 192.0.2.7")], "198.51.100.1"),
            ("10.0.0.1", vec![(x, "1.1.1.1"), (x, "198.51.100.1,10.2.3.4")], "198.51.100.1"),
            ("10.0.0.1", vec![(x, "10.9.9.9, 10.2.3.4")], "10.9.9.9"),
            ("10.0.0.1", vec![(x, "1.1.1.1, unknown, 10.2.3.4")], "10.2.3.4"),
            ("10.0.0.1", vec![(x, "1.1.1.1, ")], "10.0.0.1"),
            ("10.0.0.1", vec![(x, "198.51.100.1:8080")], "198.51.100.1"),
            ("10.0.0.1", vec![(x, "[2001:db9::2]:80")], "2001:db9::2"),
            (
                "10.0.0.1",
                vec![("forwarded", "for=1.1.1.1, For=\"198.51.100.1:47011\";proto=http;by=10.0.0.1")],
                "198.51.100.1",
            ),
            ("10.0.0.1", vec![("forwarded", "for=\"[2001:db9::17]:4711\"")], "2001:db9::17"),
            ("10.0.0.1", vec![("forwarded", "for=\"_a,for=1.1.1.1\"")], "10.0.0.1"),
            ("10.0.0.1", vec![("forwarded", "for=1.1.1.1;for=2.2.2.2")], "10.0.0.1"),
            ("10.0.0.1", vec![("forwarded", "proto=https")], "10.0.0.1"),
            ("10.0.0.1", vec![("forwarded", "for=198.51.100.1"), (x, "198.51.100.1")], "198.51.100.1"),
            ("10.0.0.1", vec![("forwarded", "for=1.1.1.1"), (x, "198.51.100.1")], "10.0.0.1"),
        ] {
            assert_eq!(seen(peer, &lines), who, "{peer} {lines:?}");
        }
    }

    #[test]
    fn networks_are_read_and_slips_are_refused() {
        for text in ["10.0.0.0/8", "0.0.0.0/0", "::/0", "2001:db8::/32", "unix"] {
            assert_eq!(text.parse::<TrustedProxy>().unwrap().to_string(), text);
        }
        assert_eq!("10.0.0.1".parse::<TrustedProxy>().unwrap().to_string(), "10.0.0.1/32");
        for text in
            ["", "10", "10.0.0.0/33", "::1/129", "10.0.0.1/8", "10.0.0.0/x", "localhost", "10.0.0.0/-1"]
        {
            assert!(text.parse::<TrustedProxy>().is_err(), "{text}");
        }
    }

    #[test]
    fn addresses_of_version_6_are_counted_by_their_network() {
        let of = |text: &str| counted(text.parse().unwrap()).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(
            (of("192.0.2.1"), of("::ffff:192.0.2.1")),
            ("192.0.2.1".to_owned(), "192.0.2.1".to_owned())
        );
    }
}
