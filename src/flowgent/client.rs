//! The typed calls of one account, which survive what an API can do to its clients.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::error::Category;
use tokio::time::{sleep, timeout};

use super::metrics::ApiMetrics;
use crate::backoff::{Backoff, CALLS};
use crate::clock::{SharedClock, instant};
use crate::egress::{TransportError, transport};
use crate::flowgent::Settings;
use crate::flowgent::credential::Credential;
use crate::flowgent::error::ApiError;
use crate::flowgent::listing::{self, Listing};
use crate::flowgent::pace::Pace;
use crate::flowgent::transport::{HttpClient, Question};
use crate::flowgent::wire::{
    ChatAccepted, ChatBody, ChatRequest, ErrorAnswer, TemplateAnswer, TemplateRequest, UsageAnswer,
};
use crate::named::named;
use crate::secret::Secret;
use crate::telemetry::{Instruments, Telemetry};
use crate::text::{QUOTE_BYTES, printable, web_page};
use crate::window::Window;

/// Most tries of a request within one call.
const TRIES: u32 = 4;
/// The most bytes of a usage answer and of those that are as small. 31 days need about 2 KiB.
const ANSWER_LIMIT: usize = 1 << 20;
/// The most bytes of an agent listing.
const LISTING_LIMIT: usize = 16 << 20;
/// Longest part of an error's body that is read.
const ERROR_LIMIT: usize = 64 << 10;
/// Characters that are not encoded in a path segment: the unreserved ones of RFC 3986.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The API as one account sees it, with that account's key and limits.
///
/// Every call may be dropped at any time; that closes the connection in use and frees its place
/// among the requests under way. Such a request is not counted in the telemetry.
#[derive(Debug)]
pub struct Client {
    http: HttpClient,
    account: Arc<str>,
    credential: ArcSwapOption<Credential>,
    pub(super) pace: Pace,
    metrics: ApiMetrics,
    clock: SharedClock,
    pub(super) backoff: Backoff,
}

/// Result of a chat.
#[derive(Debug, Clone, PartialEq)]
pub enum ChatReply {
    /// The agent's reply. What its tools did is in the metadata, for the caller to judge.
    Answered(ChatBody),
    /// The reply will be sent to the callback URL.
    Accepted(ChatAccepted),
}

named! {
    /// The endpoints, named as in the label `endpoint` of the telemetry.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Endpoint {
        Agents = "agents",
        Usage = "usage",
        Chat = "chat",
        Waba = "waba",
    }
}

/// A request, to be sent perhaps more than once.
struct Call {
    endpoint: Endpoint,
    url: String,
    /// The JSON to post; without it, this is a GET.
    posted: Option<Vec<u8>>,
    /// Its subject, for the log.
    agent: Option<String>,
    days: Option<Window>,
    /// Longest time from connecting to the last byte.
    limit: Duration,
}

impl Client {
    /// A client without a key: give it one with [`Client::set_key`] before asking anything.
    #[must_use]
    pub fn new(
        http: &HttpClient,
        settings: &Settings,
        account: Arc<str>,
        telemetry: &Telemetry,
        clock: SharedClock,
    ) -> Self {
        // Usage is what every account is asked for; the rare endpoints would only multiply zeros.
        let metrics = telemetry.of::<ApiMetrics>();
        metrics.add(&account, Endpoint::Usage.as_str());
        Self {
            http: http.clone(),
            pace: Pace::new(
                settings.requests_per_second,
                settings.concurrency,
                &account,
                &metrics,
            ),
            account,
            credential: ArcSwapOption::empty(),
            metrics,
            clock,
            backoff: CALLS,
        }
    }

    /// Uses `key` for every request sent from now on.
    ///
    /// # Errors
    /// [`ApiError::MissingKey`] if it is empty, [`ApiError::UnusableKey`] if it would break out of its
    /// header. The key from before is then still in use.
    pub fn set_key(&self, key: Secret) -> Result<(), ApiError> {
        self.credential.store(Some(Arc::new(Credential::new(key)?)));
        Ok(())
    }

