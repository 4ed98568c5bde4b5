//! The tables of a config file, read key by key. A key that nobody reads is unknown, so the line that reads a
//! key is the only one that knows it, beside the reference config, which explains it.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::diagnostics::{Fault, Finding};
use super::secrets::{self, SecretKeys};
use crate::roster::printable;

/// Keys and values that do not fit, and values that must not be shown.
#[derive(Default)]
pub(super) struct Slips {
    pub(super) findings: Vec<Finding>,
    pub(super) secrets: Vec<Range<usize>>,
}

/// A table of the config. When it is dropped, the keys that are left in it are noted as unknown, unless it may
/// have them: so read or name all keys of a table before you give it up because of a wrong one.
pub(super) struct Section<'i> {
    /// Place of its header; empty if the file has no such table.
    pub(super) header: Range<usize>,
    /// Key that it stands under, such as `hook`.
    pub(super) kind: &'static str,
    /// Name in messages, such as "hook `ops`".
    pub(super) owner: String,
    /// Consequence of a missing file or variable, for messages.
    pub(super) stops: String,
    /// Header as it is written, such as `[[account.agent]]`; empty for the top of the file.
    title: String,
    table: DeTable<'i>,
    known: Vec<&'static str>,
    text: &'i str,
    slips: Rc<RefCell<Slips>>,
}

impl<'i> Section<'i> {
    /// The top of the file that is written as `text`.
    pub(super) fn top(text: &'i str, table: DeTable<'i>, slips: &Rc<RefCell<Slips>>) -> Self {
        Self {
            header: 0..0,
            kind: "",
            owner: String::new(),
            stops: String::new(),
            title: String::new(),
            table,
            known: Vec::new(),
            text,
            slips: Rc::clone(slips),
        }
    }

    /// A table in this one, under `key`.
    pub(super) fn inner(&self, key: &str, table: Spanned<DeTable<'i>>, listed: bool) -> Self {
        let path = self.path(key);
        let header = table.span();
        let mut inner = Self::top(self.text, table.into_inner(), &self.slips);
        inner.header = header;
        inner.title = match listed {
            true => format!("[[{path}]]"),
            false => format!("[{path}]"),
        };
        inner.owner = match inner.name() {
            Some(name) => format!("{key} `{}`", printable(name.get_ref())),
            None => format!("this {key}"),
        };
        inner
    }

    /// The key with its tables, as it stands in a header.
    fn path(&self, key: &str) -> String {
        match self.title.trim_matches(['[', ']']) {
            "" => printable(key),
            prefix => format!("{prefix}.{}", printable(key)),
        }
    }

    /// True if the value of `key` is this word.
    pub(super) fn is(&self, key: &str, word: &str) -> bool {
        let value = self.table.get(key);
        value.is_some_and(|value| value.get_ref().as_str() == Some(word))
    }

    /// Its name, if it is a text.
    pub(super) fn name(&self) -> Option<Spanned<&str>> {
        let value = self.table.get("name")?;
        Some(Spanned::new(value.span(), value.get_ref().as_str()?))
    }

    /// Place of the value of `key`, if it is written.
    pub(super) fn place(&self, key: &str) -> Option<Range<usize>> {
        self.table.get(key).map(Spanned::span)
    }

    /// The length of the list that `key` is, if it is written.
    pub(super) fn length(&self, key: &str) -> Option<usize> {
        let list = self.table.get(key)?.get_ref().as_array();
        list.map(|list| list.iter().count())
    }

    /// Notes that this table may have these keys.
    pub(super) fn may_have(&mut self, keys: &[&'static str]) {
        debug_assert!(
            keys.iter().all(|key| secrets::KEYS.contains(key)),
            "the reference config explains each of {keys:?}"
        );
        for key in keys {
            if !self.known.contains(key) {
                self.known.push(key);
            }
        }
    }

    /// Leaves `key` unread.
    pub(super) fn skip(&mut self, key: &str) {
        self.table.remove(key);
    }

    /// Leaves all that has not been read yet unread.
    pub(super) fn skip_rest(&mut self) {
        self.table.clear();
    }

    /// All keys and values that have not been read yet.
    pub(super) fn rest(&mut self) -> impl Iterator<Item = (Spanned<String>, Spanned<DeValue<'i>>)> {
        std::mem::take(&mut self.table)
            .into_iter()
            .map(|(key, value)| {
                let place = key.span();
                (Spanned::new(place, key.into_inner().into_owned()), value)
            })
    }

    /// The value of `key`, if it is written and fits.
    pub(super) fn get<T: Value<'i>>(&mut self, key: &'static str) -> Option<Spanned<T>> {
        self.may_have(&[key]);
        let value = self.table.remove(key)?;
        self.fit(key, &value)
    }

