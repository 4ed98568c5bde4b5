//! Hashes passwords, few at a time, in a fair order.
//!
//! A hash takes a fraction of a second of a processor, so a client that guesses passwords must not delay all
//! others. Before hashing, only the sender tells a wrong password from a right one: one place is reserved for logins
//! that have not failed lately. A login is the pair of address and name, since anybody can make a name fail, but only
//! from their own address; behind a proxy, where all share one address, only the same name counts. The newest comes
//! first, so that a crowd waits for itself. Unknown names are treated like known ones, so timing does not reveal
//! which users exist.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::clock::instant;

/// Most passwords hashed, or waiting for it, at once.
pub(super) const MAX_PRESENT: usize = 32;

/// Time for which a failed login is remembered, and the most that are.
const MEMORY: Duration = Duration::from_secs(15 * 60);
const MAX_REMEMBERED: usize = 4096;

/// Size of a network that has one owner, in bits of its prefix.
const NETWORK_BITS: u32 = 64;

/// Compares a password with a hash, for as long as that takes.
pub(super) type Compare = dyn Fn(&[u8], &str) -> bool + Send + Sync;

/// Queue and workers that hash passwords.
pub(super) struct Hashing {
    compare: Arc<Compare>,
    queue: Arc<Queue>,
}

/// The applicant, by keyed hashes: the network, and the name from there.
#[derive(Debug, Clone, Copy)]
struct Applicant {
    network: u64,
    login: u64,
}

/// Standing of an applicant: the lowest has its turn first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    /// Nobody has failed from there lately.
    Unblemished,
    /// Somebody has, with other names.
    Neighbour,
    /// This name has.
    Failed,
}

impl Standing {
    /// Number of places that must stay free for others.
    const fn kept(self) -> usize {
        match self {
            Self::Unblemished | Self::Neighbour => 0,
            Self::Failed => 1,
        }
    }
}

struct Queue {
    hasher: RandomState,
    places: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    hashing: usize,
    /// The oldest first.
    waiting: Vec<Waiting>,
    /// Time of each one's last failure.
    failed: HashMap<u64, Instant>,
}

struct Waiting {
    applicant: Applicant,
    admit: oneshot::Sender<Place>,
}

/// A place to hash a password at. Dropping it makes room for the next.
pub(super) struct Place(Arc<Queue>);

/// A turn to have a password compared.
pub(super) struct Turn {
    place: Place,
    applicant: Applicant,
    compare: Arc<Compare>,
}

impl Hashing {
    /// Passwords are compared by `compare`, as many at a time as `processors` allow while something else goes
    /// on, and at least two.
    pub(super) fn new(compare: Arc<Compare>, processors: usize) -> Self {
        Self {
            compare,
            queue: Arc::new(Queue {
                hasher: RandomState::new(),
                places: (processors / 2).max(2),
                state: Mutex::default(),
            }),
        }
    }

    /// With bcrypt.
    pub(super) fn bcrypt() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let compare = |password: &[u8], hash: &str| bcrypt::verify(password, hash).unwrap_or(false);
        Self::new(Arc::new(compare), processors)
    }

    /// Waits for the turn of `name` from the address `client`. Returns none if too many others wait that have failed
    /// no more than it.
    pub(super) async fn turn(&self, client: Option<IpAddr>, name: &[u8]) -> Option<Turn> {
        let applicant = self.applicant(client, name);
        let entered = self.queue.enter(applicant, instant());
        let place = match entered {
            Entered::At(place) => place,
            Entered::Waits(admitted) => admitted.await.ok()?,
            Entered::Busy => return None,
        };
        Some(Turn {
            place,
            applicant,
            compare: Arc::clone(&self.compare),
        })
    }

    fn applicant(&self, client: Option<IpAddr>, name: &[u8]) -> Applicant {
        let network = client.map(network);
        let hasher = &self.queue.hasher;
        Applicant {
            network: hasher.hash_one(network),
            login: hasher.hash_one((network, name)),
        }
    }
}

impl Turn {
    /// Compares the password on a thread that may block; it is right only where `is_known`. It goes on to the
    /// end and is remembered, also where the client has gone. The place is kept until the caller drops it.
    pub(super) async fn compare(
        self,
        password: Vec<u8>,
        hash: String,
        is_known: bool,
    ) -> (bool, Option<Place>) {
        let compared = tokio::task::spawn_blocking(move || {
            let is_right = (self.compare)(&password, &hash) && is_known;
            let queue = &self.place.0;
            queue.remember(self.applicant, is_right, instant());
            (is_right, Some(self.place))
        });
        compared.await.unwrap_or((false, None))
    }
}

enum Entered {
    At(Place),
    Waits(oneshot::Receiver<Place>),
    Busy,
}

