//! One way to send for all kinds of hooks: bounded in time, and with nothing that happens inside ever
//! reaching another hook.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_util::task::AbortOnDropHandle;

#[cfg(test)]
use super::deliver::tests::Script;
use super::{Hooks, Kind, Message, SendError, Settings};
use crate::ledger::Alert;

/// Sends to one hook, cloned freely.
///
/// What it needs is looked up at each try: a secret that has changed is used from then on, and one that
/// cannot be read fails that try alone.
#[derive(Debug, Clone)]
pub struct Sender {
    way: Way,
    timeout: Duration,
}

#[derive(Clone)]
enum Way {
    Hook(Arc<Hook>),
    #[cfg(test)]
    Script(Arc<Script>),
}

struct Hook {
    settings: Settings,
    hooks: Arc<Hooks>,
}

impl Sender {
    /// A sender to the hook of `settings`, which may need what else there is in `hooks`.
    #[must_use]
    pub fn new(settings: &Settings, hooks: &Arc<Hooks>) -> Self {
        Self {
            timeout: settings.timeout,
            way: Way::Hook(Arc::new(Hook {
                settings: settings.clone(),
                hooks: Arc::clone(hooks),
            })),
        }
    }

    /// A sender that does what a test says.
    #[cfg(test)]
    pub(super) fn scripted(settings: &Settings, script: &Arc<Script>) -> Self {
        Self {
            timeout: settings.timeout,
            way: Way::Script(Arc::clone(script)),
        }
    }

    /// Sends `message` once, and returns in a line what the receiver has answered.
    ///
    /// # Errors
    /// It was not taken, or not within the hook's timeout. It may have arrived all the same.
    pub async fn send(&self, message: Message) -> Result<String, SendError> {
        let way = self.way.clone();
        self.bounded(async move { way.send(&message).await }).await
    }

    /// Reminds the receiver of `alerts`, if it is of a kind that has to be: see
    /// [`Settings::forgets`].
    ///
    /// # Errors
    /// As for [`Self::send`].
    pub(super) async fn resend(
        &self,
        alerts: Vec<Alert>,
        now: DateTime<Utc>,
    ) -> Result<String, SendError> {
        let way = self.way.clone();
        self.bounded(async move { way.resend(&alerts, now).await })
            .await
    }

    /// What `sending` comes to within the timeout. It is a task of its own, so that a defect in it is a
    /// failed try and not the end of all hooks.
    async fn bounded<T: Send + 'static>(
        &self,
        sending: impl Future<Output = Result<T, SendError>> + Send + 'static,
    ) -> Result<T, SendError> {
        let failed = |text| SendError {
            text,
            retry_after: None,
            gone: false,
        };
        // Dropping it ends the sending.
        let sending = AbortOnDropHandle::new(tokio::spawn(sending));
        match tokio::time::timeout(self.timeout, sending).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => Err(failed(format!("the sending itself failed: {error}"))),
            Err(_) => Err(failed(format!(
                "no answer within {}",
                humantime::format_duration(self.timeout)
            ))),
        }
    }
}

impl Way {
    async fn send(&self, message: &Message) -> Result<String, SendError> {
        match self {
            Self::Hook(hook) => hook.send(message).await,
            #[cfg(test)]
            Self::Script(script) => script.send(message).await,
        }
    }

    async fn resend(&self, alerts: &[Alert], now: DateTime<Utc>) -> Result<String, SendError> {
        match self {
            Self::Hook(hook) => hook.resend(alerts, now).await,
            #[cfg(test)]
            Self::Script(script) => script.resend(alerts, now).await,
        }
    }
}

impl Hook {
    async fn send(&self, _message: &Message) -> Result<String, SendError> {
        let _ = &self.hooks;
        match &self.settings.kind {
            Kind::Webhook { .. } => todo!("Webhook::new(&self.settings)?.send(message).await"),
            Kind::Alertmanager { .. } => {
                todo!("Alertmanager::new(&self.settings)?.send(message).await")
            }
            Kind::Whatsapp { .. } => {
                todo!("Whatsapp::new(&self.settings, &self.hooks)?.send(message).await")
            }
            Kind::Email { .. } => todo!("Email::new(&self.settings)?.send(message).await"),
            Kind::Exec { .. } => todo!("Exec::new(&self.settings)?.send(message).await"),
        }
    }

    async fn resend(&self, _alerts: &[Alert], _now: DateTime<Utc>) -> Result<String, SendError> {
        match &self.settings.kind {
            Kind::Alertmanager { .. } => {
                todo!("Alertmanager::new(&self.settings)?.resend(alerts, now).await")
            }
            Kind::Webhook { .. }
            | Kind::Whatsapp { .. }
            | Kind::Email { .. }
            | Kind::Exec { .. } => Ok("nothing to do".to_owned()),
        }
    }
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hook(hook) => write!(f, "Hook({})", hook.settings.name),
            #[cfg(test)]
            Self::Script(_) => f.write_str("Script"),
        }
    }
}
