//! Every day of the history as a square, week by week, a block for each year.

use std::fmt::Write as _;

use chrono::Datelike;

use super::super::figure::amount;
use super::{Days, Point, told};
use crate::day::{Day, TRACKING_START};

/// From one square to the next, and how wide one is, in pixels.
const PITCH: i32 = 13;
const SQUARE: i32 = 11;
/// Margins left of the squares and above them.
const LEFT: i32 = 32;
const TOP: i32 = 18;
/// Number of shades.
const SHADES: usize = 4;
/// A day with more than this many times the median is a spike.
const SPIKE: f64 = 3.0;

/// A calendar, and what its shades mean.
#[derive(Debug, PartialEq)]
pub(in super::super) struct Calendar {
    /// The years with their charts, the newest first.
    pub(in super::super) years: Vec<(i32, String)>,
    /// The most credits of a day in each shade, the lightest first.
    pub(in super::super) bounds: Vec<String>,
}

/// The days as squares. A quarter of the days with use is in each shade.
pub(in super::super) fn calendar(days: &Days) -> Calendar {
    let bounds = bounds(days);
    let mut years: Vec<(i32, Vec<(Day, Point)>)> = Vec::new();
    for (day, point) in days.iter() {
        let year = day.date().year();
        match years.last_mut().filter(|(last, _)| *last == year) {
            Some((_, points)) => points.push((day, point)),
            None => years.push((year, vec![(day, point)])),
        }
    }
    let years = years.into_iter().rev();
    let years = years.map(|(year, points)| (year, block(year, &points, &bounds)));
    Calendar {
        years: years.collect(),
        bounds: bounds.iter().map(|bound| amount(*bound)).collect(),
    }
}

/// A block is as wide as its days need, so that its end is the newest day.
fn block(year: i32, points: &[(Day, Point)], bounds: &[f64]) -> String {
    let first = points.first().map_or(TRACKING_START, |(day, _)| *day);
    let last = points.last().map_or(first, |(day, _)| *day);
    let width = place(last, first).0 + PITCH;
    let height = TOP + 7 * PITCH;
    let mut svg = format!(
        "<svg class=\"calendar\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" role=\"img\" aria-labelledby=\"year-{year}\"><title id=\"year-{year}\">\
         Credits of each day of {year}</title><defs><pattern id=\"gap-{year}\" width=\"4\" \
         height=\"4\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\"><path \
         class=\"hatch\" d=\"M0 0V4\"/></pattern></defs>"
    );
    for (weekday, name) in [(0, "Mon"), (2, "Wed"), (4, "Fri")] {
        let y = TOP + weekday * PITCH + 9;
        let _ = write!(svg, "<text class=\"day\" x=\"0\" y=\"{y}\">{name}</text>");
    }
    let mut month = None;
    for (day, point) in points {
        let (x, y) = place(*day, first);
        // A month that has no whole column left has no room for its name.
        if month != Some(day.date().month()) && (day.date().day() <= 7 || month.is_none()) {
            let name = day.date().format("%b");
            let crowded = month.is_none() && day.date().day() > 20;
            month = Some(day.date().month());
            if !crowded {
                let _ = write!(
                    svg,
                    "<text class=\"month\" x=\"{x}\" y=\"11\">{name}</text>"
                );
            }
        }
        let class = match point {
            Point::Used(credits) => format!("l{}", shade(*credits, bounds)),
            Point::Missing => "gap".to_owned(),
            Point::Unasked => "unasked".to_owned(),
        };
        let fill = if *point == Point::Missing {
            format!(" fill=\"url(#gap-{year})\"")
        } else {
            String::new()
        };
        let _ = write!(
            svg,
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{SQUARE}\" height=\"{SQUARE}\" \
             rx=\"2\"{fill}><title>{}</title></rect>",
            told(*day, *point)
        );
    }
    svg + "</svg>"
}

/// Place of the square of `day` in a block that begins with `first`. Weeks begin on Monday.
fn place(day: Day, first: Day) -> (i32, i32) {
    // Always below 7.
    let offset = first.weekday() as i32;
    let number = day.since(first) + offset;
    (LEFT + number / 7 * PITCH, TOP + number % 7 * PITCH)
}