impl Queue {
    fn enter(self: &Arc<Self>, applicant: Applicant, now: Instant) -> Entered {
        let mut state = self.state.lock();
        let standing = state.standing(applicant, now);
        if state.hashing + standing.kept() < self.places {
            state.hashing += 1;
            return Entered::At(Place(Arc::clone(self)));
        }
        state.waiting.retain(|waiting| !waiting.admit.is_closed());
        if state.hashing + state.waiting.len() >= MAX_PRESENT {
            let places = (0..state.waiting.len()).rev();
            let worst = places.max_by_key(|&index| state.standing_of(index, now));
            match worst {
                Some(worst) if state.standing_of(worst, now) >= standing => {
                    state.waiting.remove(worst);
                }
                _ => return Entered::Busy,
            }
        }
        let (admit, admitted) = oneshot::channel();
        state.waiting.push(Waiting { applicant, admit });
        Entered::Waits(admitted)
    }

    /// Frees a place, and gives it to the next, if there is one.
    fn leave(self: &Arc<Self>, now: Instant) {
        let next = {
            let mut state = self.state.lock();
            state.hashing -= 1;
            let is_free =
                |&index: &usize| state.hashing + state.standing_of(index, now).kept() < self.places;
            let places = (0..state.waiting.len()).rev().filter(is_free);
            let next = places.min_by_key(|&index| state.standing_of(index, now));
            next.map(|next| {
                state.hashing += 1;
                state.waiting.remove(next)
            })
        };
        if let Some(next) = next {
            // Where that client has gone, the place comes back at once, and goes on to another.
            let _ = next.admit.send(Place(Arc::clone(self)));
        }
    }

    fn remember(&self, applicant: Applicant, is_right: bool, now: Instant) {
        let mut state = self.state.lock();
        if is_right {
            state.failed.remove(&applicant.login);
            return;
        }
        for mark in [applicant.network, applicant.login] {
            state.make_room(now);
            state.failed.insert(mark, now);
        }
    }
}

impl State {
    fn standing(&self, applicant: Applicant, now: Instant) -> Standing {
        let has_failed = |mark| {
            let at = self.failed.get(&mark);
            at.is_some_and(|at| now < *at + MEMORY)
        };
        if has_failed(applicant.login) {
            Standing::Failed
        } else if has_failed(applicant.network) {
            Standing::Neighbour
        } else {
            Standing::Unblemished
        }
    }

    /// Present standing of the one at that place of the queue: others with its name may have failed since it
    /// came.
    fn standing_of(&self, index: usize, now: Instant) -> Standing {
        self.standing(self.waiting[index].applicant, now)
    }

    /// Forgets what is long ago, and the oldest if that is not enough.
    fn make_room(&mut self, now: Instant) {
        if self.failed.len() < MAX_REMEMBERED {
            return;
        }
        self.failed.retain(|_, at| now < *at + MEMORY);
        if self.failed.len() >= MAX_REMEMBERED {
            let oldest = self.failed.iter().min_by_key(|(_, at)| **at);
            if let Some(mark) = oldest.map(|(mark, _)| *mark) {
                self.failed.remove(&mark);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.leave(instant());
    }
}

impl fmt::Debug for Hashing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hashing")
    }
}

