//! The web config at work: kept in step with its files, and asked about every connection and request.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use rustls::ServerConfig;

use super::WebConfigError;
use super::check::{self, WebConfig};
use super::files::Files;
use super::hashing::Hashing;
use super::metrics::ProtectionMetrics;
use super::users::Verdict;
use crate::blocking;
use crate::clock::{SharedClock, instant};
use crate::files::CLOSE_IT;
use crate::named::words;
use crate::telemetry::Telemetry;

/// Longest time that a request waits for the check of the files; then the previous config serves it.
const PATIENCE: Duration = Duration::from_secs(2);

/// Protects what is served. Without a web config it lets everybody in.
#[derive(Debug)]
pub struct Guard {
    source: Option<Arc<Source>>,
    config: Arc<ArcSwap<WebConfig>>,
    hashing: Hashing,
    metrics: ProtectionMetrics,
}

#[derive(Debug)]
struct Source {
    path: PathBuf,
    clock: SharedClock,
    /// Receiver of a new config.
    config: Arc<ArcSwap<WebConfig>>,
    metrics: ProtectionMetrics,
    /// State of the files at the last reading, good or not. Whoever holds it looks; all others
    /// know then what was found.
    seen: Arc<tokio::sync::Mutex<Files>>,
    /// True once the log has said that the present check takes too long.
    told: AtomicBool,
}

/// Reasons to refuse an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is no name and password, or not the right ones.
    Unauthorized,
    /// Too many passwords wait to be checked.
    Busy,
    /// The rate limit is reached.
    TooMany,
}

/// The config for one connection or request: what was current when it began.
#[derive(Debug, Clone)]
pub(crate) struct Protection(Arc<WebConfig>);

impl Guard {
    /// A guard with the config in the file at `path`, or without one.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn open(
        path: Option<PathBuf>,
        clock: SharedClock,
        telemetry: &Telemetry,
    ) -> Result<Self, WebConfigError> {
        let metrics = telemetry.of::<ProtectionMetrics>();
        for outcome in words::<Verdict>() {
            metrics.authentications.with_label_values(&[outcome]);
        }
        let mut files = Files::default();
        let config = match &path {
            Some(path) => check::read(path, &clock, &mut files)?,
            None => WebConfig::default(),
        };
        metrics.web_config_last_reload_successful.set(1);
        let config = Arc::new(ArcSwap::from_pointee(config));
        Ok(Self {
            source: path.map(|path| {
                Arc::new(Source {
                    path,
                    clock,
                    config: Arc::clone(&config),
                    metrics: metrics.clone(),
                    seen: Arc::new(tokio::sync::Mutex::new(files)),
                    told: AtomicBool::default(),
                })
            }),
            config,
            hashing: Hashing::bcrypt(),
            metrics,
        })
    }

    /// The config in force, after a check of the files.
    pub(crate) async fn protection(&self) -> Protection {
        if let Some(source) = &self.source
            && tokio::time::timeout(PATIENCE, source.look()).await.is_err()
            && !source.told.swap(true, Ordering::Relaxed)
        {
            tracing::error!(
                file = %source.path.display(),
                "the web config cannot be checked within {} s, the previous one stays active",
                PATIENCE.as_secs()
            );
        }
        Protection(self.config.load_full())
    }

    /// Admits a request with these headers from the address `client`, or returns the refusal.
    pub(crate) async fn admit(
        &self,
        protection: &Protection,
        headers: &HeaderMap,
        client: Option<IpAddr>,
    ) -> Result<(), Refusal> {
        let WebConfig {
            users, rate_limit, ..
        } = &*protection.0;
        if rate_limit
            .as_ref()
            .is_some_and(|limit| !limit.allows(instant()))
        {
            return Err(Refusal::TooMany);
        }
        let Some(users) = users else {
            return Ok(());
        };
        let verdict = users
            .judge(headers.get(AUTHORIZATION), client, &self.hashing)
            .await;
        self.metrics
            .authentications
            .with_label_values(&[verdict.as_str()])
            .inc();
        match verdict {
            Verdict::Accepted | Verdict::Remembered => Ok(()),
            Verdict::Refused | Verdict::Missing => Err(Refusal::Unauthorized),
            Verdict::Busy => Err(Refusal::Busy),
        }
    }
}

impl Source {
    /// Reads the files again if they have changed since they were last read. They may be slow: a thread
    /// that may block looks at them. It goes on to the end, also where the client that had it look has
    /// gone: what was seen has always taken effect.
    async fn look(self: &Arc<Self>) {
        let mut seen = Arc::clone(&self.seen).lock_owned().await;
        let source = Arc::clone(self);
        let look = blocking::run(move || {
            if seen.have_changed() {
                let mut files = Files::default();
                let read = check::read(&source.path, &source.clock, &mut files);
                *seen = files;
                source.replace(read);
            }
            source.told.store(false, Ordering::Relaxed);
        });
        look.await;
    }

