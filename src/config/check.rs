//! What all sections are checked with: findings and warnings are collected, and the default stands in
//! for a bad value until all are told.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;

use super::diagnostics::{Fault, Finding};
use super::file::Text;
use super::places::{
    API_KEY, Found, SecretKeys, certificates, resolve_path, secret_file, secret_variable,
};
use crate::day::Day;
use crate::nearest::nearest;
use crate::roster::{self, printable};
use crate::secret::SecretSource;
use crate::status::Obstacle;

/// A check of one config file, under way.
pub(super) struct Check<'a> {
    /// The file as it is written.
    pub(super) text: &'a str,
    /// What relative paths start from.
    pub(super) folder: &'a Path,
    pub(super) today: Day,
    /// The account of each agent so far, by the agent's identifier.
    pub(super) owners: HashMap<Arc<str>, Arc<str>>,
    pub(super) findings: Vec<Finding>,
    pub(super) warnings: Vec<String>,
    /// What does not work and stops a part only.
    pub(super) failures: Vec<String>,
    /// The same, for what is looked at again while the exporter runs.
    pub(super) obstacles: Vec<Obstacle>,
    /// Files of secrets that others may read.
    pub(super) exposed: Vec<String>,
}

/// What a message calls a section of that kind.
pub(super) fn title(kind: &str, name: Option<&Text>) -> String {
    match name {
        Some(name) => format!("{kind} `{}`", printable(name.get_ref())),
        None => format!("this {kind}"),
    }
}

/// Where a value stands, if it does.
pub(super) fn place<T>(written: &Option<Spanned<T>>) -> Option<Range<usize>> {
    written.as_ref().map(Spanned::span)
}

impl<'a> Check<'a> {
    /// A check of `text`, which stands in the file at `path`, as on the day `today`.
    pub(super) fn new(text: &'a str, path: &'a Path, today: Day) -> Self {
        Self {
            text,
            folder: path.parent().unwrap_or(Path::new("")),
            today,
            owners: HashMap::new(),
            findings: Vec::new(),
            warnings: Vec::new(),
            failures: Vec::new(),
            obstacles: Vec::new(),
            exposed: Vec::new(),
        }
    }

    pub(super) fn refuse(&mut self, place: Range<usize>, fault: Fault) {
        self.findings.push(Finding { place, fault });
    }

    /// The value by its rule, if it is written and keeps it; a broken rule is noted.
    pub(super) fn optional<T, M>(
        &mut self,
        written: Option<Spanned<T>>,
        rule: impl Fn(&T) -> Result<M, Fault>,
    ) -> Option<M> {
        let written = written?;
        rule(written.get_ref())
            .map_err(|fault| self.refuse(written.span(), fault))
            .ok()
    }

    /// The value by its rule, the default if it is left out; a broken rule is noted.
    pub(super) fn value<T, M>(
        &mut self,
        written: Option<Spanned<T>>,
        default: T,
        rule: impl Fn(&T) -> Result<M, Fault>,
    ) -> M {
        self.optional(written, &rule)
            .unwrap_or_else(|| match rule(&default) {
                Ok(meaning) => meaning,
                Err(fault) => unreachable!("a default breaks its own rule: {}", fault.message),
            })
    }

    pub(super) fn text<M>(
        &mut self,
        written: Option<Text>,
        default: &str,
        rule: impl Fn(&str) -> Result<M, Fault>,
    ) -> M {
        self.value(written, default.to_owned(), |text| rule(text))
    }

    /// The value by its rule; that it is left out is noted at the `header` of its section, which the
    /// message calls `owner`, with an `example` of how to write it.
    pub(super) fn needed<T, M>(
        &mut self,
        written: Option<Spanned<T>>,
        owner: &str,
        [key, example]: [&str; 2],
        header: &Range<usize>,
        rule: impl Fn(&T) -> Result<M, Fault>,
    ) -> Option<M> {
        if written.is_none() {
            let fault = Fault::new(format!("{owner} has no `{key}`"))
                .help(format!("add `{key} = {example}`"));
            self.refuse(header.clone(), fault);
        }
        self.optional(written, rule)
    }

    /// A text that must be there and be a name.
    pub(super) fn required(
        &mut self,
        written: Option<Text>,
        owner: &str,
        key: &str,
        header: &Range<usize>,
        rule: fn(&str) -> Result<(), roster::NameError>,
    ) -> Option<String> {
        let this = format!("this {owner}");
        self.needed(written, &this, [key, "\"…\""], header, |text: &String| {
            rule(text)
                .map(|()| text.clone())
                .map_err(|error| Fault::new(format!("the {owner}'s {key} {error}")))
        })
    }

