//! Pure: what does not go as it should, in plain words, and what somebody can do about it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{AccountPlace, SyncStatus};
use crate::flowgent::error::advice;
use crate::ledger::{DeliveryRecord, DeliveryState, DisabledHook, RETRY_DAYS};
use crate::roster::NAME_AGENTS;
use crate::secret::SecretSource;
use crate::sync::{Note, NoteKind, Problem};

/// Advice about a clock that is wrong.
const SET_CLOCK: &str = "Set this machine's clock, for example with `timedatectl set-ntp true`.";

/// Something that does not go as it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// True if somebody must act: it mends itself at best by luck.
    pub is_severe: bool,
    /// Description: a sentence, or some.
    pub what: String,
    /// Advice.
    pub advice: String,
    /// The account that it is about, if it is about one.
    pub account: Option<Arc<str>>,
}

/// Facts from which troubles follow.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The accounts of the config.
    pub accounts: &'a [AccountPlace],
    /// Why the config that was read last is not the one in use.
    pub config_error: Option<&'a str>,
    /// Secrets and files that hooks and pushing lack.
    pub obstacles: &'a [String],
    /// Why nothing can be kept any more.
    pub ledger_error: Option<&'a str>,
    /// Why this host's clock is not believed.
    pub clock: Option<&'a str>,
    /// State of syncs.
    pub sync: &'a SyncStatus,
    /// The hooks that want nothing any more.
    pub disabled_hooks: &'a [DisabledHook],
    /// The newest deliveries that were not delivered.
    pub undelivered: &'a [DeliveryRecord],
}

