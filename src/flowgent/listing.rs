//! The listing of agents, whose form the API document does not describe.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Number;

use crate::flowgent::error::ApiError;
use crate::roster::{Labels, ListedAgent};
use crate::text::printable;

/// Names of the list in an object.
const LISTS: [&str; 3] = ["agents", "data", "items"];
/// Names of an agent's identifier.
const IDS: [&str; 2] = ["id", "agent_id"];
/// Number of an object's keys that an error names.
const SHOWN_KEYS: usize = 8;
/// Number of an object's fields that are kept.
const KEPT_FIELDS: usize = 64;

/// Names of the fields that announce more: another page, a mark of where it starts, or just that.
const MORE: [&str; 7] = [
    "next",
    "next_page",
    "next_cursor",
    "next_page_token",
    "has_more",
    "has_next",
    "has_next_page",
];
/// Names of the fields with the number of agents.
const TOTALS: [&str; 3] = ["total", "total_count", "total_items"];

/// FlowGent's list of an account's agents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Those that it names.
    pub agents: Vec<ListedAgent>,
    /// The sign that there are others; none if there is none.
    pub gap: Option<String>,
}

/// A value of an answer, of which no more is kept than is used: lists may be very long.
#[derive(Debug)]
pub(super) enum Seen {
    Null,
    Boolean(bool),
    Number(Number),
    Text(String),
    /// The agents of an array; or what stands there instead of one, and where.
    Array(Result<Vec<ListedAgent>, (usize, String)>),
    /// The first fields of an object.
    Object(Vec<(String, Seen)>),
}

/// The agents of a listing: an array, or an object that holds one.
///
/// # Errors
/// A broken contract, which says what was seen: keys and types, no content.
pub(super) fn agents(answer: Seen) -> Result<Listing, ApiError> {
    let (list, fields) = match answer {
        Seen::Object(mut fields) => {
            let is_list = |(name, value): &(String, Seen), wanted: &str| {
                name == wanted && matches!(value, Seen::Array(_))
            };
            let mut places = LISTS
                .iter()
                .filter_map(|wanted| fields.iter().position(|field| is_list(field, wanted)));
            match places.next() {
                Some(place) => (fields.swap_remove(place).1, fields),
                None => (Seen::Object(fields), Vec::new()),
            }
        }
        other => (other, Vec::new()),
    };
    let agents = match list {
        Seen::Array(agents) => agents,
        other => {
            return Err(ApiError::Contract(format!(
                "agent listing is {other}, not an array or an object with one under `agents`, `data` or \
                 `items`"
            )));
        }
    };
    let agents = agents.map_err(|(index, seen)| {
        ApiError::Contract(format!(
            "agent {index} of the listing is {seen}, without a text under `id` or `agent_id`"
        ))
    })?;
    let ids: HashSet<&str> = agents.iter().map(|agent| &*agent.id).collect();
    let gap = gap(&fields, ids.len());
    Ok(Listing { agents, gap })
}

/// The sign of further agents in an answer with these `fields` beside a list of `named` agents: one of the fields, or
/// one in an object among them, such as `pagination`.
fn gap(fields: &[(String, Seen)], named: usize) -> Option<String> {
    let inner = fields.iter().filter_map(|(name, value)| match value {
        Seen::Object(fields) => Some((format!("{}.", printable(name, 24)), &fields[..])),
        _ => None,
    });
    let mut places = std::iter::once((String::new(), fields)).chain(inner);
    places.find_map(|(place, fields)| {
        let field = |wanted: &str| {
            // As `hasMore`, too.
            let camel = wanted.replace('_', "");
            let is_it =
                |(name, _): &&(String, Seen)| name == wanted || name.to_lowercase() == camel;
            fields.iter().find(is_it)
        };
        let more = MORE.iter().find_map(|name| {
            let (name, value) = field(name)?;
            value
                .says_yes()
                .then(|| format!("`{place}{name}` says that there are more"))
        });
        more.or_else(|| {
            TOTALS.iter().find_map(|name| {
                let (name, total) = field(name)?;
                let Seen::Number(total) = total else {
                    return None;
                };
                let is_more = total.as_f64().is_some_and(|total| total > named as f64);
                is_more.then(|| format!("`{place}{name}` is {total}, and {named} are named"))
            })
        })
    })
}

impl Seen {
    /// Returns true if a field with this value says that there is something.
    fn says_yes(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Boolean(says) => *says,
            Self::Number(number) => number.as_f64() != Some(0.0),
            Self::Text(text) => !text.is_empty(),
            Self::Array(agents) => agents.as_ref().is_ok_and(|agents| !agents.is_empty()),
            Self::Object(fields) => !fields.is_empty(),
        }
    }
}

