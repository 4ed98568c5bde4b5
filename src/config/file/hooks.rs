//! `[[hook]]`: the keys of all kinds side by side, since a table whose shape depends on one of its
//! values would lose the places of the others.

use serde::Deserialize;
use toml::Spanned;

use super::Text;

/// `[[hook]]`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Hook {
    /// Its name.
    pub(in crate::config) name: Option<Text>,
    /// `webhook`, `alertmanager`, `whatsapp`, `email`, `exec` or `heartbeat`.
    pub(in crate::config) kind: Option<Text>,
    /// Whether it is told when alerts resolve. Default: true; false for WhatsApp and e-mail.
    pub(in crate::config) send_resolved: Option<Spanned<bool>>,
    /// Whether what one evaluation brings goes into one message. Default: true for chats, e-mail and
    /// Alertmanagers.
    pub(in crate::config) group: Option<Spanned<bool>>,
    /// The hours in which nothing is sent, such as `22:00-07:00`.
    pub(in crate::config) quiet_hours: Option<Text>,
    /// The time zone of these hours. Default: `UTC`.
    pub(in crate::config) time_zone: Option<Text>,
    /// The most time that one try may take, as a duration. Default: `10s`.
    pub(in crate::config) timeout: Option<Text>,
    /// Whether it may lead to private addresses and to this machine. Default: false.
    pub(in crate::config) allow_private: Option<Spanned<bool>>,
    /// A file of PEM certificates that are trusted instead of the usual ones.
    pub(in crate::config) ca_file: Option<Text>,
    /// Webhook and Alertmanager: the URL of a proxy, or `environment` for what `HTTPS_PROXY` and its like say.
    /// Default: none.
    pub(in crate::config) proxy: Option<Text>,

    /// Webhook and heartbeat: the file that holds its URL.
    pub(in crate::config) url_file: Option<Text>,
    /// Webhook and heartbeat: the environment variable that holds its URL.
    pub(in crate::config) url_env: Option<Text>,
    /// Webhook: the files that hold the secrets that messages are signed with.
    pub(in crate::config) secret_files: Option<Spanned<Vec<Text>>>,
    /// Webhook: the environment variables that hold such secrets.
    pub(in crate::config) secret_envs: Option<Spanned<Vec<Text>>>,
    /// Webhook: what is sent is what `slack`, `discord`, `teams` or `pagerduty` wants.
    pub(in crate::config) preset: Option<Text>,
    /// Webhook: the file that holds a template of what is sent.
    pub(in crate::config) template_file: Option<Text>,
    /// Webhook: a template of what is sent.
    pub(in crate::config) template: Option<Text>,
    /// Webhook: the media type of what is sent. Default: `application/json`.
    pub(in crate::config) content_type: Option<Text>,
    /// Webhook: the file that holds PagerDuty's routing key.
    pub(in crate::config) routing_key_file: Option<Text>,
    /// Webhook: the environment variable that holds PagerDuty's routing key.
    pub(in crate::config) routing_key_env: Option<Text>,

    /// Alertmanager: the base URLs of all of them.
    pub(in crate::config) urls: Option<Spanned<Vec<Text>>>,
    /// Alertmanager and heartbeat: the file that holds a token.
    pub(in crate::config) bearer_token_file: Option<Text>,
    /// Alertmanager and heartbeat: the environment variable that holds a token.
    pub(in crate::config) bearer_token_env: Option<Text>,

    /// Alertmanager and e-mail: the user.
    pub(in crate::config) username: Option<Text>,
    /// Alertmanager and e-mail: the file that holds the user's password.
    pub(in crate::config) password_file: Option<Text>,
    /// Alertmanager and e-mail: the environment variable that holds the user's password.
    pub(in crate::config) password_env: Option<Text>,

    /// WhatsApp: the account of the agent.
    pub(in crate::config) account: Option<Text>,
    /// WhatsApp: the name or identifier of the agent that sends.
    pub(in crate::config) agent: Option<Text>,
    /// WhatsApp: the name of the template that was approved there.
    pub(in crate::config) template_name: Option<Text>,
    /// WhatsApp: the template's language.
    pub(in crate::config) language: Option<Text>,
    /// WhatsApp: phone numbers with their country codes.
    pub(in crate::config) recipients: Option<Spanned<Vec<Text>>>,
    /// WhatsApp: a template for each parameter of that template.
    pub(in crate::config) parameters: Option<Spanned<Vec<Text>>>,

    /// E-mail: the mail server.
    pub(in crate::config) host: Option<Text>,
    /// E-mail: the server's port. Default: 587; 465 for `tls`, 25 for `none`.
    pub(in crate::config) port: Option<Spanned<i64>>,
    /// E-mail: `starttls`, `tls` or `none`. Default: `starttls`.
    pub(in crate::config) encryption: Option<Text>,
    /// E-mail: what the server is greeted with: a full name or an address. Default: the host's full name, or its
    /// address.
    pub(in crate::config) hello: Option<Text>,
    /// E-mail: the sender.
    pub(in crate::config) from: Option<Text>,
    /// E-mail: the recipients.
    pub(in crate::config) to: Option<Spanned<Vec<Text>>>,

    /// Heartbeat: the file that holds the URL that is requested when something fails. Default: nothing is then.
    pub(in crate::config) failure_url_file: Option<Text>,
    /// Heartbeat: the environment variable that holds this URL.
    pub(in crate::config) failure_url_env: Option<Text>,
    /// Heartbeat: `GET`, `HEAD`, `POST` or `PUT`. Default: `POST`.
    pub(in crate::config) method: Option<Text>,
    /// Heartbeat: the time between two requests, as a duration. Default: `1h`.
    pub(in crate::config) interval: Option<Text>,

    /// Exec: the program and its arguments.
    pub(in crate::config) command: Option<Spanned<Vec<Text>>>,
}