impl Facts<'_> {
    /// The troubles, the severe ones first.
    #[must_use]
    pub fn troubles(&self) -> Vec<Trouble> {
        let mut troubles = Vec::new();
        if let Some(error) = self.config_error {
            troubles.push(Trouble::severe(
                format!("The config file has changed and is invalid: {error}."),
                "The previous config stays active. Correct the file and send SIGHUP; `check` shows \
                 the place of the mistake.",
            ));
        }
        troubles.extend(self.obstacles.iter().map(|obstacle| {
            let what = format!("{}.", capitalized(obstacle));
            Trouble::severe(what, "Correct it; no reload is needed.")
        }));
        if let Some(error) = self.ledger_error {
            troubles.push(Trouble::severe(
                format!("{}.", capitalized(error)),
                "This page shows what was read before. Until the ledger is back, nothing is stored and no alerts are sent.",
            ));
        }
        if let Some(reason) = self.clock {
            troubles.push(Trouble::severe(
                format!("No day becomes final and no alert starts or resolves, because {reason}."),
                SET_CLOCK,
            ));
        }
        if let Some(error) = &self.sync.error {
            troubles.push(Trouble::severe(
                format!("The ledger failed during the last sync: {error}."),
                "Check that its disk has space and is writable; `doctor` checks both. Days that could \
                 not be stored are fetched again automatically.",
            ));
        }
        if let Some(last) = &self.sync.last {
            troubles.extend(last.problems.iter().map(|problem| self.of_problem(problem)));
            troubles.extend(last.notes.iter().map(of_note));
            if last.counts.deferred > 0 && self.clock.is_none() {
                troubles.push(Trouble::mild(
                    "This machine's clock is ahead of FlowGent's: it had already reached the next day \
                     at the last sync."
                        .to_owned(),
                    SET_CLOCK,
                ));
            }
        }
        troubles.extend(self.of_hooks());
        troubles.sort_by_key(|trouble| !trouble.is_severe);
        troubles
    }

    /// Trouble from a problem of the last sync.
    fn of_problem(&self, problem: &Problem) -> Trouble {
        let account = &problem.account;
        let place = self.accounts.iter().find(|place| place.name == *account);
        let error = &problem.error;
        let agents = match (&problem.first, problem.agents.len()) {
            (None, _) => String::new(),
            (Some((agent, _)), ..=1) => format!(", agent {agent}"),
            (Some((agent, _)), agents) => format!(", {agents} agents, such as {agent}"),
        };
        let is_severe = matches!(
            problem.kind,
            "invalid_key" | "key_unreadable" | "agents_file" | "access_denied" | "bad_request"
        );
        let what = match problem.kind {
            "invalid_key" => format!("FlowGent refuses the key of account {account}: {error}."),
            "key_unreadable" => format!("The key of account {account} cannot be read: {error}."),
            "agents_file" => format!("The list of agents of account {account} is wrong: {error}."),
            _ => format!("Account {account}{agents}: {error}."),
        };
        Trouble {
            is_severe,
            what,
            advice: self.advice(problem, place),
            account: Some(Arc::clone(account)),
        }
    }

    fn advice(&self, problem: &Problem, place: Option<&AccountPlace>) -> String {
        let key = || match place.map(|place| &place.api_key) {
            Some(source @ SecretSource::File(_)) => format!(
                "Write the right key into {source}, on a line of its own; the next sync reads it."
            ),
            Some(source @ SecretSource::Environment(_)) => {
                format!("Set {source} to the right key and restart the exporter.")
            }
            None => "The account is no longer in the config.".to_owned(),
        };
        let advice = advice(problem.kind);
        match problem.kind {
            "invalid_key" | "key_unreadable" => key(),
            "agents_file" => "Correct the list, or regenerate it; the next sync reads it. The last valid list stays \
                              active."
                .to_owned(),
            "access_denied" if problem.first.is_none() => NAME_AGENTS.to_owned(),
            "access_denied" | "bad_request" | "redirect" | "not_json" | "unavailable" | "server_error" => {
                format!("{}.", capitalized(advice))
            }
            _ => format!("It is retried automatically. If it lasts, {advice}."),
        }
    }

    /// Hooks that take nothing.
    fn of_hooks(&self) -> impl Iterator<Item = Trouble> {
        let disabled = self.disabled_hooks.iter().map(|disabled| {
            Trouble::severe(
                format!(
                    "Hook {} is disabled, because its receiver refused all further messages: {}.",
                    disabled.hook, disabled.reason
                ),
                "Correct its address in the config, then run `alerts retry --all`.",
            )
        });
        let is_disabled = |hook: &str| {
            self.disabled_hooks
                .iter()
                .any(|disabled| &*disabled.hook == hook)
        };
        // By hook and by what became of them: how many, and what the newest was answered.
        let mut hooks: BTreeMap<(&str, bool), (usize, &str)> = BTreeMap::new();
        for record in self.undelivered {
            let hook = &*record.delivery.hook;
            let is_lost = match record.state {
                DeliveryState::GivenUp => true,
                DeliveryState::Pending if record.result.is_some() && !is_disabled(hook) => false,
                DeliveryState::Pending | DeliveryState::Delivered => continue,
            };
            let answer = record.result.as_deref().unwrap_or("no answer");
            hooks.entry((hook, is_lost)).or_insert((0, answer)).0 += 1;
        }
        let undelivered = hooks.into_iter().map(|((hook, is_lost), (number, answer))| {
            let (messages, were) = if number == 1 {
                ("message", "was")
            } else {
                ("messages", "were")
            };
            if is_lost {
                Trouble::mild(
                    format!("{number} {messages} to hook {hook} {were} given up; the newest: {answer}."),
                    "When the receiver works again, `alerts retry --all` resends them.",
                )
            } else {
                Trouble::severe(
                    format!(
                        "Hook {hook} cannot deliver: {number} {messages} waiting; the last try of the \
                         newest: {answer}."
                    ),
                    &format!(
                        "It is retried with growing pauses for {RETRY_DAYS} days, then once a day. \
                         `alerts test` sends a sample."
                    ),
                )
            }
        });
        disabled.chain(undelivered.collect::<Vec<_>>())
    }
}