    /// Refuses each name that stands there a second time; `kind` is what is called so.
    pub(super) fn refuse_repeated_names<'n>(
        &mut self,
        kind: &str,
        names: impl Iterator<Item = &'n Text>,
    ) {
        let mut seen = HashSet::new();
        for name in names {
            if !seen.insert(name.get_ref()) {
                let fault = Fault::new(format!(
                    "another {kind} is called `{}` already",
                    printable(name.get_ref())
                ));
                self.refuse(name.span(), fault);
            }
        }
    }

    /// Refuses the second of two values that may not both be written.
    pub(super) fn exclusive(
        &mut self,
        one: (&str, Option<Range<usize>>),
        other: (&str, Option<Range<usize>>),
    ) {
        if let ((one, Some(_)), (other, Some(place))) = (one, other) {
            let fault = Fault::new(format!("`{one}` and `{other}` exclude each other"))
                .help("keep one of them");
            self.refuse(place, fault);
        }
    }

    /// Refuses a token beside a user.
    pub(super) fn user_or_token(
        &mut self,
        username: &Option<Text>,
        (file, variable): &(Option<Text>, Option<Text>),
    ) {
        let token = match file {
            Some(_) => ("bearer_token_file", place(file)),
            None => ("bearer_token_env", place(variable)),
        };
        self.exclusive(("username", place(username)), token);
    }

    /// The path that is written, unless it was left out or refused.
    pub(super) fn path(&mut self, written: Option<Text>) -> Option<PathBuf> {
        let folder = self.folder;
        self.optional(written, |text| resolve_path(folder, text))
    }

    /// The place of a secret that one of two keys names, if it is written. One that cannot be read or breaks
    /// the rule stops only its owner, as `stops` says. No fault of the rule may show it.
    pub(super) fn secret(
        &mut self,
        keys: &SecretKeys,
        stops: &str,
        (file, variable): (Option<Text>, Option<Text>),
        rule: impl Fn(&str) -> Result<(), Fault> + Send + Sync + 'static,
    ) -> Option<SecretSource> {
        let (source, secret) = self.secret_place(keys, file, variable)?;
        let found = secret.and_then(|secret| rule(secret.expose()));
        let stops = format!("{stops} until its {} can be used", keys.what);
        let again = source.clone();
        self.outside(stops, found, move || {
            let secret = again.read();
            let secret = secret.map_err(|error| Fault::new(error.to_string()))?;
            rule(secret.expose())
        });
        Some(source)
    }

    /// The path of certificates, if it is written. Those that cannot be used stop only their owner, as
    /// `stops` says.
    pub(super) fn ca_file(&mut self, written: Option<Text>, stops: &str) -> Option<PathBuf> {
        let path = self.path(written)?;
        let stops = format!("{stops} until its `ca_file` can be used");
        let again = path.clone();
        let look = move || certificates(&again);
        self.outside(stops, look(), look);
        Some(path)
    }

    /// Notes what a look outside of the config has found. A fault stops only the part that `stops` names, and
    /// only as long as another `look` finds one.
    pub(super) fn outside(
        &mut self,
        stops: String,
        found: Result<(), Fault>,
        look: impl Fn() -> Result<(), Fault> + Send + Sync + 'static,
    ) {
        if let Err(fault) = found {
            self.failures.push(format!("{stops}: {}", fault.line()));
            let look = move || look().map_err(|fault| fault.line());
            self.obstacles.push(Obstacle::new(stops, look));
        }
    }

    /// The place of the key of `owner`, if it is written. A key that cannot be read stops its owner alone.
    pub(super) fn key_of(
        &mut self,
        owner: &str,
        file: Option<Text>,
        variable: Option<Text>,
    ) -> Option<SecretSource> {
        let (source, key) = self.secret_place(&API_KEY, file, variable)?;
        if let Err(fault) = key {
            self.failures.push(format!(
                "{owner} is not asked for anything until its key can be read: {}",
                fault.message
            ));
        }
        Some(source)
    }

    /// The place of a secret that one of two keys names, and the secret or why it cannot be had.
    fn secret_place(
        &mut self,
        keys: &SecretKeys,
        file: Option<Text>,
        variable: Option<Text>,
    ) -> Option<Found> {
        self.exclusive((keys.file, place(&file)), (keys.variable, place(&variable)));
        let folder = self.folder;
        let found = match file {
            Some(_) => self.optional(file, |text| secret_file(folder, text, keys)),
            None => self.optional(variable, |text| secret_variable(text, keys)),
        };
        if let Some((source, Ok(_))) = &found {
            self.exposed.extend(source.exposure());
        }
        found
    }

    /// What one of several words means.
    pub(super) fn choice<T: Copy>(
        &mut self,
        written: Option<Text>,
        choices: &[(&str, T)],
        default: T,
    ) -> T {
        self.optional(written, |text| one_of(text, choices))
            .unwrap_or(default)
    }
}

/// What one of several words means.
pub(super) fn one_of<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, Fault> {
    if let Some((_, meaning)) = choices.iter().find(|(word, _)| *word == text) {
        return Ok(*meaning);
    }
    let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
    let fault = Fault::new(format!(
        "`{}` is none of {}",
        printable(text),
        listed(&words)
    ));
    Err(match nearest(text, &words) {
        Some(near) => fault.help(format!("did you mean `{near}`?")),
        None => fault,
    })
}

/// Words as a message lists them.
pub(super) fn listed(words: &[&str]) -> String {
    let quoted: Vec<_> = words
        .iter()
        .map(|word| format!("`{}`", printable(word)))
        .collect();
    quoted.join(", ")
}
