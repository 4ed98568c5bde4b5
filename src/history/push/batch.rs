//! Pure: what is to be sent, in pieces that a database takes at a time.

use chrono::{DateTime, Utc};

use crate::day::Usage;
use crate::history::placement::{Sample, samples};
use crate::ledger::{Member, Pushed, Unpushed};

/// The most samples in one request: what Prometheus itself sends at a time.
pub(super) const LIMIT: usize = 2000;

/// Some samples of one series, in the order of their time: at least one.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part {
    pub(super) member: Member,
    pub(super) samples: Vec<Sample>,
}

/// Contents of one request: each series once.
pub(super) type Batch = Vec<Part>;

/// The samples that are to be sent of what is not pushed yet, none after `now`.
pub(super) fn due(unpushed: &Unpushed, now: DateTime<Utc>) -> Vec<Sample> {
    let days: Vec<Usage> = unpushed.days.iter().map(|day| day.usage).collect();
    let is_due = |sample: &Sample| {
        let place = unpushed
            .days
            .binary_search_by_key(&sample.day(), |day| day.usage.day);
        let Ok(place) = place else { return false };
        let day = &unpushed.days[place];
        match sample.revision {
            0 => !day.first_is_pushed,
            revision => revision > day.pushed_revision,
        }
    };
    samples(&days, &unpushed.revisions, now)
        .filter(is_due)
        .collect()
}

/// Puts samples together into batches of at most [`LIMIT`] samples.
#[derive(Debug, Default)]
pub(super) struct Collector {
    batch: Batch,
    count: usize,
}

impl Collector {
    /// Adds the samples of a member; returns the batches that are full now.
    pub(super) fn add(&mut self, member: &Member, samples: &[Sample]) -> Vec<Batch> {
        let mut full = Vec::new();
        let mut rest = samples;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(LIMIT - self.count));
            self.batch.push(Part {
                member: member.clone(),
                samples: now.to_vec(),
            });
            self.count += now.len();
            rest = later;
            if self.count == LIMIT {
                full.extend(self.take());
            }
        }
        full
    }

    /// The batch so far, if anything is in it.
    pub(super) fn take(&mut self) -> Option<Batch> {
        self.count = 0;
        let batch = std::mem::take(&mut self.batch);
        (!batch.is_empty()).then_some(batch)
    }
}

/// Number of samples in a batch.
pub(super) fn count(batch: &Batch) -> usize {
    batch.iter().map(|part| part.samples.len()).sum()
}

/// The first and the second half of the series of a batch, if there are several.
pub(super) fn halves_of_series(batch: &Batch) -> Option<[Batch; 2]> {
    if batch.len() < 2 {
        return None;
    }
    let (first, second) = batch.split_at(batch.len() / 2);
    Some([first.to_vec(), second.to_vec()])
}

/// The same, or if it is one series, the halves of its samples.
pub(super) fn halves_of_samples(batch: &Batch) -> Option<[Batch; 2]> {
    if let [part] = batch.as_slice()
        && part.samples.len() > 1
    {
        let (first, second) = part.samples.split_at(part.samples.len() / 2);
        return Some([first, second].map(|samples| {
            vec![Part {
                member: part.member.clone(),
                samples: samples.to_vec(),
            }]
        }));
    }
    halves_of_series(batch)
}

/// Returns true if `one` holds samples of the same series as `other`, and only older ones.
pub(super) fn is_older(one: &Batch, other: &Batch) -> bool {
    let ([one], [other]) = (one.as_slice(), other.as_slice()) else {
        return false;
    };
    let instants = [one.samples.last(), other.samples.first()].map(|s| s.map(|s| s.at_ms));
    one.member.number == other.member.number && instants[0] < instants[1]
}

/// The earliest sample of a batch, and whose it is.
pub(super) fn earliest(batch: &Batch) -> Option<(&Member, Sample)> {
    let first = |part: &'_ Part| part.samples.first().copied();
    batch
        .iter()
        .filter_map(|part| Some((&part.member, first(part)?)))
        .min_by_key(|(_, sample)| sample.at_ms)
}

