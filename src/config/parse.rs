//! Text → [`ConfigFile`], or everything that keeps it from being one: bad syntax, unknown keys, wrong
//! types. Also finds what must never be shown of the text.

use std::borrow::Cow;
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer, Error};

use super::diagnostics::{Fault, Finding};
use super::file::{ConfigFile, KEYS};
use super::secrets;
use crate::nearest::nearest;
use crate::roster::printable;

/// How many misplaced or mistyped entries are reported at once: each costs one more reading.
const MAX_ENTRIES: usize = 20;

/// A text as far as it could be understood.
pub(super) struct Parsed {
    /// The file, unless there are findings.
    pub(super) file: Result<ConfigFile, Vec<Finding>>,
    /// Places that must not be shown.
    pub(super) secrets: Vec<Range<usize>>,
}

/// Reads `text`, or of its sections only the one that is named. Serde stops at the first entry that does
/// not fit; here that entry is noted and taken out, and the rest is read again, so that one run tells all.
pub(super) fn parse(text: &str, section: Option<&str>) -> Parsed {
    let mut tree = match DeTable::parse(text) {
        Ok(tree) => tree,
        Err(error) => {
            let secrets = secrets::in_broken_text(text);
            return Parsed {
                file: Err(vec![syntax_finding(text, &secrets, &error)]),
                secrets,
            };
        }
    };
    let mut secrets = secrets::in_table(text, tree.get_ref());
    if let Some(section) = section {
        let table = tree.get_mut();
        let others = table.keys().filter(|key| key.get_ref() != section);
        for key in others.cloned().collect::<Vec<_>>() {
            table.remove(&key);
        }
    }
    let mut findings = Vec::new();
    while findings.len() < MAX_ENTRIES {
        let error = match ConfigFile::deserialize(Deserializer::from(tree.clone())) {
            Ok(file) if findings.is_empty() => {
                return Parsed {
                    file: Ok(file),
                    secrets,
                };
            }
            Ok(_) => break,
            Err(error) => error,
        };
        let place = error.span().unwrap_or_default();
        let Some(entry) = take_entry(tree.get_mut(), &place, "") else {
            findings.push(Finding {
                place,
                fault: Fault::new(error.message()),
            });
            break;
        };
        if place == entry.key_place {
            secrets::of_value(text, &entry.value, &mut secrets);
        }
        // The place alone does not say which: a table like `[hook.x]` has that of its key.
        let fault = if error.message().starts_with("unknown field ") {
            unknown_key(&entry, error.message())
        } else {
            wrong_type(&entry, error.message())
        };
        findings.push(Finding { place, fault });
    }
    Parsed {
        file: Err(findings),
        secrets,
    }
}

fn syntax_finding(text: &str, secrets: &[Range<usize>], error: &Error) -> Finding {
    let place = error.span().unwrap_or_default();
    let fault = match text.get(place.clone()) {
        Some(key) if error.message() == "duplicate key" => Fault::new(format!(
            "`{}` is defined twice",
            printable(key.trim_matches('"'))
        )),
        _ => Fault::new(format!("not TOML: {}", error.message())),
    };
    let hidden = secrets.iter().any(|secret| {
        !secret.is_empty() && secret.start <= place.start && place.start <= secret.end
    });
    Finding {
        place,
        fault: if hidden {
            fault.help("possible secrets are not shown")
        } else {
            fault
        },
    }
}

/// An entry that does not fit.
struct Entry<'i> {
    /// The table it stood in, as one writes its header; empty for the top of the file.
    table: String,
    key: Cow<'i, str>,
    key_place: Range<usize>,
    value: Spanned<DeValue<'i>>,
    /// The type of the value at the place of the error, which may lie deeper.
    found: &'static str,
}

/// Takes out the entry whose key or value has exactly this place.
fn take_entry<'i>(
    table: &mut DeTable<'i>,
    place: &Range<usize>,
    header: &str,
) -> Option<Entry<'i>> {
    let hit = table.iter().find_map(|(key, value)| {
        let found = if key.span() == *place {
            Some(value.get_ref().type_str())
        } else {
            type_at(value, place)
        };
        found.map(|found| (key.clone(), found))
    });
    if let Some((key, found)) = hit {
        let value = table.remove(key.get_ref().as_ref())?;
        return Some(Entry {
            table: header.to_owned(),
            key_place: key.span(),
            key: key.into_inner(),
            value,
            found,
        });
    }
    let prefix = header.trim_matches(['[', ']']);
    let dot = if prefix.is_empty() { "" } else { "." };
    table
        .iter_mut()
        .find_map(|(key, value)| match value.get_mut() {
            DeValue::Table(inner) => {
                take_entry(inner, place, &format!("[{prefix}{dot}{}]", key.get_ref()))
            }
            DeValue::Array(elements) => elements.iter_mut().find_map(|element| {
                let DeValue::Table(inner) = element.get_mut() else {
                    return None;
                };
                take_entry(inner, place, &format!("[[{prefix}{dot}{}]]", key.get_ref()))
            }),
            _ => None,
        })
}

