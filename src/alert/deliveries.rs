//! Pure: what is to be told becomes messages to the receivers of each hook.

use std::cmp::Reverse;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::tell::Told;
use super::{Notice, Notification, Route, Status};
use crate::ledger::Delivery;

/// The most alerts in one message. A receiver refuses one without bounds, and nobody reads it.
const MAX_ALERTS: usize = 100;
/// The length of a delivery's id behind its prefix.
const ID_LETTERS: usize = 27;

/// The deliveries of `told` to the hooks of `routes`, as of `now`. A hook that groups gets them in one
/// message, or in a few where they are very many; another gets one message for each. The worst come
/// first.
pub(super) fn deliveries(
    told: &[Told],
    routes: &[Route],
    now: DateTime<Utc>,
    random: &mut fastrand::Rng,
) -> Vec<Delivery> {
    let mut told: Vec<&Told> = told.iter().collect();
    told.sort_by_key(|told| Reverse(badness(&told.notice)));
    let mut deliveries = Vec::new();
    for route in routes {
        let is_for_it = |told: &&&Told| {
            let wanted = told.notice.status == Status::Firing || route.send_resolved;
            wanted && told.hooks.iter().any(|hook| **hook == *route.hook)
        };
        let told: Vec<&Told> = told.iter().filter(is_for_it).copied().collect();
        for told in told.chunks(if route.group { MAX_ALERTS } else { 1 }) {
            let notification = json(told);
            deliveries.extend(route.targets.iter().map(|target| Delivery {
                id: id(random),
                hook: Arc::clone(&route.hook),
                target: target.clone(),
                alerts: told.iter().map(|told| told.key.clone()).collect(),
                notification: notification.clone(),
                created: now,
            }));
        }
    }
    deliveries
}

/// Order of notices: firing ones are worse than resolved ones.
fn badness(notice: &Notice) -> impl Ord + use<> {
    (notice.status == Status::Firing, notice.severity)
}

fn json(told: &[&Told]) -> String {
    let notification = Notification {
        test: false,
        alerts: told.iter().map(|told| told.notice.clone()).collect(),
    };
    // It has neither maps with keys that are no text nor anything else that JSON cannot hold.
    serde_json::to_string(&notification).unwrap_or_default()
}

/// An id in the form of Standard Webhooks' own examples.
fn id(random: &mut fastrand::Rng) -> Arc<str> {
    let letters = (0..ID_LETTERS).map(|_| random.alphanumeric());
    "msg_".chars().chain(letters).collect::<String>().into()
}
