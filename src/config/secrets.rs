//! Where secrets may stand in a config file although they must not: what is never shown of it.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::file::KEYS;

/// Words that an inline key or another secret goes by, without case and punctuation.
const SECRET_WORDS: [&str; 9] = [
    "apikey",
    "authorization",
    "bearer",
    "credential",
    "key",
    "passwd",
    "password",
    "secret",
    "token",
];

/// Keys of which a part of the value may be secret, though they are no secrets themselves.
const DELICATE_KEYS: [&str; 3] = ["api_key_env", "api_key_file", "base_url"];

/// How files that hold a key are called.
const KEY_FILE_ENDS: [&str; 5] = [".key", ".pem", ".secret", ".token", ".txt"];

/// Whether an unknown key looks as if its value were a secret.
pub(super) fn is_secret_name(key: &str) -> bool {
    let word: String = key
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|character| character.to_ascii_lowercase())
        .collect();
    // A key of the file with a slip in it is no secret's name.
    let slip_of = |known: &str| strsim::damerau_levenshtein(&word, known) <= 2;
    if KEYS.contains(&key) || ["apikeyfile", "apikeyenv"].into_iter().any(slip_of) {
        return false;
    }
    SECRET_WORDS.into_iter().any(|secret| {
        word.contains(secret)
            || (secret.len() > 4 && strsim::damerau_levenshtein(&word, secret) <= 2)
    })
}

/// Whether this is certainly the name of a file and not a key that was pasted in its place.
///
/// Keys have slashes and dots in them too: base64 has the one, tokens have the other. So the path is
/// made of words, and either says where it starts or ends as files with keys do. What is a path and
/// does not look like one is only told without its name.
pub(super) fn looks_like_path(value: &str) -> bool {
    let of_words = value.split(['/', '.', '-', '_']).all(|word| {
        // Hidden files, `..` and the root have nothing before their dot or slash.
        word.is_empty() || is_word(word)
    });
    let from_somewhere = ["/", "./", "../"]
        .into_iter()
        .filter_map(|start| value.strip_prefix(start))
        .any(|rest| !rest.starts_with('/'));
    let in_folder = value.trim_start_matches('/').contains('/');
    let named_as_key = KEY_FILE_ENDS
        .into_iter()
        .any(|end| value.strip_suffix(end).is_some_and(|stem| !stem.is_empty()));
    of_words && (named_as_key || (from_somewhere && in_folder))
}

/// Whether this is the name of an environment variable and not a key that was pasted in its place.
pub(super) fn looks_like_variable(value: &str) -> bool {
    let capitals = value.bytes().all(|byte| !byte.is_ascii_lowercase());
    let digits = value.bytes().any(|byte| byte.is_ascii_digit());
    capitals && value.split('_').all(is_word) && (value.contains('_') || !digits)
}

/// Whether people may have written this: letters, all small, all capital or with one capital at the
/// beginning, and perhaps a small number at the end. Of what is drawn at random hardly anything is.
fn is_word(text: &str) -> bool {
    let letters = text.trim_end_matches(|last: char| last.is_ascii_digit());
    let small = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase());
    let capital = |text: &str| text.bytes().all(|byte| byte.is_ascii_uppercase());
    let cased = small(letters)
        || capital(letters)
        || (letters.is_char_boundary(1) && capital(&letters[..1]) && small(&letters[1..]));
    cased && !text.is_empty() && letters.len() <= 20 && text.len() - letters.len() <= 4
}

/// The secrets in a text that was read as `table`, and its comments: a key that was put out of use is
/// still a key.
pub(super) fn in_table(text: &str, table: &DeTable<'_>) -> Vec<Range<usize>> {
    let mut secrets = Vec::new();
    collect(text, table, &mut secrets);
    let mut written = Vec::new();
    texts(table, &mut written);
    comments(text, written, &mut secrets);
    secrets
}

/// Adds the places of all keys and strings, in which a `#` is no comment.
fn texts(table: &DeTable<'_>, places: &mut Vec<Range<usize>>) {
    for (key, value) in table {
        places.push(key.span());
        texts_in_value(value, places);
    }
}

