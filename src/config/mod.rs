//! The config file.

use crate::roster::AccountSettings;
use crate::window::plan::Policy;
use crate::{flowgent, http, ledger, sync::schedule};

/// A config that has been checked whole.
#[derive(Debug, Clone)]
pub struct Config {
    /// `[server]`.
    pub server: http::Settings,
    /// `[storage]`.
    pub storage: ledger::Settings,
    /// `[schedule]`: when to poll.
    pub schedule: schedule::Settings,
    /// `[schedule]`: what to ask for.
    pub policy: Policy,
    /// `[api]`.
    pub api: flowgent::Settings,
    /// `[[account]]`.
    pub accounts: Vec<AccountSettings>,
}
