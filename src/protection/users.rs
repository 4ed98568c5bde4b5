//! `basic_auth_users`: names and passwords. Timing does not reveal which users exist if all hashes have one cost: a
//! name is looked up by a keyed digest, and the password of an unknown one is hashed like any other, at the highest
//! cost. Costs that differ show in the timing, and cause a warning.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bcrypt::HashParts;
use hmac::{Hmac, KeyInit, Mac};
use hyper::header::HeaderValue;
use parking_lot::Mutex;
use sha2::Sha256;

use super::Fault;
use super::file::{Text, place};
use super::hashing::Hashing;
use crate::named::named;
use crate::roster::printable;

/// Text hashed for unknown users, at the cost that the known ones have. Nobody's password
/// needs to give it: it is compared with, and the result is thrown away.
const NOBODY: &str = "JSe3iuVZ1Yw0b0dpPCtTKOXJ8VtQ4ZpzYzLbC7fMZbq7bNvYQwG5K";

/// A hash of this cost takes some seconds, which is longer than a scrape may take.
const SLOW_COST: u32 = 15;

/// The costs that bcrypt has, and the highest that is taken: each step doubles the time, and the next takes
/// minutes, for wrong passwords too.
const COSTS: RangeInclusive<u32> = 4..=31;
const HIGHEST_COST: u32 = 20;

/// Prefix of hashes by an old implementation, which misread letters beyond ASCII.
const OLD_KIND: &str = "$2x$";

type Digest = [u8; 32];

/// The users, and the passwords that were right.
pub(super) struct Users {
    /// Drawn anew with each reading of the file, so no digest outlives it.
    key: Digest,
    by_name: HashMap<Digest, User>,
    /// The hash for everybody else.
    nobody: String,
}

struct User {
    hash: String,
    /// The keyed digest of the password that was right: it is not hashed again.
    right: Mutex<Option<Digest>>,
}

named! {
    /// Verdict on a name and a password, as it is counted.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(super) enum Verdict {
        /// The password is right.
        Accepted = "accepted",
        /// It has been right before.
        Remembered = "remembered",
        /// There is no such user, or it is not the password.
        Refused = "refused",
        /// There was no or no readable name and password.
        Missing = "missing",
        /// Too many wait for a verdict.
        Busy = "busy",
    }
}

impl Users {
    /// The users of a config file, and what deserves a second look. `key` is secret and random.
    pub(super) fn new(
        written: BTreeMap<String, Text>,
        key: Digest,
        warnings: &mut Vec<String>,
    ) -> Result<Option<Self>, Fault> {
        let mut by_name = HashMap::new();
        let (mut lowest_cost, mut highest_cost) = (u32::MAX, 0);
        for (name, hash) in written {
            let shown = printable(&name);
            if name.contains(':') {
                let message = format!("user `{shown}`: a name cannot have a colon");
                return Err(Fault::at(place(hash.referenced), message));
            }
            let cost = cost(&shown, &hash.value)
                .map_err(|message| Fault::at(place(hash.referenced), message))?;
            if cost >= SLOW_COST {
                warnings.push(format!(
                    "the password of user `{shown}` has the bcrypt cost {cost}: checking it takes seconds"
                ));
            }
            if hash.value.starts_with(OLD_KIND) {
                warnings.push(format!(
                    "the hash of user `{shown}` is of the old kind `{OLD_KIND}`: a password with other letters \
                     than ASCII is not recognized"
                ));
            }
            lowest_cost = lowest_cost.min(cost);
            highest_cost = highest_cost.max(cost);
            let user = User {
                hash: hash.value,
                right: Mutex::default(),
            };
            by_name.insert(digest(&key, &[name.as_bytes()]), user);
        }
        if lowest_cost < highest_cost {
            warnings.push(format!(
                "the passwords have bcrypt costs from {lowest_cost} to {highest_cost}: whoever tries names out \
                 is refused faster for those of a lower cost, so give all the same"
            ));
        }
        Ok((!by_name.is_empty()).then(|| Self {
            key,
            by_name,
            nobody: format!("$2y${highest_cost:02}${NOBODY}"),
        }))
    }