fn texts_in_value(value: &Spanned<DeValue<'_>>, places: &mut Vec<Range<usize>>) {
    match value.get_ref() {
        DeValue::String(_) => places.push(value.span()),
        DeValue::Array(elements) => {
            for element in elements.iter() {
                texts_in_value(element, places);
            }
        }
        DeValue::Table(inner) => texts(inner, places),
        _ => {}
    }
}

/// Adds what follows each `#` that stands in none of the `texts`, to the end of its line.
fn comments(text: &str, mut texts: Vec<Range<usize>>, secrets: &mut Vec<Range<usize>>) {
    texts.sort_by_key(|place| place.start);
    let mut texts = texts.into_iter().peekable();
    let mut at = 0;
    while let Some(found) = text[at..].find('#') {
        let mark = at + found;
        while texts.next_if(|place| place.end <= mark).is_some() {}
        at = match texts.peek().filter(|place| place.contains(&mark)) {
            Some(place) => place.end,
            None => {
                let end = text[mark..]
                    .find('\n')
                    .map_or(text.len(), |line| mark + line);
                secrets.push(mark + 1..end);
                end
            }
        };
    }
}

fn collect(text: &str, table: &DeTable<'_>, secrets: &mut Vec<Range<usize>>) {
    for (key, value) in table {
        if hides(key.get_ref(), value.get_ref()) {
            of_value(text, value, secrets);
            continue;
        }
        match value.get_ref() {
            DeValue::Table(inner) => collect(text, inner, secrets),
            DeValue::Array(elements) => {
                for inner in elements.iter().filter_map(|e| e.get_ref().as_table()) {
                    collect(text, inner, secrets);
                }
            }
            _ => {}
        }
    }
}

fn hides(key: &str, value: &DeValue<'_>) -> bool {
    match (key, value.as_str()) {
        ("api_key_file", Some(value)) => !looks_like_path(value),
        ("api_key_env", Some(value)) => !looks_like_variable(value),
        // Neither text nor in its place: it may be anything.
        (key, None) if DELICATE_KEYS.contains(&key) => true,
        // User and password stand before an @, keys in queries and fragments.
        ("base_url", Some(value)) => value.contains(['@', '?', '#']),
        _ => is_secret_name(key),
    }
}

/// Adds the place of `value`, or of everything in it.
pub(super) fn of_value(text: &str, value: &Spanned<DeValue<'_>>, secrets: &mut Vec<Range<usize>>) {
    let place = value.span();
    let written = text.get(place.clone()).unwrap_or_default();
    match value.get_ref() {
        // A table's place is its header; only an inline one stands there whole.
        DeValue::Table(table) if !written.starts_with('{') => {
            for (_, inner) in table {
                of_value(text, inner, secrets);
            }
        }
        DeValue::Array(elements) => {
            for element in elements.iter() {
                of_value(text, element, secrets);
            }
        }
        // The quotes stay, so that the line still reads as TOML.
        DeValue::String(_) if place.len() >= 2 => secrets.push(place.start + 1..place.end - 1),
        _ => secrets.push(place),
    }
}

/// What to hide of a text that is no TOML: all but headers, keys that the file may have, and values
/// that stand alone in their line beside such a key.
pub(super) fn in_broken_text(text: &str) -> Vec<Range<usize>> {
    let mut start = 0;
    text.split_inclusive('\n')
        .map(|line| {
            let shown = shown_length(line.trim_end());
            let hidden = start + shown..start + line.trim_end().len();
            start += line.len();
            hidden
        })
        .collect()
}

