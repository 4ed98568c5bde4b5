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
        "smtp_password",
        "routing_key",
        "bearer_token",
    ] {
        assert!(is_secret_name(name), "{name}");
    }
    for name in KEYS.iter().copied().chain([
        "api_key_flie",
        "api_key_files",
        "apikeyenv",
        "nmae",
        "labls",
        "agents",
        "secret_file",
        "password_flie",
        "routing_key_envs",
        "url",
    ]) {
        assert!(!is_secret_name(name), "{name}");
    }
}

#[test]
fn names_of_webhook_urls_are_told_from_those_of_other_urls() {
    for name in ["url", "URL", "uri", "webhook", "webhook_url", "slack-url"] {
        assert!(is_url_name(name), "{name}");
    }
    for name in KEYS
        .iter()
        .copied()
        .chain(["base_uri", "dashboard-url", "url_fil", "urlenv"])
    {
        assert!(!is_url_name(name), "{name}");
    }
}

#[test]
fn a_secret_is_sent_to_the_nearest_key_that_its_table_has() {
    let webhook = ["url_file", "secret_files", "routing_key_file"];
    let alertmanager = ["password_file", "bearer_token_file"];
    let email = ["password_file", "token_file"];
    for (known, key, file) in [
        (&webhook[..], "routing_key", Some("routing_key_file")),
        (&webhook, "webhook_url", Some("url_file")),
        (&webhook, "signing_secret", Some("secret_files")),
        (&webhook, "token", Some("secret_files")),
        (&alertmanager, "token", Some("bearer_token_file")),
        (&alertmanager, "secret", Some("bearer_token_file")),
        (&email, "smtp_password", Some("password_file")),
        (&email, "access_token", Some("token_file")),
        (&email, "client_secret", Some("password_file")),
        (&["command"], "token", None),
    ] {
        let found = keys_instead(key, known).map(|keys| keys.file);
        assert_eq!(found, file, "{key} {known:?}");
    }
}

#[test]
fn of_lists_and_programs_only_what_is_no_secret_is_shown() {
    let shown = |text: &str| {
        let secrets = in_table(text, DeTable::parse(text).unwrap().get_ref());
        secrets
            .into_iter()
            .map(|place| text[place].to_owned())
            .collect::<Vec<_>>()
    };
    for (text, hidden) in [
        (
            "secret_files = [\"/etc/ops.secret\", \"whsec_a\"]",
            vec!["whsec_a"],
        ),
        (
            "secret_envs = [\"OPS_SECRET\", \"whsec_a\", 5]",
            vec!["whsec_a", "5"],
        ),
        (
            "urls = [\"http://am:9093\", \"http://u:p@am\"]",
            vec!["http://u:p@am"],
        ),
        ("command = [\"/bin/send\", \"-H\", \"x\"]", vec!["-H", "x"]),
        ("command = [\"send -H x\"]", vec!["send -H x"]),
        ("command = \"send -H x\"", vec!["send -H x"]),
        ("token_command = \"eyJ0eXAi\"", vec!["eyJ0eXAi"]),
        ("token_command = [\"/bin/token\", \"x\"]", vec!["x"]),
        ("host = \"u:p@smtp\"", vec!["u:p@smtp"]),
        ("[[hook]]\nurl = \"https://x\"", vec!["https://x"]),
    ] {
        assert_eq!(shown(text), hidden, "{text}");
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
    for name in [
        "ACME_KEY",
        "KEY2_ACME",
        "SMTP_PASSWORD",
        "OPS_URL",
        "FLOWGENT_TEST_UNSET_KEY",
    ] {
        assert!(looks_like_variable(name), "{name}");
    }
    // Keys of a prefix and letters, in the alphabet of variables.
    for key in [
        "FGLIVE_QWERTZUIOPASDFGHJKL",
        "SK_PROD_XKCDQRSTVWBN",
        "ABANDON_ABILITY_ABOUT",
        "ACMEPRODUCTION",
    ] {
        assert!(!looks_like_variable(key), "{key}");
    }
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
