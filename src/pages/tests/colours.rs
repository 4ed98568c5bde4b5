//! The style: allowed by its hash, and readable in light and dark.

use super::*;

#[test]
fn only_the_style_in_the_page_is_allowed_by_its_hash() {
    let policy = CONTENT_SECURITY.to_str().unwrap();
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    assert!(policy.starts_with("default-src 'none'; "), "{policy}");
    assert!(
        policy.contains(&format!("style-src 'sha256-{hash}';")),
        "{policy}"
    );
    assert!(
        !policy.contains("script") && !policy.contains("unsafe"),
        "{policy}"
    );
}

/// The colours of a palette by their names: the light one, or the dark one.
fn palette(is_dark: bool) -> std::collections::HashMap<&'static str, [f64; 3]> {
    let mut palettes = STYLE.split(":root {").skip(1);
    let rules = palettes.nth(usize::from(is_dark)).unwrap();
    let rules = rules.split('}').next().unwrap();
    let colour = |line: &'static str| {
        let (name, value) = line.trim().strip_prefix("--")?.split_once(": #")?;
        let channel = |place: usize| {
            let value = u8::from_str_radix(&value[place..place + 2], 16).unwrap();
            let share = f64::from(value) / 255.0;
            // WCAG 2.2, relative luminance.
            if share <= 0.040_45 {
                share / 12.92
            } else {
                ((share + 0.055) / 1.055).powf(2.4)
            }
        };
        Some((name, [channel(0), channel(2), channel(4)]))
    };
    rules.lines().filter_map(colour).collect()
}

/// The contrast of two colours, from 1 to 21.
fn contrast(one: [f64; 3], other: [f64; 3]) -> f64 {
    let luminance = |[red, green, blue]: [f64; 3]| 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    let (one, other) = (luminance(one) + 0.05, luminance(other) + 0.05);
    one.max(other) / one.min(other)
}

#[test]
fn every_colour_of_text_can_be_read_on_what_it_stands_on_in_light_and_dark() {
    assert!((contrast([1.0; 3], [0.0; 3]) - 21.0).abs() < 1e-9);
    for is_dark in [false, true] {
        let palette = palette(is_dark);
        let check = |front: &str, back: &str, least: f64| {
            let contrast = contrast(palette[front], palette[back]);
            assert!(
                contrast >= least,
                "dark: {is_dark}, {front} on {back}: {contrast:.2}"
            );
        };
        for back in ["ground", "surface"] {
            for front in ["text", "quiet", "link", "good", "warn", "bad"] {
                check(front, back, 4.5);
            }
            // Marks need less than text.
            check("accent", back, 3.0);
        }
        for (front, back) in [
            ("bad", "bad-ground"),
            ("warn", "warn-ground"),
            ("surface", "link"),
        ] {
            check(front, back, 4.5);
        }
        for back in ["bad-ground", "warn-ground"] {
            check("text", back, 4.5);
            check("link", back, 4.5);
        }
        assert_eq!(palette.len(), 19);
    }
}
