//! Pure: policy + what is known + today → the windows to ask for.
//!
//! Every missing day is asked for, and the unsettled ones once per poll, in the fewest requests that
//! can do it. Settled days are asked for only where they lie between two days that are needed.

use crate::day::Day;
use crate::window::{Coverage, KnownDay, MAX_DAYS, Range, Window, WindowError};

/// Days that are asked for, and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// The first day that the figures of every agent count from, 2025-05-28 or later. Earlier days are asked
    /// for only where a budget needs them.
    pub history_start: Day,
    /// A day's figure is final once fetched this many days after it ended.
    pub settle_days: i32,
}

/// Which of the known but unsettled days are asked for again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refresh {
    /// All of them: a scheduled poll, or a person's wish.
    Unsettled,
    /// Those that were not fetched today yet: a restart or a retry repeats no request in vain.
    NotFetchedToday,
}

/// The windows to ask for, newest first: together they cover every missing day from the history
/// start, or an earlier day that is asked for, through yesterday and every unsettled day that `refresh`
/// names, in as few windows as possible. A day that an answer of `today` has left out is missing still, but
/// comes again only if it is yesterday, or with all unsettled ones.
///
/// Each window starts at the oldest day that is still uncovered. Some window must cover that day, and
/// none that does reaches further, so no other choice needs fewer.
#[must_use]
pub fn windows(policy: Policy, known: &Coverage, refresh: Refresh, today: Day) -> Vec<Window> {
    let is_due = |known: &KnownDay| refresh == Refresh::Unsettled || known.fetched < today;
    let needs_refresh = |known: &KnownDay| !known.is_settled(policy.settle_days) && is_due(known);
    let is_left_out = |day: &Day| {
        let place = known
            .left_out
            .binary_search_by_key(day, |left_out| left_out.day);
        let is_today = |place: usize| !is_due(&known.left_out[place]);
        place.is_ok_and(is_today) && *day != today.previous()
    };
    let first = known
        .settled_through
        .map_or(policy.history_start, Day::next)
        .max(policy.history_start);
    let asked_from = known.asked_from.unwrap_or(policy.history_start);
    let earlier = asked_from.through(policy.history_start.min(today).previous());
    let days = earlier.chain(first.through(today.previous()));
    let mut rows = known.earlier.iter().chain(&known.later).peekable();
    let needed = days.filter(|day| {
        while rows.next_if(|known| known.day < *day).is_some() {}
        let row = rows.next_if(|known| known.day == *day);
        row.is_none_or(needs_refresh) && !is_left_out(day)
    });
    let mut windows = cover(needed, today);
    windows.reverse();
    windows
}

/// The windows that cover `start` through `end`, newest first: a range that a person named.
///
/// # Errors
/// A range that the API would refuse, but for its length.
pub fn range(start: Day, end: Day, today: Day) -> Result<Vec<Window>, WindowError> {
    Range::new(start, end, today)?;
    let mut windows = cover(start.through(end), today);
    windows.reverse();
    Ok(windows)
}

/// The fewest windows that cover `needed`, which ascends and ends before `today`; oldest first.
fn cover(needed: impl Iterator<Item = Day>, today: Day) -> Vec<Window> {
    let mut spans: Vec<(Day, Day)> = Vec::new();
    for day in needed {
        match spans.last_mut() {
            Some((start, end)) if day.since(*start) < MAX_DAYS => *end = day,
            _ => spans.push((day, day)),
        }
    }
    spans
        .into_iter()
        .filter_map(|(start, end)| Window::new(start, end, today).ok())
        .collect()
}

