//! Which addresses hooks may reach: public ones, and others only where the config says so.
//!
//! A hook's URL may come from someone who is allowed less than this program is. Without this, it could
//! be made to talk to what only this machine or its network reaches, such as a cloud's metadata service.
//! Names are resolved here and once per connection, so that what was checked is what is connected to.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use url::{Host, Url};

use super::error::SendError;
use super::transport::CONNECT_TIMEOUT;

/// Why a host cannot be connected to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TargetError {
    /// None of its addresses is public.
    #[error("{host} leads to {kind}, {address}, which only `allow_private = true` allows")]
    NotPublic {
        /// The host.
        host: String,
        /// The first of its addresses.
        address: IpAddr,
        /// Kind of that address.
        kind: &'static str,
    },
    /// Nobody could tell its addresses.
    #[error("cannot resolve {host}: {error}")]
    Unresolved {
        /// The host.
        host: String,
        /// The system's words.
        error: io::Error,
    },
    /// It has none.
    #[error("{0} has no address")]
    NoAddress(String),
}

/// The addresses of `host`, a name or a literal address, that may be connected to.
///
/// # Errors
/// There are none.
pub(crate) async fn resolve(
    host: &str,
    port: u16,
    allow_private: bool,
) -> Result<Vec<SocketAddr>, SendError> {
    lookup(host, port, allow_private)
        .await
        .map_err(|error| SendError::new(error.to_string()))
}

/// Connects to the first of `addresses` that takes the connection.
///
/// # Errors
/// Why the last one did not.
pub(crate) async fn dial(addresses: &[SocketAddr]) -> Result<(TcpStream, SocketAddr), String> {
    let mut last = "it has no address".to_owned();
    for address in addresses {
        match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // What is said is short and waits for an answer. A delay is all that it costs where
                // this cannot be had.
                let _ = stream.set_nodelay(true);
                return Ok((stream, *address));
            }
            Ok(Err(error)) => last = format!("{}: {error}", address.ip()),
            Err(_) => last = format!("{}: no answer in {CONNECT_TIMEOUT:?}", address.ip()),
        }
    }
    Err(last)
}

/// Checks the host of `url` if it is a literal address: no resolver is ever asked about those.
///
/// # Errors
/// It is not public, and `allow_private` is not set.
pub(crate) fn check_literal(url: &Url, allow_private: bool) -> Result<(), TargetError> {
    let address = match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::V4(address),
        Some(Host::Ipv6(address)) => IpAddr::V6(address),
        Some(Host::Domain(_)) | None => return Ok(()),
    };
    let port = url.port_or_known_default().unwrap_or_default();
    allowed(
        &address.to_string(),
        [SocketAddr::new(address, port)],
        allow_private,
    )
    .map(|_| ())
}

