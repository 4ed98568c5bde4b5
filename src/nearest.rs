//! Pure: the word that was probably meant by one that is not known.

/// The known word that was probably meant by `word`; none if nothing comes near it.
#[must_use]
pub fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let word = plain(word);
    // One mistake in three letters: more would suggest what nobody meant.
    let near = |candidate: &str| {
        // Texts of very different lengths need not be compared letter by letter.
        let longer = candidate.len().max(word.len());
        if candidate.chars().count().abs_diff(word.chars().count()) * 3 > longer {
            return None;
        }
        let mistakes = strsim::damerau_levenshtein(&word, &plain(candidate));
        (mistakes * 3 <= longer).then_some(mistakes)
    };
    let by_spelling = known
        .iter()
        .filter_map(|candidate| near(candidate).map(|mistakes| (mistakes, *candidate)))
        .min();
    let by_beginning = || {
        known
            .iter()
            .filter(|candidate| candidate.len().min(word.len()) >= 3)
            .find(|candidate| {
                let candidate = plain(candidate);
                candidate.starts_with(&word) || word.starts_with(&candidate)
            })
    };
    by_spelling
        .map(|(_, candidate)| candidate)
        .or_else(|| by_beginning().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_word_is_suggested_and_a_far_one_is_not() {
        let known = [
            "base_url",
            "timeout",
            "requests_per_second",
            "concurrency",
            "Ops",
        ];
        for (word, near) in [
            ("base_uri", Some("base_url")),
            ("BASE-URL", Some("base_url")),
            ("timout", Some("timeout")),
            ("timeout_seconds", Some("timeout")),
            ("requests", Some("requests_per_second")),
            ("opps", Some("Ops")),
            ("retries", None),
            ("url", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, &known), near, "{word}");
        }
    }
}
