//! Pure: readings of this host's clocks and FlowGent's dates in, the best known time out.
//!
//! The wall clock can be set to anything at any time. The monotonic clock cannot, so a jump of the one
//! that the other has not made shows: the clock was set, or the host slept. Only FlowGent's `Date` can say
//! which, and until it does, time goes on as the monotonic clock says.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

use crate::day::{Day, TRACKING_START};

/// Clocks that differ by no more than this agree.
const TOLERANCE: TimeDelta = TimeDelta::hours(1);
/// If FlowGent has not answered for this long, this host's clock counts.
const PATIENCE: TimeDelta = TimeDelta::hours(6);

/// Both clocks of this host at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The wall clock.
    pub wall: DateTime<Utc>,
    /// The monotonic clock, from any origin. It stands still while the host sleeps.
    pub uptime: Duration,
}

/// Trust in this host's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It agrees with FlowGent's within an hour. Also if FlowGent sends no dates.
    Agreed,
    /// FlowGent has not answered since the start.
    Unchecked,
    /// It moved by this much more than the monotonic clock, and FlowGent has not answered since then.
    Stepped(TimeDelta),
    /// It differs from FlowGent's: FlowGent's time minus this host's.
    Differs(TimeDelta),
    /// It cannot be right, and FlowGent has not said what the time is.
    Unset {
        /// The time that it shows.
        shown: DateTime<Utc>,
        /// A time that has passed for certain.
        passed: DateTime<Utc>,
    },
}

/// Knowledge of the time at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time {
    /// The best known time.
    pub now: DateTime<Utc>,
    /// The earliest time that it may be, by any clock that is believed or doubted.
    pub earliest: DateTime<Utc>,
    /// The UTC day, unless the clocks leave that open.
    pub day: Option<Day>,
    /// Trust in this host's clock.
    pub standing: Standing,
}

/// Compares this host's clock with FlowGent's over time.
#[derive(Debug)]
pub struct Watch {
    /// A time that has passed for certain.
    passed: DateTime<Utc>,
    /// The clocks when the word came; at the start before any.
    base: Reading,
    /// The monotonic clock when the wall clock was first seen to have stepped since then.
    stepped_at: Option<Duration>,
    word: Word,
}

/// FlowGent's last word on the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    /// It has not answered.
    None,
    /// It answered without a date.
    Dateless,
    /// It sent a date.
    Date {
        /// Its time minus this host's.
        skew: TimeDelta,
        /// The best known time is FlowGent's.
        is_followed: bool,
    },
}

impl Watch {
    /// A watch that has heard nothing from FlowGent.
    #[must_use]
    pub fn new(reading: Reading) -> Self {
        Self {
            passed: TRACKING_START.end(),
            base: reading,
            stepped_at: None,
            word: Word::None,
        }
    }

    /// Notes that the time `at` has passed for certain.
    pub fn has_passed(&mut self, at: DateTime<Utc>) {
        self.passed = self.passed.max(at);
    }

    /// Notes an answer of FlowGent that has just come: its time minus this host's, if it had a date.
    pub fn hear(&mut self, reading: Reading, skew: Option<TimeDelta>) {
        let step = self.step(reading);
        self.word = match (skew, self.word) {
            (None, Word::Date { .. }) if step.is_none() => return,
            (None, _) => Word::Dateless,
            (Some(skew), before) => {
                let is_followed = differs(skew)
                    && match before {
                        // This host's clock agreed and has run evenly since: FlowGent's has jumped.
                        Word::Date {
                            skew: before,
                            is_followed,
                        } if step.is_none() => differs(before) && is_followed,
                        _ => true,
                    };
                Word::Date { skew, is_followed }
            }
        };
        self.rebase(reading);
    }

    /// Knowledge of the time at `reading`.
    pub fn look(&mut self, reading: Reading) -> Time {
        let wall = reading.wall;
        let step = self.step(reading);
        if self.word == Word::None && step.is_some() {
            // Neither side of the step was ever confirmed.
            self.rebase(reading);
        }
        let waited = since(reading.uptime, self.base.uptime);
        let doubted = step.map(|_| {
            let stepped_at = *self.stepped_at.get_or_insert(reading.uptime);
            since(reading.uptime, stepped_at)
        });
        if step.is_none() {
            self.stepped_at = None;
        }
        match (self.word, step) {
            (Word::None, _) if wall + TOLERANCE < self.passed => self.unset(wall),
            (Word::None, _) if waited < PATIENCE => Time::at(wall, Standing::Unchecked),
            (Word::None, _) => Time::at(wall, Standing::Agreed),
            (Word::Dateless, _) if wall < TRACKING_START.end() => self.unset(wall),
            (Word::Dateless, None) => Time::at(wall, Standing::Agreed),
            (Word::Date { skew, .. }, None) if !differs(skew) => Time::at(wall, Standing::Agreed),
            (Word::Date { skew, is_followed }, None) => {
                let theirs = wall + skew;
                let now = if is_followed { theirs } else { wall };
                Time {
                    day: (is_followed || Day::of(wall) == Day::of(theirs)).then(|| Day::of(now)),
                    earliest: wall.min(theirs),
                    ..Time::at(now, Standing::Differs(skew))
                }
            }
            (_, Some(_)) if doubted >= Some(PATIENCE) && wall >= TRACKING_START.end() => {
                self.word = Word::Dateless;
                self.rebase(reading);
                Time::at(wall, Standing::Agreed)
            }
            (word, Some(step)) => {
                let base = match word {
                    Word::Date {
                        skew,
                        is_followed: true,
                    } => self.base.wall + skew,
                    _ => self.base.wall,
                };
                let now = base + waited;
                Time {
                    day: (Day::of(wall) == Day::of(now)).then(|| Day::of(now)),
                    earliest: wall.min(now),
                    ..Time::at(now, Standing::Stepped(step))
                }
            }
        }
    }