/// The type of the value, or of the element of an array, that has exactly this place.
fn type_at(value: &Spanned<DeValue<'_>>, place: &Range<usize>) -> Option<&'static str> {
    if value.span() == *place {
        return Some(value.get_ref().type_str());
    }
    value
        .get_ref()
        .as_array()?
        .iter()
        .find_map(|element| type_at(element, place))
}

fn unknown_key(entry: &Entry<'_>, message: &str) -> Fault {
    let in_hook = entry.table.starts_with("[[hook]]");
    let in_push = entry.table == "[push]";
    if secrets::is_secret_name(&entry.key) || (in_hook && secrets::is_url_name(&entry.key)) {
        let fault = Fault::new("the config file must not hold keys or other secrets");
        let (what, [file, variable]) = if in_hook {
            ("it", secrets::keys_instead(&entry.key))
        } else if in_push {
            ("it", secrets::keys_instead_in_push(&entry.key))
        } else {
            ("the API key", ["api_key_file", "api_key_env"])
        };
        return fault.help(format!(
            "put {what} into a file named by `{file}`, \
             or an environment variable named by `{variable}`"
        ));
    }
    let key = printable(&entry.key);
    let fault = match (entry.table.as_str(), entry.found) {
        ("", "table") => Fault::new(format!("unknown section `[{key}]`")),
        ("", "array") => Fault::new(format!("unknown section `[[{key}]]`")),
        ("", _) => Fault::new(format!("unknown key `{key}` before the first section")),
        (table, _) => Fault::new(format!("unknown key `{key}` in `{}`", printable(table))),
    };
    let known = expected_keys(message);
    // The keys of a hook, whose URLs have no others beside them.
    let written = |known: &&&str| in_push && known.strip_prefix("write_") == Some(&entry.key);
    let near = nearest(&entry.key, &known).or_else(|| known.iter().find(written).copied());
    match near {
        Some(near) => fault.help(format!("did you mean `{near}`?")),
        None => fault.help(format!("known here: {}", known.join(", "))),
    }
}

/// The keys that serde names in its message on an unknown one: the list of the derived struct itself,
/// which cannot go stale.
fn expected_keys(message: &str) -> Vec<&str> {
    // The unknown key comes first and may hold anything, the list comes last.
    let Some((_, list)) = message.rsplit_once("`, expected ") else {
        return Vec::new();
    };
    list.split('`')
        .skip(1)
        .step_by(2)
        .filter(|key| KEYS.contains(*key))
        .collect()
}

fn wrong_type(entry: &Entry<'_>, message: &str) -> Fault {
    let key = printable(&entry.key);
    let expected = message
        .rsplit_once(", expected ")
        .map_or("another type", |(_, expected)| expected);
    let expected = match expected {
        "i64" => "an integer",
        "f64" => "a number",
        "a sequence" => "an array",
        "a map" => "a table",
        other => other,
    };
    let found = match entry.found {
        "integer" => "an integer",
        "float" => "a fraction",
        "boolean" => "a boolean",
        "string" => "a string",
        "datetime" => "a date",
        "array" => "an array",
        _ => "a table",
    };
    if found == expected {
        return Fault::new(format!("`{key}` is out of range"));
    }
    let inside = match entry.value.get_ref() {
        DeValue::Array(_) if found != "an array" => "each element of ",
        _ => "",
    };
    let fault = Fault::new(format!("{inside}`{key}` must be {expected}, not {found}"));
    match (expected, found) {
        ("a string", "an integer" | "a fraction" | "a date" | "a boolean") => {
            fault.help("put it in quotes")
        }
        ("an array", "a string") => fault.help("put it in brackets: `[\"…\"]`"),
        ("an array", "a table") => fault.help(format!("write `[[{}]]`", full_key(entry))),
        ("a table", "an array") => fault.help(format!("write `[{}]`", full_key(entry))),
        ("an integer" | "a number", "a string") => fault.help("leave out the quotes"),
        ("a boolean", _) => fault.help("write true or false"),
        _ => fault,
    }
}

/// The key with its tables, as it stands in a header.
fn full_key(entry: &Entry<'_>) -> String {
    let table = entry.table.trim_matches(['[', ']']);
    let dot = if table.is_empty() { "" } else { "." };
    format!("{table}{dot}{}", printable(&entry.key))
}
