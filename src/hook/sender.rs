//! One way to send for all kinds of hooks: bounded in time, and with nothing that happens inside ever
//! reaching another hook.

use std::pin::Pin;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio_util::task::AbortOnDropHandle;

use super::alertmanager::Alertmanager;
use super::email::Email;
use super::exec::Exec;
use super::heartbeat::Service;
use super::webhook::Webhook;
use super::whatsapp::Whatsapp;
use super::{Hooks, Kind, Message, Settings};
use crate::egress::SendError;
use crate::flowgent::client::Client;
use crate::ledger::Alert;

/// Sends to one hook, cloned freely.
///
/// Secrets and files are looked up at each try: a secret that has changed is used from then on, and one that
/// cannot be read fails that try alone.
#[derive(Clone)]
pub struct Sender {
    settings: Arc<Settings>,
    way: Way,
}

#[derive(Clone)]
enum Way {
    Webhook(Arc<Webhook>),
    Alertmanager(Arc<Alertmanager>),
    Whatsapp(Arc<Whatsapp>, Arc<Client>),
    Email(Arc<Email>),
    Exec(Arc<Exec>),
    Heartbeat(Service),
    Direct(Arc<dyn Receiver>),
}

/// A receiver in this process.
pub trait Receiver: Send + Sync + 'static {
    /// Takes `message`, and returns a line of answer.
    fn take<'a>(&'a self, message: &'a Message) -> Taking<'a>;

    /// Is reminded of `alerts`.
    fn remind<'a>(&'a self, alerts: &'a [Alert], now: DateTime<Utc>) -> Taking<'a>;

    /// Takes a heartbeat, or why there is none.
    fn beat<'a>(&'a self, _failure: Option<&'a str>) -> Taking<'a> {
        Box::pin(async { Ok("nothing to do".to_owned()) })
    }
}

/// A try on its way to its result.
pub type Taking<'a> = Pin<Box<dyn Future<Output = Result<String, SendError>> + Send + 'a>>;

impl Sender {
    /// A sender to the hook of `settings`, which may need what else there is in `hooks`.
    #[must_use]
    pub fn new(settings: &Settings, hooks: &Hooks) -> Self {
        let settings = Arc::new(settings.clone());
        let way = Way::new(&settings, hooks);
        Self { settings, way }
    }

    /// A sender to `receiver`, with the timeout of `settings`.
    #[must_use]
    pub fn direct(settings: &Settings, receiver: Arc<dyn Receiver>) -> Self {
        Self {
            settings: Arc::new(settings.clone()),
            way: Way::Direct(receiver),
        }
    }

    /// Sends `message` once, and returns in a line what the receiver has answered.
    ///
    /// # Errors
    /// It was not taken, or not within the hook's timeout. It may have arrived all the same.
    pub async fn send(&self, message: Message) -> Result<String, SendError> {
        let sender = self.clone();
        self.bounded(async move { sender.once(&message).await })
            .await
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
        self.bounded(async move {
            match way {
                Way::Alertmanager(hook) => {
                    let count = hook.resend(&alerts, now).await?;
                    Ok(format!("{count} alerts"))
                }
                Way::Direct(receiver) => receiver.remind(&alerts, now).await,
                _ => Ok("nothing to do".to_owned()),
            }
        })
        .await
    }

    /// Tells the service of a heartbeat that all is well, or of a failure. Others are sent nothing.
    ///
    /// # Errors
    /// As for [`Self::send`].
    pub(super) async fn beat(
        &self,
        failure: Option<String>,
        now: DateTime<Utc>,
    ) -> Result<String, SendError> {
        let Self { settings, way } = self.clone();
        self.bounded(async move {
            match way {
                Way::Heartbeat(hook) => hook.tell(&settings, failure.as_deref(), now).await,
                Way::Direct(receiver) => receiver.beat(failure.as_deref()).await,
                _ => Ok("nothing to do".to_owned()),
            }
        })
        .await
    }

    async fn once(&self, message: &Message) -> Result<String, SendError> {
        match &self.way {
            Way::Webhook(hook) => hook.send(&self.settings, message).await,
            Way::Alertmanager(hook) => hook.send(message).await,
            Way::Whatsapp(hook, client) => hook.send(client, message).await,
            Way::Email(hook) => hook.send(&self.settings, message).await,
            Way::Exec(hook) => hook.send(message).await,
            // A test: no alert is sent there.
            Way::Heartbeat(hook) => hook.tell(&self.settings, None, message.now).await,
            Way::Direct(receiver) => receiver.take(message).await,
        }
    }

    /// Result of `sending` within the timeout. It is a task of its own, so that a defect in it is a
    /// failed try and not the end of all hooks.
    async fn bounded<T: Send + 'static>(
        &self,
        sending: impl Future<Output = Result<T, SendError>> + Send + 'static,
    ) -> Result<T, SendError> {
        // Dropping it ends the sending.
        let sending = AbortOnDropHandle::new(tokio::spawn(sending));
        match tokio::time::timeout(self.settings.timeout, sending).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => Err(SendError::new(format!(
                "the sending itself failed: {error}"
            ))),
            Err(_) => Err(SendError::new(format!(
                "no answer within {}",
                humantime::format_duration(self.settings.timeout)
            ))),
        }
    }
}

impl Way {
    fn new(settings: &Settings, hooks: &Hooks) -> Self {
        match &settings.kind {
            Kind::Webhook(hook) => Self::Webhook(Arc::new(hook.clone())),
            Kind::Alertmanager(them) => {
                Self::Alertmanager(Arc::new(Alertmanager::new(settings, them)))
            }
            Kind::Whatsapp(hook) => {
                let client = hook.client(hooks);
                Self::Whatsapp(Arc::new(hook.clone()), Arc::new(client))
            }
            Kind::Email(hook) => Self::Email(Arc::new(hook.clone())),
            Kind::Heartbeat { service, .. } => Self::Heartbeat(service.clone()),
            Kind::Exec { command } => Self::Exec(Arc::new(Exec {
                hook: Arc::clone(&settings.name),
                command: command.clone(),
            })),
        }
    }
}
