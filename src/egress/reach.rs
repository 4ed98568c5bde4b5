//! Reachability of a place, without sending it a word.

use url::Url;

use super::error::SendError;
use super::place::Place;
use super::proxy::{self, Proxy};
use super::target::{dial, resolve};

/// Connects to the host of `place`, or to the proxy for it, and hangs up. Returns a line that says so.
///
/// # Errors
/// The reason why no connection is possible.
pub(crate) async fn reach_place(
    place: &Place,
    allow_private: bool,
    proxy: Option<&Proxy>,
) -> Result<String, SendError> {
    let name = place.name();
    let proxy = proxy.and_then(|proxy| proxy.to(&place.url));
    if let Some(proxy) = &proxy {
        return match reach_url(proxy, allow_private).await {
            Ok(reached) => Ok(format!("{reached}, the proxy for {name}")),
            Err(error) => Err(SendError::new(format!(
                "{name}: {}{error}",
                proxy::way(Some(proxy))
            ))),
        };
    }
    let reached = reach_url(&place.url, allow_private).await;
    if !place.is_secret() {
        return reached;
    }
    match reached {
        Ok(_) => Ok(format!("{name} can be reached")),
        Err(error) => Err(SendError::new(format!(
            "{name}: {}",
            place.without_host(&error.text)
        ))),
    }
}

async fn reach_url(url: &Url, allow_private: bool) -> Result<String, SendError> {
    // Both are there in a URL of HTTP. An IPv6 address stands in brackets, which no resolver knows.
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = url.port_or_known_default().unwrap_or_default();
    reach_host(host, port, allow_private).await
}

pub(crate) async fn reach_host(
    host: &str,
    port: u16,
    allow_private: bool,
) -> Result<String, SendError> {
    let receiver = format!("{host}:{port}");
    let addresses = resolve(host, port, allow_private).await?;
    match dial(&addresses).await {
        Ok(_) => Ok(format!("{receiver} can be reached")),
        Err(error) => Err(SendError::new(format!(
            "cannot connect to {receiver}: {error}"
        ))),
    }
}
