//! Pure: when a delivery that failed is tried again. The waits are those of Standard Webhooks
//! (<https://www.standardwebhooks.com>), which reach over more than three days.

use std::time::Duration;

use crate::ledger::LONGEST_REST;

/// The wait after the first failure, after the second, and so on; after the last of these comes the tenth
/// try, and after that one a day each.
const WAITS: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 3600),
    Duration::from_secs(5 * 3600),
    Duration::from_secs(10 * 3600),
    Duration::from_secs(14 * 3600),
    Duration::from_secs(20 * 3600),
    LONGEST_REST,
];

/// Wait after `failures` failed tries, the last of which said `retry_after`: a day at most. Up to
/// a tenth is added, evenly if `random` is uniform over all of `u64`, so that what failed together does not
/// come back together.
pub(super) fn wait(failures: u32, retry_after: Option<Duration>, random: u64) -> Duration {
    let index = usize::try_from(failures.saturating_sub(1)).unwrap_or(usize::MAX);
    let wait = WAITS.get(index).copied().unwrap_or(LONGEST_REST);
    let added = (wait.as_nanos() / 10 * u128::from(random)) >> 64;
    let wait = wait + Duration::from_nanos(u64::try_from(added).unwrap_or(0));
    wait.max(retry_after.unwrap_or_default()).min(LONGEST_REST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{RETRY_DAYS, SCHEDULED_TRIES};

    #[test]
    fn ten_tries_come_by_the_schedule_and_then_one_a_day() {
        let minutes = |failures| wait(failures, None, 0).as_secs_f64() / 60.0;
        let expected = [
            1.0 / 12.0,
            5.0,
            30.0,
            120.0,
            300.0,
            600.0,
            840.0,
            1200.0,
            1440.0,
        ];
        for (failures, expected) in (1..).zip(expected) {
            assert_eq!(minutes(failures), expected);
        }
        assert_eq!(minutes(10), 1440.0);
        assert_eq!(minutes(u32::MAX), 1440.0);
        let scheduled = u32::try_from(WAITS.len()).unwrap() + 1;
        assert_eq!(scheduled, SCHEDULED_TRIES);
        let all: Duration = WAITS.iter().sum();
        assert_eq!(all.as_secs() / 86_400, RETRY_DAYS);
    }

    #[test]
    fn at_most_a_tenth_is_added_and_nothing_to_a_day() {
        let seconds = |random| wait(2, None, random).as_secs_f64();
        assert_eq!(seconds(0), 300.0);
        assert_eq!(seconds(1 << 63), 315.0);
        assert!((329.999..330.0).contains(&seconds(u64::MAX)));
        assert_eq!(wait(9, None, u64::MAX), LONGEST_REST);
    }

    #[test]
    fn the_receiver_may_ask_for_more_but_neither_for_less_nor_for_more_than_a_day() {
        let seconds = |wish| wait(2, Some(Duration::from_secs(wish)), 0).as_secs();
        assert_eq!(seconds(0), 300);
        assert_eq!(seconds(299), 300);
        assert_eq!(seconds(301), 301);
        assert_eq!(seconds(u64::MAX), 86_400);
    }
}
