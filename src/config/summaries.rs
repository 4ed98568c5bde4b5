//! `[[summary]]` → [`summary::Settings`].

use super::check::{Check, one_of, title};
use super::diagnostics::Fault;
use super::file::{self, Section, Text};
use super::rules;
use super::world::World;
use crate::hook;
use crate::roster::{self, printable};
use crate::sheet::Grouping;
use crate::summary;
use crate::tabulate::Step;

const PERIODS: [(&str, Step); 2] = [("week", Step::Week), ("month", Step::Month)];

const DEFAULT_TOP: i64 = 10;

impl Check<'_> {
    pub(super) fn summaries(
        &mut self,
        sections: Vec<Section<file::Summary>>,
        known: &[hook::Settings],
        world: &World<'_>,
    ) -> Vec<summary::Settings> {
        let names = sections
            .iter()
            .filter_map(|section| section.table.name.as_ref());
        self.refuse_repeated_names("summary", names);
        sections
            .into_iter()
            .filter_map(|section| self.summary(section, known, world))
            .collect()
    }

    fn summary(
        &mut self,
        section: Section<file::Summary>,
        known: &[hook::Settings],
        world: &World<'_>,
    ) -> Option<summary::Settings> {
        let Section {
            span: header,
            table,
        } = section;
        let file::Summary {
            name,
            period,
            by,
            top,
            hooks,
        } = table;
        let owner = title("summary", name.as_ref());
        let name = self.required(name, "summary", "name", &header, roster::check_name);
        let period = self.needed(period, &owner, ["period", "\"week\""], &header, |text| {
            one_of(text, &PERIODS)
        });
        let grouping = self.value(by, "agent".to_owned(), |text| {
            text.parse().map_err(|error: String| {
                Fault::new(format!("`{}` is no group: {error}", printable(text)))
            })
        });
        if let Grouping::Label(label) = &grouping {
            self.warn_of_unknown_label(&owner, "adds up by", label, world);
        }
        let top = self.value(top, DEFAULT_TOP, |rows| rules::alerting::top(*rows));
        if hooks.is_empty() {
            let fault = Fault::new(format!("{owner} has no hooks")).help("add `hooks = [\"…\"]`");
            self.refuse(header, fault);
        }
        self.refuse_hooks_for_alerts(&hooks, known);
        Some(summary::Settings {
            hooks: self.hook_names(hooks, world),
            name: name?.into(),
            period: period?,
            grouping,
            top,
        })
    }

    /// Refuses hooks whose receivers take alerts only, or whose template cannot show a summary.
    fn refuse_hooks_for_alerts(&mut self, written: &[Text], known: &[hook::Settings]) {
        for text in written {
            let hook = known.iter().find(|hook| *hook.name == **text.get_ref());
            let Some(reason) =
                hook.and_then(|hook| hook::check_summary(hook, self.today.start()).err())
            else {
                continue;
            };
            let fault = Fault::new(format!(
                "the hook `{}` takes no summary: {reason}",
                printable(text.get_ref())
            ));
            self.refuse(text.span(), fault.help("name another hook"));
        }
    }
}
