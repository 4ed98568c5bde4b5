//! The open connections, and which of them has to go when there is no room or no progress.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::metrics::ServerMetrics;

/// A long answer may take a second more for as many bytes as this. Slower clients do not get to its end.
const LEAST_RATE: u32 = 32 * 1024;

/// The table of open connections.
#[derive(Debug)]
pub(super) struct Connections {
    capacity: usize,
    metrics: ServerMetrics,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    open: HashMap<u64, Entry>,
}

impl Table {
    fn waiting(&self) -> usize {
        let phases = self.open.values().map(|entry| entry.phase);
        phases.filter(|phase| *phase == Phase::Waiting).count()
    }
}

#[derive(Debug)]
struct Entry {
    phase: Phase,
    since: Instant,
    evicted: CancellationToken,
}

/// Phase of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// No complete request head is there: the connection is silent, dripping or idle.
    Waiting,
    /// The client has said what it must to begin with TLS, and the handshake is our work too.
    Greeted,
    /// A response is on its way.
    Answering,
}

impl Phase {
    /// Rank in eviction, the lowest first; `crowded` means that waiting connections take more than half of the
    /// places. So waiting connections and handshakes have half of the places each, and neither a silent crowd nor
    /// one that begins handshakes shuts out a client on its way through both.
    fn rank(self, crowded: bool) -> u8 {
        match self {
            Self::Waiting if crowded => 0,
            Self::Greeted => 1,
            Self::Waiting => 2,
            Self::Answering => 3,
        }
    }
}

/// A connection's place in the table. Dropping it frees the place.
#[derive(Debug)]
pub(super) struct Slot {
    connections: Arc<Connections>,
    number: u64,
    evicted: CancellationToken,
}

/// Marks a connection as answering until it is dropped.
#[derive(Debug)]
pub(super) struct Answering(Arc<Slot>);

impl Connections {
    pub(super) fn new(capacity: usize, metrics: ServerMetrics) -> Arc<Self> {
        Arc::new(Self {
            capacity,
            metrics,
            table: Mutex::default(),
        })
    }

    /// Enters a new connection. If there is no room, evicts the oldest of the larger group, those that wait for a
    /// request or those in a handshake, else the slowest response. So open connections cannot shut out a scraper,
    /// which needs one for a moment only.
    pub(super) fn open(self: &Arc<Self>, now: Instant) -> Arc<Slot> {
        let mut table = self.table.lock();
        if table.open.len() >= self.capacity {
            self.evict_one(&mut table);
        }
        let number = table.next;
        table.next += 1;
        let evicted = CancellationToken::new();
        let entry = Entry {
            phase: Phase::Waiting,
            since: now,
            evicted: evicted.clone(),
        };
        table.open.insert(number, entry);
        self.count(&table);
        Arc::new(Slot {
            connections: Arc::clone(self),
            number,
            evicted,
        })
    }

    /// Returns true if the next connection evicts another.
    pub(super) fn are_full(&self) -> bool {
        self.table.lock().open.len() >= self.capacity
    }

    /// Evicts one connection, where the system has no room for another.
    pub(super) fn make_room(&self) {
        let mut table = self.table.lock();
        self.evict_one(&mut table);
        self.count(&table);
    }

    /// Evicts the connections that have waited for `waiting` or answered for `answering`; returns when to
    /// look again.
    pub(super) fn evict_late(
        &self,
        now: Instant,
        waiting: Duration,
        answering: Duration,
    ) -> Instant {
        let mut table = self.table.lock();
        // Whoever comes after this look is not late before the next.
        let mut next = now + waiting.min(answering);
        table.open.retain(|_, entry| {
            let limit = match entry.phase {
                Phase::Waiting | Phase::Greeted => waiting,
                Phase::Answering => answering,
            };
            let deadline = entry.since + limit;
            let stays = deadline > now;
            if stays {
                next = next.min(deadline);
            } else {
                entry.evicted.cancel();
                // That a client is gone after a while of silence is no news.
                if entry.phase == Phase::Answering {
                    self.metrics.connections_evicted.inc();
                }
            }
            stays
        });
        self.count(&table);
        next
    }

