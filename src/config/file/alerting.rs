//! `[alerts]`, `[[budget]]`, `[[balance]]`, `[[rule]]` and `[[summary]]`.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::Text;
pub(in crate::config) use crate::balance::Written as WrittenEntry;

/// What agents must be, by the names of their labels.
pub(in crate::config) type Conditions = BTreeMap<Text, Spanned<Condition>>;

/// Shares of a budget, or what is left of a balance.
pub(in crate::config) type Thresholds = Spanned<Vec<Spanned<Threshold>>>;

/// `[alerts]`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Alerts {
    /// The page that every message links to. Default: the exporter's own first address.
    pub(in crate::config) dashboard_url: Option<Text>,
}

/// `[[budget]]`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Budget {
    /// Its name, unlike any other budget's, balance's or rule's.
    pub(in crate::config) name: Option<Text>,
    /// The agents that it is about. Default: all.
    #[serde(default, rename = "match")]
    pub(in crate::config) conditions: Conditions,
    /// What they may use in a period, together.
    pub(in crate::config) credits: Option<Spanned<f64>>,
    /// How often it begins anew: `day`, `week`, `month` or `total`.
    pub(in crate::config) period: Option<Text>,
    /// The day of the month on which it does. Default: 1.
    pub(in crate::config) anchor_day: Option<Spanned<i64>>,
    /// The first day that counts for a total, `YYYY-MM-DD`. Default: `history_start`.
    pub(in crate::config) start: Option<Text>,
    /// The shares at which use is told. Default: 0.5, 0.8 and 1.
    pub(in crate::config) thresholds: Option<Thresholds>,
    /// The shares at which expected use is told. Default: 1; none for a total.
    pub(in crate::config) forecast_thresholds: Option<Thresholds>,
    /// `info`, `warning` or `critical`, of thresholds that do not say. Default: `critical` for use from 1
    /// on, otherwise `warning`.
    pub(in crate::config) severity: Option<Text>,
    /// Who is told.
    #[serde(default)]
    pub(in crate::config) hooks: Vec<Text>,
}

/// `[[balance]]`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Balance {
    /// Its name, unlike any other budget's, balance's or rule's.
    pub(in crate::config) name: Option<Text>,
    /// The agents that use it. Default: all.
    #[serde(default, rename = "match")]
    pub(in crate::config) conditions: Conditions,
    /// What was left on a day, and what was added: `{ on = "YYYY-MM-DD", set = 1234 }`, `{ on = …, add = … }`.
    pub(in crate::config) entries: Option<Spanned<Vec<Spanned<WrittenEntry>>>>,
    /// A JSON list of the same that another tool or person keeps, read at every sync.
    pub(in crate::config) entries_file: Option<Text>,
    /// The credits at or below which what is left is told. Default: none.
    pub(in crate::config) credits_left: Option<Thresholds>,
    /// The days at or below which it is told. Default: 14, 7 and 2.
    pub(in crate::config) days_left: Option<Thresholds>,
    /// Who is told.
    #[serde(default)]
    pub(in crate::config) hooks: Vec<Text>,
}

/// `[[rule]]`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Rule {
    /// Its name, unlike any other rule's or budget's.
    pub(in crate::config) name: Option<Text>,
    /// `usage`, `spike`, `missing_data`, `key_refused` or `agent_refused`.
    pub(in crate::config) kind: Option<Text>,
    /// The agents that it is about. Default: all.
    #[serde(default, rename = "match")]
    pub(in crate::config) conditions: Conditions,
    /// Who is told.
    #[serde(default)]
    pub(in crate::config) hooks: Vec<Text>,
    /// `info`, `warning` or `critical`. Default: `critical` for refused keys, otherwise `warning`.
    pub(in crate::config) severity: Option<Text>,
    /// Usage: more credits than this are told.
    pub(in crate::config) over: Option<Spanned<f64>>,
    /// Usage: the days that are added up. Default: `previous_day`.
    pub(in crate::config) span: Option<Text>,
    /// Usage: whose days are, `agent`, `account` or `total`. Default: `agent`.
    pub(in crate::config) per: Option<Text>,
    /// Usage: the share of `over` that use must fall below it before it is over. Default: 0.1.
    pub(in crate::config) hysteresis: Option<Spanned<f64>>,
    /// Spike: how many times the usual use is told. Default: 3.
    pub(in crate::config) factor: Option<Spanned<f64>>,
    /// Spike: credits up to which no day is one. Default: 10.
    pub(in crate::config) floor: Option<Spanned<f64>>,
    /// Missing data: how long a day may be missing, as a duration. Default: `36h`.
    pub(in crate::config) longer_than: Option<Text>,
}

/// `[[summary]]`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Summary {
    /// Its name, unlike any other summary's.
    pub(in crate::config) name: Option<Text>,
    /// The period that it is of: `week`, from Monday, or `month`.
    pub(in crate::config) period: Option<Text>,
    /// Whose use is added up: `agent`, `account`, or `label:NAME`. Default: `agent`.
    pub(in crate::config) by: Option<Text>,
    /// The most rows, the highest. Default: 10.
    pub(in crate::config) top: Option<Spanned<i64>>,
    /// Who is sent it: no Alertmanager, PagerDuty or WhatsApp.
    #[serde(default)]
    pub(in crate::config) hooks: Vec<Text>,
}

/// What a value must be.
pub(in crate::config) enum Condition {
    /// This text.
    Equals(String),
    /// One of these texts.
    OneOf(Vec<Text>),
    /// A text that the expression matches as a whole.
    Regex(Regex),
}

/// `{ regex = "…" }`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Regex {
    pub(in crate::config) regex: Option<Text>,
}

impl<'de> Deserialize<'de> for Condition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyForm;

        impl<'de> Visitor<'de> for AnyForm {
            type Value = Condition;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, an array of strings or a table with `regex`")
            }

            fn visit_str<E>(self, text: &str) -> Result<Condition, E> {
                Ok(Condition::Equals(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Condition, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = seq.next_element()? {
                    texts.push(text);
                }
                Ok(Condition::OneOf(texts))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Condition, A::Error> {
                Regex::deserialize(MapAccessDeserializer::new(map)).map(Condition::Regex)
            }
        }

        deserializer.deserialize_any(AnyForm)
    }
}

/// A share of a budget or what is left of a balance: a number, or a table if its severity is not the usual one.
pub(in crate::config) enum Threshold {
    /// The share.
    Share(f64),
    /// The share and more.
    Table(ThresholdTable),
}

/// `{ at = 0.8, severity = "critical" }`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct ThresholdTable {
    /// The share.
    pub(in crate::config) at: Option<Spanned<f64>>,
    /// `info`, `warning` or `critical`. Default: `critical` for use of all and more, no credits and two days
    /// left, otherwise `warning`.
    pub(in crate::config) severity: Option<Text>,
}

impl<'de> Deserialize<'de> for Threshold {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EitherForm;

        impl<'de> Visitor<'de> for EitherForm {
            type Value = Threshold;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number or a table with `at`")
            }

            fn visit_i64<E>(self, share: i64) -> Result<Threshold, E> {
                Ok(Threshold::Share(share as f64))
            }

            fn visit_f64<E>(self, share: f64) -> Result<Threshold, E> {
                Ok(Threshold::Share(share))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Threshold, A::Error> {
                ThresholdTable::deserialize(MapAccessDeserializer::new(map)).map(Threshold::Table)
            }
        }

        deserializer.deserialize_any(EitherForm)
    }
}
