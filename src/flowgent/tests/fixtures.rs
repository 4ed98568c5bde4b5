//! Every JSON example of the API document is read by the types of [`crate::flowgent::wire`], and says the
//! same again when written.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::flowgent::wire::{
    ChatAccepted, ChatAnswer, ChatMessages, ChatRequest, ErrorAnswer, TemplateAnswer,
    TemplateRequest, UsageAnswer,
};

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../../../tests/fixtures/api/", $name, ".json"))
    };
}
pub(super) use fixture;

/// Numbers compare by value: the document writes whole credits without a fraction.
fn normal(value: Value) -> Value {
    match value {
        Value::Number(number) => number.as_f64().into(),
        Value::Array(list) => list.into_iter().map(normal).collect(),
        Value::Object(object) => object
            .into_iter()
            .map(|(key, value)| (key, normal(value)))
            .collect(),
        other => other,
    }
}

fn survives<T: DeserializeOwned + Serialize>(text: &str) -> T {
    let read: T = serde_json::from_str(text).unwrap();
    let written = serde_json::to_value(&read).unwrap();
    assert_eq!(normal(written), normal(serde_json::from_str(text).unwrap()));
    read
}

#[test]
fn every_example_of_the_document_is_read_and_written_without_loss() {
    let usage: UsageAnswer = survives(fixture!("usage"));
    assert_eq!(usage.usage.daily_breakdown.len(), 7);
    let chat: ChatAnswer = survives(fixture!("chat"));
    assert_eq!(chat.body.metadata.unwrap().used_credits, 1.0);
    for (text, status) in [
        (fixture!("chat-error-402-no-credits"), 402),
        (fixture!("chat-error-500"), 500),
        (fixture!("chat-error-503-unavailable"), 503),
    ] {
        assert_eq!(survives::<ChatAnswer>(text).status_code, status);
    }
    assert_eq!(
        survives::<ChatAccepted>(fixture!("chat-accepted")).status,
        "processing"
    );
    let forms = [
        fixture!("chat-request-text"),
        fixture!("chat-request-message"),
        fixture!("chat-request-messages"),
    ]
    .map(|text| survives::<ChatRequest>(text).messages);
    assert!(matches!(
        forms,
        [
            ChatMessages::Text(_),
            ChatMessages::One(_),
            ChatMessages::Many(_)
        ]
    ));
    assert_eq!(
        survives::<TemplateRequest>(fixture!("waba-request"))
            .parameters
            .len(),
        2
    );
    assert_eq!(
        survives::<TemplateAnswer>(fixture!("waba")).messages[0].id,
        "wamid.ID"
    );
    survives::<ErrorAnswer>(fixture!("waba-error-internal"));
}
