//! Holds what the hooks were told against what they were to be told, and sees to it that there was
//! enough of everything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Timelike, Utc};

use super::super::Seen;
use super::oracle::Line;
use super::{Counts, RELOADS, Year};
use crate::alert::{Notice, Status};
use crate::day::Day;

/// What the syncs are to have met.
const PROBLEMS: [&str; 9] = [
    "access_denied",
    "contract",
    "interrupted",
    "invalid_key",
    "not_json",
    "rate_limited",
    "redirect",
    "timeout",
    "unavailable",
];

impl Year {
    /// The deliveries that were taken, each once, in the order in which that happened first.
    fn taken(&self) -> Vec<&Seen> {
        let mut times: BTreeMap<&str, usize> = BTreeMap::new();
        let mut taken = Vec::new();
        for seen in self.tries.iter().filter(|seen| seen.takes) {
            let times = times.entry(&seen.id).or_default();
            *times += 1;
            if *times == 1 {
                taken.push(seen);
            }
        }
        for seen in &taken {
            let unheard = self.unheard.get(&seen.id).copied().unwrap_or(0);
            let times = times[&*seen.id];
            assert_eq!(times, 1 + unheard, "{} was sent {times} times", seen.id);
        }
        taken
    }

    /// Fails unless each hook was told exactly what it was to be told.
    pub(super) fn check(&self) {
        let taken = self.taken();
        self.check_lines(&taken);
        self.check_messages(&taken);
        self.check_order(&taken);
        for seen in self.tries.iter().filter(|seen| seen.hook == "night") {
            let hour = seen.at.with_timezone(&chrono_tz::Europe::Amsterdam).hour();
            assert!((7..22).contains(&hour), "{seen:?} comes at night");
        }
    }

    /// What was told is what was to be told, line by line.
    fn check_lines(&self, taken: &[&Seen]) {
        let mut expected = self.oracle.lines.clone();
        // One whose acknowledgement was lost has arrived all the same.
        let has_arrived = |id: &String| taken.iter().any(|seen| seen.id == *id);
        let untold = self.out_of_date.iter().filter(|(id, _)| !has_arrived(id));
        let untold: BTreeSet<_> = untold.flat_map(|(_, untold)| untold.clone()).collect();
        expected.retain(|line| {
            let line = (line.created, Arc::clone(&line.hook), line.key.clone());
            !untold.contains(&line)
        });
        let mut told = Vec::new();
        for seen in taken {
            told.extend(seen.alerts.iter().map(|notice| line(seen, notice)));
        }
        expected.sort();
        told.sort();
        for (expected, told) in expected.iter().zip(&told) {
            assert_eq!(told, expected);
        }
        assert_eq!(told.len(), expected.len());
    }

    /// What one evaluation brought is in one message to a hook that groups, the worst first; to
    /// others, each alert is a message.
    fn check_messages(&self, taken: &[&Seen]) {
        let mut evaluations = BTreeSet::new();
        for seen in taken {
            if self.oracle.route(&seen.hook).group {
                let is_first = evaluations.insert((&*seen.hook, seen.created));
                assert!(is_first, "{seen:?} is a second message");
            } else {
                assert_eq!(seen.alerts.len(), 1, "{seen:?}");
            }
            let badness = |notice: &Notice| (notice.status == Status::Firing, notice.severity);
            assert!(
                seen.alerts.is_sorted_by(|a, b| badness(a) >= badness(b)),
                "{seen:?}"
            );
        }
    }

    /// What is told of one alert is told in order, but for what had been given up.
    fn check_order(&self, taken: &[&Seen]) {
        let mut newest: BTreeMap<(&str, &str), DateTime<Utc>> = BTreeMap::new();
        for seen in taken
            .iter()
            .filter(|seen| !self.given_up.contains(&seen.id))
        {
            for notice in &seen.alerts {
                let key = (&*seen.hook, &*notice.key);
                let before = newest.insert(key, seen.created);
                assert!(before < Some(seen.created), "{seen:?} comes too late");
            }
        }
    }

    /// Everything has happened that was to be tried.
    pub(super) fn must_have_been_eventful(&self) {
        let Self { scene, oracle, .. } = self;
        let mut told: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
        let (mut of_forecasts, mut of_late_days) = (0, 0);
        for line in &oracle.lines {
            let mut parts = line.key.split('/');
            let (rule, _, start) = (parts.next().unwrap(), parts.next(), parts.next());
            told.entry(rule).or_default()[usize::from(line.fires)] += 1;
            of_forecasts += usize::from(line.key.contains("/forecast "));
            if rule == "front-week" && line.fires {
                let end = start.unwrap().parse::<Day>().unwrap().plus(7);
                of_late_days += usize::from(Day::of(line.created) > end);
            }
        }
        let failed = self.tries.iter().filter(|seen| !seen.takes).count();
        let waited = |seen: &&Seen| seen.hook == "night" && seen.at > seen.created;
        let waited = self.tries.iter().filter(waited).count();
        let Counts { restarts, kills } = self.counts;
        let figures = [
            ("of forecasts", of_forecasts, 100),
            ("of late days", of_late_days, 3),
            ("fired in silence", oracle.silent, 20),
            ("not fired again", oracle.latched.len(), 20),
            ("fired again", oracle.again, 1),
            ("held at the edge", oracle.held, 100),
            ("kept by missing days", oracle.kept, 20),
            ("failed tries", failed, 200),
            ("given up", self.given_up.len(), 1),
            ("waited for the morning", waited, 50),
            ("restarts", restarts, 50),
            ("killed while sending", kills, 10),
        ];
        println!(
            "told by rule, resolved and firing: {told:?}; {figures:?}; {:?}",
            scene.problems
        );
        for (what, count, least) in figures {
            assert!(count >= least, "{what}: only {count}");
        }
        for (rule, [resolved, firing]) in told {
            // A total never begins anew.
            let least = if rule == "globex-total" {
                [0, 2]
            } else {
                [3, 3]
            };
            assert!(resolved >= least[0] && firing >= least[1], "{rule}");
        }
        for kind in PROBLEMS {
            assert!(scene.problems.contains(kind), "no {kind}");
        }
        let reloaded = scene.first().plus(RELOADS[0].0);
        for key in ["ever/globex", "agents/globex/campaigns"] {
            let ends = |line: &&Line| line.key == key && !line.fires;
            let end = oracle.lines.iter().rfind(ends).unwrap();
            assert_eq!(Day::of(end.created), reloaded, "{key}");
        }
    }
}

/// What a message says of one alert.
fn line(seen: &Seen, notice: &Notice) -> Line {
    let fires = notice.status == Status::Firing;
    assert_eq!(notice.resolved_at, (!fires).then_some(seen.created));
    Line {
        created: seen.created,
        hook: Arc::from(&*seen.hook),
        fires,
        severity: notice.severity,
        key: notice.key.clone(),
        started: notice.started_at,
    }
}
