//! Pure: how many credits a made-up agent uses on a day.
//!
//! Only additions, multiplications, divisions and square roots are used, which IEEE 754 defines to
//! the last bit, so that a seed tells the same story on every machine and in every release.

use chrono::Datelike;

use crate::day::{Day, TRACKING_START};

/// Kinds of work. Agents take turns through [`CHARACTERS`].
#[derive(Debug)]
struct Character {
    /// Least and most credits of an average day.
    level: (f64, f64),
    /// Monday through Sunday, as factors.
    week: [f64; 7],
    /// Least and most growth per month, as a share of the first month's level.
    growth: (f64, f64),
    /// Standard deviation of a day beyond what counting alone explains, as a share of its mean.
    noise: f64,
    /// Chance that a day is a spike.
    spikes: f64,
    /// Factor on a public holiday.
    holiday: f64,
    /// Least and most days between the start of tracking and the agent's first day.
    begins: (i32, i32),
}

const OFFICE_WEEK: [f64; 7] = [1.15, 1.2, 1.1, 1.05, 0.9, 0.2, 0.12];
const SHOP_WEEK: [f64; 7] = [0.85, 0.8, 0.85, 0.95, 1.15, 1.3, 1.2];

/// The kinds of agents there are: the agent of index i has character i modulo their number.
const CHARACTERS: [Character; 8] = [
    // A help desk: office hours, growing, quiet at weekends and on holidays.
    Character {
        level: (40.0, 120.0),
        week: OFFICE_WEEK,
        growth: (0.02, 0.05),
        noise: 0.12,
        spikes: 0.008,
        holiday: 0.2,
        begins: (0, 0),
    },
    // A shop: busiest at weekends and on holidays.
    Character {
        level: (60.0, 200.0),
        week: SHOP_WEEK,
        growth: (0.01, 0.03),
        noise: 0.15,
        spikes: 0.01,
        holiday: 1.4,
        begins: (0, 0),
    },
    // A machine that asks: the same every day.
    Character {
        level: (15.0, 40.0),
        week: [1.0; 7],
        growth: (0.0, 0.01),
        noise: 0.04,
        spikes: 0.003,
        holiday: 1.0,
        begins: (0, 0),
    },
    // One that hardly anyone asks.
    Character {
        level: (0.1, 0.3),
        week: OFFICE_WEEK,
        growth: (0.0, 0.0),
        noise: 0.0,
        spikes: 0.005,
        holiday: 0.0,
        begins: (0, 0),
    },
    // A newcomer that takes off.
    Character {
        level: (8.0, 20.0),
        week: OFFICE_WEEK,
        growth: (0.08, 0.15),
        noise: 0.18,
        spikes: 0.01,
        holiday: 0.3,
        begins: (60, 360),
    },
    // Campaigns: little on most days, a lot on some.
    Character {
        level: (10.0, 30.0),
        week: [1.3, 1.2, 1.2, 1.1, 0.8, 0.3, 0.3],
        growth: (0.0, 0.02),
        noise: 0.3,
        spikes: 0.05,
        holiday: 0.3,
        begins: (0, 0),
    },
    // One that is being replaced.
    Character {
        level: (50.0, 150.0),
        week: OFFICE_WEEK,
        growth: (-0.06, -0.03),
        noise: 0.12,
        spikes: 0.006,
        holiday: 0.25,
        begins: (0, 0),
    },
    // The front door of a large organisation.
    Character {
        level: (600.0, 1800.0),
        week: [1.1, 1.1, 1.05, 1.05, 1.0, 0.9, 0.8],
        growth: (0.01, 0.04),
        noise: 0.08,
        spikes: 0.006,
        holiday: 0.7,
        begins: (0, 0),
    },
];

/// Public holidays as (month, day), for agents that know weekdays from holidays.
const HOLIDAYS: [(u32, u32); 7] = [
    (1, 1),
    (1, 6),
    (5, 1),
    (12, 24),
    (12, 25),
    (12, 26),
    (12, 31),
];

/// Days over which a newcomer comes up to its level.
const RAMP_DAYS: f64 = 28.0;
/// Days of an average month.
const MONTH_DAYS: f64 = 30.4375;
/// Largest move of the level from one week to the next, up or down, as a share of it.
const STEP: f64 = 0.07;
/// Below this mean a day is drawn from a geometric distribution, above from a bell curve.
const FEW: f64 = 3.0;

/// Independent streams of random numbers of one agent.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stream {
    Level,
    Growth,
    Start,
    Weekday,
    Day,
    Week,
    Spike,
    Identity,
    Lateness,
    Revision,
    Fault,
}

