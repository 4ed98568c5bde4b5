//! Readiness: a set of latches, each held by a part that is still starting.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;

/// Ready once every latch is released. Clones share the latches.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<Mutex<BTreeSet<&'static str>>>);

/// Keeps the exporter from being ready until it is released. Dropping it releases nothing: what
/// fails to start is never ready.
#[derive(Debug)]
#[must_use = "a latch that nobody releases holds for ever"]
pub struct Latch {
    readiness: Readiness,
    reason: &'static str,
}

impl Readiness {
    /// Sets a latch. `reason` says what is waited for, such as `the ledger is loading`.
    pub fn latch(&self, reason: &'static str) -> Latch {
        self.0.lock().insert(reason);
        Latch {
            readiness: self.clone(),
            reason,
        }
    }

    /// Why the exporter is not ready; nothing if it is.
    #[must_use]
    pub fn pending(&self) -> Option<String> {
        let reasons: Vec<_> = self.0.lock().iter().copied().collect();
        (!reasons.is_empty()).then(|| reasons.join(", "))
    }
}

impl Latch {
    /// Releases the latch.
    pub fn release(self) {
        self.readiness.0.lock().remove(self.reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_waits_for_every_latch() {
        let readiness = Readiness::default();
        assert_eq!(readiness.pending(), None);
        let ledger = readiness.latch("the ledger is loading");
        let body = readiness.latch("no body yet");
        let both = "no body yet, the ledger is loading";
        assert_eq!(readiness.clone().pending().as_deref(), Some(both));
        body.release();
        drop(ledger);
        let ledger = "the ledger is loading";
        assert_eq!(readiness.pending().as_deref(), Some(ledger));
    }
}
