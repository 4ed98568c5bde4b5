//! The web config at work: kept in step with its files, and asked about every connection and request.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use rustls::ServerConfig;

use super::WebConfigError;
use super::check::{self, WebConfig};
use super::files::Files;
use super::users::{Hashing, Verdict};
use crate::clock::{SharedClock, instant};
use crate::telemetry::Telemetry;

/// Protects what is served. Without a web config it lets everybody in.
#[derive(Debug)]
pub struct Guard {
    source: Option<Source>,
    config: ArcSwap<WebConfig>,
    hashing: Hashing,
    telemetry: Telemetry,
}

#[derive(Debug)]
struct Source {
    path: PathBuf,
    clock: SharedClock,
    /// What the last reading has seen, whether it was good or not.
    seen: Arc<Mutex<Files>>,
    /// One looks at a time, and all others know then what it has found.
    turn: tokio::sync::Mutex<()>,
}

/// Who may not have an answer, and what they are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Refusal {
    /// There is no name and password, or not the right ones.
    Unauthorized,
    /// Too many passwords wait to be checked.
    Busy,
    /// The rate limit is reached.
    TooMany,
}

/// The config for one connection or request: what was current when it began.
#[derive(Debug, Clone)]
pub(in crate::http) struct Protection(Arc<WebConfig>);

impl Guard {
    /// A guard with the config in the file at `path`, or without one.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn open(
        path: Option<PathBuf>,
        clock: SharedClock,
        telemetry: Telemetry,
    ) -> Result<Self, WebConfigError> {
        let mut files = Files::default();
        let config = match &path {
            Some(path) => check::read(path, &clock, &mut files)?,
            None => WebConfig::default(),
        };
        telemetry.web_config_last_reload_successful.set(1);
        Ok(Self {
            source: path.map(|path| Source {
                path,
                clock,
                seen: Arc::new(Mutex::new(files)),
                turn: tokio::sync::Mutex::default(),
            }),
            config: ArcSwap::from_pointee(config),
            hashing: Hashing::bcrypt(),
            telemetry,
        })
    }

    /// What holds now: the files are looked at first.
    pub(in crate::http) async fn protection(&self) -> Protection {
        if let Some(source) = &self.source {
            let _turn = source.turn.lock().await;
            if let Some(result) = source.read_if_changed().await {
                self.replace(source, result);
            }
        }
        Protection(self.config.load_full())
    }

    fn replace(&self, source: &Source, read: Result<WebConfig, WebConfigError>) {
        let path = source.path.display();
        let current = self.config.load();
        let refused = match read {
            Ok(config) => match current.what_would_be_lost(&config) {
                None => {
                    for warning in &config.warnings {
                        tracing::warn!("web config: {warning}");
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
            tracing::error!("web config not reloaded, the one from before stays in use: {error}");
        }
        let successful = i64::from(refused.is_none());
        self.telemetry
            .web_config_last_reload_successful
            .set(successful);
    }

    /// Whether a request with these headers may be answered; if not, what to say.
    pub(in crate::http) async fn admit(
        &self,
        protection: &Protection,
        headers: &HeaderMap,
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
        let verdict = users.judge(headers.get(AUTHORIZATION), &self.hashing).await;
        self.telemetry
            .http_authentications
            .with_label_values(&[verdict.name()])
            .inc();
        match verdict {
            Verdict::Accepted | Verdict::Remembered => Ok(()),
            Verdict::Refused | Verdict::Missing => Err(Refusal::Unauthorized),
            Verdict::Busy => Err(Refusal::Busy),
        }
    }
}

impl Source {
    /// What the files hold if they have changed since they were last read. Files may be slow: a thread
    /// that may block looks at them.
    async fn read_if_changed(&self) -> Option<Result<WebConfig, WebConfigError>> {
        let (path, clock) = (self.path.clone(), Arc::clone(&self.clock));
        let seen = Arc::clone(&self.seen);
        let look = tokio::task::spawn_blocking(move || {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.have_changed().then(|| {
                let mut files = Files::default();
                let read = check::read(&path, &clock, &mut files);
                *seen = files;
                read
            })
        });
        match look.await {
            Ok(read) => read,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The program ends.
            Err(_) => None,
        }
    }
}

impl WebConfig {
    /// What protects now and would not any more.
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
            if old.checks_names && !new.checks_names {
                return Some("the check of client names");
            }
        }
        (self.users.is_some() && new.users.is_none()).then_some("basic authentication")
    }
}

impl Protection {
    /// What TLS is spoken with, if it is.
    pub(in crate::http) fn tls(&self) -> Option<&Arc<ServerConfig>> {
        self.0.tls.as_ref().map(|tls| &tls.config)
    }

    /// The headers of every response.
    pub(in crate::http) fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.0.headers
    }

    /// Whether TLS is spoken in another way by now.
    pub(in crate::http) fn speaks_otherwise_than(&self, other: &Self) -> bool {
        match (self.tls(), other.tls()) {
            (Some(ours), Some(theirs)) => !Arc::ptr_eq(ours, theirs),
            (None, None) => false,
            _ => true,
        }
    }
}
