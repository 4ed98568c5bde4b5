//! E-mail by SMTP.
//!
//! Each recipient gets a message of its own, over a connection of its own, so that one who is refused for
//! the time being is tried again and nobody else hears it twice. Its Message-ID follows from the
//! delivery's id, so that mail systems tell a repetition.

mod hello;
mod html;
mod login;
mod server;
#[cfg(test)]
mod tests;

pub use hello::hello;
pub use login::MailProof;

use std::time::{Duration, SystemTime};

use lettre::Address;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use login::Login;
use server::{SHOWN_BYTES, told};
use tokio::time::timeout;

use super::text::Card;
use super::{Encryption, Message, Settings};
use crate::egress::SendError;
use crate::text::printable;
use crate::text::visible;

/// Time for a server to say goodbye once it has taken the message.
const GOODBYE: Duration = Duration::from_secs(1);

/// A mail server, and the mail that it is handed.
#[derive(Debug, Clone)]
pub struct Email {
    /// The server's name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Encryption of the connection.
    pub encryption: Encryption,
    /// Name in the greeting; by default the host's full name, or its address.
    pub hello: Option<ClientId>,
    /// User, and the password or token.
    pub credentials: Option<(String, MailProof)>,
    /// The sender.
    pub from: Mailbox,
    /// The recipients; each gets a message of its own.
    pub to: Vec<Mailbox>,
}

impl Email {
    /// Sends `message` to its target, as `settings` say, and says what the server answered.
    ///
    /// # Errors
    /// The server could not be reached or trusted, or did not take the message.
    pub(super) async fn send(
        &self,
        settings: &Settings,
        message: &Message,
    ) -> Result<String, SendError> {
        let recipient = self.recipient(&message.target)?;
        let mail = self.compose(message, &recipient)?;
        let login = match &self.credentials {
            None => None,
            Some((user, proof)) => Some(Login::of(user, proof).await?),
        };
        // Some servers repeat what they do not understand.
        let shown = |text: String| match &login {
            Some(login) if login.is_in(&text) => {
                format!("its answer is withheld: it holds the {}", login.word())
            }
            _ => text,
        };
        let connected = self.connect(settings).await;
        let mut connection = connected.map_err(|error| match &login {
            Some(login) if login.is_in(&error.text) => self.failed(&shown(error.text)),
            _ => error,
        })?;
        let sent = self
            .converse(&mut connection, login.as_ref(), &recipient, &mail)
            .await;
        let answer = match sent {
            Ok(answer) => answer,
            Err(text) => return Err(self.failed(&shown(text))),
        };
        // The message is on its way, whatever the server says now.
        let _ = timeout(GOODBYE, connection.quit()).await;
        Ok(printable(&shown(answer), SHOWN_BYTES))
    }

    /// The mailbox of `target`, an address, which may have left the config since.
    fn recipient(&self, target: &str) -> Result<Mailbox, SendError> {
        let address: Address = target.parse().map_err(|error| {
            let target = printable(target, SHOWN_BYTES);
            SendError::new(format!("`{target}` is no address: {error}"))
        })?;
        let known = self.to.iter().find(|mailbox| mailbox.email == address);
        Ok(known
            .cloned()
            .unwrap_or_else(|| Mailbox::new(None, address)))
    }

    /// The message as it is sent.
    fn compose(
        &self,
        message: &Message,
        recipient: &Mailbox,
    ) -> Result<lettre::Message, SendError> {
        let mail = lettre::Message::builder()
            .from(self.from.clone())
            .subject(message.title())
            .date(SystemTime::from(message.created))
            .message_id(Some(format!("<{}@flowgent-exporter>", message.id)))
            // Answering machines leave alone what says this (RFC 3834).
            .raw_header(HeaderValue::new(
                HeaderName::new_from_ascii_str("Auto-Submitted"),
                "auto-generated".to_owned(),
            ))
            .raw_header(HeaderValue::new(
                HeaderName::new_from_ascii_str("X-Flowgent-Delivery"),
                message.id.to_string(),
            ))
            .to(recipient.clone());
        let cards = Card::all(&message.notification);
        let texts: Vec<String> = cards.iter().map(text).collect();
        let text = texts.join("\n\n");
        // A part rather than a body: only that comes with a MIME-Version.
        let mail = match &message.notification.summary {
            None => mail.singlepart(SinglePart::plain(text)),
            Some(summary) => {
                mail.multipart(MultiPart::alternative_plain_html(text, html::html(summary)))
            }
        };
        mail.map_err(|error| SendError::new(format!("cannot write the e-mail: {error}")))
    }

    /// Hands `mail` over: the server's answer, or why it was not taken.
    async fn converse(
        &self,
        connection: &mut AsyncSmtpConnection,
        login: Option<&Login<'_>>,
        recipient: &Mailbox,
        mail: &lettre::Message,
    ) -> Result<String, String> {
        if let Some(login) = login {
            let done = login.log_in(connection).await;
            done.map_err(|reason| format!("login: {reason}"))?;
        }
        let bytes = mail.formatted();
        let mut parameters = Vec::new();
        // All but addresses is written in ASCII.
        if !bytes.is_ascii() {
            if !connection
                .server_info()
                .supports_feature(Extension::SmtpUtfEight)
            {
                return Err("it takes no addresses beyond ASCII".to_owned());
            }
            parameters.push(MailParameter::SmtpUtfEight);
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        let failed = |to: &str, error: smtp::Error| format!("{to}: {}", told(&error));
        let sender = Mail::new(Some(self.from.email.clone()), parameters);
        connection
            .command(sender)
            .await
            .map_err(|error| failed("MAIL", error))?;
        connection
            .command(Rcpt::new(recipient.email.clone(), Vec::new()))
            .await
            .map_err(|error| failed("RCPT", error))?;
        connection
            .command(Data)
            .await
            .map_err(|error| failed("DATA", error))?;
        let taken = connection
            .message(&bytes)
            .await
            .map_err(|error| failed("message", error))?;
        let words: Vec<&str> = taken.message().collect();
        Ok(format!("{} {}", taken.code(), words.join(" ")))
    }
}

/// Text of an alert or a summary, with the link if the text does not have it.
fn text(card: &Card<'_>) -> String {
    let text = visible(card.text.trim_end());
    match card.url {
        Some(url) if !text.contains(url) => format!("{text}\n{url}"),
        _ => text.into_owned(),
    }
}