/// Resolves names for an HTTP client, to allowed addresses only.
#[derive(Debug)]
pub(crate) struct Resolver {
    pub(crate) allow_private: bool,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_private = self.allow_private;
        Box::pin(async move {
            // The client puts the URL's port in the place of 0.
            let found = lookup(name.as_str(), 0, allow_private).await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

async fn lookup(
    host: &str,
    port: u16,
    allow_private: bool,
) -> Result<Vec<SocketAddr>, TargetError> {
    let found = lookup_host((host, port)).await;
    let found = found.map_err(|error| TargetError::Unresolved {
        host: host.to_owned(),
        error,
    })?;
    allowed(host, found, allow_private)
}

/// Those of a host's addresses that may be connected to: at least one.
fn allowed(
    host: &str,
    found: impl IntoIterator<Item = SocketAddr>,
    allow_private: bool,
) -> Result<Vec<SocketAddr>, TargetError> {
    let mut refused = None;
    let mut kept = Vec::new();
    for address in found {
        match not_public(address.ip()).filter(|_| !allow_private) {
            None => kept.push(address),
            Some(kind) => refused = refused.or(Some((address.ip(), kind))),
        }
    }
    match (kept.is_empty(), refused) {
        (false, _) => Ok(kept),
        (true, None) => Err(TargetError::NoAddress(host.to_owned())),
        (true, Some((address, kind))) => Err(TargetError::NotPublic {
            host: host.to_owned(),
            address,
            kind,
        }),
    }
}

/// Kind of an address that is not public, such as `a private address`.
#[must_use]
pub fn not_public(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => not_public_v4(address),
        IpAddr::V6(address) => not_public_v6(address),
    }
}

/// By IANA's registry of special-purpose IPv4 addresses, and one that Azure answers its machines at.
fn not_public_v4(address: Ipv4Addr) -> Option<&'static str> {
    match address.octets() {
        [0, ..] => Some("an unspecified address"),
        [127, ..] => Some("a loopback address"),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Some("a private address"),
        [169, 254, ..] => Some("a link-local address"),
        [100, 64..=127, ..] => Some("an address shared behind a carrier's NAT"),
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Some("a documentation address"),
        [198, 18 | 19, ..] => Some("a benchmark address"),
        [224..=239, ..] => Some("a multicast address"),
        [168, 63, 129, 16] => Some("a cloud's internal address"),
        [255, 255, 255, 255] => Some("the broadcast address"),
        [192, 0, 0, _] | [192, 88, 99, _] | [240..=255, ..] => Some("a reserved address"),
        _ => None,
    }
}

/// By IANA's registry of special-purpose IPv6 addresses: only 2000::/3 is given out to the public. What
/// holds an IPv4 address is what that address is, since a gateway sends it there.
fn not_public_v6(address: Ipv6Addr) -> Option<&'static str> {
    let segments = address.segments();
    let embedded = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        not_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some("an unspecified address"),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some("a loopback address"),
        // IPv4-compatible, IPv4-mapped, NAT64 and 6to4.
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            embedded(high, low)
        }
        [0x2002, high, low, ..] => embedded(high, low),
        [0x64, 0xff9b, 1, ..] | [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] => {
            Some("a private address")
        }
        [0xfe80..=0xfebf, ..] => Some("a link-local address"),
        [0xff00..=0xffff, ..] => Some("a multicast address"),
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0x0fff, ..] => Some("a documentation address"),
        [0x2001, 2, 0, ..] => Some("a benchmark address"),
        [0x2001, 0, ..] => Some("a tunnel's address"),
        [0x2001, 0..=0x1ff, ..] => Some("a reserved address"),
        [0x2000..=0x3fff, ..] => None,
        _ => Some("a reserved address"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_special_range_is_told_from_the_public_ones() {
        for (kind, addresses) in [
            (
                "an unspecified address",
                &["0.0.0.0", "0.255.255.255", "::", "::ffff:0.0.0.0"][..],
            ),
            (
                "a loopback address",
                &["127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1"],
            ),
            (
                "a private address",
                &[
                    "10.0.0.0",
                    "10.255.255.255",
                    "172.16.0.0",
                    "172.31.255.255",
                    "192.168.0.1",
                    "192.168.255.255",
                    "fc00::1",
                    "fdff:ffff::1",
                    "fec0::1",
                    "::10.0.0.1",
                    "::ffff:192.168.0.1",
                    "64:ff9b::10.1.2.3",
                    "64:ff9b:1::1",
                    "2002:a01:203::1",
                ],
            ),
            (
                "a link-local address",
                &[
                    "169.254.0.0",
                    "169.254.169.254",
                    "fe80::1",
                    "febf::1",
                    "::ffff:169.254.169.254",
                    "64:ff9b::169.254.169.254",
                    "2002:a9fe:a9fe::1",
                ],
            ),
            (
                "an address shared behind a carrier's NAT",
                &["100.64.0.0", "100.127.255.255", "::ffff:100.64.0.1"],
            ),
            (
                "a documentation address",
                &[
                    "192.0.2.1",
                    "198.51.100.1",
                    "203.0.113.1",
                    "2001:db8::1",
                    "3fff:fff::1",
                ],
            ),
            (
                "a benchmark address",
                &["198.18.0.0", "198.19.255.255", "2001:2::1"],
            ),
            (
                "a multicast address",
                &["224.0.0.1", "239.255.255.255", "ff02::1"],
            ),
            ("the broadcast address", &["255.255.255.255"]),
            (
                "a cloud's internal address",
                &["168.63.129.16", "::ffff:168.63.129.16"],
            ),
            ("a tunnel's address", &["2001:0:a01:203::1"]),
            (
                "a reserved address",
                &[
                    "192.0.0.8",
                    "192.88.99.1",
                    "240.0.0.1",
                    "255.255.255.254",
                    "100::1",
                    "2001:10::1",
                    "2001:1ff::1",
                    "4000::1",
                    "5f00::1",
                ],
            ),
        ] {
            for address in addresses {
                let found = not_public(address.parse().unwrap());
                assert_eq!(found, Some(kind), "{address}");
            }
        }
    }

    #[test]
    fn the_neighbours_of_the_special_ranges_are_public() {
        for address in [
            "1.0.0.0",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "168.63.129.15",
            "168.63.129.17",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "191.255.255.255",
            "192.0.1.0",
            "192.0.3.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
            "2000::1",
            "2001:200::1",
            "2001:db7::1",
            "2001:db9::1",
            "2606:4700::1111",
            "3ffe::1",
            "3fff:1000::1",
        ] {
            assert_eq!(not_public(address.parse().unwrap()), None, "{address}");
        }
    }

    #[test]
    fn only_the_public_ones_of_a_hosts_addresses_are_kept() {
        let sockets = |addresses: &[&str]| -> Vec<SocketAddr> {
            addresses
                .iter()
                .map(|address| SocketAddr::new(address.parse().unwrap(), 443))
                .collect()
        };
        let mixed = sockets(&["10.0.0.1", "9.9.9.9", "::1"]);
        let kept = allowed("a.test", mixed.clone(), false).unwrap();
        assert_eq!(kept, sockets(&["9.9.9.9"]));
        assert_eq!(allowed("a.test", mixed.clone(), true).unwrap(), mixed);
        let refused = allowed("a.test", sockets(&["10.0.0.1", "::1"]), false).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "a.test leads to a private address, 10.0.0.1, which only `allow_private = true` allows"
        );
        let none = allowed("a.test", [], true).unwrap_err();
        assert_eq!(none.to_string(), "a.test has no address");
    }

    #[tokio::test]
    async fn a_name_that_leads_to_this_machine_is_refused_unless_allowed() {
        let refused = resolve("localhost", 25, false).await.unwrap_err();
        assert!(
            refused
                .text
                .starts_with("localhost leads to a loopback address, "),
            "{refused}"
        );
        let allowed = resolve("localhost", 25, true).await.unwrap();
        assert!(
            allowed
                .iter()
                .all(|address| address.ip().is_loopback() && address.port() == 25)
        );
        let literal = resolve("169.254.169.254", 80, false).await.unwrap_err();
        assert_eq!(
            literal.text,
            "169.254.169.254 leads to a link-local address, 169.254.169.254, which only \
             `allow_private = true` allows"
        );
    }

    #[test]
    fn literal_addresses_are_checked_however_they_are_written() {
        for (url, kind) in [
            ("http://127.0.0.1/", "a loopback address"),
            ("http://2130706433/", "a loopback address"),
            ("http://0x7f.1/", "a loopback address"),
            ("https://[::ffff:10.0.0.1]/", "a private address"),
            ("http://[fe80::1]:8080/", "a link-local address"),
        ] {
            let url = Url::parse(url).unwrap();
            let error = check_literal(&url, false).unwrap_err().to_string();
            assert!(error.contains(kind), "{url}: {error}");
            check_literal(&url, true).unwrap();
        }
        for url in [
            "https://8.8.8.8/",
            "https://[2606:4700::1111]/",
            "https://a.test/",
        ] {
            check_literal(&Url::parse(url).unwrap(), false).unwrap();
        }
    }
}
