use crate::egress::Endpoint;
use crate::history::{Target, push::Settings};

use super::*;

const FILES: &str = "tests/fixtures/config/good/../files";

fn push(listen: &str, written: &str) -> Settings {
    let text = format!(
        "[server]\nlisten = [\"{listen}\"]\n[schedule]\nhistory_start = \"2026-02-01\"\n\
         [push]\n{written}\n[[account]]\nname = \"acme\"\napi_key_file = \"../files/acme.key\"\ndiscover = true\n"
    );
    let path = format!("{FIXTURES}/good/text.toml");
    let config = Config::parse(&text, Path::new(&path), today());
    let config = config.unwrap_or_else(|error| panic!("{error}"));
    config.push.unwrap()
}

fn public(endpoint: &Endpoint) -> &str {
    match endpoint {
        Endpoint::Public(url) => url.as_str(),
        Endpoint::Secret(source) => panic!("{source}"),
    }
}

#[test]
fn what_is_left_out_of_push_has_the_documented_default() {
    assert!(load("minimal").push.is_none());
    let settings = push(
        "10.0.0.1:9000",
        "write_url = \"https://tsdb.example/api/v1/write\"",
    );
    assert_eq!(
        public(&settings.write_url),
        "https://tsdb.example/api/v1/write"
    );
    assert_eq!(settings.query_url, None);
    assert!(settings.read_back && settings.continuous && !settings.allow_private);
    assert_eq!(
        settings.target,
        Target {
            job: "flowgent".to_owned(),
            instance: "10.0.0.1:9000".to_owned(),
        }
    );
    assert_eq!(settings.from.to_string(), "2026-02-01");
    assert_eq!(settings.timeout, Duration::from_secs(30));
    assert!(settings.tenant.is_none() && settings.ca_file.is_none());
    assert!(settings.basic_auth.is_none() && settings.bearer_token.is_none());
}

#[test]
fn what_is_written_of_push_is_what_is_meant() {
    let settings = load("full").push.unwrap();
    let Endpoint::Secret(source) = &settings.write_url else {
        panic!("the URL is no secret");
    };
    let file = |name: &str| PathBuf::from(format!("{FILES}/{name}"));
    assert_eq!(*source, SecretSource::File(file("plain.url")));
    assert_eq!(
        settings.query_url.unwrap().as_str(),
        "http://10.0.0.1:9090/prometheus/api/v1/query"
    );
    assert!(settings.read_back && !settings.continuous && settings.allow_private);
    assert_eq!(
        settings.target,
        Target {
            job: "usage".to_owned(),
            instance: "exporter:9000".to_owned(),
        }
    );
    assert_eq!(settings.from.to_string(), "2026-11-01");
    assert_eq!(settings.tenant.as_deref(), Some("team-cx"));
    assert_eq!(
        settings.bearer_token,
        Some(SecretSource::Environment("CARGO_PKG_NAME".to_owned()))
    );
    assert_eq!(settings.timeout, Duration::from_secs(60));
    assert_eq!(settings.ca_file, Some(file("ca.pem")));
}

#[test]
fn one_who_reads_nothing_back_may_write_anywhere() {
    let settings = push(
        "127.0.0.1:9000",
        "write_url = \"http://localhost/anywhere\"\nread_back = false\nallow_private = true\n\
         username = \"ops\"\npassword_file = \"../files/ops.password\"",
    );
    assert_eq!(public(&settings.write_url), "http://localhost/anywhere");
    let (user, password) = settings.basic_auth.unwrap();
    assert_eq!(user, "ops");
    assert_eq!(
        password,
        SecretSource::File(format!("{FILES}/ops.password").into())
    );
    assert!(!settings.read_back);
}
