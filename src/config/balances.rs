//! `[[balance]]` → [`alert::Rule`].

use toml::Spanned;
use toml::de::DeTable;

use super::check::Check;
use super::diagnostics::Fault;
use super::read::Section;
use super::world::World;
use crate::alert::{self, Measure, Rule};
use crate::balance::{Book, Entries, Entry, EntryError, Written};
use crate::roster::{Matcher, printable};
use crate::status::Obstacle;

impl Check<'_> {
    /// A balance.
    pub(super) fn balance(&mut self, mut balance: Section<'_>, world: &World<'_>) -> Option<Rule> {
        let balance = &mut balance;
        let name = self.name(balance);
        let matcher = self.matcher(balance, world);
        let keys = ["entries", "entries_file"];
        self.exclusive(balance, &keys);
        let add = "`entries = [{ on = \"2026-01-01\", set = 1234 }]` or `entries_file = \"…\"`";
        self.lacks(balance, &keys, "entries", add);
        let has_none = balance.length("days_left") == Some(0)
            && balance
                .length("credits_left")
                .is_none_or(|length| length == 0);
        let written = balance.place("days_left");
        let mut thresholds = self.shares(balance, "credits_left", Measure::CreditsLeft, &[], None);
        let default = [14.0, 7.0, 2.0];
        thresholds.extend(self.shares(balance, "days_left", Measure::DaysLeft, &default, None));
        if has_none {
            let fault = Fault::new(format!("{} has no threshold", balance.owner))
                .help("add one, such as `days_left = [14, 7, 2]`");
            self.refuse(written.unwrap_or(balance.header.clone()), fault);
        }
        let hooks = self.hook_names(balance, world);
        let entries = balance.get("entries");
        let entries = entries.map(|entries| self.entries(balance, entries));
        let file = self.path(balance, "entries_file");
        let name = name?;
        let book = match (entries, file) {
            (Some(entries), _) => Book::of(&name, entries?),
            (None, Some(path)) => Book::open(&name, path),
            (None, None) => return None,
        };
        self.look_at(&balance.owner, &book);
        self.look_for_strangers(&balance.owner, &matcher, world);
        Some(Rule {
            name: name.into(),
            matcher,
            check: alert::Check::Balance { book, thresholds },
            hooks,
            repeat: None,
        })
    }

    /// The entries, each at its place; none if any is refused.
    fn entries<'i>(
        &mut self,
        balance: &Section<'i>,
        written: Spanned<Vec<Spanned<DeTable<'i>>>>,
    ) -> Option<Entries> {
        if written.get_ref().is_empty() {
            let fault = Fault::new("`entries` lists nothing")
                .help("begin with `{ on = \"2026-01-01\", set = 1234 }`");
            self.refuse(written.span(), fault);
            return None;
        }
        let fault = |error: EntryError| Fault::new(error.to_string()).help(error.help());
        let (mut places, mut entries) = (Vec::new(), Vec::new());
        for written in written.into_inner() {
            let place = written.span();
            let mut entry = balance.inner("entries", written, true);
            let written = Written {
                on: entry.get("on").map(Spanned::into_inner),
                set: entry.get("set").map(Spanned::into_inner),
                add: entry.get("add").map(Spanned::into_inner),
            };
            match Entry::try_from(written) {
                Ok(entry) => {
                    places.push(place);
                    entries.push(entry);
                }
                Err(error) => self.refuse(place, fault(error)),
            }
        }
        Entries::new(&entries)
            .map_err(|(number, error)| self.refuse(places[number].clone(), fault(error)))
            .ok()
    }

    /// Says why a balance has no figures yet, or may have none later.
    fn look_at(&mut self, owner: &str, book: &Book) {
        if book.is_in_file() {
            let stops = format!("{owner} keeps its last valid entries, if there were any");
            if let Some(problem) = book.problem() {
                self.failures.push(format!("{stops}: {problem}"));
            }
            let book = book.clone();
            let look = move || book.problem().map_or(Ok(()), Err);
            self.obstacles.push(Obstacle::new(stops, look));
        }
        if let Some(entries) = book.entries()
            && entries.account(self.today).is_none()
        {
            self.warnings.push(match entries.first_set() {
                Some(day) => {
                    format!("{owner} has no figures before {day}, the day of its first `set`")
                }
                None => format!("{owner} has no figures: none of its entries is a `set`"),
            });
        }
    }

    /// Says which accounts may have agents that nobody names, whose use would be left out.
    fn look_for_strangers(&mut self, owner: &str, matcher: &Matcher, world: &World<'_>) {
        let accounts = world.accounts.iter();
        let partly =
            accounts.filter(|account| !account.discover && matcher.concerns(&account.name));
        let names: Vec<_> = partly
            .map(|account| format!("`{}`", printable(&account.name)))
            .collect();
        if !names.is_empty() {
            self.warnings.push(format!(
                "{owner} would show too much: agents of account {} that are not named here may use \
                 credits, too; `discover = true` finds them",
                names.join(", ")
            ));
        }
    }
}
