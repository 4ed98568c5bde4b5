//! The listing of agents, whose form the API document does not describe.

use serde_json::Value;

use crate::flowgent::error::{ApiError, printable};
use crate::roster::ListedAgent;

/// Under what names the list may stand in an object.
const LISTS: [&str; 3] = ["agents", "data", "items"];
/// Under what names an agent's identifier may stand.
const IDS: [&str; 2] = ["id", "agent_id"];
/// How many keys of an object an error names.
const SHOWN_KEYS: usize = 8;

/// The agents of a listing: an array, or an object that holds one.
///
/// # Errors
/// A broken contract, which says what was seen: keys and types, no content.
pub(super) fn agents(listing: &Value) -> Result<Vec<ListedAgent>, ApiError> {
    let list = match listing {
        Value::Array(list) => Some(list),
        Value::Object(object) => LISTS
            .iter()
            .find_map(|name| object.get(*name).and_then(Value::as_array)),
        _ => None,
    };
    let list = list.ok_or_else(|| {
        ApiError::Contract(format!(
            "agent listing is {}, not an array or an object with one under `agents`, `data` or `items`",
            seen(listing)
        ))
    })?;
    list.iter()
        .enumerate()
        .map(|(index, entry)| agent(index, entry))
        .collect()
}

fn agent(index: usize, entry: &Value) -> Result<ListedAgent, ApiError> {
    let id = IDS
        .iter()
        .find_map(|name| entry.get(*name).and_then(Value::as_str))
        .filter(|id| !id.is_empty())
        .ok_or_else(|| {
            ApiError::Contract(format!(
                "agent {index} of the listing is {}, without a text under `id` or `agent_id`",
                seen(entry)
            ))
        })?;
    let name = entry.get("name").and_then(Value::as_str);
    Ok(ListedAgent {
        id: id.into(),
        name: name.filter(|name| !name.is_empty()).map(Into::into),
        ..ListedAgent::default()
    })
}

/// The type of a value; of an object also its first keys.
fn seen(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "a boolean".to_owned(),
        Value::Number(_) => "a number".to_owned(),
        Value::String(_) => "a text".to_owned(),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(object) if object.is_empty() => "an empty object".to_owned(),
        Value::Object(object) => {
            let keys: Vec<_> = object
                .keys()
                .take(SHOWN_KEYS)
                .map(|key| format!("`{}`", printable(key, 24)))
                .collect();
            let more = if object.len() > SHOWN_KEYS {
                ", …"
            } else {
                ""
            };
            format!("an object with {}{more}", keys.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_accepted_form_lists_the_same_agents() {
        let entries = json!([
            {"id": "a-1", "name": "support", "model": "x"},
            {"agent_id": "a-2", "name": null},
            {"agent_id": "a-3", "name": ""}
        ]);
        let expected =
            [("a-1", Some("support")), ("a-2", None), ("a-3", None)].map(|(id, name)| {
                ListedAgent {
                    id: id.into(),
                    name: name.map(Into::into),
                    ..ListedAgent::default()
                }
            });
        for listing in [
            entries.clone(),
            json!({"agents": entries}),
            json!({"data": entries, "page": 1}),
            json!({"agents": null, "items": entries}),
        ] {
            assert_eq!(agents(&listing).unwrap(), expected, "{listing}");
        }
        assert_eq!(agents(&json!([])).unwrap(), []);
    }

    #[test]
    fn any_other_form_is_refused_with_its_keys_and_types_but_no_content() {
        let refusal = |listing: Value| agents(&listing).unwrap_err().to_string();
        let form = "not an array or an object with one under `agents`, `data` or `items`";
        assert_eq!(
            refusal(json!({"bots": ["secret"], "a\nb": 1})),
            format!("broken contract: agent listing is an object with `a\\nb`, `bots`, {form}")
        );
        assert_eq!(
            refusal(json!("secret")),
            format!("broken contract: agent listing is a text, {form}")
        );
        let entry = "without a text under `id` or `agent_id`";
        assert_eq!(
            refusal(json!([{"id": "a"}, {"id": 7, "name": "secret"}])),
            format!(
                "broken contract: agent 1 of the listing is an object with `id`, `name`, {entry}"
            )
        );
        assert_eq!(
            refusal(json!([{"id": ""}])),
            format!("broken contract: agent 0 of the listing is an object with `id`, {entry}")
        );
        let many: Value = (0..99).map(|n| (format!("k{n:02}"), json!(0))).collect();
        assert!(refusal(many).contains("`k07`, …"));
    }
}
