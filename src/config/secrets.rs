//! Parts of a config file that are never shown, because secrets may have been written there by mistake.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::LazyLock;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

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

/// The two keys by which a secret may be named.
pub(super) struct SecretKeys {
    /// The key that names a file, or several.
    pub(super) file: &'static str,
    /// The key that names an environment variable, or several.
    pub(super) variable: &'static str,
    /// The secret in a word or two.
    pub(super) what: &'static str,
}

const fn keys(file: &'static str, variable: &'static str, what: &'static str) -> SecretKeys {
    SecretKeys {
        file,
        variable,
        what,
    }
}

pub(super) const API_KEY: SecretKeys = keys("api_key_file", "api_key_env", "key");
pub(super) const URL: SecretKeys = keys("url_file", "url_env", "URL");
pub(super) const FAILURE_URL: SecretKeys =
    keys("failure_url_file", "failure_url_env", "failure URL");
pub(super) const WRITE_URL: SecretKeys = keys("write_url_file", "write_url_env", "URL");
pub(super) const SIGNING_SECRET: SecretKeys = keys("secret_files", "secret_envs", "secret");
pub(super) const ROUTING_KEY: SecretKeys =
    keys("routing_key_file", "routing_key_env", "routing key");
pub(super) const BEARER_TOKEN: SecretKeys = keys("bearer_token_file", "bearer_token_env", "token");
pub(super) const PASSWORD: SecretKeys = keys("password_file", "password_env", "password");
pub(super) const TOKEN: SecretKeys = keys("token_file", "token_env", "token");

/// All of them.
const SECRETS: [SecretKeys; 9] = [
    API_KEY,
    URL,
    FAILURE_URL,
    WRITE_URL,
    SIGNING_SECRET,
    ROUTING_KEY,
    BEARER_TOKEN,
    PASSWORD,
    TOKEN,
];

/// The reference of all keys, which explains each.
const REFERENCE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/config.toml"));

/// Every word that the reference uses as a key, so that a line of a broken file can be told from a secret.
pub(super) static KEYS: LazyLock<BTreeSet<&'static str>> = LazyLock::new(|| {
    let ends = REFERENCE
        .match_indices(" = ")
        .chain(REFERENCE.match_indices(']'));
    let last_word = |(end, _)| {
        REFERENCE[..end]
            .rsplit(|c: char| !(c.is_ascii_lowercase() || c == '_'))
            .next()
    };
    ends.filter_map(last_word)
        .filter(|word| !word.is_empty())
        .collect()
});

/// Keys of URLs and hosts: user and password stand before an @, keys in queries and fragments.
const URL_KEYS: [&str; 7] = [
    "base_url",
    "dashboard_url",
    "host",
    "proxy",
    "query_url",
    "urls",
    "write_url",
];

/// The keys of programs and their arguments, which people give tokens to.
const COMMAND_KEYS: [&str; 2] = ["command", "token_command"];

/// Endings of names of files that hold a key.
const KEY_FILE_ENDS: [&str; 7] = [
    ".key",
    ".password",
    ".pem",
    ".secret",
    ".token",
    ".txt",
    ".url",
];

/// Returns true if an unknown key looks as if its value were a secret.
pub(super) fn is_secret_name(key: &str) -> bool {
    let word = bare(key);
    let is_slip = slip_of(&word);
    // A key of the file with a slip in it is no secret's name.
    if KEYS.contains(key)
        || SECRETS
            .iter()
            .any(|keys| is_slip(keys.file) || is_slip(keys.variable))
        || COMMAND_KEYS.into_iter().any(is_slip)
    {
        return false;
    }
    SECRET_WORDS.into_iter().any(|secret| {
        word.contains(secret)
            || (secret.len() > 4 && strsim::damerau_levenshtein(&word, secret) <= 2)
    })
}

/// Returns true if an unknown key looks as if its value were the URL of a webhook, which is one secret as a whole.
pub(super) fn is_url_name(key: &str) -> bool {
    let word = bare(key);
    let url = word.ends_with("url") || word.ends_with("uri") || word.contains("webhook");
    // A slip in the key of a URL that is no secret is told as such.
    let others = KEYS
        .iter()
        .filter(|known| known.contains("_url") || known.contains("url_"));
    url && !KEYS.contains(key) && !others.copied().any(slip_of(&word))
}

/// The keys among the `known` ones that a table has instead for a secret of that name; none if it has no secret.
pub(super) fn keys_instead(key: &str, known: &[&str]) -> Option<&'static SecretKeys> {
    let word = bare(key);
    let has = |parts: &[&str]| parts.iter().any(|part| word.contains(part));
    let nearest: &[&SecretKeys] = if has(&["pass"]) {
        &[&PASSWORD]
    } else if has(&["routing", "integration"]) {
        &[&ROUTING_KEY]
    } else if has(&["token", "bearer", "authorization"]) {
        &[&BEARER_TOKEN, &TOKEN]
    } else if is_url_name(key) {
        &[&URL]
    } else {
        &[]
    };
    let usual = [&SIGNING_SECRET, &BEARER_TOKEN];
    let all = nearest.iter().copied().chain(usual).chain(&SECRETS);
    let mut all = all.filter(|keys| known.contains(&keys.file));
    all.next()
}