    fn unset(&self, shown: DateTime<Utc>) -> Time {
        let passed = self.passed;
        Time {
            day: None,
            ..Time::at(shown, Standing::Unset { shown, passed })
        }
    }

    /// Move of the wall clock since the base without the monotonic clock, if that is too far.
    fn step(&self, reading: Reading) -> Option<TimeDelta> {
        let waited = since(reading.uptime, self.base.uptime);
        let step = (reading.wall - self.base.wall) - waited;
        differs(step).then_some(step)
    }

    fn rebase(&mut self, reading: Reading) {
        self.base = reading;
        self.stepped_at = None;
    }
}

impl Time {
    /// A time that nothing contradicts.
    pub(super) fn at(now: DateTime<Utc>, standing: Standing) -> Self {
        Self {
            now,
            earliest: now,
            day: Some(Day::of(now)),
            standing,
        }
    }
}

impl Standing {
    /// Returns true if this host's clock can be believed.
    #[must_use]
    pub const fn agrees(self) -> bool {
        matches!(self, Self::Agreed)
    }

    /// True if FlowGent has answered, or has not for so long that this host's clock counts.
    #[must_use]
    pub const fn is_checked(self) -> bool {
        !matches!(self, Self::Unchecked | Self::Unset { .. })
    }

    /// Returns true if this host's clock is known to be wrong.
    #[must_use]
    pub const fn is_wrong(self) -> bool {
        matches!(self, Self::Differs(_) | Self::Unset { .. })
    }

    /// Returns true if the UTC day is known, be it by FlowGent's clock.
    #[must_use]
    pub const fn is_known(self) -> bool {
        !matches!(self, Self::Unset { .. })
    }
}

/// The reason not to believe this host's clock, in words; for one that is believed, that it is.
impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |at: &DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
        match self {
            Self::Agreed => write!(f, "this host's clock agrees with FlowGent's"),
            Self::Unchecked => {
                write!(f, "FlowGent has not confirmed this host's clock yet")
            }
            Self::Stepped(step) => {
                let direction = if *step > TimeDelta::zero() {
                    "forward"
                } else {
                    "back"
                };
                write!(
                    f,
                    "this host's clock moved {direction} by {}, which FlowGent has not confirmed yet",
                    Length(*step)
                )
            }
            Self::Differs(skew) => {
                let side = if *skew < TimeDelta::zero() {
                    "ahead of"
                } else {
                    "behind"
                };
                write!(
                    f,
                    "this host's clock is {} {side} FlowGent's",
                    Length(*skew)
                )
            }
            Self::Unset { shown, passed } => write!(
                f,
                "this host's clock is not set: it shows {}, but {} has passed",
                text(shown),
                text(passed)
            ),
        }
    }
}

/// A length of time in its largest units, whatever its sign.
struct Length(TimeDelta);

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = TimeDelta::minutes((self.0.abs().num_seconds() + 30) / 60);
        let unit = |f: &mut fmt::Formatter<'_>, count: i64, unit: &str| {
            let plural = if count == 1 { "" } else { "s" };
            write!(f, "{count} {unit}{plural}")
        };
        let (days, hours, minutes) = (
            length.num_days(),
            length.num_hours() % 24,
            length.num_minutes() % 60,
        );
        if days > 0 {
            unit(f, days, "day")?;
            if hours > 0 {
                f.write_str(" ")?;
                unit(f, hours, "hour")?;
            }
            return Ok(());
        }
        unit(f, hours, "hour")?;
        if minutes > 0 {
            f.write_str(" ")?;
            unit(f, minutes, "minute")?;
        }
        Ok(())
    }
}

/// The time between two readings of the monotonic clock.
fn since(later: Duration, earlier: Duration) -> TimeDelta {
    TimeDelta::from_std(later.saturating_sub(earlier)).unwrap_or(TimeDelta::MAX)
}

fn differs(skew: TimeDelta) -> bool {
    skew.abs() > TOLERANCE
}

#[cfg(test)]
mod tests;