    /// Evicts them all: their time to finish is over.
    pub(super) fn evict_all(&self) {
        for (_, entry) in self.table.lock().open.drain() {
            entry.evicted.cancel();
        }
    }

    fn evict_one(&self, table: &mut Table) {
        let crowded = table.waiting() * 2 > self.capacity;
        let first = table
            .open
            .iter()
            .min_by_key(|(number, entry)| (entry.phase.rank(crowded), entry.since, **number))
            .map(|(number, _)| *number);
        if let Some(entry) = first.and_then(|number| table.open.remove(&number)) {
            entry.evicted.cancel();
            self.metrics.connections_evicted.inc();
        }
    }

    fn count(&self, table: &Table) {
        let open = i64::try_from(table.open.len()).unwrap_or(i64::MAX);
        self.metrics.connections.set(open);
    }
}

impl Slot {
    /// A request has arrived; the answer is under way until the mark is dropped.
    pub(super) fn answering(self: &Arc<Self>) -> Answering {
        self.enter(Phase::Answering);
        Answering(Arc::clone(self))
    }

    /// The client has begun with TLS. Its time goes on.
    pub(super) fn greeted(&self) {
        if let Some(entry) = self.connections.table.lock().open.get_mut(&self.number) {
            entry.phase = Phase::Greeted;
        }
    }

    /// Completes when the connection is to be closed at once.
    pub(super) async fn evicted(&self) {
        self.evicted.cancelled().await;
    }

    /// Notes that more of a long answer goes to the client, which gets the time to take it, and the time in which it
    /// was made.
    fn sends(&self, bytes: usize, made_in: Duration) {
        let now = crate::clock::instant();
        let seconds = bytes as f64 / f64::from(LEAST_RATE);
        let more = made_in + Duration::from_secs_f64(seconds);
        if let Some(entry) = self.connections.table.lock().open.get_mut(&self.number) {
            entry.since = (entry.since + more).min(now);
        }
    }

    fn enter(&self, phase: Phase) {
        let now = crate::clock::instant();
        if let Some(entry) = self.connections.table.lock().open.get_mut(&self.number) {
            (entry.phase, entry.since) = (phase, now);
        }
    }
}

