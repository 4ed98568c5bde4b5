//! A list of agents that another tool keeps.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{LabelSets, Labels};
use crate::day::Day;
use crate::files::{self, AGENTS, FileError};
use crate::text::printable;

/// The most bytes of what an error says of a list's form.
const REASON_BYTES: usize = 300;

/// An agent as a list names it: not checked yet. Its texts are shared with the [`Agent`](super::Agent)
/// that becomes of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListedAgent {
    /// FlowGent's identifier of it.
    pub id: Arc<str>,
    /// Its name, if the list has one.
    pub name: Option<Arc<str>>,
    /// Its own labels.
    pub labels: Arc<Labels>,
    /// Since which day its list no longer names it; none in a list that has just been read.
    pub unlisted_since: Option<Day>,
}

/// Why a list of agents could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is not JSON of the documented form. The message ends in line and column.
    #[error("agents file `{}`: {}", path.display(), said(.error))]
    Form {
        /// The list.
        path: PathBuf,
        /// The mistake and its place.
        error: serde_json::Error,
    },
}

/// A short line on what is wrong, without its hidden letters; names and values in it come from the file.
fn said(error: &serde_json::Error) -> String {
    let place = format!(" at line {} column {}", error.line(), error.column());
    let text = error.to_string();
    let reason = text.strip_suffix(&place).unwrap_or(&text);
    printable(reason, REASON_BYTES) + &place
}

/// Reads a list of agents: a JSON array whose elements are identifiers or objects
/// `{"id": …, "name": …, "labels": {…}}`, name and labels being optional.
///
/// # Errors
/// The file cannot be read, or is of another form.
pub fn read_agents(path: &Path) -> Result<Vec<ListedAgent>, ListError> {
    let text = files::read(path, AGENTS)?.bytes;
    let list = serde_json::from_slice::<List>(&text).map_err(|error| ListError::Form {
        path: path.to_owned(),
        error,
    })?;
    Ok(list.0)
}

/// A whole list, in which equal labels are shared: many agents have few different ones.
struct List(Vec<ListedAgent>);

impl<'de> Deserialize<'de> for List {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Elements;

        impl<'de> Visitor<'de> for Elements {
            type Value = List;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a sequence")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<List, A::Error> {
                let (mut list, mut sets) = (Vec::new(), LabelSets::default());
                while let Some(mut agent) = elements.next_element::<ListedAgent>()? {
                    agent.labels = sets.share(agent.labels);
                    list.push(agent);
                }
                Ok(List(list))
            }
        }

        deserializer.deserialize_seq(Elements)
    }
}

/// The long form of an element.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Described {
    id: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    labels: Labels,
}

// An untagged enum would do, but it loses the place and the reason of an error.
impl<'de> Deserialize<'de> for ListedAgent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Element;

        impl<'de> Visitor<'de> for Element {
            type Value = ListedAgent;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an agent's identifier, or an object with `id`, `name` and `labels`")
            }

            fn visit_str<E>(self, id: &str) -> Result<ListedAgent, E> {
                Ok(ListedAgent {
                    id: id.into(),
                    ..ListedAgent::default()
                })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ListedAgent, A::Error> {
                let Described { id, name, labels } =
                    Described::deserialize(MapAccessDeserializer::new(map))?;
                Ok(ListedAgent {
                    id: id.into(),
                    name: name.map(Into::into),
                    labels: labels.into(),
                    unlisted_since: None,
                })
            }
        }

        deserializer.deserialize_any(Element)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &str) -> Result<Vec<ListedAgent>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agents.json");
        std::fs::write(&path, content).unwrap();
        read_agents(&path).map_err(|error| {
            let folder = format!("{}/", folder.path().display());
            error.to_string().replace(&folder, "")
        })
    }

    #[test]
    fn identifiers_and_objects_may_be_mixed() {
        let list =
            read(r#"["a", {"id": "b"}, {"id": "c", "name": "support", "labels": {"team": "cx"}}]"#)
                .unwrap();
        assert_eq!(
            list,
            [
                ListedAgent {
                    id: "a".into(),
                    ..ListedAgent::default()
                },
                ListedAgent {
                    id: "b".into(),
                    ..ListedAgent::default()
                },
                ListedAgent {
                    id: "c".into(),
                    name: Some("support".into()),
                    labels: Labels::from([("team".to_owned(), "cx".to_owned())]).into(),
                    unlisted_since: None,
                },
            ]
        );
        assert_eq!(read("[]"), Ok(vec![]));
    }

    #[test]
    fn equal_labels_are_kept_once() {
        let list = read(
            r#"[{"id": "a", "labels": {"team": "cx"}}, {"id": "b", "labels": {"team": "cx"}},
                {"id": "c", "labels": {"team": "ops"}}]"#,
        )
        .unwrap();
        assert!(Arc::ptr_eq(&list[0].labels, &list[1].labels));
        assert_ne!(list[0].labels, list[2].labels);
    }

    #[test]
    fn errors_name_the_file_and_the_place() {
        for (content, message) in [
            (
                "[\n  5]",
                "agents file `agents.json`: invalid type: integer `5`, expected an agent's \
                 identifier, or an object with `id`, `name` and `labels` at line 2 column 3",
            ),
            (
                r#"[{"name": "support"}]"#,
                "agents file `agents.json`: missing field `id` at line 1 column 20",
            ),
            (
                r#"[{"id": "a", "lables": {}}]"#,
                "agents file `agents.json`: unknown field `lables`, expected one of `id`, `name`, \
                 `labels` at line 1 column 21",
            ),
            (
                r#"[{"\u001b[2J\u202e": 1}]"#,
                "agents file `agents.json`: unknown field `\\u{1b}[2J\\u{202e}`, expected one of `id`, \
                 `name`, `labels` at line 1 column 19",
            ),
            ("", "cannot read agents file `agents.json`: it is empty"),
        ] {
            assert_eq!(read(content), Err(message.to_owned()));
        }
    }

    #[test]
    fn a_missing_list_is_named() {
        assert_eq!(
            read_agents(Path::new("no-such-folder/agents.json"))
                .unwrap_err()
                .to_string(),
            "cannot read agents file `no-such-folder/agents.json`: No such file or directory (os error 2)"
        );
    }
}
