//! Reads from the ledger what the rules are about.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Access, Rule};
use crate::budget::Standing;
use crate::day::Day;
use crate::ledger::{Ledger, LedgerError, Member};

/// What is known of one agent.
#[derive(Debug, Clone)]
pub struct AgentFacts {
    /// The agent.
    pub member: Member,
    // ALERTER: span figures, spike median, oldest missing day, …
}

/// Everything that the rules are asked about, as of one UTC day.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The day that it is; the newest that can be known is the one before.
    pub today: Day,
    /// Every agent.
    pub agents: Vec<AgentFacts>,
    /// How each budget stands in the periods that are looked at, oldest first, by the budget's name.
    pub budgets: HashMap<Arc<str>, Vec<Standing>>,
    /// Which keys and agents FlowGent refuses.
    pub access: Arc<Access>,
}

/// Reads what `rules` are about, as of the day `today`.
///
/// # Errors
/// The ledger could not be read.
pub async fn observe(
    _ledger: &Ledger,
    _members: &Arc<[Member]>,
    _rules: &[Rule],
    _access: Arc<Access>,
    _today: Day,
) -> Result<Facts, LedgerError> {
    todo!()
}
