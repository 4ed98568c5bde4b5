//! The balances that a year begins with, and what people write into them: top-ups, counts, corrections, and
//! entries that come late or ahead of their day.

use fastrand::Rng;
use flowgent_exporter::day::Day;

use super::plan::{Balance, Change, EntriesFile, Entry, Matcher, Plan};
use super::year::Year;

/// What somebody writes into a balance.
type Writing = Box<dyn FnOnce(&mut Balance)>;

/// What the agents of one of the balances use on a day, roughly.
const DAILY_CREDITS: f64 = 190.0;

pub(crate) fn balances(random: &mut Rng, first: Day) -> Vec<Balance> {
    let mut balance = |name: &str, matcher, file, days_ago: &[i32]| {
        let entry = |days: &i32| Entry {
            on: first.plus(-days),
            change: Change::Set(quarters((20.0 + 30.0 * random.f64()) * DAILY_CREDITS)),
        };
        Balance {
            name: name.to_owned(),
            matcher,
            entries: days_ago.iter().map(entry).collect(),
            file,
            credits_left: vec![1_500.0, 300.0, 0.0],
            days_left: vec![14.0, 7.0, 2.0],
            hooks: vec!["pager".to_owned(), "chat".to_owned(), "night".to_owned()],
        }
    };
    let of_account = Matcher {
        account: Some("globex".to_owned()),
        team: None,
    };
    let of_team = Matcher {
        account: None,
        team: Some("front".to_owned()),
    };
    vec![
        // An account was closed, and it began before the history does.
        balance("globex-left", of_account, None, &[90, 15]),
        balance(
            "front-left",
            of_team,
            Some(EntriesFile::default()),
            &[10, -3],
        ),
    ]
}

fn quarters(credits: f64) -> f64 {
    (credits * 4.0).round() / 4.0
}

impl Plan {
    /// Keeps what is in the files of entries that can be read.
    pub(crate) fn read_entries(&mut self) {
        for balance in &mut self.balances {
            if let Some(file) = balance.file.as_mut().filter(|file| !file.is_broken) {
                file.read = Some(balance.entries.clone());
            }
        }
    }
}

impl Year {
    /// Somebody writes something into a balance, more often if little is left.
    pub(crate) fn keep_books(&mut self) {
        let today = self.scene.today();
        let count = self.scene.plan.balances.len();
        if count == 0 {
            return;
        }
        let place = self.books.usize(..count);
        if self.books.f64() * 100.0 >= 5.0 {
            return;
        }
        let kind = self.books.usize(..10);
        let size = quarters((5.0 + 25.0 * self.books.f64()) * DAILY_CREDITS);
        let days = self.books.i32(0..6);
        let error = 0.7 + 0.6 * self.books.f64();
        let balance = &self.scene.plan.balances[place];
        let left = super::balances::Left::of(balance, &self.scene.roll, today);
        let left = left.map_or(size, |left| left.credits);
        let name = balance.name.clone();
        let (what, edit): (_, Writing) = match kind {
            0..3 => ("a top-up", Box::new(move |to| to.add(today, size))),
            3 => ("a late top-up", {
                Box::new(move |to| to.add(today.plus(-days), size))
            }),
            4 => ("a top-up to come", {
                Box::new(move |to| to.add(today.plus(days), size))
            }),
            5 => ("a count", {
                Box::new(move |to| to.set(today, quarters((left * error).max(0.0))))
            }),
            6 => ("a late count", {
                Box::new(move |to| to.set(today.plus(-days), size))
            }),
            7 => ("a correction", Box::new(move |to| to.correct(error))),
            8 => ("an entry is taken out", Box::new(Balance::take_out)),
            _ => ("a file of entries", Box::new(Balance::break_or_mend)),
        };
        self.scene.edit(&format!("{name}: {what}"), |plan| {
            edit(&mut plan.balances[place]);
        });
    }
}

impl Balance {
    fn add(&mut self, on: Day, credits: f64) {
        let change = Change::Add(credits);
        // What was bought on the day of a `set` is in it.
        if self.entries.iter().all(|entry| entry.on != on) {
            self.entries.push(Entry { on, change });
        }
    }

    fn set(&mut self, on: Day, credits: f64) {
        self.entries.retain(|entry| entry.on != on);
        let change = Change::Set(credits);
        self.entries.push(Entry { on, change });
    }

    /// The entry that was written last had another amount.
    fn correct(&mut self, factor: f64) {
        if let Some(entry) = self.entries.last_mut() {
            entry.change = match entry.change {
                Change::Set(credits) => Change::Set(quarters(credits * factor)),
                Change::Add(credits) => Change::Add(quarters(credits * factor).max(0.25)),
            };
        }
    }

    fn take_out(&mut self) {
        if self.entries.len() > 2 {
            self.entries.pop();
        }
    }

    fn break_or_mend(&mut self) {
        if let Some(file) = &mut self.file {
            file.is_broken = !file.is_broken;
        }
    }
}
