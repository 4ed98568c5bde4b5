//! Tools for checking all sections: findings and warnings are collected, and the default stands in
//! for a bad value until all are told.

use std::collections::{HashMap, HashSet};
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;

use super::diagnostics::{Fault, Finding};
use super::places::{Found, certificates, resolve_path, secret_file, secret_variable};
use super::read::{Section, Value};
use super::rules::{self, Checked};
use super::secrets::{BEARER_TOKEN, PASSWORD, SecretKeys};
use crate::day::Day;
use crate::egress::Proxy;
use crate::named::{self, Named};
use crate::roster::{self, printable};
use crate::secret::SecretSource;
use crate::status::Obstacle;

/// A check of one config file, under way.
pub(super) struct Check<'a> {
    /// The file as it is written.
    pub(super) text: &'a str,
    /// Folder that relative paths start from.
    pub(super) folder: &'a Path,
    pub(super) today: Day,
    /// The account of each agent so far, by the agent's identifier.
    pub(super) owners: HashMap<Arc<str>, Arc<str>>,
    pub(super) findings: Vec<Finding>,
    pub(super) warnings: Vec<String>,
    /// Problems that stop only a part.
    pub(super) failures: Vec<String>,
    /// The same, for what is looked at again while the exporter runs.
    pub(super) obstacles: Vec<Obstacle>,
    /// Files of secrets that others may read.
    pub(super) exposed: Vec<String>,
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

    /// Applies `rule` to a value, if one is written. Notes the fault if the value breaks the rule.
    pub(super) fn meaning<T, M>(
        &mut self,
        written: Option<Spanned<T>>,
        rule: impl FnOnce(T) -> Checked<M>,
    ) -> Option<M> {
        let written = written?;
        let place = written.span();
        rule(written.into_inner())
            .map_err(|fault| self.refuse(place, fault))
            .ok()
    }

    /// Reads a value and applies `rule` to it, or to the default if it is left out. Notes the fault if the value breaks
    /// the rule.
    pub(super) fn value<'i, T: Value<'i>, M>(
        &mut self,
        section: &mut Section<'i>,
        key: &'static str,
        default: T,
        rule: impl Fn(T) -> Checked<M>,
    ) -> M {
        self.meaning(section.get(key), &rule)
            .unwrap_or_else(|| match rule(default) {
                Ok(meaning) => meaning,
                Err(fault) => unreachable!("a default breaks its own rule: {}", fault.message),
            })
    }

    pub(super) fn text<M>(
        &mut self,
        section: &mut Section<'_>,
        key: &'static str,
        default: &str,
        rule: impl Fn(&str) -> Checked<M>,
    ) -> M {
        let rule = |text: String| rule(&text);
        self.value(section, key, default.to_owned(), rule)
    }

    /// A whole number within limits.
    pub(super) fn whole<N: TryFrom<i64>>(
        &mut self,
        section: &mut Section<'_>,
        key: &'static str,
        default: i64,
        limits: RangeInclusive<i64>,
    ) -> N {
        self.value(section, key, default, |number| {
            let meaning = N::try_from(number).ok();
            let (least, most) = (limits.start(), limits.end());
            meaning.filter(|_| limits.contains(&number)).ok_or_else(|| {
                Fault::new(format!("{key} {number} is not between {least} and {most}"))
            })
        })
    }

    /// A duration within limits.
    pub(super) fn duration(
        &mut self,
        section: &mut Section<'_>,
        key: &'static str,
        default: &str,
        limits: [&str; 2],
    ) -> Duration {
        self.text(section, key, default, |text| {
            rules::duration_between(key, text, limits)
        })
    }

    /// Reads a text and applies `rule` to it, if it is written.
    pub(super) fn optional<M>(
        &mut self,
        section: &mut Section<'_>,
        key: &'static str,
        rule: impl Fn(&str) -> Checked<M>,
    ) -> Option<M> {
        self.meaning(section.get(key), |text: String| rule(&text))
    }

    /// Reads one of several words.
    pub(super) fn choice<M: Named>(
        &mut self,
        section: &mut Section<'_>,
        key: &'static str,
        default: M,
    ) -> M {
        self.optional(section, key, one_of).unwrap_or(default)
    }

    /// Reads a value that must be there and applies `rule` to it. The message has an `example` of how to write it.
    pub(super) fn needed_value<'i, T: Value<'i>, M>(
        &mut self,
        section: &mut Section<'i>,
        [key, example]: [&'static str; 2],
        rule: impl FnOnce(T) -> Checked<M>,
    ) -> Option<M> {
        self.lacks(
            section,
            &[key],
            &format!("`{key}`"),
            &format!("`{key} = {example}`"),
        );
        self.meaning(section.get(key), rule)
    }

    /// The same for a text.
    pub(super) fn needed<M>(
        &mut self,
        section: &mut Section<'_>,
        key: [&'static str; 2],
        rule: impl Fn(&str) -> Checked<M>,
    ) -> Option<M> {
        self.needed_value(section, key, |text: String| rule(&text))
    }

    /// Refuses a section that has none of the `keys`, each of which is one way to have `what`.
    pub(super) fn lacks(&mut self, section: &Section<'_>, keys: &[&str], what: &str, add: &str) {
        if keys.iter().all(|key| section.place(key).is_none()) {
            let fault = Fault::new(format!("{} has no {what}", section.owner));
            self.refuse(section.header.clone(), fault.help(format!("add {add}")));
        }
    }

    /// The same for a secret.
    pub(super) fn lacks_secret(&mut self, section: &Section<'_>, keys: &SecretKeys, what: &str) {
        let SecretKeys { file, variable, .. } = keys;
        let add = format!("`{file} = \"…\"` or `{variable} = \"…\"`");
        self.lacks(section, &[file, variable], what, &add);
    }

    /// A text that must be there and be a name.
    pub(super) fn required(
        &mut self,
        section: &mut Section<'_>,
        key: &'static str,
        rule: fn(&str) -> Result<(), roster::NameError>,
    ) -> Option<String> {
        let kind = section.kind;
        if section.place(key).is_none() {
            let fault = Fault::new(format!("this {kind} has no `{key}`"));
            self.refuse(
                section.header.clone(),
                fault.help(format!("add `{key} = \"…\"`")),
            );
        }
        self.optional(section, key, |text| {
            named(text, rule, &format!("the {kind}'s {key}"))
        })
    }

    /// The name of a section, which must have one.
    pub(super) fn name(&mut self, section: &mut Section<'_>) -> Option<String> {
        self.required(section, "name", roster::check_name)
    }

    /// Refuses each name that stands there a second time; `kind` is what is called so.
    pub(super) fn refuse_repeated_names<'s>(
        &mut self,
        kind: &str,
        sections: impl Iterator<Item = &'s Section<'s>>,
    ) {
        let mut names: Vec<_> = sections.filter_map(Section::name).collect();
        names.sort_by_key(|name| name.span().start);
        let mut seen = HashSet::new();
        for name in names {
            if !seen.insert(*name.get_ref()) {
                let fault = Fault::new(format!(
                    "another {kind} is called `{}` already",
                    printable(name.get_ref())
                ));
                self.refuse(name.span(), fault);
            }
        }
    }

    /// Refuses the second of the `keys` that are written, of which one alone may be.
    pub(super) fn exclusive(&mut self, section: &Section<'_>, keys: &[&str]) {
        let written = keys
            .iter()
            .filter_map(|key| Some((key, section.place(key)?)));
        if let [(one, _), (other, place), ..] = &written.collect::<Vec<_>>()[..] {
            let fault = Fault::new(format!("`{one}` and `{other}` exclude each other"))
                .help("keep one of them");
            self.refuse(place.clone(), fault);
        }
    }

    /// The texts of a list that must have one, each by the rule and none twice.
    pub(super) fn each<M: PartialEq>(
        &mut self,
        section: &mut Section<'_>,
        [key, example]: [&'static str; 2],
        rule: impl Fn(&str) -> Checked<M>,
    ) -> Vec<M> {
        let list = self.needed_value(section, [key, example], |list| some(list, key, example));
        self.distinct(list.unwrap_or_default(), rule)
    }

    /// Applies `rule` to the texts of a list, and refuses repetitions.
    pub(super) fn distinct<M: PartialEq>(
        &mut self,
        list: Vec<Spanned<String>>,
        rule: impl Fn(&str) -> Checked<M>,
    ) -> Vec<M> {
        let mut all = Vec::new();
        for text in list {
            match rule(text.get_ref()) {
                Ok(meaning) if all.contains(&meaning) => {
                    let shown = printable(text.get_ref());
                    let fault = Fault::new(format!("`{shown}` is listed twice"));
                    self.refuse(text.span(), fault);
                }
                Ok(meaning) => all.push(meaning),
                Err(fault) => self.refuse(text.span(), fault),
            }
        }
        all
    }

    /// The path that is written, unless it was left out or refused.
    pub(super) fn path(&mut self, section: &mut Section<'_>, key: &'static str) -> Option<PathBuf> {
        let folder = self.folder;
        self.optional(section, key, |text| resolve_path(folder, text))
    }

    /// The place of a secret that one of two keys names, if it is written. One that cannot be read or breaks
    /// the rule stops only its owner. No fault of the rule may show it.
    pub(super) fn secret(
        &mut self,
        section: &mut Section<'_>,
        keys: &SecretKeys,
        rule: impl Fn(&str) -> Checked<()> + Send + Sync + 'static,
    ) -> Option<SecretSource> {
        let found = self.secret_place(section, keys);
        self.looked_into(section, keys, found, rule)
    }

    /// The same for a secret that has been found.
    pub(super) fn looked_into(
        &mut self,
        section: &Section<'_>,
        keys: &SecretKeys,
        found: Option<Found>,
        rule: impl Fn(&str) -> Checked<()> + Send + Sync + 'static,
    ) -> Option<SecretSource> {
        let (source, secret) = found?;
        let found = secret.and_then(|secret| rule(secret.expose()));
        let stops = format!("{} until its {} can be used", section.stops, keys.what);
        let again = source.clone();
        self.outside(stops, found, move || {
            let secret = again.read();
            let secret = secret.map_err(|error| Fault::new(error.to_string()))?;
            rule(secret.expose())
        });
        Some(source)
    }

    /// The place of a secret that one of two keys names, and the secret or why it cannot be had.
    pub(super) fn secret_place(
        &mut self,
        section: &mut Section<'_>,
        keys: &SecretKeys,
    ) -> Option<Found> {
        self.exclusive(section, &[keys.file, keys.variable]);
        let (file, variable) = (section.get(keys.file), section.get(keys.variable));
        self.found(keys, file, variable)
    }

    /// The secret in the file or variable of that name.
    pub(super) fn found(
        &mut self,
        keys: &SecretKeys,
        file: Option<Spanned<String>>,
        variable: Option<Spanned<String>>,
    ) -> Option<Found> {
        let folder = self.folder;
        let found = match file {
            Some(_) => self.meaning(file, |text| secret_file(folder, &text, keys)),
            None => self.meaning(variable, |text| secret_variable(&text, keys)),
        };
        if let Some((source, Ok(_))) = &found {
            self.exposed.extend(source.exposure());
        }
        found
    }

    /// A user and the place of the password: both or neither.
    pub(super) fn user(&mut self, section: &mut Section<'_>) -> Option<(String, SecretSource)> {
        let SecretKeys { file, variable, .. } = PASSWORD;
        let password = section.place(file).or(section.place(variable));
        match (section.place("username"), password) {
            (Some(place), None) => {
                let fault = Fault::new("this user has no password")
                    .help("add `password_file = \"…\"` or `password_env = \"…\"`");
                self.refuse(place, fault);
            }
            (None, Some(place)) => {
                let fault = Fault::new("this password has no user").help("add `username = \"…\"`");
                self.refuse(place, fault);
            }
            _ => {}
        }
        let username = self.user_name(section);
        let password = self.secret(section, &PASSWORD, |_| Ok(()));
        Some((username?, password?))
    }

    /// The name of a user, if it is written.
    pub(super) fn user_name(&mut self, section: &mut Section<'_>) -> Option<String> {
        self.optional(section, "username", |text| {
            named(text, roster::check_name, "the user's name")
        })
    }

    /// Login: by name and password, by a token, or not at all.
    pub(super) fn login(
        &mut self,
        section: &mut Section<'_>,
    ) -> (Option<(String, SecretSource)>, Option<SecretSource>) {
        let SecretKeys { file, variable, .. } = BEARER_TOKEN;
        let token = if section.place(file).is_some() {
            file
        } else {
            variable
        };
        self.exclusive(section, &["username", token]);
        let user = self.user(section);
        (user, self.secret(section, &BEARER_TOKEN, |_| Ok(())))
    }

    /// The path of certificates, if it is written. Those that cannot be used stop only their owner.
    pub(super) fn ca_file(&mut self, section: &mut Section<'_>) -> Option<PathBuf> {
        let path = self.path(section, "ca_file")?;
        let stops = format!("{} until its `ca_file` can be used", section.stops);
        let again = path.clone();
        let look = move || certificates(&again);
        self.outside(stops, look(), look);
        Some(path)
    }

    /// The proxy that leads to a receiver. That it may come to nothing is warned of.
    pub(super) fn proxy(
        &mut self,
        section: &mut Section<'_>,
        allow_private: bool,
    ) -> Option<Proxy> {
        let rule = |text: &str| rules::hooks::proxy(text, allow_private);
        let proxy = self.optional(section, "proxy", rule);
        if proxy == Some(Proxy::Environment) && !Proxy::is_in_environment() {
            self.warnings.push(format!(
                "{} has `proxy = \"environment\"`, and the environment names none: neither HTTPS_PROXY nor \
                 HTTP_PROXY nor ALL_PROXY is set",
                section.owner
            ));
        }
        proxy
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
}

/// The text, which must be a name by the rule; the message calls it `what`.
pub(super) fn named(
    text: &str,
    rule: fn(&str) -> Result<(), roster::NameError>,
    what: &str,
) -> Checked<String> {
    rule(text)
        .map(|()| text.to_owned())
        .map_err(|error| Fault::new(format!("{what} {error}")))
}

/// A list that is not empty.
pub(super) fn some<T>(list: Vec<T>, key: &str, example: &str) -> Checked<Vec<T>> {
    if list.is_empty() {
        let fault = Fault::new(format!("`{key}` is an empty list"));
        return Err(fault.help(format!("write `{key} = {example}`")));
    }
    Ok(list)
}

/// Finds the value that a word stands for.
pub(super) fn one_of<T: Named>(text: &str) -> Checked<T> {
    T::from_word(text).ok_or_else(|| none_of(text, &named::words::<T>()))
}

/// One of several words itself.
pub(super) fn word(text: &str, words: &[&'static str]) -> Checked<&'static str> {
    let found = words.iter().find(|word| **word == text);
    found.copied().ok_or_else(|| none_of(text, words))
}

fn none_of(text: &str, words: &[&str]) -> Fault {
    let shown = printable(text);
    Fault::new(format!("`{shown}` is none of {}", listed(words))).near(text, words, "")
}

/// Words as a message lists them.
pub(super) fn listed(words: &[&str]) -> String {
    let quoted: Vec<_> = words
        .iter()
        .map(|word| format!("`{}`", printable(word)))
        .collect();
    quoted.join(", ")
}
