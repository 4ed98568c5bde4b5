//! Whole years of an exporter, in one process, on a clock that is moved by hand: the real planner, client,
//! ledger, publisher, rules and deliverer, and a world where everything goes wrong that can.
//!
//! After every event: the ledger is what FlowGent said, counters never fall, what is served is exact or
//! absent, what is pushed is exact and whole, a hook that groups gets one message of an evaluation, and for
//! every hook and alert the last message says what is true now. What is true is worked out by an [`oracle`]
//! that shares no judgement with the exporter.
//!
//! `benches/years.rs` runs the same years with fresh seeds for as long as one likes.

mod balances;
mod beats;
mod budgets;
mod check;
pub(crate) mod checks;
pub(crate) mod database;
mod edits;
mod entries;
mod files;
mod first;
pub(crate) mod flowgent;
mod kept;
mod lulls;
mod oracle;
pub(crate) mod plan;
mod probes;
mod process;
mod prospect;
pub(crate) mod receivers;
mod repeats;
mod roll;
mod rules;
pub(crate) mod scene;
mod served;
mod silences;
mod summaries;
mod talk;
pub(crate) mod trouble;
pub(crate) mod year;
