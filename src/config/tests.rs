mod alerting;
mod example;
mod hooks;
mod pasted;
mod push;
mod warnings;

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::egress::Roots;
use crate::roster::read_agents;
use crate::secret::SecretSource;

const FIXTURES: &str = "tests/fixtures/config";

fn today() -> Day {
    "2026-11-23".parse().unwrap()
}

fn toml_files(folder: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(format!("{FIXTURES}/{folder}"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "toml"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{folder} has no files");
    files
}

fn load(name: &str) -> Config {
    Config::load(Path::new(&format!("{FIXTURES}/good/{name}.toml")), today()).unwrap()
}

fn everything_said(error: &ConfigError) -> String {
    format!(
        "{error}\n{error:?}\n{}\n{}",
        error.summary(),
        error.render(true)
    )
}

#[test]
fn each_bad_file_is_refused_with_its_exact_message() {
    for path in toml_files("bad") {
        let expected = fs::read_to_string(path.with_extension("txt"))
            .unwrap_or_else(|error| panic!("no expected message for {}: {error}", path.display()));
        let error = match Config::load(&path, today()) {
            Ok(_) => panic!("{} is accepted", path.display()),
            Err(error) => error,
        };
        let message = format!("{}\n", error.render(false));
        assert!(
            message == expected,
            "{} says:\n{message}instead of:\n{expected}",
            path.display()
        );
        let said = everything_said(&error);
        assert!(!said.contains("canary"), "a secret is shown: {said}");
    }
}

#[test]
fn no_expected_message_has_lost_its_file() {
    for entry in fs::read_dir(format!("{FIXTURES}/bad")).unwrap() {
        let path = entry.unwrap().path();
        assert!(path.with_extension("toml").exists(), "{}", path.display());
    }
}

#[test]
fn each_good_file_is_accepted() {
    for path in toml_files("good") {
        if let Err(error) = Config::load(&path, today()) {
            panic!("{error}");
        }
    }
}

#[test]
fn what_is_left_out_has_the_documented_default() {
    let config = load("minimal");
    assert_eq!(
        config.path,
        Path::new("tests/fixtures/config/good/minimal.toml")
    );
    assert_eq!(config.server.listen, ["127.0.0.1:13569".parse().unwrap()]);
    assert_eq!(config.server.hosts, []);
    assert_eq!(config.server.telemetry_path, "/metrics");
    assert_eq!(
        config.storage.path,
        Path::new("/var/lib/flowgent-exporter/ledger.db")
    );
    assert_eq!(config.schedule.cron.pattern.to_string(), "0 10 0 * * *");
    assert_eq!(config.schedule.jitter, Duration::from_secs(600));
    assert_eq!(config.policy.settle_days, 3);
    assert_eq!(config.policy.history_start.to_string(), "2025-05-28");
    assert_eq!(
        config.api,
        flowgent::Settings {
            base_url: "https://flowgent.ai/api/public/".parse().unwrap(),
            timeout: Duration::from_secs(30),
            requests_per_second: 5.0,
            concurrency: 4,
            roots: Roots::Bundled,
        }
    );
    assert_eq!(config.warnings, [""; 0]);
    let [account] = config.accounts.as_slice() else {
        panic!("{:?}", config.accounts);
    };
    assert_eq!(&*account.name, "acme");
    assert!(!account.discover && account.agents_file.is_none() && account.labels.is_empty());
    assert_eq!(account.agents[0].name, account.agents[0].id);
    assert_eq!(&*account.agents[0].account, "acme");
}

#[test]
fn what_is_written_is_what_is_meant() {
    let config = load("full");
    assert_eq!(
        config.server.listen,
        [
            "127.0.0.1:9000".parse().unwrap(),
            "[::1]:9000".parse().unwrap()
        ]
    );
    let hosts = ["metrics.example.org", "10.0.0.7"].map(|host| host.parse().unwrap());
    assert_eq!(config.server.hosts, hosts);
    assert_eq!(config.server.telemetry_path, "/usage");
    assert_eq!(
        config.storage.path,
        Path::new("tests/fixtures/config/good/ledger.db")
    );
    assert_eq!(config.schedule.jitter, Duration::from_secs(90));
    assert_eq!(config.policy.settle_days, 0);
    assert_eq!(config.policy.history_start.to_string(), "2026-11-22");
    assert_eq!(
        config.api,
        flowgent::Settings {
            base_url: "http://simulator.internal:8080/api/public/"
                .parse()
                .unwrap(),
            timeout: Duration::from_secs(5),
            requests_per_second: 0.5,
            concurrency: 1,
            roots: Roots::File("tests/fixtures/config/good/../files/ca.pem".into()),
        }
    );
    assert_eq!(
        config.warnings,
        [
            "the cron pattern `30 5 1 * * MON-FRI` polls rarer than daily: not on 2026-11-28, so usage of the day before \
             is known late, and alerts about it come late",
            "API keys travel unencrypted to simulator.internal: allow_http is set",
            "budget cx-month needs days from 2026-10-31; they are fetched though `history_start` is \
             2026-11-22",
            "budget silent needs days from 2026-11-09; they are fetched though `history_start` is \
             2026-11-22",
        ]
    );
    let [acme, globex] = config.accounts.as_slice() else {
        panic!("{:?}", config.accounts);
    };
    assert_eq!(
        acme.api_key,
        SecretSource::File("tests/fixtures/config/good/../files/acme.key".into())
    );
    let labels = |pairs: [(&str, &str); 2]| -> BTreeMap<_, _> {
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    };
    assert_eq!(&*acme.agents[0].name, "support");
    assert_eq!(
        *acme.agents[0].labels,
        labels([("region", "eu"), ("team", "cx")])
    );
    assert_eq!(
        *acme.agents[1].labels,
        labels([("region", "eu"), ("team", "none")])
    );
    let listed = read_agents(acme.agents_file.as_deref().unwrap()).unwrap();
    assert_eq!(listed.len(), 2);
    assert_eq!(
        globex.api_key,
        SecretSource::Environment("CARGO_PKG_NAME".to_owned())
    );
    assert!(globex.discover && globex.agents.is_empty());
    assert_eq!(config.alerts.rules.len(), 8);
    assert_eq!(config.hooks.len(), 9);
}

#[test]
fn an_agents_file_that_is_not_there_yet_is_a_warning() {
    let text = "[[account]]\nname = \"acme\"\napi_key_file = \"../files/acme.key\"\nagents_file = \"later.json\"\n";
    let path = format!("{FIXTURES}/good/text.toml");
    let config = Config::parse(text, Path::new(&path), today()).unwrap();
    assert_eq!(
        config.warnings,
        [
            "cannot read agents file `tests/fixtures/config/good/later.json`: No such file or directory (os error 2)"
        ]
    );
}

#[test]
fn a_key_file_that_is_there_is_named_whatever_it_is_called() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("kQ7x2"), "").unwrap();
    let text = "[[account]]\nname = \"acme\"\napi_key_file = \"kQ7x2\"\ndiscover = true\n";
    let path = folder.path().join("config.toml");
    let config = Config::parse(text, &path, today()).unwrap();
    let [said] = &config.failures[..] else {
        panic!("{:?}", config.failures);
    };
    assert!(said.ends_with("kQ7x2`: it is empty"), "{said}");
}

