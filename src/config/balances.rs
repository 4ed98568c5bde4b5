//! `[[balance]]` → [`alert::Rule`].

use toml::Spanned;

use super::check::{Check, place, title};
use super::diagnostics::Fault;
use super::file::{self, Section, Thresholds, WrittenEntry};
use super::world::World;
use crate::alert::{self, Measure, Rule};
use crate::balance::{Book, Entries, Entry, EntryError};
use crate::roster::{self, Matcher, printable};
use crate::status::Obstacle;

const DEFAULT_DAYS_LEFT: [f64; 3] = [14.0, 7.0, 2.0];

impl Check<'_> {
    /// A balance.
    pub(super) fn balance(
        &mut self,
        section: Section<file::Balance>,
        world: &World<'_>,
    ) -> Option<Rule> {
        let Section {
            span: header,
            table,
        } = section;
        let file::Balance {
            name,
            conditions,
            entries,
            entries_file,
            credits_left,
            days_left,
            hooks,
        } = table;
        let owner = title("balance", name.as_ref());
        let name = self.required(name, "balance", "name", &header, roster::check_name);
        let matcher = self.matcher(&owner, conditions, world);
        self.exclusive(
            ("entries", place(&entries)),
            ("entries_file", place(&entries_file)),
        );
        if entries.is_none() && entries_file.is_none() {
            let fault = Fault::new(format!("{owner} has no entries")).help(
                "add `entries = [{ on = \"2026-01-01\", set = 1234 }]` or `entries_file = \"…\"`",
            );
            self.refuse(header.clone(), fault);
        }
        let is_empty = |written: &Option<Thresholds>| {
            written
                .as_ref()
                .is_some_and(|list| list.get_ref().is_empty())
        };
        let has_none = is_empty(&days_left) && (credits_left.is_none() || is_empty(&credits_left));
        let written = place(&days_left);
        let mut thresholds = self.shares(credits_left, Measure::CreditsLeft, &[], None);
        let of_days = self.shares(days_left, Measure::DaysLeft, &DEFAULT_DAYS_LEFT, None);
        thresholds.extend(of_days);
        if has_none {
            let fault = Fault::new(format!("{owner} has no threshold"))
                .help("add one, such as `days_left = [14, 7, 2]`");
            self.refuse(written.unwrap_or(header), fault);
        }
        let hooks = self.hook_names(hooks, world);
        let entries = entries.map(|entries| self.entries(entries));
        let file = self.path(entries_file);
        let name = name?;
        let book = match (entries, file) {
            (Some(entries), _) => Book::of(&name, entries?),
            (None, Some(path)) => Book::open(&name, path),
            (None, None) => return None,
        };
        self.look_at(&owner, &book);
        self.look_for_strangers(&owner, &matcher, world);
        Some(Rule {
            name: name.into(),
            matcher,
            check: alert::Check::Balance { book, thresholds },
            hooks,
        })
    }

    /// The entries, each at its place; none if any is refused.
    fn entries(&mut self, written: Spanned<Vec<Spanned<WrittenEntry>>>) -> Option<Entries> {
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
            match Entry::try_from(written.into_inner()) {
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
            let stops = format!("{owner} uses its last valid entries");
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