/// Entries for the ledger about a batch that was taken.
pub(super) fn taken(batch: &Batch) -> Vec<Pushed> {
    let of_part = |part: &Part| {
        let agent = part.member.number;
        let samples = part.samples.iter().map(move |sample| Pushed {
            agent,
            day: sample.day(),
            revision: sample.revision,
        });
        samples.collect::<Vec<_>>()
    };
    batch.iter().flat_map(of_part).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::day::Day;
    use crate::ledger::{AgentNumber, Revision, UnpushedDay};
    use crate::roster::Agent;

    fn member(name: &str) -> Member {
        Member {
            agent: Agent {
                account: "acme".into(),
                id: name.into(),
                name: name.into(),
                labels: Arc::default(),
            },
            number: AgentNumber(1),
            unlisted_since: None,
            left_on: None,
        }
    }

    /// Samples of 2026-03-01 at the place of each revision.
    pub(in crate::history::push) fn part(name: &str, values: &[(u32, f64)]) -> Part {
        let place = |revision: u32| match revision {
            0 => 1_772_452_800_000,
            revision => 1_772_495_999_900 + i64::from(revision),
        };
        let samples = values.iter().map(|(revision, credits)| Sample {
            at_ms: place(*revision),
            credits: *credits,
            revision: *revision,
        });
        Part {
            member: member(name),
            samples: samples.collect(),
        }
    }

    #[test]
    fn only_what_was_not_pushed_is_due() {
        let day: Day = "2026-03-01".parse().unwrap();
        let revision = |number, old, new| Revision {
            day,
            number,
            old,
            new,
            at: DateTime::default(),
        };
        let due = |first_is_pushed, pushed_revision, now: &str| -> Vec<(u32, f64)> {
            let unpushed = Unpushed {
                days: vec![UnpushedDay {
                    usage: Usage { day, credits: 2.0 },
                    first_is_pushed,
                    pushed_revision,
                }],
                revisions: vec![revision(1, 5.0, 6.0), revision(2, 6.0, 2.0)],
            };
            super::due(&unpushed, now.parse().unwrap())
                .iter()
                .map(|sample| (sample.revision, sample.credits))
                .collect()
        };
        let later = "2026-03-09T00:00:00Z";
        assert_eq!(due(false, 0, later), [(0, 5.0), (1, 6.0), (2, 2.0)]);
        assert_eq!(due(true, 0, later), [(1, 6.0), (2, 2.0)]);
        assert_eq!(due(true, 1, later), [(2, 2.0)]);
        assert_eq!(due(true, 2, later), []);
        assert_eq!(due(false, 0, "2026-03-02T12:00:00Z"), [(0, 5.0)]);
        assert_eq!(due(false, 0, "2026-03-02T11:59:59Z"), []);
    }

    #[test]
    fn batches_are_bounded_and_hold_everything_in_order() {
        let long = Part {
            samples: (0..4500)
                .map(|number| Sample {
                    at_ms: number,
                    credits: 1.0,
                    revision: 0,
                })
                .collect(),
            ..part("long", &[])
        };
        let short = part("short", &[(0, 1.0)]);
        let mut collector = Collector::default();
        let mut batches = collector.add(&short.member, &short.samples);
        batches.extend(collector.add(&long.member, &long.samples));
        batches.extend(collector.take());
        assert_eq!(
            batches.iter().map(count).collect::<Vec<_>>(),
            [2000, 2000, 501]
        );
        let sent: Vec<Sample> = batches
            .iter()
            .flatten()
            .filter(|part| part.member == long.member)
            .flat_map(|part| part.samples.clone())
            .collect();
        assert_eq!(sent, long.samples);
        assert_eq!(collector.take(), None);
    }

    #[test]
    fn halving_ends_at_one_series_or_at_one_sample() {
        let batch = vec![
            part("a", &[(0, 1.0), (1, 2.0), (2, 3.0)]),
            part("b", &[(0, 1.0)]),
            part("c", &[(0, 1.0)]),
        ];
        let [first, second] = halves_of_series(&batch).unwrap();
        assert_eq!((first.len(), second.len()), (1, 2));
        assert_eq!(halves_of_series(&first), None);
        let [one, two] = halves_of_samples(&first).unwrap();
        assert_eq!((count(&one), count(&two)), (1, 2));
        assert_eq!(halves_of_samples(&one), None);
        assert!(is_older(&one, &two) && !is_older(&two, &one));
        assert!(!is_older(&batch, &two));
        assert_eq!(halves_of_samples(&batch).unwrap()[1], second);
    }
}
