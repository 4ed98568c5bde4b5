//! Liveness of the exporter's parts: each time a part comes round, its pulse is felt.
//!
//! A part that waits for its next turn looks at the clock every second, so a pulse that is not felt for
//! longer means that the part is stuck: it blocks its thread, or waits for an answer that does not come.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::clock::instant;

/// The pulses of all parts; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Pulses(Arc<Mutex<BTreeMap<&'static str, Instant>>>);

impl Pulses {
    /// `part`, whose pulse is felt from now on, until it ends.
    pub fn felt<F: Future>(
        &self,
        name: &'static str,
        part: F,
    ) -> impl Future<Output = F::Output> + use<F> {
        let pulses = self.clone();
        pulses.beat(name);
        async move {
            let mut part = pin!(part);
            let output = poll_fn(|context| {
                let polled = part.as_mut().poll(context);
                pulses.beat(name);
                polled
            })
            .await;
            pulses.0.lock().remove(name);
            output
        }
    }

    /// The parts that have not been felt for longer than `limit`, and for how long.
    #[must_use]
    pub fn silent(&self, limit: Duration) -> Vec<(&'static str, Duration)> {
        let now = instant();
        let table = self.0.lock();
        let silences = table
            .iter()
            .map(|(name, last)| (*name, now.duration_since(*last)));
        silences.filter(|(_, silence)| *silence > limit).collect()
    }

    fn beat(&self, name: &'static str) {
        self.0.lock().insert(name, instant());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    const TICK: Duration = Duration::from_secs(1);
    const LIMIT: Duration = Duration::from_secs(5);

    async fn ticking() {
        loop {
            tokio::time::sleep(TICK).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_that_comes_round_is_felt_and_one_that_waits_for_ever_falls_silent() {
        let pulses = Pulses::default();
        let alive = tokio::spawn(pulses.felt("alive", ticking()));
        let stuck = tokio::spawn(pulses.felt("stuck", pending::<()>()));
        tokio::time::sleep(LIMIT).await;
        assert_eq!(pulses.silent(LIMIT), []);
        tokio::time::sleep(TICK).await;
        assert_eq!(pulses.silent(LIMIT), [("stuck", LIMIT + TICK)]);
        alive.abort();
        stuck.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_that_was_never_begun_is_silent_and_one_that_has_ended_is_not() {
        let pulses = Pulses::default();
        let unbegun = pulses.felt("unbegun", ticking());
        pulses.felt("ended", async {}).await;
        tokio::time::sleep(LIMIT + TICK).await;
        assert_eq!(pulses.silent(LIMIT), [("unbegun", LIMIT + TICK)]);
        drop(unbegun);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_part_that_blocks_its_thread_is_silent_until_it_goes_on() {
        let pulses = Pulses::default();
        let (release, released) = std::sync::mpsc::channel::<()>();
        let part = tokio::spawn(pulses.felt("blocked", async move {
            let _ = released.recv();
            // It goes on for as long as it takes the test to notice.
            loop {
                tokio::task::yield_now().await;
            }
        }));
        // Whatever the limit, it is passed in the end.
        while pulses.silent(Duration::from_millis(10)).is_empty() {
            tokio::task::yield_now().await;
        }
        release.send(()).unwrap();
        while !pulses.silent(Duration::from_millis(10)).is_empty() {
            tokio::task::yield_now().await;
        }
        part.abort();
    }
}
