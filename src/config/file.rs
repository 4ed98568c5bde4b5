//! The config file as it is written: names and types, nothing more. What the values mean and which
//! of them are good is decided in [`super::validate`]. Every key may be left out here, so that a
//! missing one is reported by a rule that knows what to do about it.

mod alerting;
mod hooks;
mod push;

pub(super) use alerting::{
    Alerts, Balance, Budget, Condition, Conditions, Regex, Rule, Summary, Threshold,
    ThresholdTable, Thresholds, WrittenEntry,
};
pub(super) use hooks::Hook;
pub(super) use push::Push;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::LazyLock;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor, value};
use serde::{Deserialize, Deserializer, forward_to_deserialize_any};
use toml::Spanned;

/// A text and its place.
pub(super) type Text = Spanned<String>;

/// Custom labels: names and values with their places.
pub(super) type Labels = BTreeMap<Text, Text>;

/// The whole file.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConfigFile {
    /// `[server]`: how the metrics are served.
    #[serde(default)]
    pub(super) server: Section<Server>,
    /// `[storage]`: where the ledger is.
    #[serde(default)]
    pub(super) storage: Section<Storage>,
    /// `[schedule]`: when FlowGent is polled, and for which days.
    #[serde(default)]
    pub(super) schedule: Section<Schedule>,
    /// `[api]`: how FlowGent is talked to.
    #[serde(default)]
    pub(super) api: Section<Api>,
    /// `[push]`: the database that history is pushed to.
    pub(super) push: Option<Section<Push>>,
    /// `[[account]]`: the organisations.
    #[serde(default)]
    pub(super) account: Vec<Section<Account>>,
    /// `[alerts]`: what is common to all alerts.
    #[serde(default)]
    pub(super) alerts: Section<Alerts>,
    /// `[[budget]]`: credits that may be used in a period.
    #[serde(default)]
    pub(super) budget: Vec<Section<Budget>>,
    /// `[[balance]]`: credits that were bought ahead.
    #[serde(default)]
    pub(super) balance: Vec<Section<Balance>>,
    /// `[[rule]]`: what else is looked for.
    #[serde(default)]
    pub(super) rule: Vec<Section<Rule>>,
    /// `[[summary]]`: what was used in a week or month.
    #[serde(default)]
    pub(super) summary: Vec<Section<Summary>>,
    /// `[[hook]]`: who is told.
    #[serde(default)]
    pub(super) hook: Vec<Section<Hook>>,
}

/// `[server]`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Server {
    /// Addresses to listen on, each `address:port`. Default: `127.0.0.1:13569`.
    pub(super) listen: Option<Spanned<Vec<Text>>>,
    /// Hosts that are answered to beside this machine's own names. Default: any, and on loopback none.
    pub(super) hosts: Option<Spanned<Vec<Text>>>,
    /// Path of the metrics. Default: `/metrics`.
    pub(super) telemetry_path: Option<Text>,
    /// A file in the YAML of the exporter-toolkit that protects what is served.
    pub(super) web_config_file: Option<Text>,
}

/// `[storage]`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Storage {
    /// The ledger's file. Default: `/var/lib/flowgent-exporter/ledger.db`.
    pub(super) path: Option<Text>,
}

/// `[schedule]`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Schedule {
    /// When to poll: second, minute, hour, day, month, weekday, in UTC. Default: `0 10 0 * * *`.
    pub(super) cron: Option<Text>,
    /// The poll is put off by up to this duration, by the same each day. Default: `10m`.
    pub(super) jitter: Option<Text>,
    /// A day's figure is final once fetched this many days after it ended. Default: 3.
    pub(super) settle_days: Option<Spanned<i64>>,
    /// The first day of interest, `YYYY-MM-DD`. Default: `2025-05-28`, when tracking started.
    pub(super) history_start: Option<Text>,
}