/// Splitmix64's output function (Steele, Lea and Flood 2014): every bit depends on every bit.
const fn mix(state: u64) -> u64 {
    let mut bits = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// 64 random bits that depend on nothing but the arguments.
pub(super) const fn draw(seed: u64, stream: Stream, number: u64) -> u64 {
    mix(mix(seed ^ mix(stream as u64)) ^ number)
}

/// Random bits as a number from 0 up to, not including, 1.
#[allow(
    clippy::cast_precision_loss,
    reason = "53 bits fit into the fraction of a double"
)]
pub(super) fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

/// A number between the two, by random bits.
pub(super) fn between((low, high): (f64, f64), bits: u64) -> f64 {
    low + (high - low) * unit(bits)
}

/// Bits that are as good as normally distributed, with mean 0 and deviation 1: a sum of four
/// uniform numbers, scaled.
fn normal(bits: u64) -> f64 {
    let sum: f64 = [0, 16, 32, 48]
        .map(|shift| f64::from((bits >> shift & 0xffff) as u16) / 65536.0)
        .iter()
        .sum();
    (sum - 2.0) * 3.0_f64.sqrt()
}

/// A day as the number of a draw.
pub(super) fn number(day: Day) -> u64 {
    i64::from(day.number()).cast_unsigned()
}

/// Habit by which one agent uses credits.
#[derive(Debug, Clone)]
pub(super) struct Habit {
    seed: u64,
    character: &'static Character,
    level: f64,
    growth: f64,
    week: [f64; 7],
    start: Day,
}

impl Habit {
    /// The habit of the agent of that index in the world of `seed`.
    pub(super) fn of(seed: u64, index: usize) -> Self {
        let character = &CHARACTERS[index % CHARACTERS.len()];
        let seed = draw(seed, Stream::Identity, index as u64);
        let (earliest, latest) = character.begins;
        let wait = between(
            (f64::from(earliest), f64::from(latest)),
            draw(seed, Stream::Start, 0),
        );
        let mut week = character.week;
        for (number, factor) in (0..).zip(&mut week) {
            *factor *= between((0.9, 1.1), draw(seed, Stream::Weekday, number));
        }
        Self {
            seed,
            character,
            level: between(character.level, draw(seed, Stream::Level, 0)),
            growth: between(character.growth, draw(seed, Stream::Growth, 0)),
            week,
            #[allow(clippy::cast_possible_truncation, reason = "a few hundred days")]
            start: TRACKING_START.plus(wait as i32),
        }
    }

    /// Credits used on `day`: a whole number, zero before the agent's first day.
    pub(super) fn credits(&self, day: Day) -> f64 {
        if day < self.start {
            return 0.0;
        }
        let mean = self.mean(day);
        let bits = draw(self.seed, Stream::Day, number(day));
        if mean < FEW {
            return few(mean, bits);
        }
        let beyond = self.character.noise * mean;
        let deviation = (mean + beyond * beyond).sqrt();
        (mean + deviation * normal(bits)).round().max(0.0)
    }

    /// The credits to be expected on `day`.
    fn mean(&self, day: Day) -> f64 {
        // Day 0, 1970-01-01, was a Thursday.
        let weekday = (day.number() + 3).rem_euclid(7).unsigned_abs() as usize;
        let date = day.date();
        let holiday = if HOLIDAYS.contains(&(date.month(), date.day())) {
            self.character.holiday
        } else {
            1.0
        };
        self.level
            * self.week[weekday]
            * holiday
            * self.trend(day)
            * self.walk(day)
            * self.surge(day)
    }

    /// Growth or decline since the start of tracking, and a newcomer's first weeks.
    fn trend(&self, day: Day) -> f64 {
        let months = f64::from(day.since(TRACKING_START)) / MONTH_DAYS;
        let trend = if self.growth < 0.0 {
            1.0 / (1.0 - self.growth * months)
        } else {
            1.0 + self.growth * months
        };
        if self.start == TRACKING_START {
            return trend;
        }
        trend * (f64::from(day.since(self.start) + 1) / RAMP_DAYS).min(1.0)
    }

    /// A random walk, since real levels persist: a step each week since the start of tracking, and a straight
    /// line from one week to the next.
    fn walk(&self, day: Day) -> f64 {
        let days = day.since(TRACKING_START).unsigned_abs();
        let step = |week: u32| {
            // Four steps have room in one draw.
            let bits = draw(self.seed, Stream::Week, u64::from(week / 4)) >> (week % 4 * 16);
            let share = STEP * (f64::from((bits & 0xffff) as u16) / 32768.0 - 1.0);
            if share < 0.0 {
                1.0 / (1.0 - share)
            } else {
                1.0 + share
            }
        };
        let week = days / 7;
        let level: f64 = (0..week).map(step).product();
        level * (1.0 + (step(week) - 1.0) * f64::from(days % 7) / 7.0)
    }

