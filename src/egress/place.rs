//! Places of the user's choice that messages are sent to, and what may be said of them: no secret, nor more of a
//! URL than its scheme, host and port, and nothing at all of one that is a secret.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{percent_decode, percent_decode_str};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use url::Url;

use super::error::SendError;
use super::verdict::Receiver;
use crate::secret::{Secret, SecretSource};
use crate::text::{QUOTE_BYTES, printable, web_page};

/// Replacement for hidden text.
pub(crate) const WITHHELD: &str = "[withheld]";
/// Shorter parts of a URL's path and query, such as `services`, are no tokens.
const TOKEN_LETTERS: usize = 9;
/// Parts of well-known URLs that are no tokens either, and that receivers may well speak of.
const WORDS: [&str; 7] = [
    "workflows",
    "webhookb2",
    "IncomingWebhook",
    "powerautomate",
    "automations",
    "integrations",
    "notifications",
];

/// Address to post to, with everything about it that nobody may read: it has no [`Debug`].
pub(crate) struct Place {
    /// It may hold a secret.
    pub(crate) url: Url,
    /// Its name in errors and logs.
    name: String,
    /// True if the URL is a secret, with its host.
    is_secret: bool,
    pub(crate) receiver: Receiver,
    guarded: Vec<Secret>,
    /// Credentials that prove to the receiver who sends.
    pub(crate) headers: HeaderMap,
}

/// A URL of the user's choice.
#[derive(Debug, Clone)]
pub enum Endpoint {
    /// It often holds a token, so it is read like a secret.
    Secret(SecretSource),
    /// It is the same for everyone.
    Public(Url),
}

impl Endpoint {
    /// The place that it leads to.
    ///
    /// # Errors
    /// Its secret cannot be read, or holds no URL of HTTP.
    pub(crate) async fn place(&self) -> Result<Place, SendError> {
        match self {
            Self::Public(url) => Ok(Place::new(url.clone())),
            Self::Secret(source) => Place::secret(source).await,
        }
    }
}

/// Reads a secret for a try, beside the async threads.
///
/// # Errors
/// It cannot be read.
pub(crate) async fn read(source: &SecretSource) -> Result<Secret, SendError> {
    let secret = source.read_aside().await;
    secret.map_err(|error| SendError::unready(error.to_string()))
}

