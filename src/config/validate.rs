//! [`ConfigFile`] → [`Config`]: every value by its rule, every rule that holds between values, and the
//! files that are named.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Display;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;

use super::check::{Check, place, title};
use super::diagnostics::{Fault, Finding};
use super::file::{self, ConfigFile, Labels, Section, Text};
use super::places::{certificates, credential_or_path, resolve_path};
use super::world::World;
use super::{Config, rules};
use crate::day::Day;
use crate::files;
use crate::flowgent::transport::is_loopback;
use crate::flowgent::{self, Roots};
use crate::http::Host;
use crate::http::web::{CheckedFile, check_file};
use crate::roster::{self, AccountSettings, Agent, printable};
use crate::secret::SecretSource;
use crate::sync::{cron, schedule};
use crate::window::plan::Policy;
use crate::{alert, hook, http, ledger};

const DEFAULT_LISTEN: &str = "127.0.0.1:13569";
const DEFAULT_MAX_DISCOVERED: i64 = 10_000;
const DEFAULT_TELEMETRY_PATH: &str = "/metrics";
const DEFAULT_LEDGER: &str = "/var/lib/flowgent-exporter/ledger.db";
const DEFAULT_CRON: &str = "0 10 0 * * *";
const DEFAULT_JITTER: &str = "10m";
const DEFAULT_SETTLE_DAYS: i64 = 3;
const DEFAULT_HISTORY_START: &str = "2025-05-28";
const DEFAULT_BASE_URL: &str = "https://flowgent.ai/api/public/";
const DEFAULT_TIMEOUT: &str = "30s";
const DEFAULT_REQUESTS_PER_SECOND: f64 = 5.0;
const DEFAULT_CONCURRENCY: i64 = 4;

/// Checks `file`, which is written as `text` at `path`, as on the day `today`.
pub(super) fn validate(
    file: ConfigFile,
    text: &str,
    path: &Path,
    today: Day,
) -> Result<Config, Vec<Finding>> {
    let ConfigFile {
        server,
        storage,
        schedule,
        api,
        push,
        account,
        alerts,
        budget,
        balance,
        rule,
        summary,
        hook,
    } = file;
    let names = |names: Vec<Option<&Text>>| -> Vec<String> {
        let names = names.into_iter().flatten();
        names.map(|name| name.get_ref().clone()).collect()
    };
    let account_names = names(account.iter().map(|one| one.table.name.as_ref()).collect());
    let hook_names = names(hook.iter().map(|one| one.table.name.as_ref()).collect());
    let heartbeats = hook.iter().filter(|one| one.table.is_heartbeat());
    let heartbeats = names(heartbeats.map(|one| one.table.name.as_ref()).collect());
    let mut check = Check::new(text, path, today);
    let server = check.server(server.table);
    let storage = check.storage(storage.table);
    let (schedule, policy) = check.schedule(schedule.table);
    let api = check.api(api.table);
    let push = check.push(push, &server.ip_addresses(), policy.history_start);
    let accounts = check.accounts(account);
    let world = World::new(
        &accounts,
        account_names,
        hook_names,
        heartbeats,
        policy.history_start,
    );
    let dashboard_url = check.dashboard_url(alerts.table, &server);
    let rules = check.alert_rules(budget, balance, rule, &world);
    let hooks = check.hooks(hook, &world);
    let summaries = check.summaries(summary, &hooks, &world);
    check.look_for_unused_hooks(&hooks, &rules, &summaries);
    check.look_for_earlier_days(&rules, policy.history_start);
    if !check.findings.is_empty() {
        return Err(check.findings);
    }
    Ok(Config {
        path: path.to_owned(),
        server,
        storage,
        schedule,
        policy,
        api,
        push,
        alerts: alert::Settings {
            accounts: accounts.iter().map(|one| Arc::clone(&one.name)).collect(),
            rules,
            summaries,
            routes: hooks.iter().map(hook::Settings::route).collect(),
            dashboard_url,
        },
        accounts,
        hooks,
        warnings: check.warnings,
        failures: check.failures,
        obstacles: check.obstacles,
        exposed: check.exposed,
    })
}