/// The type of a value; of an object also its first keys.
impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Boolean(_) => f.write_str("a boolean"),
            Self::Number(_) => f.write_str("a number"),
            Self::Text(_) => f.write_str("a text"),
            Self::Array(_) => f.write_str("an array"),
            Self::Object(fields) if fields.is_empty() => f.write_str("an empty object"),
            Self::Object(fields) => {
                let keys = fields.iter().take(SHOWN_KEYS);
                let keys: Vec<_> = keys
                    .map(|(key, _)| format!("`{}`", printable(key, 24)))
                    .collect();
                let more = if fields.len() > SHOWN_KEYS {
                    ", …"
                } else {
                    ""
                };
                write!(f, "an object with {}{more}", keys.join(", "))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Seen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Values { entry: false })
    }
}

/// An element of a list, of which the fields are kept that say who it is, and the first keys.
struct Entry(Seen);

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seen = deserializer.deserialize_any(Values { entry: true });
        seen.map(Self)
    }
}

/// Reads a value; as an `entry` of a list, without what is in it in turn.
#[derive(Clone, Copy)]
struct Values {
    entry: bool,
}

impl<'de> Visitor<'de> for Values {
    type Value = Seen;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Seen, E> {
        Ok(Seen::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Seen, E> {
        Ok(Seen::Boolean(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Seen, E> {
        Ok(Seen::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Seen, E> {
        Ok(Seen::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Seen, E> {
        Ok(Number::from_f64(value).map_or(Seen::Null, Seen::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Seen, E> {
        Ok(Seen::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Seen, A::Error> {
        let mut agents = Ok(Vec::new());
        let labels = Arc::<Labels>::default();
        while let Ok(list) = &mut agents
            && !self.entry
        {
            let Some(Entry(entry)) = elements.next_element()? else {
                return Ok(Seen::Array(agents));
            };
            match agent(&entry, &labels) {
                Some(agent) => list.push(agent),
                None => agents = Err((list.len(), entry.to_string())),
            }
        }
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Seen::Array(agents))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Seen, A::Error> {
        let mut fields = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            let is_used = |name: &str| name == "name" || IDS.contains(&name);
            if self.entry && !is_used(&name) {
                map.next_value::<IgnoredAny>()?;
                if fields.len() <= SHOWN_KEYS {
                    fields.push((name, Seen::Null));
                }
            } else if self.entry {
                let Entry(value) = map.next_value()?;
                fields.push((name, value));
            } else if fields.len() < KEPT_FIELDS {
                fields.push((name, map.next_value()?));
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(Seen::Object(fields))
    }
}

/// The agent that an element of a list is; none if it has no identifier.
fn agent(entry: &Seen, labels: &Arc<Labels>) -> Option<ListedAgent> {
    let Seen::Object(fields) = entry else {
        return None;
    };
    let text = |wanted: &str| {
        let mut texts = fields.iter().filter_map(|(name, value)| match value {
            Seen::Text(text) if name == wanted => Some(text.as_str()),
            _ => None,
        });
        texts.next()
    };
    let id = IDS.iter().find_map(|name| text(name));
    let id = id.filter(|id| !id.is_empty())?;
    Some(ListedAgent {
        id: id.into(),
        name: text("name").filter(|name| !name.is_empty()).map(Into::into),
        labels: Arc::clone(labels),
        unlisted_since: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn agents(listing: &Value) -> Result<Listing, ApiError> {
        super::agents(serde_json::from_str(&listing.to_string()).unwrap())
    }

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
            format!("invalid answer: agent listing is an object with `a\\nb`, `bots`, {form}")
        );
        assert_eq!(
            refusal(json!("secret")),
            format!("invalid answer: agent listing is a text, {form}")
        );
        let entry = "without a text under `id` or `agent_id`";
        assert_eq!(
            refusal(json!([{"id": "a"}, {"id": 7, "name": "secret"}])),
            format!(
                "invalid answer: agent 1 of the listing is an object with `id`, `name`, {entry}"
            )
        );
        assert_eq!(
            refusal(json!([{"id": ""}])),
            format!("invalid answer: agent 0 of the listing is an object with `id`, {entry}")
        );
        let many: Value = (0..99).map(|n| (format!("k{n:02}"), json!(0))).collect();
        assert!(refusal(many).contains("`k07`, …"));
    }

    #[test]
    fn a_field_after_many_others_and_a_list_in_a_list_are_not_kept() {
        let many: Value = (0..99).map(|n| (format!("k{n:02}"), json!([n]))).collect();
        let Seen::Object(fields) = serde_json::from_str(&many.to_string()).unwrap() else {
            panic!("it is an object");
        };
        assert_eq!(fields.len(), KEPT_FIELDS);
        let nested = json!([{"id": "a", "tools": [{"id": "b"}, {"deep": [[1]]}]}]);
        assert_eq!(agents(&nested).unwrap().agents.len(), 1);
        let refusal = agents(&json!([["a"]])).unwrap_err().to_string();
        assert!(
            refusal.contains("agent 0 of the listing is an array"),
            "{refusal}"
        );
    }
}
