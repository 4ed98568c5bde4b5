//! Pure: alerts and summaries become messages to the receivers of each hook.

use std::cmp::Reverse;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::card::{About, carded};
use super::tell::Told;
use super::{Notice, Notification, Route, Status};
use crate::ledger::{AlertKey, Delivery};

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
        let notices: Vec<About> = match route.tracks {
            true => told
                .iter()
                .map(|told| (vec![told.key.clone()], told.notice.clone()))
                .collect(),
            false => carded(&told),
        };
        for notices in notices.chunks(if route.group { MAX_ALERTS } else { 1 }) {
            let alerts = notices.iter().map(|(_, notice)| notice.clone()).collect();
            let keys = notices.iter().flat_map(|(keys, _)| keys.clone()).collect();
            let notification = Notification::of_alerts(alerts);
            deliveries.extend(to_targets(route, keys, &notification, now, random));
        }
    }
    deliveries
}

/// The deliveries of `notification` to those `hooks` that are among `routes`, as of `now`.
pub(super) fn to_hooks(
    notification: &Notification,
    hooks: &[Arc<str>],
    routes: &[Route],
    now: DateTime<Utc>,
    random: &mut fastrand::Rng,
) -> Vec<Delivery> {
    let routes = routes.iter().filter(|route| hooks.contains(&route.hook));
    routes
        .flat_map(|route| to_targets(route, Vec::new(), notification, now, random))
        .collect()
}

/// A delivery of `notification`, which is about the alerts of `keys`, to each receiver of a hook.
fn to_targets(
    route: &Route,
    keys: Vec<AlertKey>,
    notification: &Notification,
    now: DateTime<Utc>,
    random: &mut fastrand::Rng,
) -> Vec<Delivery> {
    // It has neither maps with keys that are no text nor anything else that JSON cannot hold.
    let notification = serde_json::to_string(notification).unwrap_or_default();
    let deliveries = route.targets.iter().map(|target| Delivery {
        id: id(random),
        hook: Arc::clone(&route.hook),
        target: target.clone(),
        alerts: keys.clone(),
        notification: notification.clone(),
        created: now,
    });
    deliveries.collect()
}

/// Order of notices: firing ones are worse than resolved ones.
fn badness(notice: &Notice) -> impl Ord + use<> {
    (notice.status == Status::Firing, notice.severity)
}

/// An id in the form of Standard Webhooks' own examples.
fn id(random: &mut fastrand::Rng) -> Arc<str> {
    let letters = (0..ID_LETTERS).map(|_| random.alphanumeric());
    "msg_".chars().chain(letters).collect::<String>().into()
}