    /// The `value` of `key`, if it fits.
    pub(super) fn fit<T: Value<'i>>(
        &self,
        key: &str,
        value: &Spanned<DeValue<'i>>,
    ) -> Option<Spanned<T>> {
        T::read(value)
            .map(|fitting| Spanned::new(value.span(), fitting))
            .map_err(|misfit| self.misfit(key, &misfit))
            .ok()
    }

    /// Notes that the value of `key`, or an element of it, does not fit.
    pub(super) fn misfit(&self, key: &str, misfit: &Misfit) {
        let fault = misfit.fault(&printable(key), &self.path(key));
        self.refuse(misfit.place.clone(), fault);
    }

    pub(super) fn flag(&mut self, key: &'static str, default: bool) -> bool {
        self.get(key).map_or(default, Spanned::into_inner)
    }

    /// The texts of a list; none if it is left out.
    pub(super) fn texts(&mut self, key: &'static str) -> Vec<Spanned<String>> {
        self.get(key).map_or(Vec::new(), Spanned::into_inner)
    }

    /// The table `[key]`, if it is there.
    pub(super) fn table(&mut self, key: &'static str) -> Option<Self> {
        let table = self.get(key)?;
        Some(self.below(key, table, false))
    }

    /// The table `[key]`, an empty one if it is left out.
    pub(super) fn section(&mut self, key: &'static str) -> Self {
        let table = self.get(key);
        let nothing = || Spanned::new(0..0, DeTable::new());
        self.below(key, table.unwrap_or_else(nothing), false)
    }

    /// The tables `[[key]]`.
    pub(super) fn tables(&mut self, key: &'static str) -> Vec<Self> {
        let tables: Vec<_> = self.get(key).map_or(Vec::new(), Spanned::into_inner);
        let below = tables.into_iter();
        below.map(|table| self.below(key, table, true)).collect()
    }

    fn below(&self, key: &'static str, table: Spanned<DeTable<'i>>, listed: bool) -> Self {
        let mut below = self.inner(key, table, listed);
        below.kind = key;
        below
    }

    fn refuse(&self, place: Range<usize>, fault: Fault) {
        self.slips
            .borrow_mut()
            .findings
            .push(Finding { place, fault });
    }

    fn unknown_key(&self, key: &str, found: &DeValue<'_>) -> Fault {
        let (in_hook, in_push) = (self.title.starts_with("[[hook]]"), self.title == "[push]");
        if secrets::is_secret_name(key) || (in_hook && secrets::is_url_name(key)) {
            let (what, keys) = match in_hook || in_push {
                true => ("it", secrets::keys_instead(key, &self.known)),
                false => ("the API key", Some(&secrets::API_KEY)),
            };
            let fault = Fault::new("the config file must not hold keys or other secrets");
            let Some(SecretKeys { file, variable, .. }) = keys else {
                return fault.help("remove it: a hook of this kind needs none");
            };
            let printed = match *file {
                "token_file" => ", or let the program in `token_command` print it",
                _ => "",
            };
            return fault.help(format!(
                "put {what} into a file named by `{file}`, or an environment variable named by `{variable}`{printed}"
            ));
        }
        let shown = printable(key);
        let is_table = |value: &Spanned<DeValue<'_>>| value.get_ref().as_table().is_some();
        let are_tables = |list: &DeArray<'_>| list.iter().next().is_some_and(is_table);
        let fault = Fault::new(match (self.title.as_str(), found) {
            ("", DeValue::Table(_)) => format!("unknown section `[{shown}]`"),
            ("", DeValue::Array(list)) if are_tables(list) => {
                format!("unknown section `[[{shown}]]`")
            }
            ("", _) => format!("unknown key `{shown}` before the first section"),
            (title, _) => format!("unknown key `{shown}` in `{title}`"),
        });
        // The keys of a hook, whose URLs have no others beside them.
        let of_hook = |known: &&&str| in_push && known.strip_prefix("write_") == Some(key);
        match self.known.iter().find(of_hook) {
            Some(known) => fault.help(format!("did you mean `{known}`?")),
            None => fault.near(
                key,
                &self.known,
                format!("known here: {}", self.known.join(", ")),
            ),
        }
    }
}

