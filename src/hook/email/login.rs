//! Login to a mail server: by a password, or by a token as Google and Microsoft describe XOAUTH2.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS, Mechanism};
use lettre::transport::smtp::client::AsyncSmtpConnection;

use super::server::told;
use crate::egress::SendError;
use crate::egress::place::read;
use crate::hook::exec;
use crate::secret::{Secret, SecretSource};

/// Proof of being a mail server's user.
#[derive(Debug, Clone)]
pub enum MailProof {
    /// A password.
    Password(SecretSource),
    /// An OAuth access token, which somebody else refreshes.
    Token(SecretSource),
    /// A program that prints an access token, and its arguments.
    TokenCommand(Vec<String>),
}

/// A user and a password or token as they were read for one try.
pub(super) struct Login<'a> {
    user: &'a str,
    secret: Secret,
    is_token: bool,
}

impl<'a> Login<'a> {
    /// Reads the password or token of `user`.
    ///
    /// # Errors
    /// It cannot be read, its program fails, or it is no token.
    pub(super) async fn of(user: &'a str, proof: &MailProof) -> Result<Self, SendError> {
        let (secret, origin) = match proof {
            MailProof::Password(source) => {
                let (secret, is_token) = (read(source).await?, false);
                return Ok(Self {
                    user,
                    secret,
                    is_token,
                });
            }
            MailProof::Token(source) => (read(source).await?, source.to_string()),
            MailProof::TokenCommand(command) => {
                let program = command.first().map_or("", String::as_str);
                (exec::print_secret(command).await?, format!("`{program}`"))
            }
        };
        if secret.is_empty() || !secret.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(SendError::unready(format!(
                "{origin} gives no access token: one line of visible ASCII characters is expected"
            )));
        }
        Ok(Self {
            user,
            secret,
            is_token: true,
        })
    }

    /// Logs in.
    pub(super) async fn log_in(&self, connection: &mut AsyncSmtpConnection) -> Result<(), String> {
        if !self.is_token {
            let (user, password) = (self.user.to_owned(), self.secret.expose().to_owned());
            let credentials = Credentials::new(user, password);
            let done = connection.auth(DEFAULT_MECHANISMS, &credentials).await;
            return done.map(|_| ()).map_err(|error| told(&error));
        }
        let server = connection.server_info();
        if !server.supports_auth_mechanism(Mechanism::Xoauth2) {
            return Err("XOAUTH2 is not offered".to_owned());
        }
        let command = format!("AUTH XOAUTH2 {}\r\n", BASE64_STANDARD.encode(self.bearer()));
        let answer = connection.command(command).await;
        let answer = answer.map_err(|error| told(&error))?;
        if answer.has_code(235) {
            return Ok(());
        }
        // A refusal may come as a challenge with its reason; the server says so once it has an empty answer.
        let reason = answer.first_word().unwrap_or_default();
        let reason = BASE64_STANDARD.decode(reason).unwrap_or_default();
        let reason = String::from_utf8_lossy(&reason).into_owned();
        match connection.command("\r\n").await {
            Ok(answer) => Err(format!("{} in place of a refusal: {reason}", answer.code())),
            Err(error) => Err(format!("{}: {reason}", told(&error))),
        }
    }

    /// The secret, in a word.
    pub(super) const fn word(&self) -> &'static str {
        if self.is_token { "token" } else { "password" }
    }

    /// Returns true if a server's words hold the secret, as it is or as it was sent.
    pub(super) fn is_in(&self, text: &str) -> bool {
        let secret = self.secret.expose();
        let plain = format!("\0{}\0{secret}", self.user);
        let text = text.to_ascii_lowercase();
        let forms = [
            secret.to_owned(),
            BASE64_STANDARD.encode(secret),
            BASE64_STANDARD.encode(plain),
            BASE64_STANDARD.encode(self.bearer()),
        ];
        forms
            .iter()
            .any(|form| text.contains(&form.to_ascii_lowercase()))
    }

    /// User and token as XOAUTH2 has them.
    fn bearer(&self) -> String {
        let (user, token) = (self.user, self.secret.expose());
        format!("user={user}\u{1}auth=Bearer {token}\u{1}\u{1}")
    }
}
