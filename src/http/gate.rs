//! Bounds how many answers are made, and how many are sent, at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::{Kind, Problem};

/// The most of them that are being made. Their memory is what a flood costs, and more would only wait for the
/// same processors and the same ledger.
const MADE_AT_ONCE: usize = 2;
/// The longest that a request waits for those before it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Admits requests. Clones are one gate.
#[derive(Debug, Clone)]
pub struct Gate(Arc<[Room; Weight::ALL.len()]>);

/// Weight of an answer. No answer waits for those of another weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weight {
    /// A few facts that are in memory.
    Light,
    /// A page, for people or of a list.
    Page,
    /// Days of many agents, read from the ledger.
    Long,
}

/// Queue for requests of one weight.
#[derive(Debug)]
struct Room {
    places: Arc<Semaphore>,
    turns: Arc<Semaphore>,
}

/// The place of a request whose answer is being made or sent. It is free again once dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _place: OwnedSemaphorePermit,
    turns: Arc<Semaphore>,
    turn: Option<OwnedSemaphorePermit>,
}

impl Weight {
    const ALL: [Self; 3] = [Self::Light, Self::Page, Self::Long];

    /// The most answers of it that are being made or sent. A long one holds a part, and what compresses it.
    const fn at_once(self) -> usize {
        match self {
            Self::Light | Self::Page => 16,
            Self::Long => 8,
        }
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self(Arc::new(Weight::ALL.map(|weight| Room {
            places: Arc::new(Semaphore::new(weight.at_once())),
            turns: Arc::new(Semaphore::new(MADE_AT_ONCE)),
        })))
    }
}

impl Gate {
    /// Admits a request, and gives it its turn.
    ///
    /// # Errors
    /// Too many others are not done.
    pub(crate) async fn enter(&self, weight: Weight) -> Result<Place, Problem> {
        let Room { places, turns } = &self.0[weight as usize];
        let entered = async {
            let mut place = Place {
                // It is never closed.
                _place: Arc::clone(places).acquire_owned().await.ok()?,
                turns: Arc::clone(turns),
                turn: None,
            };
            place.turn().await;
            Some(place)
        };
        match tokio::time::timeout(PATIENCE, entered).await {
            Ok(Some(place)) => Ok(place),
            _ => Err(Problem::new(
                Kind::TooBusy,
                format!(
                    "{} other requests are still being answered after {} s",
                    weight.at_once(),
                    PATIENCE.as_secs()
                ),
            )),
        }
    }
}

#[cfg(test)]
impl Gate {
    /// Number of places of that weight in use.
    pub(crate) fn taken(&self, weight: Weight) -> usize {
        weight.at_once() - self.0[weight as usize].places.available_permits()
    }
}

impl Place {
    /// Waits until it is its turn to make a part of the answer.
    pub(crate) async fn turn(&mut self) {
        if self.turn.is_none() {
            self.turn = Arc::clone(&self.turns).acquire_owned().await.ok();
        }
    }

    /// Leaves the turn to others: what was made is only to be sent.
    pub(crate) fn rest(&mut self) {
        self.turn = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The clock stands still, so that patience is over at once.
    #[tokio::test(start_paused = true)]
    async fn a_request_waits_for_those_of_its_weight_and_not_for_ever() {
        let gate = Gate::default();
        let mut places = Vec::new();
        for _ in 0..Weight::Long.at_once() {
            let mut place = gate.enter(Weight::Long).await.unwrap();
            place.rest();
            places.push(place);
        }
        let refused = gate.clone().enter(Weight::Long).await.unwrap_err();
        assert_eq!(
            refused.detail(),
            "8 other requests are still being answered after 5 s"
        );
        for other in [Weight::Light, Weight::Page] {
            assert!(gate.enter(other).await.is_ok(), "{other:?}");
        }
        let (entered, ()) = tokio::join!(gate.enter(Weight::Long), async { drop(places.pop()) });
        assert!(entered.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn few_are_made_at_once_and_those_that_are_sent_leave_their_turn() {
        let gate = Gate::default();
        let mut places = Vec::new();
        for _ in 0..MADE_AT_ONCE {
            places.push(gate.enter(Weight::Page).await.unwrap());
        }
        assert!(gate.enter(Weight::Page).await.is_err());
        places[0].rest();
        let mut next = gate.enter(Weight::Page).await.unwrap();
        // The first comes back for its next part when another rests.
        let (first, others) = places.split_at_mut(1);
        let (waited, ()) = tokio::join!(
            tokio::time::timeout(Duration::from_secs(1), first[0].turn()),
            async { next.rest() }
        );
        assert!(waited.is_ok());
        let late = tokio::time::timeout(Duration::from_secs(1), next.turn());
        assert!(late.await.is_err());
        assert_eq!(others.len(), MADE_AT_ONCE - 1);
    }
}
