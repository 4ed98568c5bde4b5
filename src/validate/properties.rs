//! Whatever bytes come, nothing panics, and what is accepted keeps every promise.
//!
//! Each case is drawn from its number as a seed, so that a failure names the one number that repeats it.

use fastrand::Rng;
use serde_json::{Value, json};

use super::*;
use crate::flowgent::client::parse;

const AGENT: &str = "66a72b17-cb03-4397-ab2a-1eef13847737";

fn window(rng: &mut Rng) -> Window {
    let today = TRACKING_START.plus(500);
    let length = if rng.bool() {
        rng.i32(1..5)
    } else {
        rng.i32(1..=MAX_DAYS)
    };
    let end = TRACKING_START.plus(rng.i32(-40..500));
    Window::new(end.plus(1 - length), end, today).unwrap()
}

/// Quarters sum up exactly, so that a valid answer is valid whatever the order of its days.
fn credits(rng: &mut Rng, day: Day) -> f64 {
    let quarters = if rng.bool() { 0 } else { rng.u32(0..400_000) };
    if day < TRACKING_START {
        0.0
    } else {
        f64::from(quarters) / 4.0
    }
}

fn valid(rng: &mut Rng, window: &Window) -> Value {
    let days: Vec<_> = window
        .days()
        .rev()
        .map(|day| (day.to_string(), credits(rng, day)))
        .collect();
    json!({
        "agent_id": AGENT,
        "time_range": {
            "start": format!("{}T00:00:00.000Z", window.start()),
            "end": format!("{}T23:59:59.999Z", window.end()),
        },
        "usage": {
            "total_credits_used": days.iter().map(|(_, credits)| credits).sum::<f64>(),
            "daily_breakdown": days.iter().map(|(date, credits)| json!({
                "date": date,
                "credits_used": credits,
            })).collect::<Vec<_>>(),
        },
        // Something that damage may hit without doing any.
        "note": "x".repeat(300),
    })
}

/// Parses and judges the bytes as the sync does; whether they were accepted.
fn judge(case: u64, asked: &Window, body: &[u8]) -> bool {
    let judged =
        parse::<UsageAnswer>(body).and_then(|answer| Ok((rows(asked, AGENT, &answer)?, answer)));
    let (accepted, answer) = match judged {
        Ok(accepted) => accepted,
        Err(error) => {
            let text = error.to_string();
            assert!(
                text.len() < 400,
                "case {case}: {} bytes of error",
                text.len()
            );
            assert!(!text.contains(char::is_control), "case {case}: {text:?}");
            return false;
        }
    };
    let Accepted { rows, missing } = accepted;
    assert_eq!(answer.agent_id, AGENT, "case {case}");
    for row in &rows {
        let credits = row.credits;
        assert!(asked.contains(row.day), "case {case}: {}", row.day);
        assert!(
            (0.0..=MOST_CREDITS).contains(&credits),
            "case {case}: {credits}"
        );
        assert!(credits.is_sign_positive(), "case {case}: {credits}");
        assert!(credits == 0.0 || row.day >= TRACKING_START, "case {case}");
    }
    assert!(rows.is_sorted_by(|a, b| a.day < b.day), "case {case}");
    let mut days: Vec<_> = rows.iter().map(|row| row.day).chain(missing).collect();
    days.sort();
    assert!(
        days.iter().copied().eq(asked.days()),
        "case {case}: {days:?}"
    );
    let sum: f64 = rows.iter().map(|row| row.credits).sum();
    let total = answer.usage.total_credits_used;
    assert!(
        (total - sum).abs() <= 1e-6 * total.max(sum)
            || is_rounded(total, sum, rows.iter().map(|row| &row.credits)),
        "case {case}: {total} {sum}"
    );
    true
}

#[test]
fn arbitrary_bytes_are_never_accepted() {
    for case in 0..40_000 {
        let mut rng = Rng::with_seed(case);
        let asked = window(&mut rng);
        let mut body = vec![0; rng.usize(0..200)];
        rng.fill(&mut body);
        if rng.bool() {
            // Half of them out of the letters that JSON is made of, to get further into the parser.
            for byte in &mut body {
                *byte = b"{}[]\",:\\ue019.-+ntrfalsx \xc3\xa9"[usize::from(*byte) % 27];
            }
        }
        assert!(!judge(case, &asked, &body), "case {case}");
    }
}

#[test]
fn a_damaged_answer_is_rejected_or_still_keeps_every_promise() {
    let (mut accepted, mut rejected) = (0, 0);
    for case in 0..40_000 {
        let mut rng = Rng::with_seed(case);
        let asked = window(&mut rng);
        let mut body = valid(&mut rng, &asked).to_string().into_bytes();
        for _ in 0..rng.usize(1..4) {
            let at = rng.usize(0..body.len());
            match rng.u8(0..5) {
                0 => body[at] ^= 1 << rng.u8(0..8),
                1 => body[at] = rng.u8(..),
                2 => body.insert(at, rng.u8(b' '..=b'~')),
                3 => drop(body.remove(at)),
                _ => body.truncate(at.max(8)),
            }
        }
        match judge(case, &asked, &body) {
            true => accepted += 1,
            false => rejected += 1,
        }
    }
    assert!(accepted > 100 && rejected > 10_000, "{accepted} {rejected}");
}

/// Changes one thing of an answer that stays an answer.
fn mutate(rng: &mut Rng, asked: &Window, answer: &mut Value) {
    let odd = [-1.0, -0.0, 0.5, 1e12, 1.1e12, 1e300, 5e-324];
    let figure = odd[rng.usize(0..odd.len())];
    let usage = &mut answer["usage"];
    let total = usage["total_credits_used"].as_f64().unwrap_or(0.0);
    let days = usage["daily_breakdown"].as_array_mut().unwrap();
    let at = rng.usize(0..days.len().max(1));
    match rng.u8(0..11) {
        0 => rng.shuffle(days),
        1 if at < days.len() => days.push(days[at].clone()),
        2 if at < days.len() => drop(days.remove(at)),
        3 if at < days.len() => days[at]["credits_used"] = json!(figure),
        4 if at < days.len() => {
            let other = asked.start().plus(rng.i32(-2..40));
            days[at]["date"] = json!(other.to_string());
        }
        5 => {
            let left: f64 = days
                .iter()
                .filter_map(|day| day["credits_used"].as_f64())
                .sum();
            usage["total_credits_used"] = json!(left);
        }
        6 => usage["total_credits_used"] = json!(total + figure),
        7 => {
            answer["time_range"]["end"] =
                json!(format!("{}T23:59:59Z", asked.end().plus(rng.i32(-1..2))))
        }
        8 => answer["note"] = json!("x".repeat(rng.usize(0..50))),
        9 => answer["agent_id"] = json!(["other", AGENT][rng.usize(0..2)]),
        _ => answer["usage"]["extra"] = json!({"credits_used": figure}),
    }
}

#[test]
fn a_changed_answer_is_rejected_or_still_keeps_every_promise() {
    let (mut accepted, mut rejected) = (0, 0);
    for case in 0..40_000 {
        let mut rng = Rng::with_seed(case);
        let asked = window(&mut rng);
        let mut answer = valid(&mut rng, &asked);
        for _ in 0..rng.usize(0..4) {
            mutate(&mut rng, &asked, &mut answer);
        }
        match judge(case, &asked, answer.to_string().as_bytes()) {
            true => accepted += 1,
            false => rejected += 1,
        }
    }
    assert!(
        accepted > 10_000 && rejected > 10_000,
        "{accepted} {rejected}"
    );
}
