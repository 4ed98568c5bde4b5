//! How many answers are made and sent at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::super::problem::{Kind, Problem};

/// So many answers of some megabytes each fit any memory, and so many reads of the ledger leave threads
/// for others that have to wait.
const AT_ONCE: usize = 16;
/// How long a request waits for the answers before it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Lets in as many requests as are answered at once. Clones are one gate.
#[derive(Debug, Clone)]
pub struct Gate(Arc<Semaphore>);

impl Default for Gate {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl Gate {
    /// Lets a request in until the permit is dropped, when its answer is sent or given up.
    ///
    /// # Errors
    /// Too many others are not done.
    pub(in crate::http) async fn enter(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let permit = Arc::clone(&self.0).acquire_owned();
        match tokio::time::timeout(PATIENCE, permit).await {
            Ok(Ok(permit)) => Ok(permit),
            // It is never closed, so it is the time that is over.
            _ => Err(Problem::new(
                Kind::TooBusy,
                format!(
                    "{AT_ONCE} other requests are still being answered after {} s",
                    PATIENCE.as_secs()
                ),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_request_waits_for_those_before_it_and_not_for_ever() {
        let gate = Gate::default();
        let mut permits = Vec::new();
        for _ in 0..AT_ONCE {
            permits.push(gate.enter().await.unwrap());
        }
        let refused = gate.clone().enter().await.unwrap_err();
        assert_eq!(
            refused.detail(),
            "16 other requests are still being answered after 5 s"
        );
        let (entered, ()) = tokio::join!(gate.enter(), async { drop(permits.pop()) });
        assert!(entered.is_ok());
    }
}