/// `[api]`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Api {
    /// Where the API is. Default: `https://flowgent.ai/api/public/`.
    pub(super) base_url: Option<Text>,
    /// The most time that one request may take, as a duration. Default: `30s`.
    pub(super) timeout: Option<Text>,
    /// The most requests per second, per account. Default: 5.
    pub(super) requests_per_second: Option<Spanned<f64>>,
    /// The most requests under way at once, per account. Default: 4.
    pub(super) concurrency: Option<Spanned<i64>>,
    /// Whether keys may travel unencrypted to a host that is not this one. Default: false.
    pub(super) allow_http: Option<bool>,
    /// Trusted certificate authorities: `bundled` or `system`. Default: `bundled`.
    pub(super) ca: Option<Text>,
    /// A file of PEM certificates that are trusted instead.
    pub(super) ca_file: Option<Text>,
}

/// `[[account]]`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Account {
    /// Its name: the `account` label.
    pub(super) name: Option<Text>,
    /// The file that holds its API key.
    pub(super) api_key_file: Option<Text>,
    /// The environment variable that holds its API key.
    pub(super) api_key_env: Option<Text>,
    /// Labels of all its agents.
    #[serde(default)]
    pub(super) labels: Labels,
    /// Whether to ask FlowGent for the agents, at every sync. Default: false.
    pub(super) discover: Option<bool>,
    /// How many of these are asked for at most, 1 to 1,000,000. Default: 10,000.
    pub(super) max_discovered: Option<Spanned<i64>>,
    /// A JSON list of agents that another tool keeps, read at every sync.
    pub(super) agents_file: Option<Text>,
    /// `[[account.agent]]`: its agents.
    #[serde(default)]
    pub(super) agent: Vec<Section<Agent>>,
}

/// `[[account.agent]]`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Agent {
    /// FlowGent's identifier of it.
    pub(super) id: Option<Text>,
    /// Its name: the `agent` label. Default: its identifier.
    pub(super) name: Option<Text>,
    /// Its labels, which win over its account's.
    #[serde(default)]
    pub(super) labels: Labels,
}

/// Every key that the structs know, so that a line of a broken file can be told from a secret.
pub(super) static KEYS: LazyLock<BTreeSet<&'static str>> = LazyLock::new(|| {
    let keys = [
        fields::<ConfigFile>(),
        fields::<Server>(),
        fields::<Storage>(),
        fields::<Schedule>(),
        fields::<Api>(),
        fields::<Push>(),
        fields::<Account>(),
        fields::<Agent>(),
        fields::<Alerts>(),
        fields::<Budget>(),
        fields::<Balance>(),
        fields::<WrittenEntry>(),
        fields::<Regex>(),
        fields::<ThresholdTable>(),
        fields::<Rule>(),
        fields::<Summary>(),
        fields::<Hook>(),
    ];
    keys.concat().into_iter().collect()
});

/// The names of a struct's fields, as serde derives them.
fn fields<T: for<'de> Deserialize<'de>>() -> &'static [&'static str] {
    /// Notes the fields, and gives nothing.
    struct Noted<'a>(&'a mut &'static [&'static str]);

    impl<'de> Deserializer<'de> for Noted<'_> {
        type Error = value::Error;

        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _: &'static str,
            fields: &'static [&'static str],
            _: V,
        ) -> Result<V::Value, value::Error> {
            *self.0 = fields;
            Err(value::Error::custom("the fields are all that is wanted"))
        }

        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, value::Error> {
            Err(value::Error::custom("not a struct"))
        }

        forward_to_deserialize_any! {
            bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
            unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
        }
    }

    let mut names: &[&str] = &[];
    // It always fails.
    let _ = T::deserialize(Noted(&mut names));
    names
}

/// A table and the place of its header. Unlike a plain derived struct it cannot be written as an
/// array of its values.
#[derive(Default)]
pub(super) struct Section<T> {
    /// Where its header is; empty if the file has no such table.
    pub(super) span: Range<usize>,
    /// What stands in it.
    pub(super) table: T,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Section<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Table<T>>::deserialize(deserializer)?;
        Ok(Self {
            span: spanned.span(),
            table: spanned.into_inner().0,
        })
    }
}

struct Table<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Table<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OnlyTable<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for OnlyTable<T> {
            type Value = Table<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Table<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Table)
            }
        }

        deserializer.deserialize_map(OnlyTable(PhantomData))
    }
}