/// A key without case and punctuation.
fn bare(key: &str) -> String {
    key.chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|character| character.to_ascii_lowercase())
        .collect()
}

/// Returns true for a known key of which `word` is a misspelling.
fn slip_of(word: &str) -> impl Fn(&str) -> bool {
    |known| strsim::damerau_levenshtein(word, &bare(known)) <= 2
}

fn is_file_key(key: &str) -> bool {
    SECRETS.iter().any(|keys| keys.file == key)
}

fn is_variable_key(key: &str) -> bool {
    SECRETS.iter().any(|keys| keys.variable == key)
}

fn is_delicate(key: &str) -> bool {
    COMMAND_KEYS.contains(&key)
        || is_file_key(key)
        || is_variable_key(key)
        || URL_KEYS.contains(&key)
}

/// Returns true if this is certainly the name of a file and not a key that was pasted in its place.
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

/// Returns true if this is the name of an environment variable and not a key that was pasted in its place.
pub(super) fn looks_like_variable(value: &str) -> bool {
    let capitals = value.bytes().all(|byte| !byte.is_ascii_lowercase());
    let digits = value.bytes().any(|byte| byte.is_ascii_digit());
    let words = value.split('_');
    capitals
        && words.clone().all(is_word)
        && words.clone().all(can_be_spoken)
        && words.clone().any(|word| {
            VARIABLE_WORDS.contains(&word.trim_end_matches(|c: char| c.is_ascii_digit()))
        })
        && (value.contains('_') || !digits)
}

/// Words in names of variables that hold a secret. A key has one of these only by chance.
const VARIABLE_WORDS: [&str; 20] = [
    "KEY",
    "KEYS",
    "APIKEY",
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "PASS",
    "PWD",
    "URL",
    "URI",
    "WEBHOOK",
    "HOOK",
    "ROUTING",
    "AUTH",
    "BEARER",
    "CREDENTIAL",
    "CREDENTIALS",
    "SMTP",
    "FLOWGENT",
];

/// Returns true if a word in capitals can be pronounced: it has no long row of consonants.
fn can_be_spoken(word: &str) -> bool {
    let is_vowel = |letter: char| "AEIOUY".contains(letter);
    word.len() <= 14 && word.split(is_vowel).all(|consonants| consonants.len() <= 4)
}

/// Returns true if people may have written this: letters, all small, all capital or with one capital at the
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
        match value.get_ref() {
            DeValue::Array(elements) if is_delicate(key.get_ref()) => {
                for (place, element) in elements.iter().enumerate() {
                    let argument = COMMAND_KEYS.contains(&&**key.get_ref()) && place > 0;
                    if argument || hides(key.get_ref(), element.get_ref()) {
                        of_value(text, element, secrets);
                    }
                }
            }
            inner if hides(key.get_ref(), inner) => of_value(text, value, secrets),
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
    match value.as_str() {
        // Neither text nor in its place: it may be anything.
        None if is_delicate(key) => true,
        Some(value) if is_file_key(key) => !looks_like_path(value),
        Some(value) if is_variable_key(key) => !looks_like_variable(value),
        Some(value) if URL_KEYS.contains(&key) => value.contains(['@', '?', '#']),
        // Perhaps a token in place of the program that prints one.
        Some(value) if key == "token_command" => !looks_like_path(value),
        // A whole line for a shell, with its arguments.
        Some(value) if COMMAND_KEYS.contains(&key) => value.contains(char::is_whitespace),
        _ => is_secret_name(key) || is_url_name(key),
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

/// Hides of a text that is no TOML all but headers, keys that the file may have, and values
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

/// Number of bytes of a line of broken TOML that may be shown, from its beginning.
fn shown_length(line: &str) -> usize {
    let indent = line.len() - line.trim_start().len();
    if line.trim_start().starts_with('[') {
        let mut words = line
            .split(|character: char| "[]. \t".contains(character))
            .filter(|word| !word.is_empty());
        return if words.all(|word| KEYS.contains(word)) {
            line.len()
        } else {
            indent
        };
    }
    match line.split_once('=') {
        Some((key, value)) if KEYS.contains(key.trim()) => {
            if value.contains('=') || is_delicate(key.trim()) {
                line.len() - value.trim_start().len()
            } else {
                line.len()
            }
        }
        _ => indent,
    }
}

#[cfg(test)]
mod tests;