/// The most credits of each shade: quartiles of the days on which something was used. Days with far more than
/// usual have the darkest to themselves, and the others are terciles. Where many days are alike, there are
/// fewer shades.
fn bounds(days: &Days) -> Vec<f64> {
    let mut used: Vec<f64> = days.used().filter(|credits| *credits > 0.0).collect();
    used.sort_by(f64::total_cmp);
    let median = used.get(used.len() / 2).copied().unwrap_or_default();
    let usual = used.partition_point(|credits| *credits <= median * SPIKE);
    let (shades, spike) = match usual < used.len() {
        true => (SHADES - 1, used.last().copied()),
        false => (SHADES, None),
    };
    let part = |number: usize| used[..usual].get((usual * number).div_ceil(shades).max(1) - 1);
    let mut bounds: Vec<f64> = (1..=shades).filter_map(part).copied().collect();
    bounds.extend(spike);
    bounds.dedup();
    bounds
}

/// 0 where nothing was used, else the shade, from 1 on.
fn shade(credits: f64, bounds: &[f64]) -> usize {
    if credits <= 0.0 {
        return 0;
    }
    let shades = bounds.len();
    let place = bounds
        .partition_point(|bound| *bound < credits)
        .min(shades.saturating_sub(1));
    // Few shades are the dark ones: what is there is much.
    place + 1 + SHADES - shades
}

#[cfg(test)]
mod tests {
    use super::super::tests::{day, days};
    use super::*;

    #[test]
    fn weeks_begin_on_monday_and_years_with_their_own_block() {
        // 2026 begins on a Thursday.
        let place = |text: &str| {
            let day = day(text);
            let ordinal = i32::try_from(day.date().ordinal0()).unwrap();
            super::place(day, day.plus(-ordinal))
        };
        assert_eq!(place("2026-01-01"), (LEFT, TOP + 3 * PITCH));
        assert_eq!(place("2026-01-04"), (LEFT, TOP + 6 * PITCH));
        assert_eq!(place("2026-01-05"), (LEFT + PITCH, TOP));
        assert_eq!(place("2026-12-31"), (LEFT + 52 * PITCH, TOP + 3 * PITCH));
        // The longest of all: a leap year that begins on a Sunday.
        assert_eq!(place("2040-12-31").0, LEFT + 53 * PITCH);
        let calendar = calendar(&days("2025-12-30", &[Some(1.0); 5]));
        let years: Vec<i32> = calendar.years.iter().map(|(year, _)| *year).collect();
        assert_eq!(years, [2026, 2025]);
        let squares = |place: usize| calendar.years[place].1.matches("<rect").count();
        assert_eq!((squares(0), squares(1)), (3, 2));
    }

    #[test]
    fn shades_are_quartiles_of_the_days_with_use() {
        let credits: Vec<Option<f64>> = (0..=8).map(|credits| Some(f64::from(credits))).collect();
        let days_ = days("2026-03-01", &credits);
        let bounds = bounds(&days_);
        assert_eq!(bounds, [2.0, 4.0, 6.0, 8.0]);
        let shades: Vec<usize> = (0..=8)
            .map(|credits| shade(f64::from(credits), &bounds))
            .collect();
        assert_eq!(shades, [0, 1, 1, 2, 2, 3, 3, 4, 4]);
        // A spike is darker than every other day.
        let mut spiky: Vec<Option<f64>> = (0..9).map(|day| Some(f64::from(100 + day))).collect();
        spiky.push(Some(1_000.0));
        let bounds = super::bounds(&days("2026-03-01", &spiky));
        assert_eq!(bounds, [102.0, 105.0, 108.0, 1_000.0]);
        assert_eq!((shade(108.0, &bounds), shade(1_000.0, &bounds)), (3, 4));
        // All alike, they are all much.
        let alike = super::bounds(&days("2026-03-01", &[Some(5.0); 9]));
        assert_eq!((alike.len(), shade(5.0, &alike)), (1, 4));
    }

    #[test]
    fn nothing_used_not_known_and_not_asked_for_look_unlike_each_other() {
        let all = Days::of(
            day("2026-03-01"),
            day("2026-03-03"),
            day("2026-03-02"),
            &[crate::day::Usage {
                day: day("2026-03-03"),
                credits: 0.0,
            }],
        );
        let calendar = calendar(&all);
        let svg = &calendar.years[0].1;
        for part in [
            "class=\"unasked\"",
            "<title>Sun 1 Mar 2026: before the history start</title>",
            "class=\"gap\"",
            "fill=\"url(#gap-2026)\"><title>Mon 2 Mar 2026: missing</title>",
            "class=\"l0\"",
            "<title>Tue 3 Mar 2026: 0 credits</title>",
        ] {
            assert!(svg.contains(part), "{part} is not in {svg}");
        }
        assert!(calendar.bounds.is_empty());
    }
}
