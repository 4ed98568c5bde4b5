//! One way to send for all kinds of hooks: bounded in time, and with nothing that happens inside ever
//! reaching another hook.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_util::task::AbortOnDropHandle;

use super::alertmanager::Alertmanager;
use super::email::{Email, Server};
use super::exec::Exec;
use super::heartbeat::Heartbeat;
use super::webhook::Webhook;
use super::whatsapp::{Outgoing, Whatsapp};
use super::{Hooks, Kind, Message, Settings};
use crate::egress::SendError;
use crate::ledger::Alert;

/// Sends to one hook, cloned freely.
///
/// Secrets and files are looked up at each try: a secret that has changed is used from then on, and one that
/// cannot be read fails that try alone.
#[derive(Clone)]
pub struct Sender {
    way: Way,
    timeout: Duration,
}

#[derive(Clone)]
enum Way {
    Webhook(Arc<Webhook>),
    Alertmanager(Arc<Alertmanager>),
    Whatsapp(Arc<Whatsapp>),
    Email(Arc<Email>),
    Exec(Arc<Exec>),
    Heartbeat(Arc<Heartbeat>),
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
        Self {
            timeout: settings.timeout,
            way: Way::new(settings, hooks),
        }
    }

    /// A sender to `receiver`, with the timeout of `settings`.
    #[must_use]
    pub fn direct(settings: &Settings, receiver: Arc<dyn Receiver>) -> Self {
        Self {
            timeout: settings.timeout,
            way: Way::Direct(receiver),
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

    /// Tells the service of a heartbeat that all is well, or of a failure. Others are sent nothing.
    ///
    /// # Errors
    /// As for [`Self::send`].
    pub(super) async fn beat(
        &self,
        failure: Option<String>,
        now: DateTime<Utc>,
    ) -> Result<String, SendError> {
        let way = self.way.clone();
        self.bounded(async move {
            match way {
                Way::Heartbeat(hook) => hook.tell(failure.as_deref(), now).await,
                Way::Direct(receiver) => receiver.beat(failure.as_deref()).await,
                _ => Ok("nothing to do".to_owned()),
            }
        })
        .await
    }

    /// Result of `sending` within the timeout. It is a task of its own, so that a defect in it is a
    /// failed try and not the end of all hooks.
    async fn bounded<T: Send + 'static>(
        &self,
        sending: impl Future<Output = Result<T, SendError>> + Send + 'static,
    ) -> Result<T, SendError> {
        // Dropping it ends the sending.
        let sending = AbortOnDropHandle::new(tokio::spawn(sending));
        match tokio::time::timeout(self.timeout, sending).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => Err(SendError::new(format!(
                "the sending itself failed: {error}"
            ))),
            Err(_) => Err(SendError::new(format!(
                "no answer within {}",
                humantime::format_duration(self.timeout)
            ))),
        }
    }
}

impl Way {
    fn new(settings: &Settings, hooks: &Hooks) -> Self {
        match &settings.kind {
            Kind::Webhook {
                url,
                secrets,
                template,
                content_type,
                routing_key,
            } => {
                let (template, key) = (template.as_ref(), routing_key.as_ref());
                let webhook = Webhook::new(settings, url, secrets, template, content_type, key);
                Self::Webhook(Arc::new(webhook))
            }
            Kind::Alertmanager {
                urls,
                basic_auth,
                bearer_token,
            } => {
                let (user, token) = (basic_auth.as_ref(), bearer_token.as_ref());
                Self::Alertmanager(Arc::new(Alertmanager::new(settings, urls, user, token)))
            }
            Kind::Whatsapp {
                account,
                api_key,
                agent_id,
                template_name,
                language,
                parameters,
                recipients: _,
            } => {
                let outgoing = Outgoing {
                    account: Arc::clone(account),
                    api_key: api_key.clone(),
                    agent_id: Arc::clone(agent_id),
                    template_name: template_name.clone(),
                    language: language.clone(),
                    parameters: parameters.clone(),
                };
                Self::Whatsapp(Arc::new(Whatsapp::new(outgoing, hooks)))
            }
            Kind::Email {
                host,
                port,
                encryption,
                hello,
                credentials,
                from,
                to,
            } => {
                let server = Server {
                    host: host.clone(),
                    port: *port,
                    encryption: *encryption,
                    hello: hello.clone(),
                    allow_private: settings.allow_private,
                    ca_file: settings.ca_file.clone(),
                };
                let (credentials, from, to) = (credentials.clone(), from.clone(), to.clone());
                Self::Email(Arc::new(Email::new(server, credentials, from, to)))
            }
            Kind::Heartbeat { service, .. } => {
                let (settings, service) = (settings.clone(), service.clone());
                Self::Heartbeat(Arc::new(Heartbeat { settings, service }))
            }
            Kind::Exec { command } => {
                let name = Arc::clone(&settings.name);
                Self::Exec(Arc::new(Exec::new(name, command.clone())))
            }
        }
    }

    async fn send(&self, message: &Message) -> Result<String, SendError> {
        match self {
            Self::Webhook(hook) => hook.send(message).await,
            Self::Alertmanager(hook) => hook.send(message).await,
            Self::Whatsapp(hook) => hook.send(message).await,
            Self::Email(hook) => hook.send(message).await,
            Self::Exec(hook) => hook.send(message).await,
            // A test: no alert is sent there.
            Self::Heartbeat(hook) => hook.tell(None, message.now).await,
            Self::Direct(receiver) => receiver.take(message).await,
        }
    }

    async fn resend(&self, alerts: &[Alert], now: DateTime<Utc>) -> Result<String, SendError> {
        match self {
            Self::Alertmanager(hook) => {
                let count = hook.resend(alerts, now).await?;
                Ok(format!("{count} alerts"))
            }
            Self::Webhook(_)
            | Self::Whatsapp(_)
            | Self::Email(_)
            | Self::Exec(_)
            | Self::Heartbeat(_) => Ok("nothing to do".to_owned()),
            Self::Direct(receiver) => receiver.remind(alerts, now).await,
        }
    }
}