    /// Returns true if there is a key to ask with.
    #[must_use]
    pub fn has_key(&self) -> bool {
        self.credential.load().is_some()
    }

    /// Takes the account's series out of the telemetry, once it is no longer configured.
    ///
    /// Later requests of this or another client of the account count from zero again, or not at
    /// all, so this is for when the last of them is done.
    pub fn forget_telemetry(&self) {
        self.metrics.forget("account", &self.account);
    }

    /// Asks for the usage of an agent in `window`, a few times if need be.
    ///
    /// `judge` decides what the answer is worth before it is counted, so that a well-formed answer
    /// that breaks the contract is no success in the telemetry. `Ok` takes any.
    ///
    /// # Errors
    /// The error of the last try.
    pub async fn usage<T>(
        &self,
        agent_id: &str,
        window: &Window,
        judge: impl Fn(UsageAnswer) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let mut call = self.call(Endpoint::Usage, Some(agent_id))?;
        call.days = Some(*window);
        call.url += &format!("?start_date={}&end_date={}", window.start(), window.end());
        self.ask(&call, |body| judge(parse(body)?)).await
    }

    /// Lists the account's agents, asking a few times if need be.
    ///
    /// # Errors
    /// The error of the last try; [`ApiError::Contract`] says what was seen instead of a list.
    pub async fn list_agents(&self) -> Result<Listing, ApiError> {
        let call = self.call(Endpoint::Agents, None)?;
        let listing = self.ask(&call, |body| listing::agents(parse(body)?)).await;
        listing.map_err(|error| match error {
            ApiError::AccessDenied => ApiError::ListingDenied,
            error => error,
        })
    }

    /// Says something to an agent, and waits for the reply for at most `limit` from the request on. It is never
    /// said twice: the agent would reply, act and be paid twice. Returns the reply, or the error, also where FlowGent
    /// reports it under HTTP 200; and how long it took.
    pub async fn chat(
        &self,
        agent_id: &str,
        request: &ChatRequest,
        limit: Duration,
    ) -> (Result<ChatReply, ApiError>, Duration) {
        let mut took = Duration::ZERO;
        let reply = match self.post(Endpoint::Chat, agent_id, request) {
            Ok(call) => {
                let call = Call { limit, ..call };
                self.ask_once(&call, chat_reply, &mut took).await
            }
            Err(error) => Err(error),
        };
        (reply, took)
    }

    /// Sends a WhatsApp template. It is not sent again where it may have arrived: people would read
    /// it twice.
    ///
    /// # Errors
    /// The error.
    pub async fn send_template(
        &self,
        agent_id: &str,
        request: &TemplateRequest,
    ) -> Result<TemplateAnswer, ApiError> {
        let call = self.post(Endpoint::Waba, agent_id, request)?;
        self.ask(&call, template_sent).await
    }

    fn post(
        &self,
        endpoint: Endpoint,
        agent_id: &str,
        request: &impl Serialize,
    ) -> Result<Call, ApiError> {
        let posted = serde_json::to_vec(request)
            .map_err(|error| ApiError::Contract(format!("request is not JSON: {error}")))?;
        Ok(Call {
            posted: Some(posted),
            ..self.call(endpoint, Some(agent_id))?
        })
    }

    fn call(&self, endpoint: Endpoint, agent_id: Option<&str>) -> Result<Call, ApiError> {
        let base = &self.http.base_url;
        let url = match agent_id {
            None => format!("{base}agent"),
            // Every reader of URLs resolves a segment of dots, in whatever encoding: `..` would ask
            // for something other than an agent.
            Some("" | "." | "..") => return Err(ApiError::InvalidAgentId),
            Some(id) => {
                let segment = utf8_percent_encode(id, SEGMENT);
                format!("{base}agent/{segment}/{}", endpoint.as_str())
            }
        };
        Ok(Call {
            endpoint,
            url,
            posted: None,
            agent: agent_id.map(|id| printable(id, QUOTE_BYTES)),
            days: None,
            limit: self.http.timeout,
        })
    }