/// Trouble from a note about the lists that name an account's agents.
fn of_note(note: &Note) -> Trouble {
    let advice = match note.kind {
        NoteKind::Unlisted { .. } => {
            "Ignore this if they were removed on purpose: their credits still count. Otherwise list them \
             again, or name them under `[[account.agent]]`."
        }
        NoteKind::Excess { .. } => {
            "Raise the account's `max_discovered`, or name the agents that matter under `[[account.agent]]`."
        }
        NoteKind::Partial { .. } => {
            "Name the missing agents under `[[account.agent]]` or in an `agents_file`."
        }
    };
    Trouble {
        account: Some(Arc::clone(&note.account)),
        ..Trouble::mild(format!("{}.", capitalized(&note.to_string())), advice)
    }
}

/// `text` as a sentence begins.
fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(letters).collect()
}

impl Trouble {
    fn severe(what: String, advice: &str) -> Self {
        Self {
            is_severe: true,
            what,
            advice: advice.to_owned(),
            account: None,
        }
    }

    fn mild(what: String, advice: &str) -> Self {
        Self {
            is_severe: false,
            ..Self::severe(what, advice)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use chrono::DateTime;

    use super::*;
    use crate::ledger::Delivery;
    use crate::status::LastSync;
    use crate::sync::{Counts, Outcome};

    fn places() -> [AccountPlace; 2] {
        let place = |name: &str, api_key| AccountPlace {
            name: name.into(),
            api_key,
        };
        [
            place("acme", SecretSource::File("/etc/acme.key".into())),
            place("globex", SecretSource::Environment("GLOBEX_KEY".into())),
        ]
    }

    fn problem(account: &str, kind: &'static str, error: &str) -> Problem {
        Problem {
            account: account.into(),
            kind,
            error: error.to_owned(),
            first: None,
            windows: 1,
            agents: BTreeSet::new(),
            key: None,
        }
    }

    fn after(problems: Vec<Problem>) -> SyncStatus {
        let last = LastSync {
            started: DateTime::UNIX_EPOCH,
            ended: DateTime::UNIX_EPOCH,
            outcome: Outcome::Incomplete,
            counts: Counts {
                planned: 1,
                ..Counts::default()
            },
            problems,
            notes: Vec::new(),
            agent_problems: Default::default(),
        };
        SyncStatus {
            last: Some(last.into()),
            ..SyncStatus::default()
        }
    }

    fn of_sync(sync: &SyncStatus) -> Vec<Trouble> {
        let facts = Facts {
            accounts: &places(),
            config_error: None,
            obstacles: &[],
            ledger_error: None,
            clock: None,
            sync,
            disabled_hooks: &[],
            undelivered: &[],
        };
        facts.troubles()
    }

    fn delivery(hook: &str, state: DeliveryState, attempts: u32) -> DeliveryRecord {
        DeliveryRecord {
            delivery: Delivery {
                id: "msg_1".into(),
                hook: hook.into(),
                target: String::new(),
                alerts: Vec::new(),
                notification: "{}".to_owned(),
                created: DateTime::UNIX_EPOCH,
            },
            state,
            attempts,
            at: DateTime::UNIX_EPOCH,
            result: (attempts > 0).then(|| "status 500".to_owned()),
        }
    }

    #[test]
    fn a_refused_key_is_told_with_the_place_where_the_right_one_goes() {
        let refused = |account| problem(account, "invalid_key", "the API key is not valid");
        let troubles = of_sync(&after(vec![
            refused("acme"),
            refused("globex"),
            refused("gone"),
        ]));
        assert!(troubles.iter().all(|trouble| trouble.is_severe));
        assert_eq!(
            troubles[0].what,
            "FlowGent refuses the key of account acme: the API key is not valid."
        );
        let advice: Vec<&str> = troubles.iter().map(|trouble| &*trouble.advice).collect();
        assert_eq!(
            advice,
            [
                "Write the right key into file `/etc/acme.key`, on a line of its own; the next \
                 sync reads it.",
                "Set environment variable `GLOBEX_KEY` to the right key and restart the exporter.",
                "The account is no longer in the config.",
            ]
        );
    }

    #[test]
    fn what_needs_somebody_comes_before_what_mends_itself() {
        let mut denied = problem("acme", "access_denied", "access denied");
        let window = crate::window::Window::new(
            "2026-03-01".parse().unwrap(),
            "2026-03-02".parse().unwrap(),
            "2026-03-03".parse().unwrap(),
        );
        denied.first = Some(("support".into(), window.unwrap()));
        denied.agents = [0, 1].into();
        let down = problem("acme", "unavailable", "service unavailable");
        let troubles = of_sync(&after(vec![down, denied]));
        let what: Vec<&str> = troubles.iter().map(|trouble| &*trouble.what).collect();
        assert_eq!(
            what,
            [
                "Account acme, 2 agents, such as support: access denied.",
                "Account acme: service unavailable.",
            ]
        );
        assert!(troubles[0].is_severe && !troubles[1].is_severe);
    }

    #[test]
    fn every_kind_of_problem_has_its_own_advice_or_says_that_it_is_tried_again() {
        for kind in ["invalid_key", "agents_file", "access_denied", "redirect"] {
            let [trouble] = &of_sync(&after(vec![problem("acme", kind, "x")]))[..] else {
                panic!("{kind}");
            };
            assert!(
                !trouble.advice.contains("support"),
                "{kind}: {}",
                trouble.advice
            );
        }
        let [trouble] = &of_sync(&after(vec![problem("acme", "contract", "x")]))[..] else {
            panic!("one problem is one trouble");
        };
        assert!(trouble.advice.contains("FlowGent's support"));
    }

    #[test]
    fn a_key_that_may_not_list_agents_is_not_blamed_on_an_agents_id() {
        let denied = problem("acme", "access_denied", "access denied");
        let [trouble] = &of_sync(&after(vec![denied]))[..] else {
            panic!("one problem is one trouble");
        };
        assert_eq!(trouble.advice, NAME_AGENTS);
    }

    #[test]
    fn a_hook_that_takes_nothing_is_told_once_and_one_that_only_waits_is_not() {
        let disabled = DisabledHook {
            hook: "gone".into(),
            at: DateTime::UNIX_EPOCH,
            reason: "status 410".to_owned(),
        };
        let facts = Facts {
            accounts: &places(),
            ledger_error: None,
            clock: None,
            config_error: Some("config.toml: line 3"),
            obstacles: &[
                "hook `ops` sends nothing until its URL can be used: it is empty".to_owned(),
            ],
            sync: &SyncStatus {
                error: Some("the disk is full".into()),
                ..SyncStatus::default()
            },
            disabled_hooks: &[disabled],
            undelivered: &[
                delivery("gone", DeliveryState::Pending, 1),
                delivery("ops", DeliveryState::Pending, 2),
                delivery("ops", DeliveryState::Pending, 1),
                delivery("quiet", DeliveryState::Pending, 0),
                delivery("chat", DeliveryState::GivenUp, 10),
            ],
        };
        let troubles = facts.troubles();
        let what: Vec<&str> = troubles.iter().map(|trouble| &*trouble.what).collect();
        assert_eq!(
            what,
            [
                "The config file has changed and is invalid: config.toml: line 3.",
                "Hook `ops` sends nothing until its URL can be used: it is empty.",
                "The ledger failed during the last sync: the disk is full.",
                "Hook gone is disabled, because its receiver refused all further messages: status 410.",
                "Hook ops cannot deliver: 2 messages waiting; the last try of the \
                 newest: status 500.",
                "1 message to hook chat was given up; the newest: status 500.",
            ]
        );
    }
}
