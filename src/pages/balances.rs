//! Pure: balances as pages show them.

use super::figure::{Shown, Tile};
use crate::balance::Left;
use crate::balance::words as words_of;
use crate::exposition::BalanceSeries;
use crate::words;

/// A tile for each balance, those first that run out first.
pub(super) fn tiles(balances: &[BalanceSeries]) -> impl Iterator<Item = Tile> {
    let mut order: Vec<&BalanceSeries> = balances.iter().collect();
    let days = |balance: &BalanceSeries| {
        let left = balance.left.as_ref();
        left.and_then(Left::days_left).unwrap_or(f64::INFINITY)
    };
    order.sort_by(|one, other| days(one).total_cmp(&days(other)));
    order.into_iter().map(tile)
}

fn tile(balance: &BalanceSeries) -> Tile {
    let label = format!("Balance {}", balance.name);
    let Some(left) = &balance.left else {
        let why = "no set entry yet".to_owned();
        return Tile::credits(label, Shown::unknown(why.clone()), why);
    };
    let missing = left.standing.missing_days;
    let mut shown = Shown::credits(left.credits(), || "no agents yet".to_owned());
    let mut notes = Vec::new();
    if missing > 0 {
        shown.text = format!("≤ {}", shown.text);
        let missing = words::count(missing, "missing day", "missing days");
        notes.push(format!("{missing}: less may be left"));
    }
    notes.extend(words_of::lasting(left));
    notes.extend(words_of::correction(left));
    Tile::credits(label, shown, notes.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::tests::left;

    #[test]
    fn a_tile_says_what_is_left_how_long_that_lasts_and_by_how_much_the_last_set_was_off() {
        let balance = |left| BalanceSeries {
            name: "acme".into(),
            left,
            marks: Vec::new(),
        };
        let shown = |left| {
            let tile = tile(&balance(left));
            format!(
                "{}: {} {}: {}",
                tile.label, tile.shown.text, tile.unit, tile.note
            )
        };
        assert_eq!(
            shown(Some(left(0))),
            "Balance acme: 812 credits: enough for 9 days (7 to 12 days), until 9 Dec; 120 less than \
             expected on 1 Nov"
        );
        assert_eq!(
            shown(Some(left(2))),
            "Balance acme: ≤ 812 credits: two missing days: less may be left; enough for 9 days (7 to 12 days), \
             until 9 Dec; 120 less than expected on 1 Nov"
        );
        assert_eq!(shown(None), "Balance acme: – : no set entry yet");
        let mut long = left(0);
        (
            long.standing.exhausted_at,
            long.bounds,
            long.correction_credits,
        ) = (None, [None; 2], None);
        assert_eq!(
            shown(Some(long)),
            "Balance acme: 812 credits: enough for over a year"
        );
        let mut gone = left(0);
        gone.standing.used_credits = Some(1_100.0);
        gone.standing.exhausted_at = Some("2026-11-28T12:00:00Z".parse().unwrap());
        gone.correction_credits = None;
        assert_eq!(
            shown(Some(gone.clone())),
            "Balance acme: -100 credits: used up on 28 Nov"
        );
        let balances = [balance(None), balance(Some(left(0))), balance(Some(gone))];
        let texts: Vec<String> = tiles(&balances).map(|tile| tile.shown.text).collect();
        assert_eq!(texts, ["-100", "812", "–"]);
    }
}
