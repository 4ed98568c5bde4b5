//! A bar for each day, with axes.

use std::fmt::Write as _;

use super::{Days, Point, long, told};
use crate::words;

/// From one bar to the next, and how wide it is, in pixels.
const PITCH: f64 = 9.0;
const BAR: f64 = 7.0;
/// The plot's place: what is left of it, and above and below.
const LEFT: f64 = 58.0;
/// Right of it, half of a date has room.
const RIGHT: f64 = 22.0;
const TOP: f64 = 10.0;
const HEIGHT: f64 = 180.0;
const BOTTOM: f64 = TOP + HEIGHT;
/// The lines above the axis.
const STEPS: u32 = 4;

/// The days as bars above an axis. `id` is unlike that of any other chart on the page.
pub(in super::super) fn bars(days: &Days, id: &str) -> String {
    let width = LEFT + PITCH * days.points.len() as f64 + RIGHT;
    let height = BOTTOM + 24.0;
    let mut svg = format!(
        "<svg class=\"bars\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         role=\"img\" aria-labelledby=\"{id}-name {id}-text\"><title id=\"{id}-name\">Credits by day\
         </title><desc id=\"{id}-text\">{}.</desc><defs><pattern id=\"{id}-gap\" width=\"6\" \
         height=\"6\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\"><path \
         class=\"hatch\" d=\"M0 0V6\"/></pattern></defs>",
        words::sentence(&days.summary())
    );
    let top = axis(&mut svg, days.most(), width - RIGHT);
    for (place, (day, point)) in days.iter().enumerate() {
        let x = LEFT + PITCH * place as f64 + 1.0;
        let title = told(day, point);
        // The whole column shows the title: the bar of a quiet day is hard to point at.
        let _ = write!(
            svg,
            "<g><title>{title}</title><rect class=\"column\" x=\"{}\" y=\"{TOP}\" width=\"{PITCH}\" \
             height=\"{HEIGHT}\"/>",
            x - 1.0
        );
        let _ = match point {
            Point::Used(credits) if credits > 0.0 => {
                let height = rounded((credits / top * HEIGHT).max(1.0));
                let y = rounded(BOTTOM - height);
                write!(
                    svg,
                    "<rect class=\"used\" x=\"{x}\" y=\"{y}\" width=\"{BAR}\" height=\"{height}\" rx=\"1\"/>"
                )
            }
            Point::Used(_) => write!(
                svg,
                "<rect class=\"none\" x=\"{x}\" y=\"{}\" width=\"{BAR}\" height=\"2\"/>",
                BOTTOM - 2.0
            ),
            Point::Missing => write!(
                svg,
                "<rect class=\"gap\" x=\"{x}\" y=\"{TOP}\" width=\"{BAR}\" height=\"{HEIGHT}\" \
                 fill=\"url(#{id}-gap)\"/>"
            ),
            Point::Unasked => write!(svg, "<path class=\"unasked\" d=\"M{x} {BOTTOM}h{BAR}\"/>"),
        };
        svg += "</g>";
    }
    days_below(&mut svg, days);
    svg + "</svg>"
}

/// Draws the lines and the figures beside them; returns what the highest line stands for.
fn axis(svg: &mut String, most: f64, right: f64) -> f64 {
    let step = step(most);
    for number in 0..=STEPS {
        let y = BOTTOM - HEIGHT / f64::from(STEPS) * f64::from(number);
        let class = if number == 0 { "base" } else { "grid" };
        let _ = write!(svg, "<path class=\"{class}\" d=\"M{LEFT} {y}H{right}\"/>");
        // Where nothing was used, no other figure means anything.
        if number == 0 || most > 0.0 {
            let _ = write!(
                svg,
                "<text class=\"value\" x=\"{}\" y=\"{}\">{}</text>",
                LEFT - 8.0,
                y + 4.0,
                short(step * f64::from(number))
            );
        }
    }
    step * f64::from(STEPS)
}