    /// Asks until there is an answer that `read` accepts, or an error that is worth no other try.
    async fn ask<T>(
        &self,
        call: &Call,
        read: impl Fn(&[u8]) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let (mut attempt, mut took) = (0, Duration::ZERO);
        loop {
            let error = match self.ask_once(call, &read, &mut took).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let repeatable = error.is_retryable()
                && !error.is_account_wide()
                && (call.posted.is_none() || error.is_without_effect());
            if !repeatable || attempt + 1 == TRIES {
                return Err(error);
            }
            // A Retry-After is kept by the pace, which holds every request of the account back.
            sleep(self.backoff.jittered(attempt, fastrand::u64(..))).await;
            attempt += 1;
        }
    }

    /// Asks once, and notes how long that took.
    async fn ask_once<T>(
        &self,
        call: &Call,
        read: impl Fn(&[u8]) -> Result<T, ApiError>,
        took: &mut Duration,
    ) -> Result<T, ApiError> {
        let permit = self.pace.acquire().await;
        // Loaded only now: the key may have been rotated during the wait.
        let credential = self.credential.load_full().ok_or(ApiError::MissingKey)?;
        let started = instant();
        let limit = call.limit;
        let mut status = None;
        let answer = timeout(limit, self.exchange(call, &credential, &mut status))
            .await
            .unwrap_or(Err(ApiError::Timeout { limit }));
        *took = instant() - started;
        let seconds = took.as_secs_f64();
        let result = answer.and_then(|body| {
            // Errors under HTTP 200 are documented for chats; nothing says that they are all.
            let result = read(&body).map_err(|error| ApiError::documented(&body).unwrap_or(error));
            let shown = match &result {
                // Names become labels, which everyone may read, and replies are shown.
                Ok(_) => matches!(call.endpoint, Endpoint::Agents | Endpoint::Chat),
                Err(error) => error.quotes(),
            };
            if shown && credential.is_in(&body) {
                return Err(ApiError::Contract(
                    "the answer holds the API key".to_owned(),
                ));
            }
            result
        });
        let outcome = result.as_ref().map_or_else(ApiError::outcome, |_| "ok");
        let labels = [&*self.account, call.endpoint.as_str(), outcome];
        self.metrics.requests.with_label_values(&labels).inc();
        self.metrics
            .request_duration
            .with_label_values(&labels[..2])
            .observe(seconds);
        tracing::debug!(
            account = &*self.account,
            endpoint = call.endpoint.as_str(),
            agent = call.agent,
            days = call.days.map(tracing::field::display),
            status,
            outcome,
            seconds,
            "request ended"
        );
        match &result {
            Ok(_) => permit.succeeded(),
            Err(ApiError::RateLimited { retry_after } | ApiError::Unavailable { retry_after }) => {
                permit.refused(*retry_after);
            }
            Err(_) => drop(permit),
        }
        result
    }