    fn replace(&self, read: Result<WebConfig, WebConfigError>) {
        let path = self.path.display();
        let current = self.config.load();
        let refused = match read {
            Ok(config) => match current.what_would_be_lost(&config) {
                None => {
                    for warning in &config.warnings {
                        tracing::warn!("web config: {warning}");
                    }
                    for exposed in &config.exposed {
                        tracing::warn!("{exposed}: {CLOSE_IT}");
                    }
                    tracing::info!(file = %path, "web config reloaded");
                    self.config.store(Arc::new(config));
                    None
                }
                Some(lost) => Some(format!(
                    "{path}: it turns off {lost}, which takes a restart: a file that is half written must \
                     not open anything"
                )),
            },
            Err(error) => Some(error.to_string()),
        };
        if let Some(error) = &refused {
            tracing::error!("web config not reloaded; the previous one stays active: {error}");
        }
        let successful = i64::from(refused.is_none());
        self.metrics
            .web_config_last_reload_successful
            .set(successful);
    }
}

impl WebConfig {
    /// Protections in force that the new config would turn off.
    fn what_would_be_lost(&self, new: &Self) -> Option<&'static str> {
        if let Some(old) = &self.tls {
            let Some(new) = &new.tls else {
                return Some("TLS");
            };
            let (before, after) = (old.clients, new.clients);
            if (before.requires() && !after.requires()) || (before.verifies() && !after.verifies())
            {
                return Some("the check of client certificates");
            }
            if old.has_authorities && !new.has_authorities {
                return Some("the own authorities of client certificates");
            }
            if old.checks_names && !new.checks_names {
                return Some("the check of client names");
            }
        }
        (self.users.is_some() && new.users.is_none()).then_some("basic authentication")
    }
}

impl Protection {
    /// Settings of TLS, if it is spoken.
    pub(crate) fn tls(&self) -> Option<&Arc<ServerConfig>> {
        self.0.tls.as_ref().map(|tls| &tls.config)
    }

    /// The headers of every response.
    pub(crate) fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.0.headers
    }

    /// Returns true if the TLS settings have changed.
    pub(crate) fn speaks_otherwise_than(&self, other: &Self) -> bool {
        match (self.tls(), other.tls()) {
            (Some(ours), Some(theirs)) => !Arc::ptr_eq(ours, theirs),
            (None, None) => false,
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use futures_util::FutureExt;

    use super::*;
    use crate::clock::SystemClock;

    fn guard(path: PathBuf) -> Guard {
        Guard::open(Some(path), Arc::new(SystemClock), &Telemetry::new()).unwrap()
    }

    /// A web config with one user.
    fn user(name: &str) -> String {
        let hash = bcrypt::hash("swordfish", 4).unwrap();
        format!("basic_auth_users:\n  {name}: {hash}\n")
    }

    async fn admitted(guard: &Guard, protection: &Protection, name: &str) -> bool {
        let encoded = STANDARD.encode(format!("{name}:swordfish"));
        let value = HeaderValue::from_str(&format!("Basic {encoded}")).unwrap();
        let headers = HeaderMap::from_iter([(AUTHORIZATION, value)]);
        guard.admit(protection, &headers, None).await.is_ok()
    }

    #[test]
    fn a_client_that_hangs_up_midway_does_not_swallow_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web.yml");
        fs::write(&path, user("alice")).unwrap();
        let guard = guard(path.clone());
        // One thread that may block, so that one look comes after the other.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(1)
            .build()
            .unwrap();
        runtime.block_on(async {
            let before = guard.protection().await;
            assert!(admitted(&guard, &before, "alice").await);
            fs::write(&path, user("robert")).unwrap();
            // The look begins only after the client has gone, which polls once.
            let (go_on, waits) = std::sync::mpsc::channel::<()>();
            let busy = tokio::task::spawn_blocking(move || waits.recv());
            assert!(guard.protection().now_or_never().is_none());
            drop(go_on);
            assert!(busy.await.unwrap().is_err());
            let after = guard.protection().await;
            assert!(admitted(&guard, &after, "robert").await);
            assert!(!admitted(&guard, &after, "alice").await);
        });
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_hangs_leaves_the_config_from_before_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web.yml");
        fs::write(&path, user("alice")).unwrap();
        let guard = guard(path);
        let seen = Arc::clone(&guard.source.as_ref().unwrap().seen);
        let _hanging = seen.lock().await;
        let protection = guard.protection().await;
        assert!(admitted(&guard, &protection, "alice").await);
    }
}