impl Drop for Section<'_> {
    fn drop(&mut self) {
        for (key, value) in std::mem::take(&mut self.table) {
            if self.known.contains(&key.get_ref().as_ref()) {
                continue;
            }
            let fault = self.unknown_key(key.get_ref(), value.get_ref());
            self.refuse(key.span(), fault);
            let mut slips = self.slips.borrow_mut();
            secrets::of_value(self.text, &value, &mut slips.secrets);
        }
    }
}

/// A value of another type than the one that is expected.
pub(super) struct Misfit {
    place: Range<usize>,
    expected: &'static str,
    found: &'static str,
    in_list: bool,
}

impl Misfit {
    pub(super) fn new(value: &Spanned<DeValue<'_>>, expected: &'static str, in_list: bool) -> Self {
        let found = match value.get_ref() {
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a fraction",
            DeValue::Boolean(_) => "a boolean",
            DeValue::String(_) => "a string",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        };
        Self {
            place: value.span(),
            expected,
            found,
            in_list,
        }
    }

    fn fault(&self, key: &str, path: &str) -> Fault {
        let (expected, found) = (self.expected, self.found);
        let inside = match self.in_list && found != "an array" {
            true => "each element of ",
            false => "",
        };
        let fault = Fault::new(format!("{inside}`{key}` must be {expected}, not {found}"));
        match (expected, found) {
            ("an integer", "an integer") | ("a number", "an integer" | "a fraction") => {
                Fault::new(format!("`{key}` is out of range"))
            }
            ("a string", "an integer" | "a fraction" | "a date" | "a boolean") => {
                fault.help("put it in quotes")
            }
            ("an array", "a string") => fault.help("put it in brackets: `[\"…\"]`"),
            ("an array", "a table") => fault.help(format!("write `[[{path}]]`")),
            ("a table", "a string") if key == "expect" => {
                fault.help("write `expect = { regex = \"…\" }`")
            }
            ("a table", "an array") => fault.help(format!("write `[{path}]`")),
            ("an integer" | "a number", "a string") => fault.help("leave out the quotes"),
            ("a boolean", _) => fault.help("write true or false"),
            _ => fault,
        }
    }
}

/// A type that values of the config may have.
pub(super) trait Value<'i>: Sized {
    fn read(value: &Spanned<DeValue<'i>>) -> Result<Self, Misfit>;
}

/// The value, if it `is` as expected.
fn only<'v, 'i, T>(
    value: &'v Spanned<DeValue<'i>>,
    expected: &'static str,
    is: impl FnOnce(&'v DeValue<'i>) -> Option<T>,
) -> Result<T, Misfit> {
    is(value.get_ref()).ok_or_else(|| Misfit::new(value, expected, false))
}

fn integer(value: &DeValue<'_>) -> Option<i64> {
    let integer = value.as_integer()?;
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

fn number(value: &DeValue<'_>) -> Option<f64> {
    match value {
        DeValue::Float(float) => float.as_str().parse().ok(),
        other => integer(other).map(|integer| integer as f64),
    }
}

impl<'i> Value<'i> for String {
    fn read(value: &Spanned<DeValue<'i>>) -> Result<Self, Misfit> {
        only(value, "a string", |value| value.as_str().map(str::to_owned))
    }
}

impl<'i> Value<'i> for bool {
    fn read(value: &Spanned<DeValue<'i>>) -> Result<Self, Misfit> {
        only(value, "a boolean", DeValue::as_bool)
    }
}

impl<'i> Value<'i> for i64 {
    fn read(value: &Spanned<DeValue<'i>>) -> Result<Self, Misfit> {
        only(value, "an integer", integer)
    }
}

impl<'i> Value<'i> for f64 {
    fn read(value: &Spanned<DeValue<'i>>) -> Result<Self, Misfit> {
        only(value, "a number", number)
    }
}

impl<'i> Value<'i> for DeTable<'i> {
    fn read(value: &Spanned<DeValue<'i>>) -> Result<Self, Misfit> {
        only(value, "a table", |value| value.as_table().cloned())
    }
}

impl<'i> Value<'i> for DeValue<'i> {
    fn read(value: &Spanned<DeValue<'i>>) -> Result<Self, Misfit> {
        Ok(value.get_ref().clone())
    }
}

impl<'i, T: Value<'i>> Value<'i> for Vec<Spanned<T>> {
    fn read(value: &Spanned<DeValue<'i>>) -> Result<Self, Misfit> {
        let elements = only(value, "an array", DeValue::as_array)?.iter();
        let fit = elements.map(|element| match T::read(element) {
            Ok(fitting) => Ok(Spanned::new(element.span(), fitting)),
            Err(misfit) => Err(Misfit {
                in_list: true,
                ..misfit
            }),
        });
        fit.collect()
    }
}
