//! WhatsApp templates, sent by one of FlowGent's agents.
//!
//! A template is approved by WhatsApp beforehand and says what never changes; what does are its
//! parameters. FlowGent does not tell a repetition: a try whose answer was lost may be read twice.

use std::sync::Arc;

use serde_json::json;

use super::{Hooks, Message, Template, one_line};
use crate::egress::SendError;
use crate::egress::place::read;
use crate::flowgent::client::Client;
use crate::flowgent::error::ApiError;
use crate::flowgent::wire::TemplateRequest;
use crate::secret::SecretSource;
use crate::text::{QUOTE_BYTES, printable};

/// The most characters of a parameter: WhatsApp's limit for the whole text of a template.
const PARAMETER_CHARACTERS: usize = 1024;
/// Text for an empty parameter, which WhatsApp refuses.
const NOTHING: &str = "-";

/// A WhatsApp template, and the agent that sends it.
#[derive(Debug, Clone)]
pub struct Whatsapp {
    /// The account that the agent belongs to.
    pub account: Arc<str>,
    /// The account's key.
    pub api_key: SecretSource,
    /// The agent's id.
    pub agent_id: Arc<str>,
    /// Name of the template.
    pub template_name: String,
    /// Its language, such as `en_US`.
    pub language: String,
    /// Phone numbers with their country codes; each gets a message of its own.
    pub recipients: Vec<String>,
    /// Templates of its parameters, in their order.
    pub parameters: Vec<Template>,
}

impl Whatsapp {
    /// A client of its own, by the API of `hooks`.
    pub(super) fn client(&self, hooks: &Hooks) -> Client {
        let Hooks {
            api,
            http,
            clock,
            telemetry,
            ..
        } = hooks;
        let account = Arc::clone(&self.account);
        Client::new(http, api, account, telemetry, Arc::clone(clock))
    }

    /// Sends the template to the message's target by `client` and says what WhatsApp knows it by.
    ///
    /// # Errors
    /// There is no key, or FlowGent did not take it.
    pub(super) async fn send(
        &self,
        client: &Client,
        message: &Message,
    ) -> Result<String, SendError> {
        let key = read(&self.api_key).await?;
        client.set_key(key).map_err(|error| self.failed(&error))?;
        let (parameters, remarks) = self.parameters(message);
        let request = TemplateRequest {
            recipient_phone_number: message.target.clone(),
            template_name: self.template_name.clone(),
            language: self.language.clone(),
            customer_name: None,
            parameters: if parameters.is_empty() {
                Vec::new()
            } else {
                vec![json!({ "type": "body", "parameters": parameters })]
            },
        };
        let sent = client.send_template(&self.agent_id, &request);
        let answer = sent.await.map_err(|error| self.failed(&error))?;
        // The client has seen to it that there is one.
        let id = answer.sent().unwrap_or_default();
        Ok(format!("sent as {}{remarks}", printable(id, QUOTE_BYTES)))
    }

    /// The parameters as the Cloud API formats them, and what is to be said of them. One that cannot
    /// be rendered says the message's title instead: what is told matters more than its form.
    fn parameters(&self, message: &Message) -> (Vec<serde_json::Value>, String) {
        let mut remarks = String::new();
        let parameters = self.parameters.iter().enumerate();
        let parameters = parameters.map(|(place, template)| {
            let text = template.render(message).unwrap_or_else(|error| {
                let number = place + 1;
                let reason = printable(&error.to_string(), QUOTE_BYTES);
                remarks += &format!(", with the title as parameter {number}: {reason}");
                message.title()
            });
            // WhatsApp refuses line breaks, tabs and more than four spaces in a row.
            let text = match one_line(&text, PARAMETER_CHARACTERS) {
                text if text.is_empty() => NOTHING.to_owned(),
                text => text,
            };
            json!({ "type": "text", "text": text })
        });
        (parameters.collect(), remarks)
    }

    fn failed(&self, error: &ApiError) -> SendError {
        let agent = &self.agent_id;
        SendError {
            retry_after: error.retry_after(),
            ..SendError::new(format!("WhatsApp template of agent {agent}: {error}"))
        }
    }
}

#[cfg(test)]
mod tests;