impl Answering {
    /// Notes that more of a long answer goes to the client, made in that time.
    pub(super) fn sends(&self, bytes: usize, made_in: Duration) {
        self.0.sends(bytes, made_in);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut table = self.connections.table.lock();
        table.open.remove(&self.number);
        self.connections.count(&table);
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.enter(Phase::Waiting);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::instant;
    use crate::telemetry::Telemetry;

    fn is_open(slot: &Slot) -> bool {
        !slot.evicted.is_cancelled()
    }

    #[test]
    fn the_connection_that_waited_longest_makes_room() {
        let metrics = Telemetry::new().of::<ServerMetrics>();
        let connections = Connections::new(3, metrics.clone());
        let now = instant();
        let first = connections.open(now);
        let second = connections.open(now);
        let third = connections.open(now);
        let _answering = first.answering();
        let fourth = connections.open(now);
        assert!(is_open(&first) && !is_open(&second) && is_open(&third));
        let fifth = connections.open(now);
        assert!(!is_open(&third) && is_open(&fourth));
        assert_eq!(metrics.connections.get(), 3);
        assert_eq!(metrics.connections_evicted.get(), 2);
        drop([second, third, fourth, fifth]);
        assert_eq!(metrics.connections.get(), 1);
    }

    #[test]
    fn where_all_are_answering_the_slowest_makes_room() {
        let connections = Connections::new(2, Telemetry::new().of());
        let slots = [connections.open(instant()), connections.open(instant())];
        let _answering = [slots[1].answering(), slots[0].answering()];
        let _third = connections.open(instant());
        assert!(is_open(&slots[0]) && !is_open(&slots[1]));
    }

    #[test]
    fn a_connection_that_served_a_request_waits_anew() {
        let connections = Connections::new(3, Telemetry::new().of());
        let slots = [(); 3].map(|()| connections.open(instant()));
        let _answering = slots[2].answering();
        drop(slots[0].answering());
        let _fourth = connections.open(instant());
        assert!(is_open(&slots[0]) && !is_open(&slots[1]) && is_open(&slots[2]));
        drop(slots[1].answering());
        let _fifth = connections.open(instant());
        assert!(!is_open(&slots[0]) && is_open(&slots[2]));
    }

    #[test]
    fn handshakes_and_silence_have_half_of_the_places_each() {
        let connections = Connections::new(4, Telemetry::new().of());
        let now = instant();
        let open = || connections.open(now);
        let greeted = || {
            let slot = connections.open(now);
            slot.greeted();
            slot
        };
        // More than half are silent: the oldest of them goes, and no handshake.
        let (handshake, silent) = (greeted(), [open(), open(), open()]);
        let another = open();
        assert!(is_open(&handshake) && is_open(&another) && !is_open(&silent[0]));
        drop((handshake, silent, another));
        // More than half are in a handshake: the oldest of them goes, and nobody who has just come.
        let (late, handshakes) = (open(), [greeted(), greeted(), greeted()]);
        let another = greeted();
        assert!(is_open(&late) && is_open(&another) && !is_open(&handshakes[0]));
    }

    #[test]
    fn a_handshake_wins_no_time() {
        let connections = Connections::new(4, Telemetry::new().of());
        let (limit, hour) = (Duration::from_secs(10), Duration::from_secs(3600));
        let start = instant();
        let slot = connections.open(start);
        slot.greeted();
        connections.evict_late(start + limit, limit, hour);
        assert!(!is_open(&slot));
    }

    #[test]
    fn an_answer_may_take_so_long_and_no_longer() {
        let connections = Connections::new(8, Telemetry::new().of());
        let (hour, limit) = (Duration::from_secs(3600), Duration::from_secs(60));
        let start = instant();
        let waiting = connections.open(start);
        let slow = connections.open(start);
        assert_eq!(connections.evict_late(start, hour, limit), start + limit);
        let _answering = slow.answering();
        let answering_since = connections.table.lock().open[&slow.number].since;
        let halfway = start + limit / 2;
        let next = connections.evict_late(halfway, hour, limit);
        assert_eq!(next, answering_since + limit);
        assert!(is_open(&slow));
        connections.evict_late(next, hour, limit);
        assert!(is_open(&waiting) && !is_open(&slow));
        assert_eq!(connections.metrics.connections_evicted.get(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_answer_may_take_as_long_as_its_client_takes_of_it() {
        let connections = Connections::new(8, Telemetry::new().of());
        let (hour, limit) = (Duration::from_secs(3600), Duration::from_secs(60));
        let [steady, slow, silent, patient] = [(); 4].map(|()| connections.open(instant()));
        let all = [&steady, &slow, &silent, &patient];
        let marks = all.map(|slot| slot.answering());
        let second = LEAST_RATE as usize;
        let mut open = Vec::new();
        for _ in 0..30 {
            tokio::time::advance(Duration::from_secs(10)).await;
            marks[0].sends(10 * second, Duration::ZERO);
            marks[1].sends(5 * second, Duration::ZERO);
            // What takes long to be made costs the client nothing.
            marks[3].sends(second, Duration::from_secs(9));
            connections.evict_late(instant(), hour, limit);
            open.push(all.map(|slot| is_open(slot)));
        }
        let ended = |place: usize| open.iter().take_while(|open| open[place]).count() * 10;
        // Half of the time that the slow one needs is given to it anew.
        assert_eq!([0, 1, 2, 3].map(ended), [300, 110, 50, 300]);
        // More than there is to catch up with is no credit for later.
        marks[0].sends(3600 * second, Duration::ZERO);
        connections.evict_late(instant() + limit, hour, limit);
        assert!(!is_open(&steady));
    }

    #[test]
    fn a_request_may_take_so_long_to_come_and_no_longer() {
        let connections = Connections::new(8, Telemetry::new().of());
        let (limit, hour) = (Duration::from_secs(10), Duration::from_secs(3600));
        let start = instant();
        let silent = connections.open(start);
        let later = connections.open(start + limit / 2);
        assert_eq!(connections.evict_late(start, limit, hour), start + limit);
        assert!(is_open(&silent));
        let next = connections.evict_late(start + limit, limit, hour);
        assert!(!is_open(&silent) && is_open(&later));
        assert_eq!(next, start + limit + limit / 2);
        assert_eq!(connections.metrics.connections_evicted.get(), 0);
    }
}
