//! Pure: the word that was probably meant by one that is not known.

/// The most letters of a word that is compared with others: comparing takes as long as both lengths
/// multiplied, and words come from clients.
const MOST_LETTERS: usize = 100;

/// The known word that was probably meant by `word`; none if nothing comes near it, or if it is longer
/// than what people type.
#[must_use]
pub fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    if word.chars().nth(MOST_LETTERS).is_some() {
        return None;
    }
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let word = plain(word);
    let letters = word.chars().count();
    let near = |candidate: &str| {
        let candidate = plain(candidate);
        let most = most_mistakes(letters, candidate.chars().count())?;
        let mistakes = strsim::damerau_levenshtein(&word, &candidate);
        (mistakes <= most).then_some(mistakes)
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

/// Number of mistakes forgiven between words of these lengths; none if they need not be compared
/// letter by letter, because their lengths alone make more.
fn most_mistakes(letters: usize, others: usize) -> Option<usize> {
    // One mistake in three letters: more would suggest what nobody meant.
    let most = letters.max(others) / 3;
    (letters.abs_diff(others) <= most).then_some(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_very_different_lengths_are_not_compared_whatever_their_letters_take() {
        let letters = |word: &str| word.chars().count();
        for (word, known, most) in [
            ("suport", "support", Some(2)),
            ("sup", "support", None),
            ("😀😀😀😀😀😀", "😀", None),
            ("😀😀😀", "support", None),
            ("", "", Some(0)),
        ] {
            assert_eq!(most_mistakes(letters(word), letters(known)), most, "{word}");
            assert_eq!(most_mistakes(letters(known), letters(word)), most, "{word}");
        }
    }

    #[test]
    fn nothing_is_suggested_for_a_word_longer_than_anybody_types() {
        for letter in ["x", "😀"] {
            let longest = letter.repeat(MOST_LETTERS);
            let longer = letter.repeat(MOST_LETTERS + 1);
            assert_eq!(nearest(&longest, &[&longest]), Some(&*longest));
            assert_eq!(nearest(&longer, &[&longest, &longer]), None);
        }
        let endless = format!("support{}", "😀".repeat(3000));
        assert_eq!(nearest(&endless, &["support"]), None);
    }

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