#[test]
fn what_is_lacking_outside_of_the_config_stops_only_the_part_that_needs_it() {
    let failures: Vec<String> = toml_files("ailing")
        .iter()
        .map(|path| {
            let config = Config::load(path, today())
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert_eq!(config.accounts.len(), 1, "{}", path.display());
            let is_of_account = config.accounts[0].api_key.read().is_err();
            assert_eq!(config.obstacles.is_empty(), is_of_account);
            let said = config.failures.join("; ");
            assert!(!said.contains("canary"), "a secret is shown: {said}");
            said.replace(&format!("{FIXTURES}/ailing/../"), "")
        })
        .collect();
    assert_eq!(
        failures,
        [
            "account `acme` is not asked for anything until its key can be read: cannot read file `files/empty.key`: it is empty",
            "hook `ops` sends nothing until its program can be started: cannot find program `/no-such-folder/tell`: No such file or directory (os error 2)",
            "hook `ops` sends nothing until its program can be started: `/etc/passwd` is not an executable file",
            "hook `ops` sends nothing until its program can be started: there is no program `no-such-program` on the PATH; write its absolute path",
            "hook `ops` sends nothing until its `ca_file` can be used: cannot read ca_file `files/no-such.pem`: No such file or directory (os error 2)",
            "account `acme` is not asked for anything until its key can be read: cannot read file `files`: it is a directory, not a regular file",
            "account `acme` is not asked for anything until its key can be read: file `files/two-lines.key` holds more than one line of printable ASCII characters",
            "account `acme` is not asked for anything until its key can be read: cannot read file `files/no-such.key`: No such file or directory (os error 2)",
            "`[push]` pushes nothing until its password can be used: cannot read file `files/no-such.password`: No such file or directory (os error 2)",
            "`[push]` pushes nothing until its URL can be used: the path of this URL does not show where the database answers queries; add `query_url = \"…/api/v1/query\"`, or `read_back = false`",
            "hook `ops` sends nothing until its secret can be used: cannot read file `files/no-such.secret`: No such file or directory (os error 2)",
            "hook `ops` sends nothing until its secret can be used: file `files/two-lines.key` holds more than one line of printable ASCII characters",
            "hook `ops` sends nothing until its secret can be used: the text after `whsec_` is not base64; a webhook secret is `whsec_` and 24 to 64 bytes in base64",
            "hook `ops` sends nothing until its secret can be used: the key has 9 bytes, it needs 24 to 64; a webhook secret is `whsec_` and 24 to 64 bytes in base64",
            "hook `ops` sends nothing until its secret can be used: a signing secret begins with `whsec_`; a webhook secret is `whsec_` and 24 to 64 bytes in base64",
            "account `acme` is not asked for anything until its key can be read: environment variable `FLOWGENT_TEST_UNSET_KEY` is not set",
            "hook `ops` sends nothing until its URL can be used: cannot read file `files/no-such.secret`: No such file or directory (os error 2)",
            "hook `ops` sends nothing until its URL can be used: plain http would send your figures unencrypted; use https, or set `allow_private = true` if the network to it is safe",
            "hook `ops` sends nothing until its URL can be used: the URL leads to a private address; set `allow_private = true` if it may",
            "hook `ops` sends nothing until its URL can be used: environment variable `FLOWGENT_TEST_UNSET_URL` is not set",
            "hook `ops` sends nothing until its URL can be used: its content is not a URL: relative URL without a base",
        ]
    );
}