/// How many bytes of a line of broken TOML may be shown, from its beginning.
fn shown_length(line: &str) -> usize {
    let indent = line.len() - line.trim_start().len();
    if line.trim_start().starts_with('[') {
        let mut words = line
            .split(|character: char| "[]. \t".contains(character))
            .filter(|word| !word.is_empty());
        return if words.all(|word| KEYS.contains(&word)) {
            line.len()
        } else {
            indent
        };
    }
    match line.split_once('=') {
        Some((key, value)) if KEYS.contains(&key.trim()) => {
            if value.contains('=') || DELICATE_KEYS.contains(&key.trim()) {
                line.len() - value.trim_start().len()
            } else {
                line.len()
            }
        }
        _ => indent,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_of_secrets_are_known_in_many_spellings() {
        for name in [
            "api_key",
            "apikey",
            "api-key",
            "API_KEY",
            "ApiKey",
            "apikye",
            "key",
            "token",
            "tokn",
            "secret",
            "secert",
            "password",
            "authorization",
            "bearer",
            "flowgent_api_key",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in KEYS.into_iter().chain([
            "api_key_flie",
            "api_key_files",
            "apikeyenv",
            "nmae",
            "labls",
            "agents",
        ]) {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn a_pasted_key_looks_like_neither_a_file_nor_a_variable() {
        for key in [
            "fg3kD9a0Zq",
            "66a72b17cb034397ab2a1eef13847737",
            "sk-canary",
            "AB12CD34",
            "",
        ] {
            assert!(!looks_like_path(key) && !looks_like_variable(key), "{key}");
        }
        assert!(looks_like_variable("ACME_KEY") && looks_like_variable("KEY2_ACME"));
    }

    #[test]
    fn a_mistyped_path_is_still_a_path() {
        for path in [
            "acme.key",
            "acme-2.key",
            "keys/acme.token",
            "../files/no-such.key",
            "/etc/flowgent-exporter/acme.key",
            "/etc/flowgent-exprter/Acme_EU.kye",
            "/run/secrets/acme_api_key",
            "./secrets/acme",
            "../files",
            "/home/acme/.config/flowgent.d/key",
        ] {
            assert!(looks_like_path(path), "{path}");
        }
        for unclear in [
            "acme",
            "/acme",
            "//acme",
            ".key",
            "keys/acme",
            "acme.live",
            "acme.key=",
            "/etc/keys/c2VjcmV0",
            "/etc/keys/été.key",
        ] {
            assert!(!looks_like_path(unclear), "{unclear}");
        }
    }

    proptest! {
        #[test]
        fn no_key_of_a_usual_alphabet_looks_like_a_path_or_a_variable(
            key in prop_oneof![
                "[A-Za-z0-9+/]{20,64}={0,2}",
                "/[A-Za-z0-9+/]{20,64}",
                "[A-Za-z0-9_-]{20,64}",
                "(sk|fg)[-_.](live|test)[-_.][A-Za-z0-9]{20,64}",
                "eyJ[A-Za-z0-9_-]{10,20}[.]eyJ[A-Za-z0-9_-]{10,20}[.][A-Za-z0-9_-]{10,20}",
                "[a-z0-9]{10,30}[.][a-z0-9]{10,30}",
                "[0-9a-f]{32,64}",
                "[A-Z2-7]{32,64}",
            ],
        ) {
            prop_assert!(!looks_like_path(&key) && !looks_like_variable(&key), "{}", key);
        }
    }

    #[test]
    fn comments_are_hidden_but_not_what_looks_like_one() {
        let text =
            "# one\nname = \"a#b\" # two\n'x#y' = '''\n# no\n''' #\nlist = [ # three\n 1 ] # four";
        let mut secrets = in_table(text, DeTable::parse(text).unwrap().get_ref());
        secrets.sort_by_key(|place| place.start);
        let hidden: Vec<_> = secrets.into_iter().map(|place| &text[place]).collect();
        assert_eq!(hidden, [" one", " two", "", " three", " four"]);
    }

    #[test]
    fn of_broken_toml_only_what_is_known_is_shown() {
        let shown = |line: &str| line[..shown_length(line)].to_owned();
        for line in [
            "[server",
            "[[account.agent]",
            "timeout = 30s",
            " listen = [127.0.0.1:1]",
        ] {
            assert_eq!(shown(line), line);
        }
        assert_eq!(shown("api_key_file = canary"), "api_key_file = ");
        assert_eq!(shown("base_url = canary"), "base_url = ");
        assert_eq!(shown("account = [{ api_key = \"canary\" ]"), "account = ");
        assert_eq!(shown("api_key = canary"), "");
        assert_eq!(shown("  canary"), "  ");
        assert_eq!(shown("[\"canary\"]"), "");
        assert_eq!(shown("Y2FuYXJ5PQ=="), "");
        assert_eq!(shown("# api_key = canary"), "");
    }
}