    /// Sends the request and reads the body of a success. Notes the status as soon as there is one.
    async fn exchange(
        &self,
        call: &Call,
        credential: &Credential,
        answered: &mut Option<u16>,
    ) -> Result<Vec<u8>, ApiError> {
        let http = &self.http.pool.http;
        let request = match &call.posted {
            None => http.get(&call.url),
            Some(json) => http
                .post(&call.url)
                .header(CONTENT_TYPE, "application/json")
                .body(json.clone()),
        };
        let question = Question::now(&*self.clock);
        let request = request.header(AUTHORIZATION, credential.header());
        let mut response = self.http.pool.send(request).await?;
        let skew = question.skew(response.headers(), &*self.clock);
        self.clock.hear(skew);
        if let Some(skew) = skew {
            self.metrics
                .clock_skew
                .with_label_values(&[&self.account])
                .set(skew.as_seconds_f64());
        }
        let now = self.clock.now();
        let status = response.status();
        *answered = Some(status.as_u16());
        if status.is_success() {
            return Ok(transport::body(&mut response, call.endpoint.limit()).await?);
        }
        let retry_after = transport::retry_after(response.headers(), now);
        let status = status.as_u16();
        Err(match status {
            300..400 => ApiError::Redirect {
                status,
                host: transport::redirect_host(&response)
                    .map(|host| credential.quote(host.as_bytes())),
            },
            // These say all by their status, which must not be lost to a body that never ends.
            402 | 429 | 500.. => ApiError::of_status(status, retry_after, String::new()),
            _ => {
                // Half a body could hold half a key: it is all or nothing.
                let body = transport::body(&mut response, ERROR_LIMIT)
                    .await
                    .unwrap_or_default();
                ApiError::documented(&body).unwrap_or_else(|| {
                    ApiError::of_status(status, retry_after, credential.quote(&body))
                })
            }
        })
    }
}

impl Endpoint {
    /// The most bytes that an answer may have.
    const fn limit(self) -> usize {
        match self {
            Self::Agents => LISTING_LIMIT,
            Self::Usage | Self::Chat | Self::Waba => ANSWER_LIMIT,
        }
    }
}

/// Reads the body of a success.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| match error.classify() {
        Category::Data => ApiError::Contract(printable(&error.to_string(), QUOTE_BYTES)),
        Category::Eof if !body.trim_ascii().is_empty() => {
            let text = format!("its JSON ends early, after {} bytes", body.len());
            TransportError::Interrupted(text).into()
        }
        _ if body.trim_ascii().is_empty() => ApiError::NotJson("an empty body".to_owned()),
        _ => ApiError::NotJson(web_page(body, body.len()).unwrap_or_else(|| {
            let start = &body[..body.len().min(QUOTE_BYTES + 4)];
            printable(&String::from_utf8_lossy(start), QUOTE_BYTES)
        })),
    })
}

/// Reads the answer to a WhatsApp template, which may be an error.
fn template_sent(body: &[u8]) -> Result<TemplateAnswer, ApiError> {
    let answer: TemplateAnswer = parse(body)?;
    let failed = |reason: String| ApiError::Contract(printable(&reason, QUOTE_BYTES));
    answer.sent().map_err(failed)?;
    Ok(answer)
}

/// Reads the answer to a chat, whose real status is inside. The body of an error may be of any form.
fn chat_reply(body: &[u8]) -> Result<ChatReply, ApiError> {
    /// The fields of both forms of answer.
    #[derive(serde::Deserialize)]
    struct Either {
        #[serde(rename = "statusCode")]
        status_code: Option<u16>,
        #[serde(default)]
        body: Value,
        status: Option<String>,
        message: Option<String>,
    }
    let answer: Either = parse(body)?;
    match (answer.status_code, answer.status) {
        (Some(200), _) if answer.body.is_null() => Err(ApiError::Contract(
            "statusCode 200 without a body".to_owned(),
        )),
        (Some(200), _) => serde_json::from_value(answer.body)
            .map(ChatReply::Answered)
            .map_err(|error| ApiError::Contract(printable(&error.to_string(), QUOTE_BYTES))),
        (Some(status), _) => {
            let body: ChatBody = serde_json::from_value(answer.body).unwrap_or_default();
            let said = ErrorAnswer {
                error: body.error.or(body.message.clone()).unwrap_or_default(),
                message: body.message,
            };
            Err(ApiError::named(&said).unwrap_or_else(|| {
                ApiError::of_status(status, None, printable(&said.error, QUOTE_BYTES))
            }))
        }
        (None, Some(status)) => Ok(ChatReply::Accepted(ChatAccepted {
            message: answer.message.unwrap_or_default(),
            status,
        })),
        (None, None) => Err(ApiError::Contract(
            "a chat answer has neither statusCode nor status".to_owned(),
        )),
    }
}
