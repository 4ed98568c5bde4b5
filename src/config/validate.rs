//! The top of the file → [`Config`]: every value by its rule, every rule that holds between values, and the files
//! that are named.

use std::collections::{BTreeMap, HashSet};
use std::mem::take;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;

use super::Config;
use super::check::Check;
use super::diagnostics::Fault;
use super::places::{certificates, credential_or_path, resolve_path};
use super::read::Section;
use super::rules;
use super::secrets::API_KEY;
use super::world::World;
use crate::egress::Roots;
use crate::egress::transport::is_loopback;
use crate::files;
use crate::flowgent;
use crate::http::Host;
use crate::protection::{CheckedFile, check_file};
use crate::roster::{self, AccountSettings, Agent, printable};
use crate::secret::SecretSource;
use crate::sync::{cron, schedule};
use crate::window::plan::Policy;
use crate::{alert, hook, ledger, server};

const DEFAULT_LISTEN: &str = "127.0.0.1:13569";

impl Check<'_> {
    /// The whole config of the file at `path`, from its top on; none if something is refused.
    pub(super) fn config(&mut self, mut top: Section<'_>, path: &Path) -> Option<Config> {
        let server = self.server(top.section("server"));
        let storage = self.storage(top.section("storage"));
        let (schedule, policy) = self.schedule(top.section("schedule"));
        let api = self.api(top.section("api"));
        let push = top.table("push");
        let push =
            push.and_then(|push| self.push(push, &server.ip_addresses(), policy.history_start));
        let sections = top.tables("account");
        let account_names = names(&sections, |_| true);
        let accounts = self.accounts(sections);
        let dashboard_url = self.dashboard_url(top.section("alerts"), &server);
        let rules = ["budget", "balance", "rule"].map(|key| top.tables(key));
        let probes = top.tables("probe");
        let summaries = top.tables("summary");
        let hooks = top.tables("hook");
        let world = World::new(
            &accounts,
            account_names,
            names(&hooks, |_| true),
            names(&hooks, |hook| hook.is("kind", "heartbeat")),
            policy.history_start,
        );
        let all = rules.iter().flatten().chain(&probes);
        self.refuse_repeated_names("budget, balance, rule or probe", all);
        let mut rules = self.alert_rules(rules, &world);
        let (probes, of_probes) = self.probes(probes, &world);
        rules.extend(of_probes);
        let hooks = self.hooks(hooks, &world);
        let summaries = self.summaries(summaries, &hooks, &world);
        self.look_for_unused_hooks(&hooks, &rules, &summaries);
        self.look_for_earlier_days(&rules, &summaries, policy.history_start);
        self.look_for_late_drops(&rules, policy.settle_days);
        self.look_for_rules_without_probes(&rules, &probes, &world);
        self.look_for_idle_repeats(&rules, &hooks);
        self.findings.is_empty().then(|| Config {
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
                probes,
                summaries,
                routes: hooks.iter().map(hook::Settings::route).collect(),
                dashboard_url,
            },
            accounts,
            hooks,
            warnings: take(&mut self.warnings),
            failures: take(&mut self.failures),
            obstacles: take(&mut self.obstacles),
            exposed: take(&mut self.exposed),
        })
    }

    /// The section `[server]`, and nothing else.
    pub(super) fn server_alone(&mut self, mut top: Section<'_>) -> Option<server::Settings> {
        let mut server = top.section("server");
        top.skip_rest();
        // What protects the exporter may be broken by now without any harm to it.
        server.skip("web_config_file");
        Some(self.server(server))
    }

    fn server(&mut self, mut server: Section<'_>) -> server::Settings {
        let listen = match server.get("listen") {
            None => rules::listen_address(DEFAULT_LISTEN).into_iter().collect(),
            Some(list) => {
                let default = format!("the default is `[\"{DEFAULT_LISTEN}\"]`");
                self.refuse_empty(&list, "`listen` names no address", &default);
                self.distinct(list.into_inner(), rules::listen_address)
            }
        };
        server::Settings {
            listen,
            hosts: self.hosts(&mut server),
            telemetry_path: self.text(&mut server, "telemetry_path", "/metrics", |path| {
                rules::telemetry_path(path)
            }),
            web_config: self.web_config(&mut server),
            // It is for whoever starts the exporter to say.
            lifecycle: false,
        }
    }

    fn hosts(&mut self, server: &mut Section<'_>) -> Vec<Host> {
        let Some(list) = server.get("hosts") else {
            return Vec::new();
        };
        let help = "leave it out: this machine's own names are always accepted";
        self.refuse_empty(&list, "`hosts` names no host", help);
        self.distinct(list.into_inner(), rules::host)
    }

    fn refuse_empty<T>(&mut self, list: &Spanned<Vec<T>>, message: &str, help: &str) {
        if list.get_ref().is_empty() {
            self.refuse(list.span(), Fault::new(message).help(help));
        }
    }

    fn web_config(&mut self, server: &mut Section<'_>) -> Option<CheckedFile> {
        let folder = self.folder;
        let file = self.optional(server, "web_config_file", |text| {
            check_file(&credential_or_path(folder, text)?)
                .map_err(|error| Fault::new(error.to_string()))
        })?;
        let warnings = file.warnings.iter();
        self.warnings
            .extend(warnings.map(|warning| format!("web config: {warning}")));
        self.exposed.extend(file.exposed.iter().cloned());
        Some(file)
    }

    fn storage(&mut self, mut storage: Section<'_>) -> ledger::Settings {
        let default = "/var/lib/flowgent-exporter/ledger.db";
        let folder = self.folder;
        ledger::Settings {
            path: self.text(&mut storage, "path", default, |text| {
                resolve_path(folder, text)
            }),
        }
    }

    fn schedule(&mut self, mut schedule: Section<'_>) -> (schedule::Settings, Policy) {
        let today = self.today;
        let (cron, pattern) = self.text(&mut schedule, "cron", "0 10 0 * * *", |text| {
            Ok((rules::cron(text, today)?, printable(text)))
        });
        if let Some(day) = cron::first_day_without(&cron, today) {
            let both = if cron::asks_for_both_days(&cron) {
                " (a day of the month and a weekday must both be right)"
            } else {
                ""
            };
            self.warnings.push(format!(
                "the cron pattern `{pattern}` polls rarer than daily{both}: not on {day}, so usage of the day before \
                 is known late, and alerts about it come late"
            ));
        }
        let jitter = self.text(&mut schedule, "jitter", "10m", rules::jitter);
        let policy = Policy {
            // A year: whoever settles later asks for everything again every day.
            settle_days: self.whole(&mut schedule, "settle_days", 3, 0..=365),
            history_start: self.text(&mut schedule, "history_start", "2025-05-28", |text| {
                rules::past_day(text, "history start ", today)
            }),
        };
        (schedule::Settings { cron, jitter }, policy)
    }

    fn api(&mut self, mut api: Section<'_>) -> flowgent::Settings {
        let allow_http = api.flag("allow_http", false);
        let default = "https://flowgent.ai/api/public/";
        let base_url = self.text(&mut api, "base_url", default, |text| {
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
            timeout: self.duration(&mut api, "timeout", "30s", ["100ms", "10m"]),
            requests_per_second: self.value(
                &mut api,
                "requests_per_second",
                5.0,
                rules::requests_per_second,
            ),
            concurrency: self.whole(&mut api, "concurrency", 4, 1..=256),
            roots: self.roots(&mut api),
        }
    }

    fn roots(&mut self, api: &mut Section<'_>) -> Roots {
        self.exclusive(api, &["ca", "ca_file"]);
        let roots = self.text(api, "ca", "bundled", |text| match text {
            "bundled" => Ok(Roots::Bundled),
            "system" => Ok(Roots::System),
            other => Err(Fault::new(format!(
                "`{}` is neither `bundled` nor `system`",
                printable(other)
            ))
            .help("for certificates of your own write `ca_file = \"…\"`")),
        });
        let folder = self.folder;
        let file = self.optional(api, "ca_file", |text| {
            let path = resolve_path(folder, text)?;
            certificates(&path).map(|()| path)
        });
        file.map_or(roots, Roots::File)
    }

    fn accounts(&mut self, sections: Vec<Section<'_>>) -> Vec<AccountSettings> {
        if sections.is_empty() {
            let fault = Fault::new("there is no account")
                .help("add a section `[[account]]` with a name, a key and agents");
            // At the end of the file: there it could be added.
            self.refuse(usize::MAX..usize::MAX, fault);
        }
        self.refuse_repeated_names("account", sections.iter());
        sections
            .into_iter()
            .filter_map(|section| self.account(section))
            .collect()
    }

    fn account(&mut self, mut section: Section<'_>) -> Option<AccountSettings> {
        let name = self.name(&mut section);
        self.lacks_secret(&section, &API_KEY, "API key");
        let api_key = self.api_key(&mut section);
        let labels = self.labels(&mut section);
        let discover = section.flag("discover", false);
        let max_discovered = self.whole(&mut section, "max_discovered", 10_000, 1..=1_000_000);
        let agents_file = section.place("agents_file").is_some();
        let agents_file = agents_file.then(|| self.agents_file(&mut section));
        let agents = section.tables("agent");
        if agents.is_empty() && agents_file.is_none() && !discover {
            let fault = Fault::new(format!("{} has no agents", section.owner)).help(
                "add `[[account.agent]]` sections, `agents_file = \"…\"` or `discover = true`",
            );
            self.refuse(section.header.clone(), fault);
        }
        // The agents are checked even where their account has no good name, so as to tell all at once.
        let account: Arc<str> = name.as_deref().unwrap_or_default().into();
        let agents = self.agents(&account, &labels, agents);
        name?;
        Some(AccountSettings {
            name: account,
            api_key: api_key?,
            labels,
            discover,
            max_discovered,
            agents_file: agents_file.flatten(),
            agents,
        })
    }

    /// Another tool may write the list later: that it cannot be read yet is worth a warning only.
    fn agents_file(&mut self, account: &mut Section<'_>) -> Option<PathBuf> {
        let path = self.path(account, "agents_file")?;
        let probed = files::probe(&path, files::AGENTS);
        self.warnings
            .extend(probed.err().iter().map(ToString::to_string));
        Some(path)
    }

    /// The place of an account's key. A key that cannot be read stops its account alone.
    fn api_key(&mut self, account: &mut Section<'_>) -> Option<SecretSource> {
        let (source, key) = self.secret_place(account, &API_KEY)?;
        if let Err(fault) = key {
            self.failures.push(format!(
                "{} is not asked for anything until its key can be read: {}",
                account.owner, fault.message
            ));
        }
        Some(source)
    }

    fn labels(&mut self, section: &mut Section<'_>) -> BTreeMap<String, String> {
        let mut written = section.section("labels");
        let rest: Vec<_> = written.rest().collect();
        let labels = rest.into_iter().filter_map(|(name, value)| {
            if let Err(error) = roster::check_label_name(name.get_ref()) {
                let shown = printable(name.get_ref());
                let fault = Fault::new(format!("`{shown}` cannot be a label: {error}"));
                self.refuse(name.span(), fault);
            }
            let value: Spanned<String> = written.fit(name.get_ref(), &value)?;
            Some((name.into_inner(), value.into_inner()))
        });
        labels.collect()
    }

    fn agents(
        &mut self,
        account: &Arc<str>,
        account_labels: &BTreeMap<String, String>,
        sections: Vec<Section<'_>>,
    ) -> Vec<Agent> {
        let mut names = HashSet::new();
        let mut agents = Vec::with_capacity(sections.len());
        for mut section in sections {
            let id_place = section.place("id").unwrap_or_default();
            let name_place = section.place("name").unwrap_or(id_place.clone());
            let id = self.required(&mut section, "id", roster::check_id);
            section.may_have(&["name"]);
            let name = match section.place("name") {
                Some(_) => self.name(&mut section),
                None => id.clone(),
            };
            let labels = self.labels(&mut section);
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

/// The names of those of the sections.
fn names<'i>(sections: &[Section<'i>], of: impl Fn(&Section<'i>) -> bool) -> Vec<String> {
    let sections = sections.iter().filter(|section| of(section));
    let names = sections.filter_map(Section::name);
    names.map(|name| (*name.get_ref()).to_owned()).collect()
}
