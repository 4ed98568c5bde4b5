//! The client against servers on the loopback interface that do what an API should not.

mod calls;
mod errors;
mod faults;
mod fixtures;
pub(crate) mod server;
pub(crate) mod tls;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::json;
use server::Server;
use url::Url;

use crate::backoff::Backoff;
use crate::clock::ManualClock;
use crate::egress::Roots;
use crate::flowgent::Settings;
use crate::flowgent::client::Client;
use crate::flowgent::error::ApiError;
use crate::flowgent::metrics::ApiMetrics;
use crate::flowgent::transport::HttpClient;
use crate::flowgent::wire::UsageAnswer;
use crate::secret::Secret;
use crate::telemetry::Telemetry;
use crate::window::Window;

const KEY: &str = "test-key-acme";
/// The time at which the client's clock stands.
const NOW: &str = "2026-11-23T12:00:00.500Z";

fn settings(base_url: &str, timeout: Duration) -> Settings {
    Settings {
        base_url: Url::parse(base_url).unwrap(),
        timeout,
        requests_per_second: f64::INFINITY,
        concurrency: 4,
        roots: Roots::Bundled,
    }
}

/// A client of `server` that does not wait between its tries.
fn client(server: &Server, timeout: Duration, telemetry: &Telemetry) -> Client {
    client_with(&settings(&server.url, timeout), telemetry)
}

/// A client that does not wait between its tries.
fn client_with(settings: &Settings, telemetry: &Telemetry) -> Client {
    let http = HttpClient::new(settings).unwrap();
    let clock = ManualClock::at(NOW.parse::<DateTime<Utc>>().unwrap());
    let mut client = Client::new(&http, settings, "acme".into(), telemetry, clock);
    client.backoff = Backoff::new(Duration::from_nanos(1), Duration::from_nanos(1));
    client.set_key(Secret::new(KEY)).unwrap();
    client
}

/// A client that no test makes wait for long.
fn patient(server: &Server) -> Client {
    client(server, Duration::from_secs(60), &Telemetry::new())
}

fn window() -> Window {
    let day = |text: &str| text.parse().unwrap();
    Window::new(day("2026-11-20"), day("2026-11-22"), day("2026-11-23")).unwrap()
}

/// A sound answer for the agent `support` in [`window`].
fn usage_json() -> String {
    json!({
        "agent_id": "support",
        "time_range": {"start": "2026-11-20T00:00:00.000Z", "end": "2026-11-22T23:59:59.999Z"},
        "usage": {"total_credits_used": 3, "daily_breakdown": [
            {"date": "2026-11-22", "credits_used": 1},
            {"date": "2026-11-21", "credits_used": 0},
            {"date": "2026-11-20", "credits_used": 2},
        ]},
    })
    .to_string()
}

async fn usage(client: &Client) -> Result<UsageAnswer, ApiError> {
    client.usage("support", &window(), Ok).await
}

/// The requests that were counted for an endpoint with an outcome.
fn counted(telemetry: &Telemetry, endpoint: &str, outcome: &str) -> u64 {
    telemetry
        .of::<ApiMetrics>()
        .requests
        .with_label_values(&["acme", endpoint, outcome])
        .get()
}

/// A clock that is shared by a test and a client.
fn shared_clock() -> Arc<ManualClock> {
    ManualClock::at(NOW.parse().unwrap())
}