    /// A spike, and what is left of it on the day after.
    fn surge(&self, day: Day) -> f64 {
        let spike = |day: Day| {
            let bits = draw(self.seed, Stream::Spike, number(day));
            if unit(bits) < self.character.spikes {
                between((2.5, 6.0), mix(bits))
            } else {
                1.0
            }
        };
        spike(day).max(1.0 + (spike(day.previous()) - 1.0) * 0.25)
    }
}

/// A count of that mean from a geometric distribution: mostly zero if the mean is small.
fn few(mean: f64, bits: u64) -> f64 {
    let more = mean / (1.0 + mean);
    let (mut count, mut tail, rank) = (0.0, more, unit(bits));
    while rank < tail && count < 100.0 {
        count += 1.0;
        tail *= more;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAYS: i32 = 544;

    fn series(index: usize) -> Vec<f64> {
        let habit = Habit::of(7, index);
        (0..DAYS)
            .map(|day| habit.credits(TRACKING_START.plus(day)))
            .collect()
    }

    #[allow(clippy::cast_precision_loss, reason = "few values")]
    fn mean(values: &[f64]) -> f64 {
        values.iter().sum::<f64>() / values.len() as f64
    }

    /// Credits of the agent's days whose distance to the start of tracking satisfies `take`.
    fn taken(index: usize, take: impl Fn(i32) -> bool) -> Vec<f64> {
        (0..DAYS)
            .zip(series(index))
            .filter_map(|(day, credits)| take(day).then_some(credits))
            .collect()
    }

    #[test]
    fn a_seed_tells_the_same_story_forever() {
        // From Sunday, 2025-12-14, to Saturday.
        let week = |seed, index| {
            let habit = Habit::of(seed, index);
            [200, 201, 202, 203, 204, 205, 206].map(|day| habit.credits(TRACKING_START.plus(day)))
        };
        assert_eq!(week(1, 0), [12.0, 108.0, 86.0, 91.0, 105.0, 99.0, 14.0]);
        assert_eq!(
            week(1, 7),
            [992.0, 1339.0, 1203.0, 1422.0, 1313.0, 1394.0, 1223.0]
        );
        assert_eq!(week(2, 0), [23.0, 135.0, 195.0, 191.0, 145.0, 149.0, 27.0]);
    }

    #[test]
    fn credits_are_whole_and_never_negative() {
        for index in 0..64 {
            for credits in series(index) {
                assert!(credits >= 0.0 && credits.fract() == 0.0 && credits < 1e5);
            }
        }
    }

    #[test]
    fn an_office_rests_at_weekends_and_a_shop_does_not() {
        let weekend = |day: i32| (day + 2).rem_euclid(7) >= 5;
        let ratio = |index| mean(&taken(index, weekend)) / mean(&taken(index, |day| !weekend(day)));
        assert!(ratio(0) < 0.3, "{}", ratio(0));
        assert!(ratio(1) > 1.1, "{}", ratio(1));
    }

    #[test]
    fn a_holiday_on_a_weekday_is_like_a_weekend() {
        let christmas: Day = "2025-12-25".parse().unwrap();
        let habit = Habit::of(7, 0);
        let thursdays = [-14, -7, 14, 21].map(|days| habit.credits(christmas.plus(days)));
        assert!(habit.credits(christmas) < 0.5 * mean(&thursdays));
    }

    #[test]
    fn most_agents_grow_and_one_that_is_replaced_declines() {
        let change = |index| {
            mean(&taken(index, |day| day >= DAYS - 84)) / mean(&taken(index, |day| day < 84))
        };
        assert!(change(0) > 1.15, "{}", change(0));
        assert!(change(6) < 0.8, "{}", change(6));
    }

    #[test]
    fn a_quiet_agent_has_mostly_zeros_but_not_only() {
        let used = series(3).iter().filter(|credits| **credits > 0.0).count();
        assert!((20..200).contains(&used), "{used}");
    }

    #[test]
    fn a_newcomer_has_nothing_before_its_first_day() {
        let series = series(4);
        let first = series.iter().position(|credits| *credits > 0.0).unwrap();
        assert!((60..370).contains(&first), "{first}");
        assert!(mean(&series[first + 60..]) > 5.0);
    }

    #[test]
    fn campaigns_spike() {
        let series = series(5);
        let high = series.iter().filter(|c| **c > 2.5 * mean(&series)).count();
        assert!((5..60).contains(&high), "{high}");
    }

    #[test]
    fn no_two_agents_of_a_kind_are_alike() {
        assert_ne!(series(0), series(8));
        assert_ne!(
            Habit::of(1, 0).credits(TRACKING_START),
            Habit::of(2, 0).credits(TRACKING_START)
        );
    }
}