    /// Judges the value of an `Authorization` header that comes from the address `client`.
    pub(super) async fn judge(
        &self,
        header: Option<&HeaderValue>,
        client: Option<IpAddr>,
        hashing: &Hashing,
    ) -> Verdict {
        let Some((name, password)) = header.and_then(credentials) else {
            return Verdict::Missing;
        };
        let user = self.by_name.get(&digest(&self.key, &[&name]));
        let given = digest(&self.key, &[&name, &password]);
        if user.is_some_and(|user| *user.right.lock() == Some(given)) {
            return Verdict::Remembered;
        }
        let Some(turn) = hashing.turn(client, &name).await else {
            return Verdict::Busy;
        };
        // Whoever was before may have brought the same.
        if user.is_some_and(|user| *user.right.lock() == Some(given)) {
            return Verdict::Remembered;
        }
        let hash = user.map_or(&self.nobody, |user| &user.hash).clone();
        // The place is kept until all who wait with the same password are remembered.
        let (is_right, _place) = turn.compare(password, hash, user.is_some()).await;
        match user {
            Some(user) if is_right => {
                *user.right.lock() = Some(given);
                Verdict::Accepted
            }
            _ => Verdict::Refused,
        }
    }
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Users({})", self.by_name.len())
    }
}

/// The cost of a hash, if passwords can be compared with it.
fn cost(user: &str, hash: &str) -> Result<u32, String> {
    let parts = HashParts::from_str(hash).ok();
    let cost = parts.map(|parts| parts.get_cost());
    match cost.filter(|cost| COSTS.contains(cost)) {
        None => Err(format!(
            "user `{user}` has no bcrypt hash of a password: make one with `htpasswd -nBC 10 {user}`"
        )),
        Some(cost) if cost > HIGHEST_COST => Err(format!(
            "the password of user `{user}` has the bcrypt cost {cost}, and at most {HIGHEST_COST} is taken, since \
             checking it would take minutes: make another hash with `htpasswd -nBC 10 {user}`"
        )),
        Some(cost) => Ok(cost),
    }
}

/// Name and password, as RFC 7617 has them in `Authorization: Basic`.
fn credentials(header: &HeaderValue) -> Option<(Vec<u8>, Vec<u8>)> {
    let (scheme, encoded) = header.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let mut name = STANDARD.decode(encoded.trim()).ok()?;
    let colon = name.iter().position(|byte| *byte == b':')?;
    let password = name.split_off(colon + 1);
    name.pop();
    Some((name, password))
}

