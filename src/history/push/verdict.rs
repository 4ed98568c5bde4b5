//! Pure: what an answer to a write means. Databases tell by words why they refuse a sample, and by their
//! statuses not always the same.

/// Words that stand between "out of order" and what is so.
const FILLERS: [&str; 8] = ["are", "is", "name", "names", "pairs", "set", "sets", "were"];

/// Why nothing was taken of a request, or not all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It may be taken later on.
    Later,
    /// A series or a sample in it is at fault.
    Malformed,
    /// There is another value at the same instant already.
    Duplicate,
    /// No samples of that age are taken.
    TooOld,
    /// Nothing is taken for as long as nobody changes something.
    Refused,
}

/// Meaning of an answer that is no success, or of none; `said` is its body.
pub(super) fn verdict(status: Option<u16>, said: &str) -> Verdict {
    let Some(status) = status else {
        return Verdict::Later;
    };
    let said = said.to_lowercase().replace(['-', '_'], " ");
    let says = |words: &str| said.contains(words);
    // An older Prometheus answers 500 to this one: https://github.com/prometheus/prometheus/pull/13335.
    if says("too old sample") {
        return Verdict::TooOld;
    }
    if (400..500).contains(&status) {
        // The words of Prometheus, then those of Mimir.
        if says("duplicate sample") || says("duplicate timestamp") {
            return Verdict::Duplicate;
        }
        if is_out_of_order(&said)
            || says("out of bounds")
            || says("timestamp too old")
            || says("timestamp is too old")
            || says("too far in past")
            || says("too far in the past")
        {
            return Verdict::TooOld;
        }
    }
    match status {
        // A success that is none of the database's own, such as a portal's page.
        200..300 => Verdict::Later,
        // Request Timeout, Too Many Requests, and everything that went wrong on the other side.
        408 | 429 | 500.. => Verdict::Later,
        // Bad Request, Conflict, Content Too Large, Unprocessable Content.
        400 | 409 | 413 | 422 => Verdict::Malformed,
        _ => Verdict::Refused,
    }
}

/// Returns true if samples came out of order, and not the names of labels.
fn is_out_of_order(said: &str) -> bool {
    let words: Vec<&str> = said
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    let mut places = words.windows(3).enumerate();
    places.any(|(place, three)| {
        let before = &words[..place];
        let speaks_of = |what: &str| before.iter().any(|word| word.starts_with(what));
        let nearest = before.iter().rev().find(|word| !FILLERS.contains(word));
        let is_of_labels = match (words.get(place + 3), nearest) {
            (Some(next), _) if next.starts_with("sample") => false,
            (Some(next), _) if next.starts_with("label") => true,
            (_, Some(subject)) if subject.starts_with("label") => true,
            _ => speaks_of("label") && !speaks_of("sample"),
        };
        three == ["out", "of", "order"] && !is_of_labels
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_and_words_tell_what_to_do() {
        for (status, said, expected) in [
            (200, "<html>", Verdict::Later),
            (500, "", Verdict::Later),
            (502, "index out of bounds", Verdict::Later),
            (503, "", Verdict::Later),
            (429, "the request has been rejected", Verdict::Later),
            (408, "", Verdict::Later),
            (400, "out of order sample\n", Verdict::TooOld),
            (400, "out of bounds", Verdict::TooOld),
            (409, "", Verdict::Malformed),
            (409, "conflict", Verdict::Malformed),
            (409, "out of order labels", Verdict::Malformed),
            (
                409,
                "store locally: the label names of series a{b=\"c\"} are out-of-order",
                Verdict::Malformed,
            ),
            (400, "label set not in order", Verdict::Malformed),
            (
                400,
                "invalid sample: label names out of order",
                Verdict::Malformed,
            ),
            (
                400,
                "out of order sample: labels {label=\"x\"}; labels out of order",
                Verdict::TooOld,
            ),
            (
                400,
                "the sample has been rejected because another sample of label a is out of order",
                Verdict::TooOld,
            ),
            (400, "too old sample", Verdict::TooOld),
            (500, "too old sample\n", Verdict::TooOld),
            (
                400,
                "failed pushing to ingester: user=anonymous: the sample has been rejected because \
                 its timestamp is too old (err-mimir-sample-timestamp-too-old).",
                Verdict::TooOld,
            ),
            (
                400,
                "out-of-order samples are not allowed (err-mimir-sample-out-of-order)",
                Verdict::TooOld,
            ),
            (409, "store locally: out of order sample", Verdict::TooOld),
            (400, "duplicate sample for timestamp\n", Verdict::Duplicate),
            (
                400,
                "another sample with the same timestamp (err-mimir-sample-duplicate-timestamp)",
                Verdict::Duplicate,
            ),
            (
                400,
                "received a series whose label value length exceeds the limit",
                Verdict::Malformed,
            ),
            (413, "", Verdict::Malformed),
            (422, "", Verdict::Malformed),
            (401, "", Verdict::Refused),
            (403, "", Verdict::Refused),
            (
                404,
                "remote write receiver needs to be enabled",
                Verdict::Refused,
            ),
            (301, "", Verdict::Refused),
        ] {
            assert_eq!(verdict(Some(status), said), expected, "{status} {said}");
        }
        assert_eq!(verdict(None, ""), Verdict::Later);
    }
}