/// Writes the date below every second Monday, the newest Monday being one of them.
fn days_below(svg: &mut String, days: &Days) {
    let mondays = days.iter().enumerate().rev();
    let mondays = mondays
        .filter(|(_, (day, _))| day.weekday() == 0)
        .step_by(2);
    for (place, (day, _)) in mondays {
        let x = LEFT + PITCH * (place as f64 + 0.5);
        let _ = write!(
            svg,
            "<path class=\"tick\" d=\"M{x} {BOTTOM}v4\"/><text class=\"day\" x=\"{x}\" y=\"{}\">\
             <title>{}</title>{}</text>",
            BOTTOM + 18.0,
            long(day),
            day.date().format("%-d %b")
        );
    }
}

/// Distance between lines: a round number, so that the highest is not below `most`.
fn step(most: f64) -> f64 {
    let least = most / f64::from(STEPS);
    if least <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(least.log10().floor());
    // The last of them always fits, but for what a product of floats loses.
    let fits = |factor: &f64| factor * power * (1.0 + 1e-9) >= least;
    let factor = [1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.5, 10.0]
        .into_iter()
        .find(fits);
    factor.unwrap_or(10.0) * power
}

/// A figure beside an axis, where there is room for few letters.
fn short(value: f64) -> String {
    let (value, unit) = match value {
        value if value >= 1e12 => (value / 1e12, " T"),
        value if value >= 1e9 => (value / 1e9, " G"),
        value if value >= 1e6 => (value / 1e6, " M"),
        value => (value, ""),
    };
    if value > 0.0 && value < 0.01 {
        return format!("{value:.0e}");
    }
    format!("{}{unit}", words::number(value))
}

/// To a tenth of a pixel.
fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::{day, days};
    use super::*;

    #[test]
    fn each_day_is_told_and_each_kind_looks_unlike_the_others() {
        let svg = bars(&days("2026-03-01", &[Some(40.0), Some(0.0), None]), "c");
        for part in [
            "<g><title>Sun 1 Mar 2026: 40 credits</title>",
            "<rect class=\"used\" x=\"59\" y=\"10\" width=\"7\" height=\"180\" rx=\"1\"/>",
            "<g><title>Mon 2 Mar 2026: 0 credits</title>",
            "<rect class=\"none\" x=\"68\" y=\"188\" width=\"7\" height=\"2\"/>",
            "<g><title>Tue 3 Mar 2026: missing</title>",
            "height=\"180\" fill=\"url(#c-gap)\"/>",
            "40 credits on two days with figures",
        ] {
            assert!(svg.contains(part), "{part} is not in {svg}");
        }
        let before = Days::of(day("2026-03-01"), day("2026-03-01"), day("2026-03-02"), &[]);
        let svg = bars(&before, "c");
        assert!(svg.contains("Sun 1 Mar 2026: before the history start"));
        assert!(!svg.contains("class=\"used\"") && !svg.contains("url(#c-gap)"));
    }

    #[test]
    fn an_axis_without_use_has_no_other_figure_than_zero() {
        let svg = bars(&days("2026-03-01", &[Some(0.0)]), "c");
        assert_eq!(svg.matches("<text class=\"value\"").count(), 1, "{svg}");
    }

    #[test]
    fn figures_beside_the_axis_are_short() {
        for (value, expected) in [
            (0.0, "0"),
            (0.000_5, "5e-4"),
            (0.25, "0.25"),
            (12_500.0, "12,500"),
            (1_500_000.0, "1.5 M"),
            (2.5e9, "2.5 G"),
            (1e12, "1 T"),
        ] {
            assert_eq!(short(value), expected);
        }
    }

    proptest! {
        #[test]
        fn the_highest_line_is_above_the_highest_bar_and_not_far(most in 1e-6..1e12_f64) {
            let top = step(most) * f64::from(STEPS);
            prop_assert!(top >= most * (1.0 - 1e-6), "{top} for {most}");
            prop_assert!(top <= most * 1.51, "{top} for {most}");
        }
    }
}
