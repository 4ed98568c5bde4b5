//! Addresses at which the exporter can be reached: an address and a port, or a unix socket.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use crate::roster::printable;

/// Prefix of a unix socket's path.
const UNIX: &str = "unix:";
/// The port of an example.
const DEFAULT_PORT: &str = "13569";

/// An address to listen on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Address {
    /// An IP address and a port.
    Tcp(SocketAddr),
    /// A unix socket's file, by its whole path.
    Unix(PathBuf),
}

/// Why a text is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}: {help}")]
pub struct AddressError {
    /// The mistake.
    pub message: String,
    /// The remedy.
    pub help: String,
}

impl Address {
    /// The URL for a browser on this machine; none for a unix socket.
    #[must_use]
    pub fn url(&self, tls: bool) -> Option<String> {
        let Self::Tcp(address) = self else {
            return None;
        };
        let scheme = if tls { "https" } else { "http" };
        Some(if address.ip().is_unspecified() {
            format!("{scheme}://localhost:{}/", address.port())
        } else {
            format!("{scheme}://{address}/")
        })
    }

    /// The address to connect to from this machine: an address that stands for all of them is not one.
    #[must_use]
    pub fn reachable(&self) -> Self {
        match self {
            Self::Tcp(SocketAddr::V4(address)) if address.ip().is_unspecified() => {
                Self::Tcp((Ipv4Addr::LOCALHOST, address.port()).into())
            }
            Self::Tcp(SocketAddr::V6(address)) if address.ip().is_unspecified() => {
                Self::Tcp((Ipv6Addr::LOCALHOST, address.port()).into())
            }
            other => other.clone(),
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let shown = printable(text);
        if let Some(path) = text.strip_prefix(UNIX) {
            return if path.starts_with('/') && !path.ends_with('/') && !path.contains('\0') {
                Ok(Self::Unix(path.into()))
            } else {
                Err(AddressError {
                    message: format!("`{shown}` is not the absolute path of a socket"),
                    help: "write `unix:` and the absolute path".to_owned(),
                })
            };
        }
        text.parse().map(Self::Tcp).map_err(|_| AddressError {
            message: format!("`{shown}` is not an address and a port"),
            help: match (meant(text), text.strip_prefix(':')) {
                (Some(meant), _) => format!("write `{meant}`"),
                (None, Some(port)) => format!(
                    "for all addresses of this machine write `0.0.0.0:{0}` or `[::]:{0}`",
                    printable(port)
                ),
                (None, None) => {
                    "write an IP address and a port, such as `127.0.0.1:13569`, or `unix:` and a path"
                        .to_owned()
                }
            },
        })
    }
}

/// Completes an address that lacks its port or its IP address.
fn meant(text: &str) -> Option<SocketAddr> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => (host, port),
        _ if text.parse::<u16>().is_ok() => ("localhost", text),
        _ => (text, DEFAULT_PORT),
    };
    let whole = text.trim_matches(['[', ']']).parse::<IpAddr>();
    if let (Ok(ip), Ok(port)) = (whole, DEFAULT_PORT.parse()) {
        return Some((ip, port).into());
    }
    let is_local = host.eq_ignore_ascii_case("localhost");
    let port = port.parse().ok().filter(|_| is_local)?;
    Some((Ipv4Addr::LOCALHOST, port).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_it_is_written() {
        for text in ["127.0.0.1:13569", "[::1]:80", "unix:/run/x/web.sock"] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
        }
        for text in [
            "",
            "localhost:80",
            "127.0.0.1",
            "unix:",
            "unix:web.sock",
            "unix:/run/",
            "unix:/a\0b",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_that_lacks_a_part_is_completed() {
        for (text, meant) in [
            ("localhost", "127.0.0.1:13569"),
            ("localhost:80", "127.0.0.1:80"),
            ("80", "127.0.0.1:80"),
            ("10.0.0.1", "10.0.0.1:13569"),
            ("[::1]", "[::1]:13569"),
            ("::1", "[::1]:13569"),
        ] {
            let error = text.parse::<Address>().unwrap_err();
            assert_eq!(error.help, format!("write `{meant}`"), "{text}");
            assert!(meant.parse::<Address>().is_ok(), "{meant}");
        }
        for text in ["localhost:http", "example.org:80", "70000", "10.0.0.1:", ""] {
            let help = text.parse::<Address>().unwrap_err().help;
            assert!(help.contains("such as `127.0.0.1:13569`"), "{text}: {help}");
        }
    }

    #[test]
    fn a_page_is_opened_on_this_machine() {
        for (address, page, reachable) in [
            ("10.0.0.1:80", Some("https://10.0.0.1:80/"), "10.0.0.1:80"),
            ("0.0.0.0:80", Some("https://localhost:80/"), "127.0.0.1:80"),
            ("[::]:80", Some("https://localhost:80/"), "[::1]:80"),
            ("unix:/a", None, "unix:/a"),
        ] {
            let address: Address = address.parse().unwrap();
            assert_eq!(address.url(true).as_deref(), page);
            assert_eq!(address.reachable().to_string(), reachable);
        }
    }
}
