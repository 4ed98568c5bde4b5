//! `per` and `credits` of a `[[budget]]`.

use std::sync::Arc;

use toml::Spanned;
use toml::de::DeValue;

use super::check::Check;
use super::diagnostics::Fault;
use super::read::{Misfit, Section, Value};
use super::rules::alerting as rules;
use super::world::World;
use crate::budget::Limits;
use crate::roster::printable;
use crate::sheet::Grouping;

impl Check<'_> {
    /// The subjects that have a limit each; none if all agents together have one.
    pub(super) fn per(&mut self, budget: &mut Section<'_>, world: &World<'_>) -> Option<Grouping> {
        let per = self.optional(budget, "per", rules::grouping);
        if let Some(Grouping::Label(label)) = &per {
            self.warn_of_unknown_label(&budget.owner, "has a limit per", label, world);
        }
        per
    }

    /// One limit, or the limits of subjects by their names.
    pub(super) fn limits(&mut self, budget: &mut Section<'_>, is_each: bool) -> Option<Limits> {
        self.lacks(budget, &["credits"], "`credits`", "`credits = 5000`");
        let written: Spanned<DeValue<'_>> = budget.get("credits")?;
        let place = written.span();
        let DeValue::Table(table) = written.get_ref() else {
            let Ok(credits) = f64::read(&written) else {
                let expected = "a number or a table of limits";
                budget.misfit("credits", &Misfit::new(&written, expected, false));
                return None;
            };
            let credits = Some(Spanned::new(place, credits));
            let limit = self.meaning(credits, rules::above("credits", 0.0));
            return limit.map(Limits::from);
        };
        if !is_each {
            let fault = Fault::new("a budget without `per` has one limit");
            let help = "write a number, or add `per`, such as `per = \"agent\"`";
            self.refuse(place, fault.help(help));
            return None;
        }
        if table.is_empty() {
            let fault = Fault::new("`credits` has no limit");
            let help = "write `{ default = 100, \"acme/support\" = 800 }`";
            self.refuse(place, fault.help(help));
            return None;
        }
        let mut table = budget.inner("credits", Spanned::new(place, table.clone()), false);
        let rest: Vec<_> = table.rest().collect();
        let mut limits = Limits::default();
        for (name, value) in rest {
            let shown = printable(name.get_ref());
            let limit = self.meaning(table.fit(&shown, &value), rules::above(&shown, 0.0))?;
            match name.get_ref().as_str() {
                "default" => limits.default = Some(limit),
                subject => drop(limits.named.insert(Arc::from(subject), limit)),
            }
        }
        Some(limits)
    }
}
