//! Pure: a report as data for other programs, where nothing is cut, rounded or marked: credits that are
//! not wholly known are absent, and what is known of them stands beside.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::balance::Left;
use crate::csv;
use crate::sheet::{Grouping, Sheet, Subject, Sums};
use crate::tabulate::Amount;
use crate::window::Range;

/// A line for each row and bucket. Of agents, the last column says which have left.
pub(super) fn csv(sheet: &Sheet) -> String {
    let mut text = String::new();
    let (subject, last): (&[&str], &[&str]) = match &sheet.grouping {
        Grouping::Agent => (&["account", "agent"], &["former"]),
        Grouping::Account => (&["account"], &[]),
        Grouping::Label(name) => (&[name], &[]),
    };
    csv::push_line(
        &mut text,
        subject.iter().chain(&Amount::COLUMNS).chain(last),
    );
    for row in &sheet.rows {
        let (subject, last): (&[&str], &[&str]) = match &row.subject {
            Subject::Agent {
                account,
                agent,
                former,
            } => (&[account, agent], &[csv::truth(former.is_some())]),
            Subject::Account(account) => (&[account], &[]),
            Subject::Label(value) => (&[value], &[]),
        };
        for (bucket, amount) in sheet.buckets.iter().zip(&row.sums.buckets) {
            let figures = amount.columns(*bucket);
            let cells = subject
                .iter()
                .copied()
                .chain(figures.iter().map(String::as_str));
            csv::push_line(&mut text, cells.chain(last.iter().copied()));
        }
    }
    text
}

/// All of it in one object.
pub(super) fn json(sheet: &Sheet, balances: &[(Arc<str>, Left)]) -> String {
    let rows = sheet.rows.iter().map(|row| {
        let mut json = match &row.subject {
            Subject::Agent {
                account,
                agent,
                former,
            } => json!({"account": &**account, "agent": &**agent, "former": former.is_some()}),
            Subject::Account(account) => json!({"account": &**account}),
            Subject::Label(value) => json!({"label": sheet.grouping.title(), "value": value}),
        };
        add_sums(&mut json, &row.sums, sheet);
        json
    });
    let mut total = json!({});
    add_sums(&mut total, &sheet.total, sheet);
    let before = sheet.before;
    let all = json!({
        "start": sheet.range.start().to_string(),
        "end": sheet.range.end().to_string(),
        "step": sheet.step.as_str(),
        "previous": {"start": before.start().to_string(), "end": before.end().to_string()},
        "rows": rows.collect::<Vec<Value>>(),
        "total": total,
        "balances": balances.iter().map(left).collect::<Vec<Value>>(),
    });
    format!("{all:#}\n")
}

/// A balance by the names of the API.
fn left((name, left): &(Arc<str>, Left)) -> Value {
    let [low_days_left, high_days_left] = left.days_left_bounds();
    json!({
        "balance": &**name,
        "credits": left.credits(),
        "missing_days": left.standing.missing_days,
        "correction_credits": left.correction_credits,
        "days_left": left.days_left(),
        "low_days_left": low_days_left,
        "high_days_left": high_days_left,
        "exhausted_at": left.standing.exhausted_at,
    })
}

fn add_sums(json: &mut Value, sums: &Sums, sheet: &Sheet) {
    let bucket = |(bucket, amount): (&Range, &Amount)| {
        let mut json = json!(amount);
        json["start"] = bucket.start().to_string().into();
        json["end"] = bucket.end().to_string().into();
        json
    };
    let buckets = sheet.buckets.iter().zip(&sums.buckets).map(bucket);
    json["whole"] = json!(sums.whole);
    json["previous"] = json!(sums.before);
    json["share_ratio"] = sums.share_of(&sheet.total).into();
    json["change_ratio"] = sums.change().into();
    json["buckets"] = buckets.collect();
}