impl Place {
    /// The place that a secret URL leads to.
    ///
    /// # Errors
    /// The URL cannot be read, or is none of HTTP.
    pub(crate) async fn secret(source: &SecretSource) -> Result<Self, SendError> {
        let text = read(source).await?;
        let url = Url::parse(text.expose())
            .map_err(|error| SendError::unready(format!("{source} holds no URL: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(SendError::unready(format!(
                "the URL in {source} is neither http nor https"
            )));
        }
        let mut place = Self::new(url);
        place.name = format!("the URL in {source}");
        place.is_secret = true;
        let (user, password) = (place.url.username(), place.url.password());
        let path = place.url.path_segments().into_iter().flatten();
        let query = place.url.query_pairs();
        let can_be_token =
            |part: &String| part.len() >= TOKEN_LETTERS && !WORDS.contains(&part.as_str());
        let parts: Vec<String> = path
            .map(str::to_owned)
            .chain(query.map(|(_, value)| value.into_owned()))
            .filter(can_be_token)
            // Without a password, a user is no name but a token.
            .chain(
                (password.is_none() || user.len() >= TOKEN_LETTERS).then(|| user.to_owned()),
            )
            .chain(password.map(str::to_owned))
            .collect();
        for part in &parts {
            place.guard(&percent_decode_str(part).decode_utf8_lossy());
            place.guard(part);
        }
        place.guard_login();
        Ok(place)
    }

    /// Sees to it that no error shows the user and the password in the URL as they are sent.
    fn guard_login(&mut self) {
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let user = decoded(self.url.username());
        let password = decoded(self.url.password().unwrap_or_default());
        if !user.is_empty() || !password.is_empty() {
            self.guard(&STANDARD.encode(format!("{user}:{password}")));
        }
    }

    /// A place whose URL is no secret.
    pub(crate) fn new(url: Url) -> Self {
        Self {
            name: url.origin().ascii_serialization(),
            is_secret: false,
            receiver: Receiver::at(url.host_str().unwrap_or_default()),
            url,
            guarded: Vec::new(),
            headers: HeaderMap::new(),
        }
    }

    /// The place on the same server whose path is what `change` makes of this one's.
    pub(crate) fn with_path(mut self, change: impl FnOnce(&str) -> String) -> Self {
        let path = change(self.url.path());
        self.url.set_path(&path);
        self
    }

    /// The place whose query is what `change` makes of this one's.
    pub(crate) fn with_query(mut self, change: impl FnOnce(&str) -> String) -> Self {
        let query = self.url.query().map(change);
        self.url.set_query(query.as_deref());
        self
    }

    /// Name of the place in errors and logs: scheme, host and port, or the source of a secret URL.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns true if its URL is a secret, with the host in it.
    pub(crate) fn is_secret(&self) -> bool {
        self.is_secret
    }

    /// Has only what `receiver` says count as its yes.
    pub(crate) fn expect(&mut self, receiver: Receiver) {
        self.receiver = receiver;
    }

    /// `text` without the host, if that is a secret.
    pub(crate) fn without_host(&self, text: &str) -> String {
        let host = self.url.host_str().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if self.is_secret {
            without(text, host)
        } else {
            text.to_owned()
        }
    }

    /// Sees to it that no error shows `secret`.
    pub(crate) fn guard(&mut self, secret: &str) {
        let secret = Secret::new(secret);
        if !secret.is_empty() {
            self.guarded.push(secret);
        }
    }

    /// Proves to the receiver who sends, with a user and a password.
    ///
    /// # Errors
    /// The password cannot be read.
    pub(crate) async fn log_in(
        &mut self,
        user: &str,
        password: &SecretSource,
    ) -> Result<(), SendError> {
        let password = read(password).await?;
        let both = STANDARD.encode(format!("{user}:{}", password.expose()));
        self.guard(password.expose());
        self.authorize("Basic", &both)
    }

    /// Proves to the receiver who sends, with a token.
    ///
    /// # Errors
    /// The token cannot be read.
    pub(crate) async fn bear(&mut self, token: &SecretSource) -> Result<(), SendError> {
        let token = read(token).await?;
        self.authorize("Bearer", token.expose())
    }

    fn authorize(&mut self, scheme: &str, credential: &str) -> Result<(), SendError> {
        self.guard(credential);
        let mut header =
            HeaderValue::from_str(&format!("{scheme} {credential}")).map_err(|_| {
                SendError::new(format!(
                    "the {scheme} credential does not fit into a header"
                ))
            })?;
        header.set_sensitive(true);
        self.headers.insert(AUTHORIZATION, header);
        Ok(())
    }

    /// Part of the receiver's text that an error may show: a short, escaped piece, and nothing if the text
    /// holds a secret.
    pub(crate) fn quote(&self, text: &[u8]) -> String {
        let decoded: Vec<u8> = percent_decode(text).collect();
        let held = |secret: &Secret| secret.is_in(text) || secret.is_in(&decoded);
        if self.guarded.iter().any(held) {
            return "[withheld: it holds a secret]".to_owned();
        }
        // Cut after the host is out: half of it would not be found.
        let shown = self.without_host(&String::from_utf8_lossy(text));
        web_page(shown.as_bytes(), text.len()).unwrap_or_else(|| printable(&shown, QUOTE_BYTES))
    }

    /// Text after the status of an answer with this body, of which half is not shown: it could hold
    /// half a secret.
    pub(crate) fn quoted(&self, body: &[u8], is_whole: bool) -> String {
        match body.trim_ascii() {
            [] => String::new(),
            _ if !is_whole => String::new(),
            body => format!(": {}", self.quote(body)),
        }
    }
}

/// `text` with a sign in the place of every `host`, in any case; of a host of a few letters only where it is
/// a word.
fn without(text: &str, host: &str) -> String {
    let is_inside = |letter: Option<char>| {
        let letter = letter.filter(|_| host.len() < 5);
        letter.is_some_and(char::is_alphanumeric)
    };
    let lower = text.to_ascii_lowercase();
    let mut shown = String::new();
    let mut rest = 0;
    for (start, found) in lower.match_indices(&host.to_ascii_lowercase()) {
        let end = start + found.len();
        let is_part =
            is_inside(text[..start].chars().next_back()) || is_inside(text[end..].chars().next());
        if !host.is_empty() && !is_part {
            shown += &text[rest..start];
            shown += WITHHELD;
            rest = end;
        }
    }
    shown + &text[rest..]
}