#[test]
fn secrets_that_others_may_read_are_told_of() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str, mode: u32| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    };
    file("closed.key", "a", 0o600);
    file("acme.key", "a", 0o640);
    file("ops.url", "https://hooks.example/ops", 0o644);
    let text = "[[account]]\nname = \"a\"\napi_key_file = \"closed.key\"\ndiscover = true\n\
                [[account]]\nname = \"b\"\napi_key_file = \"acme.key\"\ndiscover = true\n\
                [[hook]]\nname = \"ops\"\nkind = \"webhook\"\nurl_file = \"ops.url\"\n";
    let config = Config::parse(text, &folder.path().join("config.toml"), today()).unwrap();
    let folder = format!("{}/", folder.path().display());
    let exposed: Vec<String> = config
        .exposed
        .iter()
        .map(|line| line.replace(&folder, ""))
        .collect();
    assert_eq!(
        exposed,
        [
            "`acme.key` holds a secret and can be read by its group (mode 0640)",
            "`ops.url` holds a secret and can be read by everybody on this machine (mode 0644)",
        ]
    );
}

#[test]
fn a_mark_of_utf_8_is_no_part_of_a_config() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("acme.key"), "\u{feff}key\n").unwrap();
    fs::write(folder.path().join("agents.json"), "\u{feff}[\"a\"]").unwrap();
    fs::write(
        folder.path().join("ops.url"),
        "\u{feff}https://hooks.example/",
    )
    .unwrap();
    fs::write(folder.path().join("ops.j2"), "\u{feff}{}").unwrap();
    let authority = fs::read_to_string(format!("{FIXTURES}/files/ca.pem")).unwrap();
    fs::write(folder.path().join("ca.pem"), format!("\u{feff}{authority}")).unwrap();
    fs::write(folder.path().join("web.yml"), "\u{feff}rate_limit:\r\n").unwrap();
    let text = "\u{feff}server = { web_config_file = \"web.yml\" }\napi = { ca_file = \"ca.pem\" }\n\
                [[account]]\nname = \"acme\"\napi_key_file = \"acme.key\"\nagents_file = \"agents.json\"\n\
                [[hook]]\nname = \"ops\"\nkind = \"webhook\"\nurl_file = \"ops.url\"\ntemplate_file = \"ops.j2\"\n";
    let path = folder.path().join("config.toml");
    fs::write(&path, text).unwrap();
    let config = Config::load(&path, today()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.failures, [""; 0]);
    let agents = read_agents(config.accounts[0].agents_file.as_ref().unwrap()).unwrap();
    assert_eq!(&*agents[0].id, "a");
    fs::write(&path, text.replace("acme.key", "acme.key\" x")).unwrap();
    let error = Config::load(&path, today()).unwrap_err();
    assert!(
        error.summary().contains("config.toml:5:"),
        "{}",
        error.summary()
    );
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let error = Config::load(Path::new("no-such-folder/config.toml"), today()).unwrap_err();
    assert_eq!(
        error.render(false),
        "error: cannot read config file `no-such-folder/config.toml`: No such file or directory (os error 2)"
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    fs::write(&path, b"[server]\n\xff").unwrap();
    let error = Config::load(&path, today()).unwrap_err();
    assert_eq!(
        error.summary(),
        format!(
            "cannot read config file `{}`: line 2 is not UTF-8",
            path.display()
        )
    );
}

#[test]
fn of_many_problems_the_first_are_shown() {
    let unknown: String = (0..100).map(|number| format!("x{number} = 1\n")).collect();
    let error = Config::parse(&unknown, Path::new("config.toml"), today()).unwrap_err();
    assert_eq!(error.render(false).matches("error: ").count(), 51);

    // A hundred thousand places must not be a hundred thousand walks through the text.
    let invalid = "[[account]]\n".repeat(100_000);
    let error = Config::parse(&invalid, Path::new("config.toml"), today()).unwrap_err();
    let message = error.render(false);
    assert_eq!(message.matches("error: ").count(), 51);
    assert!(
        message.ends_with("\n\nerror: 299950 more problems"),
        "{message}"
    );
    assert_eq!(
        error.summary(),
        "config.toml:1:1: this account has no `name` (and 299999 more problems)"
    );
}
