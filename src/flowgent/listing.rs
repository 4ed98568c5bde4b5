//! The listing of agents, whose form the API document does not describe.

use std::collections::HashSet;

use serde_json::Value;

use crate::flowgent::error::{ApiError, printable};
use crate::roster::ListedAgent;

/// Under what names the list may stand in an object.
const LISTS: [&str; 3] = ["agents", "data", "items"];
/// Under what names an agent's identifier may stand.
const IDS: [&str; 2] = ["id", "agent_id"];
/// How many keys of an object an error names.
const SHOWN_KEYS: usize = 8;

/// Under what names an answer says that there is more: another page, a mark of where it starts, or just that.
const MORE: [&str; 7] = [
    "next",
    "next_page",
    "next_cursor",
    "next_page_token",
    "has_more",
    "has_next",
    "has_next_page",
];
/// Under what names an answer says how many agents there are.
const TOTALS: [&str; 3] = ["total", "total_count", "total_items"];

/// FlowGent's list of an account's agents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Those that it names.
    pub agents: Vec<ListedAgent>,
    /// By what it says that there are others; none if it says nothing of the kind.
    pub gap: Option<String>,
}

/// The agents of a listing: an array, or an object that holds one.
///
/// # Errors
/// A broken contract, which says what was seen: keys and types, no content.
pub(super) fn agents(listing: &Value) -> Result<Listing, ApiError> {
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
    let agents = list.iter().enumerate();
    let agents: Vec<ListedAgent> = agents
        .map(|(index, entry)| agent(index, entry))
        .collect::<Result<_, _>>()?;
    let ids: HashSet<&str> = agents.iter().map(|agent| &*agent.id).collect();
    let gap = gap(listing, ids.len());
    Ok(Listing { agents, gap })
}

/// By what an answer that names so many agents says that there are others: in itself, or in an object in it,
/// such as `pagination`.
fn gap(listing: &Value, named: usize) -> Option<String> {
    let object = listing.as_object()?;
    let inner = object
        .iter()
        .filter(|(name, _)| !LISTS.contains(&name.as_str()));
    let inner = inner.filter_map(|(name, value)| Some((format!("{name}."), value.as_object()?)));
    let mut places = std::iter::once((String::new(), object)).chain(inner);
    places.find_map(|(place, fields)| {
        let place = printable(&place, 24);
        let field = |name: &str| {
            // As `hasMore`, too.
            let same = |key: &String| key.to_lowercase() == name.replace('_', "");
            let camel = || fields.iter().find(|(key, _)| same(key));
            fields.get_key_value(name).or_else(camel)
        };
        let more = MORE.iter().find_map(|name| {
            let (name, value) = field(name)?;
            let says_no = match value {
                Value::Null | Value::Bool(false) => true,
                Value::String(text) => text.is_empty(),
                Value::Number(number) => number.as_f64() == Some(0.0),
                Value::Object(object) => object.is_empty(),
                Value::Array(array) => array.is_empty(),
                Value::Bool(true) => false,
            };
            (!says_no).then(|| format!("`{place}{name}` says that there are more"))
        });
        more.or_else(|| {
            TOTALS.iter().find_map(|name| {
                let (name, total) = field(name)?;
                let total = total.as_f64().filter(|total| *total > named as f64)?;
                Some(format!("`{place}{name}` is {total}, and {named} are named"))
            })
        })
    })
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
            let listing_of = agents(&listing).unwrap();
            assert_eq!(listing_of.agents, expected, "{listing}");
            assert_eq!(listing_of.gap, None, "{listing}");
        }
        assert_eq!(agents(&json!([])).unwrap().agents, []);
    }

    #[test]
    fn an_answer_that_says_that_it_is_not_whole_is_known_by_it() {
        let two = json!([{"id": "a"}, {"id": "b"}]);
        let gap = |rest: Value| {
            let mut listing = json!({"agents": two});
            let rest = rest.as_object().unwrap().clone();
            listing.as_object_mut().unwrap().extend(rest);
            agents(&listing).unwrap().gap
        };
        for (rest, expected) in [
            (
                json!({"next": "/agent?page=2"}),
                "`next` says that there are more",
            ),
            (
                json!({"has_more": true}),
                "`has_more` says that there are more",
            ),
            (
                json!({"hasMore": true}),
                "`hasMore` says that there are more",
            ),
            (
                json!({"nextCursor": "x"}),
                "`nextCursor` says that there are more",
            ),
            (json!({"total": 3}), "`total` is 3, and 2 are named"),
            (
                json!({"pagination": {"total": 30, "page": 1}}),
                "`pagination.total` is 30, and 2 are named",
            ),
            (
                json!({"links": {"self": "x", "next": "y"}}),
                "`links.next` says that there are more",
            ),
        ] {
            assert_eq!(gap(rest.clone()).as_deref(), Some(expected), "{rest}");
        }
        for whole in [
            json!({"next": null, "has_more": false, "total": 2}),
            json!({"next": "", "total": 1, "meta": {"next_page": 0}}),
            json!({"page": 1, "note": "next"}),
        ] {
            assert_eq!(gap(whole.clone()), None, "{whole}");
        }
        // Of one that is named twice, another may be missing.
        let twice = json!({"agents": [{"id": "a"}, {"id": "a"}], "total": 2});
        let listing = agents(&twice).unwrap();
        assert_eq!(
            listing.gap.as_deref(),
            Some("`total` is 2, and 1 are named")
        );
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