/// Puts the windows of many agents in one order: newest first over all, so that yesterday is known of
/// every agent before anyone's last year is. Windows that end on the same day keep the agents' order.
#[must_use]
pub fn newest_first<K: Copy>(
    agents: impl IntoIterator<Item = (K, Vec<Window>)>,
) -> Vec<(K, Window)> {
    let mut work: Vec<(K, Window)> = agents
        .into_iter()
        .flat_map(|(key, windows)| windows.into_iter().map(move |window| (key, window)))
        .collect();
    work.sort_by_key(|(_, window)| std::cmp::Reverse(window.end()));
    work
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const START: Day = crate::day::TRACKING_START;
    const POLICY: Policy = Policy {
        history_start: START,
        settle_days: 3,
    };

    fn show(windows: &[Window]) -> Vec<String> {
        windows.iter().map(ToString::to_string).collect()
    }

    /// The coverage of an agent that knows `days`, each fetched `age` days after it ended, with the
    /// watermark where the ledger would have it.
    fn coverage(days: &BTreeMap<Day, i32>, policy: Policy) -> Coverage {
        let known = |(day, age): (&Day, &i32)| KnownDay {
            day: *day,
            fetched: day.plus(1 + age),
        };
        let mut settled_through = None;
        for (expected, known) in policy
            .history_start
            .through(Day::from_number(i32::MAX))
            .zip(days.iter().map(known))
        {
            if known.day != expected || !known.is_settled(policy.settle_days) {
                break;
            }
            settled_through = Some(known.day);
        }
        let later = days
            .iter()
            .map(known)
            .filter(|known| Some(known.day) > settled_through)
            .collect();
        Coverage {
            settled_through,
            later,
            ..Coverage::default()
        }
    }

    #[test]
    fn an_empty_ledger_is_filled_from_the_history_start_newest_first() {
        let today = START.plus(70);
        let plan = windows(
            POLICY,
            &Coverage::default(),
            Refresh::NotFetchedToday,
            today,
        );
        assert_eq!(
            show(&plan),
            [
                "2025-07-29..2025-08-05",
                "2025-06-28..2025-07-28",
                "2025-05-28..2025-06-27"
            ]
        );
    }

    #[test]
    fn days_before_the_history_start_are_asked_for_where_they_are_needed_until_they_are_known() {
        let policy = Policy {
            history_start: START.plus(60),
            ..POLICY
        };
        let today = START.plus(70);
        let mut known = Coverage {
            asked_from: Some(START.plus(40)),
            ..Coverage::default()
        };
        let plan =
            |known: &Coverage| show(&windows(policy, known, Refresh::NotFetchedToday, today));
        // One request goes over both.
        assert_eq!(plan(&known), ["2025-07-07..2025-08-05"]);
        let settled = |day: Day| KnownDay {
            day,
            fetched: today,
        };
        known.later = START
            .plus(60)
            .through(START.plus(69))
            .map(settled)
            .collect();
        assert_eq!(plan(&known), ["2025-07-07..2025-07-26"]);
        known.earlier = START
            .plus(40)
            .through(START.plus(59))
            .map(settled)
            .collect();
        known.earlier.remove(3);
        assert_eq!(plan(&known), ["2025-07-10..2025-07-10"]);
    }

    #[test]
    fn a_day_that_was_left_out_today_comes_again_tomorrow_unless_it_is_yesterday() {
        let today = START.plus(100);
        let yesterday = today.previous();
        let holes = [START.plus(50), yesterday];
        let days: BTreeMap<Day, i32> = START
            .through(yesterday)
            .filter(|day| !holes.contains(day))
            .map(|day| (day, today.since(day.next())))
            .collect();
        let left_out = |day: &Day| KnownDay {
            day: *day,
            fetched: today,
        };
        let mut known = coverage(&days, POLICY);
        known.left_out = holes.iter().map(left_out).collect();
        let plan = |refresh, today| show(&windows(POLICY, &known, refresh, today));
        let again = plan(Refresh::NotFetchedToday, today);
        assert_eq!(again, [format!("{yesterday}..{yesterday}")]);
        assert_eq!(plan(Refresh::Unsettled, today).len(), 2);
        assert_eq!(plan(Refresh::NotFetchedToday, today.next()).len(), 2);
    }

    #[test]
    fn on_the_first_day_there_is_nothing_to_ask_for() {
        assert!(windows(POLICY, &Coverage::default(), Refresh::Unsettled, START).is_empty());
    }

    #[test]
    fn a_daily_poll_asks_for_yesterday_and_the_unsettled_days_in_one_request() {
        let today = START.plus(100);
        // Each day was first fetched on the day after it, and again until it settled.
        let days = START
            .through(today.plus(-2))
            .map(|day| (day, today.plus(-1).since(day.next()).min(3)))
            .collect();
        let plan = windows(POLICY, &coverage(&days, POLICY), Refresh::Unsettled, today);
        assert_eq!(
            show(&plan),
            [format!("{}..{}", today.plus(-4), today.plus(-1))]
        );
    }

    #[test]
    fn a_restart_on_the_same_day_asks_for_nothing() {
        let today = START.plus(100);
        let days = START
            .through(today.previous())
            .map(|day| (day, today.since(day.next())))
            .collect();
        let known = coverage(&days, POLICY);
        assert!(windows(POLICY, &known, Refresh::NotFetchedToday, today).is_empty());
        assert_eq!(windows(POLICY, &known, Refresh::Unsettled, today).len(), 1);
    }

    #[test]
    fn a_range_is_refused_by_the_rules_of_the_api_but_may_be_long() {
        let today = START.plus(100);
        assert_eq!(range(START, START.plus(61), today).unwrap().len(), 2);
        assert_eq!(range(START, START, today).unwrap().len(), 1);
        let too_recent = range(START, today, today).unwrap_err();
        assert!(matches!(
            too_recent,
            crate::window::WindowError::EndTooRecent { .. }
        ));
        let reversed = range(START.next(), START, today).unwrap_err();
        assert!(matches!(
            reversed,
            crate::window::WindowError::StartAfterEnd { .. }
        ));
    }

    #[test]
    fn everyones_yesterday_comes_before_anyones_last_year() {
        let today = START.plus(100);
        let all = range(START, today.previous(), today).unwrap();
        let order = newest_first([
            ('a', all.clone()),
            ('b', all[1..].to_vec()),
            ('c', all.clone()),
        ]);
        let expected: Vec<(char, Window)> = all
            .iter()
            .enumerate()
            .flat_map(|(i, window)| {
                ['a', 'b', 'c']
                    .into_iter()
                    .filter(move |key| i > 0 || *key != 'b')
                    .map(|key| (key, *window))
            })
            .collect();
        assert_eq!(order, expected);
    }

    /// The fewest windows of at most `MAX_DAYS` days that cover all `needed` days: for the oldest in
    /// turn every window that could cover it is tried. `known[n]` remembers the answer for the last `n`.
    fn fewest(needed: &[Day], known: &mut BTreeMap<usize, usize>) -> usize {
        let Some(&oldest) = needed.first() else {
            return 0;
        };
        if let Some(count) = known.get(&needed.len()) {
            return *count;
        }
        let count = (0..MAX_DAYS)
            .map(|back| {
                let end = oldest.plus(MAX_DAYS - 1 - back);
                let rest = needed.partition_point(|day| *day <= end);
                1 + fewest(&needed[rest..], known)
            })
            .min()
            .unwrap_or(0);
        known.insert(needed.len(), count);
        count
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn every_needed_day_is_covered_and_no_window_breaks_a_rule(
            length in 0..400_i32,
            known in proptest::collection::btree_map(0..400_i32, 0..6_i32, 0..300),
            settle_days in 0..5_i32,
            unsettled in any::<bool>(),
        ) {
            let today = START.plus(length);
            let policy = Policy { history_start: START, settle_days };
            // A day can only have been fetched after its end and not in the future.
            let days: BTreeMap<Day, i32> = known.iter()
                .map(|(offset, age)| (START.plus(*offset), *age))
                .filter(|(day, _)| *day < today)
                .map(|(day, age)| (day, age.min(today.since(day.next()))))
                .collect();
            let refresh = if unsettled { Refresh::Unsettled } else { Refresh::NotFetchedToday };
            let plan = windows(policy, &coverage(&days, policy), refresh, today);

            let needed: Vec<Day> = START.through(today.previous()).filter(|day| {
                days.get(day).is_none_or(|age| {
                    *age < settle_days && (unsettled || day.plus(1 + age) < today)
                })
            }).collect();
            for day in &needed {
                prop_assert_eq!(plan.iter().filter(|window| window.contains(*day)).count(), 1);
            }
            for window in &plan {
                prop_assert!(window.length() <= 31 && window.end() < today && window.start() >= START);
                // Neither end is a day that nobody needs.
                prop_assert!(needed.contains(&window.start()) && needed.contains(&window.end()));
            }
            prop_assert!(plan.windows(2).all(|pair| pair[0].start() > pair[1].end()));
        }

        #[test]
        fn no_other_plan_needs_fewer_requests(
            offsets in proptest::collection::btree_set(0..100_i32, 0..14),
        ) {
            let today = START.plus(101);
            let needed: Vec<Day> = offsets.iter().map(|offset| START.plus(*offset)).collect();
            let days = START.through(today.previous())
                .filter(|day| !needed.contains(day))
                .map(|day| (day, 3.min(today.since(day.next()))))
                .collect();
            let plan = windows(POLICY, &coverage(&days, POLICY), Refresh::NotFetchedToday, today);
            // Days fetched yesterday that have not settled are needed too.
            let mut needed: Vec<Day> = needed;
            needed.extend(days.iter().filter(|(day, age)| **age < 3 && day.plus(1 + **age) < today).map(|(day, _)| *day));
            needed.sort_unstable();
            prop_assert_eq!(plan.len(), fewest(&needed, &mut BTreeMap::new()));
        }
    }
}
