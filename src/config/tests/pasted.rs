//! Texts that are no config, and keys that were pasted where their file's name should be.

use super::*;

/// Where a key may be pasted; `KEY` and `VALUE` are replaced.
const PASTED: [&str; 12] = [
    "[[account]]\nname = \"acme\"\nKEY = \"VALUE\"\ndiscover = true\n",
    "[[account]]\nname = \"acme\"\nKEY = 'VALUE'\ndiscover = 5\n",
    "account = [{ name = \"acme\", KEY = \"VALUE\", discover = \"yes\", nome = 1 }]\n",
    "KEY = \"VALUE\"\n",
    "[api]\nKEY = \"VALUE\"\ntimeout = 5\n",
    "[KEY]\nvalue = \"VALUE\"\n",
    "[[account]]\nKEY = { value = [\"VALUE\"] }\n",
    "[[account]]\nKEY = { VALUE = 1 }\n",
    "[[account]]\nKEY.x = \"VALUE\"\n",
    "[[account]]\nKEY = VALUE\n",
    "[[account]]\nKEY = \"\"\"\nVALUE\n",
    "[[account]]\nname = \"acme\"\nKEY = \"VALUE\n",
];

const KEY_NAMES: [&str; 14] = [
    "api_key",
    "apikey",
    "api-key",
    "API_KEY",
    "apiKey",
    "key",
    "token",
    "secret",
    "password",
    "api_token",
    "\"api key\"",
    "Authorization",
    "api_key_env",
    "api_key_file",
];

proptest! {
    #[test]
    fn any_text_is_read_or_refused_without_a_panic(text in ".{0,200}") {
        if let Err(error) = Config::parse(&text, Path::new("config.toml"), today()) {
            everything_said(&error);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        fs::write(&path, &bytes).unwrap();
        if let Err(error) = Config::load(&path, today()) {
            everything_said(&error);
        }
    }

    #[test]
    fn a_damaged_config_is_read_or_refused_without_a_panic(
        at in any::<prop::sample::Index>(),
        length in 0usize..8,
        inserted in "[\\[\\]{}=\"'#.\n a-z0-9é]{0,4}",
    ) {
        let mut text = fs::read_to_string(format!("{FIXTURES}/good/full.toml")).unwrap();
        let start = at.index(text.len());
        text.replace_range(start..(start + length).min(text.len()), &inserted);
        let path = format!("{FIXTURES}/good/text.toml");
        if let Err(error) = Config::parse(&text, Path::new(&path), today()) {
            everything_said(&error);
        }
    }

    #[test]
    fn a_pasted_key_is_never_shown(
        template in prop::sample::select(&PASTED[..]),
        key in prop::sample::select(&KEY_NAMES[..]),
        value in "canary[a-z0-9]{8}",
        damage in proptest::option::of((any::<prop::sample::Index>(), "[\\[\\]{}=\"'#,./+\n x]")),
    ) {
        let mut text = template.replace("KEY", key).replace("VALUE", &value);
        if let Some((at, inserted)) = damage {
            text.insert_str(at.index(text.len()), &inserted);
        }
        if let Err(error) = Config::parse(&text, Path::new("config.toml"), today()) {
            let said = everything_said(&error);
            prop_assert!(!said.contains(&value), "{}\n{}", text, said);
        } else {
            prop_assert!(false, "accepted: {}", text);
        }
    }

    #[test]
    fn a_pasted_key_with_slashes_and_dots_is_never_shown(
        template in prop::sample::select(&PASTED[..2]),
        value in prop_oneof![
            "[A-Za-z0-9/]{6}/[A-Za-z0-9/]{20,36}[+][A-Za-z0-9/]{8}={1,2}",
            "/[A-Za-z0-9+/]{30,43}",
            "[A-Za-z0-9]{10,20}[.][A-Za-z0-9]{10,20}[.][A-Za-z0-9]{4,20}",
        ],
    ) {
        let text = template.replace("KEY", "api_key_file").replace("VALUE", &value);
        let error = Config::parse(&text, Path::new("config.toml"), today()).unwrap_err();
        let said = everything_said(&error);
        prop_assert!(!said.contains(&value), "{}\n{}", text, said);
    }
}