/// A digest that nobody can make without the key. Each part is told apart from the next by its length.
fn digest(key: &Digest, parts: &[&[u8]]) -> Digest {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, mpsc};

    use futures_util::future::join_all;

    use super::super::hashing::MAX_PRESENT;
    use super::*;

    /// Users with their bcrypt hashes.
    fn users(written: &[(&str, &str)]) -> Users {
        let text: String = written
            .iter()
            .map(|(name, hash)| format!("  {name}: {hash}\n"))
            .collect();
        let file = super::super::file::parse(&format!("basic_auth_users:\n{text}")).unwrap();
        let users = Users::new(file.basic_auth_users.unwrap(), [7; 32], &mut Vec::new());
        users.unwrap().unwrap()
    }

    fn header(name: &str, password: &str) -> HeaderValue {
        let encoded = STANDARD.encode(format!("{name}:{password}"));
        HeaderValue::from_str(&format!("Basic {encoded}")).unwrap()
    }

    const ALICE: &str = "$2y$10$hashhashhashhashhashhOZvB7sUPxsYVmuW9bOPSShqHfDQ1nZLa";
    const BOB: &str = "$2b$12$hashhashhashhashhashhOZvB7sUPxsYVmuW9bOPSShqHfDQ1nZLa";

    #[tokio::test]
    async fn an_unknown_user_costs_a_hash_like_a_known_one() {
        let (tell, hashed) = mpsc::channel();
        let compare = move |password: &[u8], hash: &str| {
            tell.send(hash.to_owned()).unwrap();
            password == b"right" && hash == ALICE
        };
        let hashing = Hashing::new(Arc::new(compare), 2);
        let users = users(&[("alice", ALICE), ("bob", BOB)]);
        let judge = async |name, password| {
            let verdict = users
                .judge(Some(&header(name, password)), None, &hashing)
                .await;
            (verdict, hashed.try_iter().collect::<Vec<String>>())
        };
        assert_eq!(
            judge("alice", "wrong").await,
            (Verdict::Refused, vec![ALICE.into()])
        );
        for name in ["mallory", ""] {
            let (verdict, hashes) = judge(name, "right").await;
            assert_eq!(verdict, Verdict::Refused);
            // At the highest cost that a known one has, so that none stands out by being slower.
            assert_eq!(hashes.len(), 1);
            let parts = HashParts::from_str(&hashes[0]).unwrap();
            assert_eq!(parts.get_cost(), 12);
        }
        assert_eq!(
            judge("alice", "right").await,
            (Verdict::Accepted, vec![ALICE.into()])
        );
        assert_eq!(judge("alice", "right").await, (Verdict::Remembered, vec![]));
        assert_eq!(
            judge("bob", "right").await,
            (Verdict::Refused, vec![BOB.into()])
        );
        assert_eq!(
            judge("alice", "wrong").await,
            (Verdict::Refused, vec![ALICE.into()])
        );
        assert_eq!(judge("alice", "right").await, (Verdict::Remembered, vec![]));
    }

    #[tokio::test]
    async fn few_passwords_are_hashed_at_once_and_not_many_wait() {
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (go_on, waits) = mpsc::channel::<()>();
        let waits = Mutex::new(waits);
        let (counted, highest) = (Arc::clone(&now), Arc::clone(&most));
        let compare = move |_: &[u8], _: &str| {
            highest.fetch_max(counted.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            // Until the other end is dropped.
            let _ = waits.lock().recv();
            counted.fetch_sub(1, Ordering::SeqCst);
            false
        };
        let hashing = Hashing::new(Arc::new(compare), 4);
        let users = users(&[("alice", ALICE)]);
        let header = header("alice", "wrong");
        let tries = (0..MAX_PRESENT + 10).map(|_| users.judge(Some(&header), None, &hashing));
        let release = async {
            // All others have been looked at before this is.
            drop(go_on);
            Verdict::Missing
        };
        let mut verdicts: Vec<_> = Vec::new();
        let (judged, _) = tokio::join!(join_all(tries), release);
        verdicts.extend(judged);
        let of = |wanted| {
            verdicts
                .iter()
                .filter(|verdict| **verdict == wanted)
                .count()
        };
        assert_eq!((of(Verdict::Refused), of(Verdict::Busy)), (MAX_PRESENT, 10));
        assert!(most.load(Ordering::SeqCst) <= 2);
        assert_eq!(now.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn a_burst_of_one_new_user_is_hashed_once_each_place() {
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&runs);
        let compare = move |_: &[u8], _: &str| counted.fetch_add(1, Ordering::SeqCst) < usize::MAX;
        let hashing = Hashing::new(Arc::new(compare), 2);
        let users = users(&[("alice", ALICE)]);
        let header = header("alice", "right");
        let verdicts = join_all((0..20).map(|_| users.judge(Some(&header), None, &hashing))).await;
        assert_eq!(runs.load(Ordering::SeqCst), 2);
        let remembered = verdicts
            .iter()
            .filter(|verdict| **verdict == Verdict::Remembered);
        assert_eq!(remembered.count(), 18);
    }

    #[test]
    fn a_header_is_read_as_the_rfc_has_it() {
        let read = |text: &str| credentials(&HeaderValue::from_str(text).unwrap());
        let both = |name: &str, password: &str| {
            Some((name.as_bytes().to_vec(), password.as_bytes().to_vec()))
        };
        // The example of RFC 7617.
        let example = "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==";
        assert_eq!(read(example), both("Aladdin", "open sesame"));
        assert_eq!(read("bASIC  OmE6Yjo= "), both("", "a:b:"));
        for wrong in [
            "",
            "Basic",
            "Basic ",
            "Basic ???",
            "Basic YWxpY2U=",
            "Digest OmE6Yjo=",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_hash_for_nobody_is_one() {
        assert!(HashParts::from_str(&format!("$2y$10${NOBODY}")).is_ok());
    }
}
