//! Meter of a budget: the used and the expected share.

use std::fmt::Write as _;

/// Length of the whole bar, in units of its own.
const LENGTH: f64 = 1000.0;
const HEIGHT: f64 = 12.0;

/// A bar of used credits, and behind it of those expected by the end of the period, against the limit. It stretches to
/// its place's width. Where more than the limit is used or expected, a line marks the limit.
pub(in super::super) fn meter(used: f64, expected: Option<f64>, limit: f64) -> String {
    let most = expected.unwrap_or(0.0).max(used).max(limit);
    // A budget of nothing is full.
    let part = |credits: f64| match most {
        most if most > 0.0 => (credits / most * LENGTH).round().clamp(0.0, LENGTH),
        _ => LENGTH,
    };
    let mut svg = format!(
        "<svg class=\"meter\" viewBox=\"0 0 {LENGTH} {HEIGHT}\" preserveAspectRatio=\"none\" \
         aria-hidden=\"true\"><rect class=\"track\" width=\"{LENGTH}\" height=\"{HEIGHT}\"/>"
    );
    let mut bar = |class: &str, credits: f64| {
        let _ = write!(
            svg,
            "<rect class=\"{class}\" width=\"{}\" height=\"{HEIGHT}\"/>",
            part(credits)
        );
    };
    if let Some(expected) = expected {
        bar("expected", expected);
    }
    bar("used", used);
    if limit < most {
        let x = part(limit);
        let _ = write!(
            svg,
            "<path class=\"limit\" d=\"M{x} 0V{HEIGHT}\" vector-effect=\"non-scaling-stroke\"/>"
        );
    }
    svg + "</svg>"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn widths(svg: &str) -> Vec<&str> {
        let rects = svg.split("<rect class=\"").skip(1);
        rects.map(|rect| rect.split('"').nth(2).unwrap()).collect()
    }

    #[test]
    fn the_bar_is_the_part_of_the_limit_that_is_used() {
        let svg = meter(250.0, Some(500.0), 1000.0);
        assert_eq!(widths(&svg), ["1000", "500", "250"]);
        assert!(!svg.contains("limit"));
        assert_eq!(widths(&meter(0.0, None, 10.0)), ["1000", "0"]);
    }

    #[test]
    fn beyond_the_limit_a_line_marks_it() {
        let svg = meter(50.0, Some(200.0), 100.0);
        assert_eq!(widths(&svg), ["1000", "1000", "250"]);
        assert!(
            svg.contains("<path class=\"limit\" d=\"M500 0V12\""),
            "{svg}"
        );
    }

    #[test]
    fn a_budget_of_nothing_is_full() {
        assert_eq!(widths(&meter(0.0, None, 0.0)), ["1000", "1000"]);
        assert_eq!(widths(&meter(3.0, None, 0.0)), ["1000", "1000"]);
    }
}
