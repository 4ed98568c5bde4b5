//! FlowGent's messages as they are on the wire, field by field as the API document names them.
//!
//! Dates and time stamps stay text here: what they mean is for [`crate::validate`] to judge. Unknown
//! fields are accepted, since an API may grow.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The answer of `GET agent/:agent_id/usage`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UsageAnswer {
    /// The agent's unique identifier.
    pub agent_id: String,
    /// The period that the answer covers.
    pub time_range: TimeRange,
    /// Its usage.
    pub usage: Usage,
    /// Says that usage is tracked from 28 May 2025 onwards, if earlier days were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// First and last millisecond of the queried period, as `2025-05-20T00:00:00.000Z`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeRange {
    /// 00:00:00.000 of the first day.
    pub start: String,
    /// 23:59:59.999 of the last day.
    pub end: String,
}

/// Credits used in the queried period.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Total credits of the period.
    pub total_credits_used: f64,
    /// Credits by day, newest first.
    pub daily_breakdown: Vec<DailyUsage>,
}

/// Credits used on one day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DailyUsage {
    /// The UTC day as YYYY-MM-DD.
    pub date: String,
    /// Credits used on it.
    pub credits_used: f64,
}

/// The body of an error: every documented one has `error`, most have `message`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorAnswer {
    /// The mistake in two or three words.
    pub error: String,
    /// The mistake in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// The body of `POST agent/:agent_id/chat`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChatRequest {
    /// Text for the agent.
    pub messages: ChatMessages,
    /// The conversation to continue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<String>,
    /// URL for the answer; without it the answer is the response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback_url: Option<String>,
}

/// The three documented forms of the `messages` field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ChatMessages {
    /// One message of the user.
    Text(String),
    /// One message.
    One(ChatMessage),
    /// A whole conversation.
    Many(Vec<ChatMessage>),
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatMessage {
    /// Speaker: `user` or `assistant`.
    pub role: String,
    /// Text.
    pub content: String,
}

/// The answer of a chat without callback. HTTP 200 says nothing: [`ChatAnswer::status_code`] tells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChatAnswer {
    /// 200, or the status of an error that may come under HTTP 200.
    #[serde(rename = "statusCode")]
    pub status_code: u16,
    /// The outcome.
    pub body: ChatBody,
}

/// The outcome of a chat; which fields are there depends on the status.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ChatBody {
    /// The agent's unique identifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// The conversation with the agent's reply at its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation_history: Option<Vec<ChatMessage>>,
    /// Facts about the reply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<ChatMetadata>,
    /// The error, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Facts about a chat reply.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChatMetadata {
    /// The reply's unique identifier.
    pub id: String,
    /// The language model that answered.
    pub model: String,
    /// Time, as RFC 3339.
    pub timestamp: String,
    /// The tools that were called.
    #[serde(default)]
    pub tool_calls: Value,
    /// Duration in milliseconds.
    pub execution_time: f64,
    /// Cost in credits.
    pub used_credits: f64,
    /// The conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<String>,
}

/// The acknowledgement of a chat with callback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatAccepted {
    /// Says that the request is being processed.
    pub message: String,
    /// `processing`.
    pub status: String,
}

/// The body of `POST agent/:agent_id/waba`: a WhatsApp template to send.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TemplateRequest {
    /// The recipient's phone number with country code.
    pub recipient_phone_number: String,
    /// Name of the template.
    pub template_name: String,
    /// Language code such as `en_US`, `en` or `nl_NL`.
    pub language: String,
    /// Name of the customer, for new ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_name: Option<String>,
    /// Template components as the WhatsApp Cloud API formats them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Value>,
}

/// The answer to a WhatsApp template. HTTP 200 says nothing: [`TemplateAnswer::messages`] tells.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TemplateAnswer {
    /// `whatsapp`.
    #[serde(default)]
    pub messaging_product: String,
    /// The recipients.
    #[serde(default)]
    pub contacts: Vec<TemplateContact>,
    /// The messages that were sent.
    #[serde(default)]
    pub messages: Vec<TemplateMessage>,
    /// The error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Value>,
    /// The error, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl TemplateAnswer {
    /// The identifier of the message that was sent.
    ///
    /// # Errors
    /// There is none, or an error beside it, in FlowGent's words, which may be of any length.
    pub fn sent(&self) -> Result<&str, String> {
        let said = [
            self.error.as_ref().map(Value::to_string),
            self.message.clone(),
        ];
        let said = said.into_iter().flatten().collect::<Vec<_>>().join(": ");
        match self.messages.first() {
            Some(sent) if self.error.is_none() => Ok(&sent.id),
            _ if said.is_empty() => Err("it names no message that was sent".to_owned()),
            _ => Err(format!("it says: {said}")),
        }
    }
}

/// A recipient of a WhatsApp template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateContact {
    /// The phone number as given.
    pub input: String,
    /// The recipient's WhatsApp identifier.
    pub wa_id: String,
}

/// A WhatsApp message that was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateMessage {
    /// Its identifier, `wamid.…`.
    pub id: String,
}