/// The addresses that are likely of one owner with this one.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let bits = u128::from(address) & (u128::MAX << NETWORK_BITS);
            Ipv6Addr::from(bits).into()
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A queue with two places, where everything but `right` is wrong.
    fn hashing() -> Hashing {
        Hashing::new(Arc::new(|password, _| password == b"right"), 2)
    }

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    async fn fail(hashing: &Hashing, client: &str, name: &str) {
        let turn = hashing.turn(address(client), name.as_bytes()).await;
        let is_right = turn
            .unwrap()
            .compare(b"wrong".to_vec(), String::new(), true);
        assert!(!is_right.await.0);
    }

    fn standing(hashing: &Hashing, client: &str, name: &str) -> Standing {
        let applicant = hashing.applicant(address(client), name.as_bytes());
        hashing.queue.state.lock().standing(applicant, instant())
    }

    /// Puts a login into the queue, and returns what it waits for. It must wait.
    fn wait(hashing: &Hashing, client: &str, name: &str) -> oneshot::Receiver<Place> {
        let applicant = hashing.applicant(address(client), name.as_bytes());
        match hashing.queue.enter(applicant, instant()) {
            Entered::Waits(admitted) => admitted,
            Entered::At(_) => panic!("{name} from {client} did not wait"),
            Entered::Busy => panic!("{name} from {client} was sent away"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_spoils_the_standing_of_another_address_or_name() {
        let hashing = hashing();
        fail(&hashing, "10.0.0.1", "alice").await;
        fail(&hashing, "2001:db8::1", "alice").await;
        for (client, name, expected) in [
            ("10.0.0.1", "alice", Standing::Failed),
            ("::ffff:10.0.0.1", "alice", Standing::Failed),
            ("10.0.0.1", "bob", Standing::Neighbour),
            ("10.0.0.2", "alice", Standing::Unblemished),
            ("2001:db8::ffff", "alice", Standing::Failed),
            ("2001:db8:0:1::1", "alice", Standing::Unblemished),
        ] {
            let found = standing(&hashing, client, name);
            assert_eq!(found, expected, "{client} {name}");
        }
        let turn = hashing.turn(address("10.0.0.1"), b"alice").await.unwrap();
        let (is_right, _) = turn.compare(b"right".to_vec(), String::new(), true).await;
        assert!(is_right);
        assert_eq!(standing(&hashing, "10.0.0.1", "alice"), Standing::Neighbour);
        // Nobody's password is right, whatever the hash.
        let turn = hashing.turn(address("10.0.0.9"), b"nobody").await.unwrap();
        let (is_right, _) = turn.compare(b"right".to_vec(), String::new(), false).await;
        assert!(!is_right);
        assert_eq!(standing(&hashing, "10.0.0.9", "nobody"), Standing::Failed);
        tokio::time::advance(MEMORY).await;
        assert_eq!(standing(&hashing, "10.0.0.1", "bob"), Standing::Unblemished);
    }

    #[tokio::test]
    async fn a_place_is_kept_for_those_who_have_not_failed() {
        let hashing = hashing();
        fail(&hashing, "10.0.0.1", "alice").await;
        let first = hashing.turn(address("10.0.0.1"), b"alice").await;
        assert!(first.is_some());
        let mut second = wait(&hashing, "10.0.0.1", "alice");
        // Without any wait, from elsewhere or by another name.
        for (client, name) in [("10.0.0.2", "alice"), ("10.0.0.1", "bob")] {
            let turn = hashing.turn(address(client), name.as_bytes()).await;
            assert!(turn.is_some());
            drop(turn);
            assert!(second.try_recv().is_err());
        }
        drop(first);
        assert!(second.try_recv().is_ok());
    }

    #[tokio::test]
    async fn the_newest_of_the_best_is_next_and_the_oldest_of_the_worst_has_to_go() {
        let hashing = hashing();
        fail(&hashing, "10.0.0.1", "alice").await;
        let mut places = vec![
            hashing.turn(address("10.0.0.2"), b"carol").await,
            hashing.turn(address("10.0.0.2"), b"carol").await,
        ];
        let mut waiting = [
            wait(&hashing, "10.0.0.1", "alice"),
            wait(&hashing, "10.0.0.1", "alice"),
            wait(&hashing, "10.0.0.1", "bob"),
            wait(&hashing, "10.0.0.3", "alice"),
            wait(&hashing, "10.0.0.4", "alice"),
        ];
        let gone = wait(&hashing, "10.0.0.5", "alice");
        drop(gone);
        let more: Vec<_> = (waiting.len() + 2..MAX_PRESENT)
            .map(|_| wait(&hashing, "10.0.0.1", "alice"))
            .collect();
        // The room is full: who comes now presses out the oldest of those that have failed.
        let mut newest = wait(&hashing, "10.0.0.6", "alice");
        let pressed_out = waiting[0].try_recv().err();
        assert_eq!(pressed_out, Some(oneshot::error::TryRecvError::Closed));
        places.pop();
        let place = newest.try_recv().unwrap();
        drop(place);
        for index in [4, 3, 2] {
            let place = waiting[index].try_recv();
            assert!(place.is_ok(), "{index}");
        }
        // Only those that have failed are left, who leave a place free.
        let mut admitted = more.into_iter().map(|mut one| one.try_recv().is_ok());
        assert!(admitted.all(|admitted| !admitted));
    }

    #[tokio::test]
    async fn those_who_came_before_the_first_failure_stand_no_better_for_it() {
        let hashing = hashing();
        let first = hashing.turn(address("10.0.0.1"), b"alice").await.unwrap();
        let second = hashing.turn(address("10.0.0.1"), b"alice").await.unwrap();
        let mut wrong = wait(&hashing, "10.0.0.1", "alice");
        let mut other = wait(&hashing, "10.0.0.1", "bob");
        let mut more = wait(&hashing, "10.0.0.1", "alice");
        let failed = first.compare(b"wrong".to_vec(), String::new(), true);
        drop(failed.await);
        assert!(other.try_recv().is_ok());
        drop(second);
        assert!(more.try_recv().is_ok());
        assert!(wrong.try_recv().is_ok());
    }

    #[tokio::test]
    async fn what_is_remembered_is_bounded() {
        let hashing = hashing();
        let now = instant();
        for login in 0..MAX_REMEMBERED as u64 * 2 {
            let applicant = Applicant { network: 0, login };
            let at = now + Duration::from_millis(login);
            hashing.queue.remember(applicant, false, at);
        }
        let state = hashing.queue.state.lock();
        assert!(state.failed.len() <= MAX_REMEMBERED);
        assert!(state.failed.contains_key(&(MAX_REMEMBERED as u64 * 2 - 1)));
    }
}
