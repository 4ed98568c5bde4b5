//! A chart as small as a word: a bar for each day, and no axes.

use std::fmt::Write as _;

use super::{Days, Point};

/// From one bar to the next, and how high the highest is, in pixels.
const PITCH: usize = 3;
const HEIGHT: f64 = 24.0;

/// The days as bars, the highest as high as the chart. They take few bytes, since a page has a hundred of
/// these: one path for each kind of day.
pub(in super::super) fn sparkline(days: &Days) -> String {
    let most = days.most();
    let (mut used, mut none, mut missing) = (String::new(), String::new(), String::new());
    for (place, (_, point)) in days.iter().enumerate() {
        let x = place * PITCH + 1;
        // Writing to a text cannot fail.
        let _ = match point {
            Point::Used(credits) if credits > 0.0 => {
                // What is used is seen, however little it is beside the rest.
                let height = (credits / most * (HEIGHT - 2.0)).round().max(1.0) + 1.0;
                write!(used, "M{x} {HEIGHT}v-{height}")
            }
            Point::Used(_) => write!(none, "M{x} {HEIGHT}v-1"),
            Point::Missing => write!(missing, "M{x} {HEIGHT}V0"),
            Point::Unasked => Ok(()),
        };
    }
    let width = days.points.len() * PITCH;
    let mut svg = format!(
        "<svg class=\"spark\" viewBox=\"0 0 {width} {HEIGHT}\" width=\"{width}\" height=\"{HEIGHT}\" \
         preserveAspectRatio=\"none\" role=\"img\"><title>{}</title>",
        days.summary()
    );
    for (class, path) in [("none", none), ("gap", missing), ("used", used)] {
        if !path.is_empty() {
            let _ = write!(svg, "<path class=\"{class}\" d=\"{path}\"/>");
        }
    }
    svg + "</svg>"
}

#[cfg(test)]
mod tests {
    use super::super::tests::{day, days};
    use super::*;

    #[test]
    fn nothing_used_not_known_and_not_asked_for_look_unlike_each_other() {
        let svg = sparkline(&days(
            "2026-03-01",
            &[Some(0.0), None, Some(11.0), Some(22.0)],
        ));
        assert!(
            svg.contains("<path class=\"none\" d=\"M1 24v-1\"/>"),
            "{svg}"
        );
        assert!(svg.contains("<path class=\"gap\" d=\"M4 24V0\"/>"), "{svg}");
        assert!(
            svg.contains("<path class=\"used\" d=\"M7 24v-12M10 24v-23\"/>"),
            "{svg}"
        );
        let unasked = Days::of(day("2026-03-01"), day("2026-03-04"), day("2026-03-05"), &[]);
        assert!(!sparkline(&unasked).contains("<path"));
    }

    #[test]
    fn the_least_use_beside_the_most_is_seen() {
        let svg = sparkline(&days("2026-03-01", &[Some(1e-9), Some(1e12)]));
        assert!(svg.contains("M1 24v-2M4 24v-23"), "{svg}");
    }

    #[test]
    fn sixty_days_take_few_bytes() {
        let credits: Vec<Option<f64>> =
            (0..60).map(|day| Some(f64::from(day * 37 % 100))).collect();
        let svg = sparkline(&days("2026-03-01", &credits));
        assert!(svg.len() < 900, "{}", svg.len());
    }
}