/// Checks the section `[server]` of `file`, as [`validate`] does, and nothing else.
pub(super) fn validate_server(
    file: ConfigFile,
    text: &str,
    path: &Path,
    today: Day,
) -> Result<http::Settings, Vec<Finding>> {
    let mut check = Check::new(text, path, today);
    // What protects the exporter may be broken by now without any harm to it.
    let server = file::Server {
        web_config_file: None,
        ..file.server.table
    };
    let server = check.server(server);
    if check.findings.is_empty() {
        Ok(server)
    } else {
        Err(check.findings)
    }
}

impl Check<'_> {
    fn server(&mut self, server: file::Server) -> http::Settings {
        let file::Server {
            listen,
            hosts,
            telemetry_path,
            web_config_file,
        } = server;
        let mut addresses = Vec::new();
        match listen {
            None => addresses.extend(rules::listen_address(DEFAULT_LISTEN)),
            Some(list) => {
                if list.get_ref().is_empty() {
                    let fault = Fault::new("`listen` names no address")
                        .help(format!("the default is `[\"{DEFAULT_LISTEN}\"]`"));
                    self.refuse(list.span(), fault);
                }
                addresses = self.each_once(list.into_inner(), rules::listen_address);
            }
        }
        http::Settings {
            listen: addresses,
            hosts: self.hosts(hosts),
            telemetry_path: self.text(
                telemetry_path,
                DEFAULT_TELEMETRY_PATH,
                rules::telemetry_path,
            ),
            web_config: self.web_config(web_config_file),
            // It is for whoever starts the exporter to say.
            lifecycle: false,
        }
    }

    fn hosts(&mut self, written: Option<Spanned<Vec<Text>>>) -> Vec<Host> {
        let Some(list) = written else {
            return Vec::new();
        };
        if list.get_ref().is_empty() {
            let help = "leave it out: this machine's own names are always accepted";
            self.refuse(list.span(), Fault::new("`hosts` names no host").help(help));
        }
        self.each_once(list.into_inner(), rules::host)
    }

    /// What the texts mean by `rule`, and none of it twice.
    fn each_once<T: Display + PartialEq>(
        &mut self,
        list: Vec<Text>,
        rule: impl Fn(&str) -> Result<T, Fault>,
    ) -> Vec<T> {
        let mut values = Vec::new();
        for written in list {
            match rule(written.get_ref()) {
                Err(fault) => self.refuse(written.span(), fault),
                Ok(value) if values.contains(&value) => {
                    let fault = Fault::new(format!("`{value}` is listed twice"));
                    self.refuse(written.span(), fault);
                }
                Ok(value) => values.push(value),
            }
        }
        values
    }

    fn web_config(&mut self, written: Option<Text>) -> Option<CheckedFile> {
        let written = written?;
        let checked = credential_or_path(self.folder, written.get_ref())
            .and_then(|path| check_file(&path).map_err(|error| Fault::new(error.to_string())));
        match checked {
            Ok(file) => {
                let warnings = file.warnings.iter();
                self.warnings
                    .extend(warnings.map(|warning| format!("web config: {warning}")));
                self.exposed.extend(file.exposed.iter().cloned());
                Some(file)
            }
            Err(fault) => {
                self.refuse(written.span(), fault);
                None
            }
        }
    }

    fn storage(&mut self, storage: file::Storage) -> ledger::Settings {
        let file::Storage { path } = storage;
        ledger::Settings {
            path: self.path(path).unwrap_or_else(|| DEFAULT_LEDGER.into()),
        }
    }

    fn schedule(&mut self, schedule: file::Schedule) -> (schedule::Settings, Policy) {
        let file::Schedule {
            cron,
            jitter,
            settle_days,
            history_start,
        } = schedule;
        let today = self.today;
        let written = cron.as_ref().map(|text| printable(text.get_ref()));
        let settings = schedule::Settings {
            cron: self.text(cron, DEFAULT_CRON, |text| rules::cron(text, today)),
            jitter: self.text(jitter, DEFAULT_JITTER, rules::jitter),
        };
        if let Some(day) = cron::first_day_without(&settings.cron, today) {
            let both = if cron::asks_for_both_days(&settings.cron) {
                " (a day of the month and a weekday must both be right)"
            } else {
                ""
            };
            self.warnings.push(format!(
                "the cron pattern `{}` polls rarer than daily{both}: not on {day}, so usage of the day before \
                 is known late, and alerts about it come late",
                written.as_deref().unwrap_or(DEFAULT_CRON)
            ));
        }
        let policy = Policy {
            settle_days: self.value(settle_days, DEFAULT_SETTLE_DAYS, |days| {
                rules::settle_days(*days)
            }),
            history_start: self.text(history_start, DEFAULT_HISTORY_START, |text| {
                rules::history_start(text, today)
            }),
        };
        (settings, policy)
    }

    fn api(&mut self, api: file::Api) -> flowgent::Settings {
        let file::Api {
            base_url,
            timeout,
            requests_per_second,
            concurrency,
            allow_http,
            ca,
            ca_file,
        } = api;
        let allow_http = allow_http.unwrap_or(false);
        let base_url = self.text(base_url, DEFAULT_BASE_URL, |text| {
            rules::base_url(text, allow_http)
        });
        if base_url.scheme() == "http" && !is_loopback(&base_url) {
            self.warnings.push(format!(
                "API keys travel unencrypted to {}: allow_http is set",
                base_url.host_str().unwrap_or_default()
            ));
        }
        flowgent::Settings {
            base_url,
            timeout: self.text(timeout, DEFAULT_TIMEOUT, rules::timeout),
            requests_per_second: self.value(
                requests_per_second,
                DEFAULT_REQUESTS_PER_SECOND,
                |rate| rules::requests_per_second(*rate),
            ),
            concurrency: self.value(concurrency, DEFAULT_CONCURRENCY, |requests| {
                rules::concurrency(*requests)
            }),
            roots: self.roots(ca, ca_file),
        }
    }

    fn roots(&mut self, ca: Option<Text>, ca_file: Option<Text>) -> Roots {
        self.exclusive(("ca", place(&ca)), ("ca_file", place(&ca_file)));
        let Some(file) = ca_file else {
            return self.text(ca, "bundled", |text| match text {
                "bundled" => Ok(Roots::Bundled),
                "system" => Ok(Roots::System),
                other => Err(Fault::new(format!(
                    "`{}` is neither `bundled` nor `system`",
                    printable(other)
                ))
                .help("for certificates of your own write `ca_file = \"…\"`")),
            });
        };
        let path = resolve_path(self.folder, file.get_ref());
        match path.and_then(|path| certificates(&path).map(|()| path)) {
            Ok(path) => Roots::File(path),
            Err(fault) => {
                self.refuse(file.span(), fault);
                Roots::Bundled
            }
        }
    }

    fn accounts(&mut self, sections: Vec<Section<file::Account>>) -> Vec<AccountSettings> {
        if sections.is_empty() {
            let fault = Fault::new("there is no account")
                .help("add a section `[[account]]` with a name, a key and agents");
            // At the end of the file: there it could be added.
            self.refuse(usize::MAX..usize::MAX, fault);
        }
        let names = sections
            .iter()
            .filter_map(|section| section.table.name.as_ref());
        self.refuse_repeated_names("account", names);
        sections
            .into_iter()
            .filter_map(|section| self.account(section))
            .collect()
    }

    fn account(&mut self, section: Section<file::Account>) -> Option<AccountSettings> {
        let Section { span, table } = section;
        let file::Account {
            name,
            api_key_file,
            api_key_env,
            labels,
            discover,
            max_discovered,
            agents_file,
            agent,
        } = table;
        let title = title("account", name.as_ref());
        let name = self.required(name, "account", "name", &span, roster::check_name);
        let api_key = self.api_key(api_key_file, api_key_env, &title, &span);
        let labels = self.labels(labels);
        let discover = discover.unwrap_or(false);
        if agent.is_empty() && agents_file.is_none() && !discover {
            let fault = Fault::new(format!("{title} has no agents")).help(
                "add `[[account.agent]]` sections, `agents_file = \"…\"` or `discover = true`",
            );
            self.refuse(span, fault);
        }
        let max_discovered = self.value(max_discovered, DEFAULT_MAX_DISCOVERED, |number| {
            rules::max_discovered(*number)
        });
        let agents_file = self.agents_file(agents_file);
        // The agents are checked even where their account has no good name, so as to tell all at once.
        let account: Arc<str> = name.as_deref().unwrap_or_default().into();
        let agents = self.agents(&account, &labels, agent);
        name?;
        Some(AccountSettings {
            name: account,
            api_key: api_key?,
            labels,
            discover,
            max_discovered,
            agents_file,
            agents,
        })
    }

    /// Another tool may write the list later: that it cannot be read yet is worth a warning only.
    fn agents_file(&mut self, written: Option<Text>) -> Option<PathBuf> {
        let path = self.path(written)?;
        let probed = files::probe(&path, files::AGENTS);
        self.warnings
            .extend(probed.err().iter().map(ToString::to_string));
        Some(path)
    }

    fn api_key(
        &mut self,
        file: Option<Text>,
        variable: Option<Text>,
        account: &str,
        header: &Range<usize>,
    ) -> Option<SecretSource> {
        if file.is_none() && variable.is_none() {
            let fault = Fault::new(format!("{account} has no API key"))
                .help("add `api_key_file = \"…\"` or `api_key_env = \"…\"`");
            self.refuse(header.clone(), fault);
        }
        self.key_of(account, file, variable)
    }

    fn labels(&mut self, written: Labels) -> BTreeMap<String, String> {
        for name in written.keys() {
            if let Err(error) = roster::check_label_name(name.get_ref()) {
                let fault = Fault::new(format!(
                    "`{}` cannot be a label: {error}",
                    printable(name.get_ref())
                ));
                self.refuse(name.span(), fault);
            }
        }
        written
            .into_iter()
            .map(|(name, value)| (name.into_inner(), value.into_inner()))
            .collect()
    }

    fn agents(
        &mut self,
        account: &Arc<str>,
        account_labels: &BTreeMap<String, String>,
        sections: Vec<Section<file::Agent>>,
    ) -> Vec<Agent> {
        let mut names = HashSet::new();
        let mut agents = Vec::with_capacity(sections.len());
        for Section { span, table } in sections {
            let file::Agent { id, name, labels } = table;
            let id_place = id.as_ref().map(Spanned::span).unwrap_or_default();
            let name_place = name.as_ref().map_or(id_place.clone(), Spanned::span);
            let id = self.required(id, "agent", "id", &span, roster::check_id);
            let name = match name {
                Some(name) => self.required(Some(name), "agent", "name", &span, roster::check_name),
                None => id.clone(),
            };
            let labels = self.labels(labels);
            let (Some(id), Some(name)) = (id, name) else {
                continue;
            };
            let id: Arc<str> = id.into();
            if let Some(owner) = self.owners.insert(Arc::clone(&id), Arc::clone(account)) {
                let shown = printable(&id);
                // Two accounts may have one name, which is refused elsewhere, but they are not one.
                self.refuse(
                    id_place,
                    if Arc::ptr_eq(&owner, account) {
                        Fault::new(format!(
                            "another agent of this account has the id `{shown}` already"
                        ))
                    } else {
                        Fault::new(format!(
                            "an agent of another account has the id `{shown}` already"
                        ))
                        .help("an agent belongs to one account: keep it where its key is")
                    },
                );
            } else if !names.insert(name.clone()) {
                let fault = Fault::new(format!(
                    "another agent of this account is called `{}` already",
                    printable(&name)
                ));
                self.refuse(name_place, fault);
            }
            agents.push(Agent {
                account: Arc::clone(account),
                id,
                name: name.into(),
                labels: Arc::new(roster::merge_labels(account_labels, &labels)),
            });
        }
        agents
    }
}
