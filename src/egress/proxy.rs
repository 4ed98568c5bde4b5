//! Proxies on the way to receivers, which are used only where the config says so.

use hyper_util::client::proxy::matcher::Matcher;
use url::Url;

/// Variables that name proxies, in capitals or not.
const VARIABLES: [&str; 3] = ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"];

/// The proxy that a hook, or what pushes, connects to instead of the receiver.
///
/// It resolves the receiver's name, so that nobody here sees where that leads: `allow_private` then speaks of the
/// proxy alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proxy {
    /// This one, by `http` or `https`, without a user.
    At(Url),
    /// The one that the environment names for the receiver, if any.
    Environment,
}

impl Proxy {
    /// The proxy on the way to `url`, without its user; none if there is none on it.
    pub(crate) fn to(&self, url: &Url) -> Option<Url> {
        match self {
            Self::At(proxy) => Some(proxy.clone()),
            Self::Environment => {
                let intercepted = Matcher::from_env().intercept(&url.as_str().parse().ok()?)?;
                let proxy = intercepted.uri();
                Url::parse(&format!(
                    "{}://{}",
                    proxy.scheme_str()?,
                    proxy.authority()?.as_str()
                ))
                .ok()
            }
        }
    }

    /// Returns true if the environment names any.
    #[must_use]
    pub fn is_in_environment() -> bool {
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        VARIABLES
            .iter()
            .any(|name| is_set(name) || is_set(&name.to_lowercase()))
    }
}

/// Prefix of an error that came by way of `proxy`.
pub(crate) fn way(proxy: Option<&Url>) -> String {
    proxy.map_or_else(String::new, |proxy| {
        format!(
            "through the proxy {}: ",
            proxy.origin().ascii_serialization()
        )
    })
}
