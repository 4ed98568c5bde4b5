//! Hosts, as URLs and `Host` headers name them.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use crate::roster::printable;

/// A name or an address, without a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A name in lower case, without a dot at its end.
    Name(String),
    /// An address of either family.
    Address(IpAddr),
}

/// A host and the port behind it, if there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Authority {
    pub(crate) host: Host,
    pub(crate) port: Option<u16>,
}

/// Why a text is not a host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}: {help}")]
pub struct HostError {
    /// The mistake.
    pub message: String,
    /// The remedy.
    pub help: String,
}

impl Host {
    /// Returns true if it can only mean this machine: `localhost`, a name under it (RFC 6761), or a
    /// loopback address.
    pub(crate) fn is_loopback(&self) -> bool {
        match self {
            Self::Name(name) => name == "localhost" || name.ends_with(".localhost"),
            Self::Address(address) => address.is_loopback(),
        }
    }

    /// Reads a host as URLs have it: an IPv6 address in brackets, a name of the letters that RFC 3986 allows.
    fn parse(text: &str) -> Option<Self> {
        if let Some(inside) = text.strip_prefix('[') {
            let inside = inside.strip_suffix(']')?;
            // The zone of RFC 6874 says which of this machine's links is meant.
            let (address, _zone) = inside.split_once('%').unwrap_or((inside, ""));
            let address: Ipv6Addr = address.parse().ok()?;
            return Some(Self::Address(IpAddr::V6(address).to_canonical()));
        }
        if let Ok(address) = text.parse() {
            return Some(Self::Address(IpAddr::V4(address)));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        let is_name = !name.is_empty() && name.bytes().all(is_of_name);
        is_name.then(|| Self::Name(name.to_ascii_lowercase()))
    }
}

impl Authority {
    /// Reads a host and its port. A name and password before them are none of a `Host` header.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let end = text.rfind(']').map_or(0, |bracket| bracket + 1);
        let (host, port) = match text[end..].find(':') {
            Some(colon) => (&text[..end + colon], &text[end + colon + 1..]),
            None => (text, ""),
        };
        let port = match port {
            "" => None,
            digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(digits.parse().ok()?)
            }
            _ => return None,
        };
        Some(Self {
            host: Host::parse(host)?,
            port,
        })
    }
}

/// Returns true if a name may have this letter: `unreserved`, `sub-delims` and `%` of RFC 3986.
fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%".contains(&byte)
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// A host as people write it into a config: an IPv6 address with or without brackets.
impl FromStr for Host {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        let shown = printable(text);
        let refused = |message: &str, help: &str| HostError {
            message: format!("`{shown}` {message}"),
            help: help.to_owned(),
        };
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Address(address.to_canonical()));
        }
        if text.contains("://") {
            return Err(refused(
                "is a URL",
                "write the host alone, such as `metrics.example.org`",
            ));
        }
        if text.contains('*') {
            return Err(refused("is a pattern", "name each host in full"));
        }
        if !text.is_ascii() {
            return Err(refused(
                "has letters that browsers encode differently",
                "write the name in Punycode, which begins with `xn--`",
            ));
        }
        match Authority::parse(text) {
            Some(Authority { host, .. }) if !text.contains(':') || text.ends_with(']') => Ok(host),
            Some(Authority { host, .. }) => Err(refused(
                "has a port",
                &format!("write `{host}`, which covers every port"),
            )),
            None => Err(refused(
                "is not a host",
                "write a name or an IP address, such as `metrics.example.org`",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_read_as_urls_have_it() {
        for (text, host, port) in [
            ("localhost", "localhost", None),
            ("LOCALHOST.:13569", "localhost", Some(13569)),
            ("a_b.example:", "a_b.example", None),
            ("127.0.0.1:80", "127.0.0.1", Some(80)),
            ("[::1]:80", "::1", Some(80)),
            ("[0:0::0:1]", "::1", None),
            ("[fe80::1%25eth0]:80", "fe80::1", Some(80)),
            ("[::ffff:127.0.0.1]", "127.0.0.1", None),
        ] {
            let found = Authority::parse(text).unwrap();
            assert_eq!((found.host.to_string().as_str(), found.port), (host, port));
        }
        for text in [
            "",
            ".",
            ":80",
            "a:b",
            "a:65536",
            "a:+80",
            "a:1:2",
            "a b",
            "a/b",
            "me@localhost",
            "::1",
            "[::1",
            "[::1]x",
            "[localhost]",
            "ü.example",
            "a,b c",
            "[::1]:x",
        ] {
            assert_eq!(Authority::parse(text), None, "{text}");
        }
    }

    #[test]
    fn only_what_cannot_mean_another_machine_is_loopback() {
        for (text, expected) in [
            ("localhost", true),
            ("LocalHost.", true),
            ("a.localhost", true),
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("[::1]", true),
            ("[::ffff:127.0.0.1]", true),
            ("0.0.0.0", false),
            ("[::]", false),
            ("10.0.0.1", false),
            // Browsers write these as 127.0.0.1 before they send them; nobody else need.
            ("127.1", false),
            ("0x7f.0.0.1", false),
            ("2130706433", false),
            ("localhost.example", false),
            ("notlocalhost", false),
            ("127.0.0.1.example", false),
        ] {
            let host = Host::parse(text).unwrap();
            assert_eq!(host.is_loopback(), expected, "{text}");
        }
    }

    #[test]
    fn a_host_of_a_config_has_no_port_and_no_pattern() {
        for (text, expected) in [
            ("Metrics.Example.org.", "metrics.example.org"),
            ("10.0.0.1", "10.0.0.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8:0::1]", "2001:db8::1"),
        ] {
            assert_eq!(text.parse::<Host>().unwrap().to_string(), expected);
        }
        for (text, expected) in [
            (
                "",
                "`` is not a host: write a name or an IP address, such as `metrics.example.org`",
            ),
            (
                "a.example:80",
                "`a.example:80` has a port: write `a.example`, which covers every port",
            ),
            (
                "[::1]:80",
                "`[::1]:80` has a port: write `::1`, which covers every port",
            ),
            (
                "*.example",
                "`*.example` is a pattern: name each host in full",
            ),
            (
                "http://a.example/",
                "`http://a.example/` is a URL: write the host alone, such as `metrics.example.org`",
            ),
            (
                "ü.example",
                "`ü.example` has letters that browsers encode differently: write the name in Punycode, which \
                 begins with `xn--`",
            ),
        ] {
            let error = text.parse::<Host>().unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }
}
