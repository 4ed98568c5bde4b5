//! The database that history is pushed to: can it be reached?

use super::Finding;
use crate::history::push::{self, Settings};

/// Connects to it, without sending anything.
pub(super) async fn look(settings: &Settings) -> Finding {
    match push::reach(settings).await {
        Ok(database) => Finding::good(database),
        Err(error) => Finding::problem(
            error,
            "correct the URL in [push], or the network; `push` shows its answer",
        ),
    }
}
