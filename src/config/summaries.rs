//! `[[summary]]` → [`summary::Settings`].

use super::check::{Check, word};
use super::diagnostics::Fault;
use super::read::Section;
use super::rules::alerting as rules;
use super::world::World;
use crate::hook;
use crate::roster::printable;
use crate::sheet::Grouping;
use crate::summary;
use crate::tabulate::Step;

impl Check<'_> {
    pub(super) fn summaries(
        &mut self,
        sections: Vec<Section<'_>>,
        known: &[hook::Settings],
        world: &World<'_>,
    ) -> Vec<summary::Settings> {
        self.refuse_repeated_names("summary", sections.iter());
        let sections = sections.into_iter();
        sections
            .filter_map(|section| self.summary(section, known, world))
            .collect()
    }

    fn summary(
        &mut self,
        mut summary: Section<'_>,
        known: &[hook::Settings],
        world: &World<'_>,
    ) -> Option<summary::Settings> {
        let summary = &mut summary;
        let name = self.name(summary);
        let period = self.needed(summary, ["period", "\"week\""], |text| {
            Ok(match word(text, &["week", "month"])? {
                "week" => Step::Week,
                _ => Step::Month,
            })
        });
        let grouping = self.text(summary, "by", "agent", rules::grouping);
        if let Grouping::Label(label) = &grouping {
            self.warn_of_unknown_label(&summary.owner, "adds up by", label, world);
        }
        let top = self.whole(summary, "top", 10, 1..=100);
        if summary.length("hooks").unwrap_or_default() == 0 {
            let fault = Fault::new(format!("{} has no hooks", summary.owner));
            self.refuse(summary.header.clone(), fault.help("add `hooks = [\"…\"]`"));
        }
        let now = self.today.start();
        let hooks = self.hook_names_but(summary, world, |name| {
            let hook = known.iter().find(|hook| &*hook.name == name)?;
            let reason = hook::check_summary(hook, now).err()?;
            let name = printable(name);
            let fault = Fault::new(format!("the hook `{name}` takes no summary: {reason}"));
            let help = match hook.has_template() {
                true => "show `title` and `text` where `summary` is, or name another hook",
                false => "name another hook",
            };
            Some(fault.help(help))
        });
        Some(summary::Settings {
            name: name?.into(),
            period: period?,
            grouping,
            top,
            hooks,
        })
    }
}
