//! Files that people write, good ones and bad ones.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;

use super::*;

const FIXTURES: &str = "tests/fixtures/web";

/// A folder with the certificates that the fixtures name.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| fs::write(folder.path().join(name), text).unwrap();
    for (certificate, key) in [
        ("server.pem", "server.key"),
        ("ca.pem", "ca.key"),
        ("other.pem", "other.key"),
    ] {
        let pair = KeyPair::generate().unwrap();
        let parameters = CertificateParams::new(["localhost".to_owned()]).unwrap();
        write(certificate, parameters.self_signed(&pair).unwrap().pem());
        write(key, pair.serialize_pem());
    }
    folder
}

/// The fixtures of a kind, each copied to where the certificates are.
fn fixtures(kind: &str, folder: &Path) -> Vec<(PathBuf, PathBuf)> {
    let mut files: Vec<_> = fs::read_dir(format!("{FIXTURES}/{kind}"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "yml"))
        .map(|path| {
            let copy = folder
                .join("web.yml")
                .with_file_name(path.file_name().unwrap());
            fs::copy(&path, &copy).unwrap();
            (path, copy)
        })
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{kind} has no files");
    files
}

/// The text without the name of the folder.
fn plain(text: &str, folder: &Path) -> String {
    text.replace(&format!("{}/", folder.display()), "")
}

#[test]
fn each_bad_file_is_refused_with_its_exact_message() {
    let folder = folder();
    for (fixture, path) in fixtures("bad", folder.path()) {
        let expected = fs::read_to_string(fixture.with_extension("txt")).unwrap();
        let Err(error) = check_file(&path) else {
            panic!("{} is accepted", fixture.display());
        };
        let message = format!("{}\n", plain(&error.to_string(), folder.path()));
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
        assert_eq!(message, expected, "{}", fixture.display());
    }
}

#[test]
fn each_good_file_is_accepted_without_a_warning() {
    let folder = folder();
    for (fixture, path) in fixtures("good", folder.path()) {
        let checked = check_file(&path);
        let checked = checked.unwrap_or_else(|error| panic!("{}: {error}", fixture.display()));
        assert_eq!(checked.warnings, [""; 0], "{}", fixture.display());
    }
}

#[test]
fn what_deserves_a_second_look_is_said() {
    let folder = folder();
    for (fixture, path) in fixtures("warned", folder.path()) {
        let checked = check_file(&path);
        let checked = checked.unwrap_or_else(|error| panic!("{}: {error}", fixture.display()));
        let message = format!("{}\n", checked.warnings.join("\n"));
        let expected = fs::read_to_string(fixture.with_extension("txt")).unwrap();
        assert_eq!(message, expected, "{}", fixture.display());
    }
}

#[test]
fn the_example_is_good() {
    let folder = folder();
    fs::copy(
        folder.path().join("ca.pem"),
        folder.path().join("clients.pem"),
    )
    .unwrap();
    let example = fs::read_to_string("deploy/web.yml").unwrap();
    let path = folder.path().join("web.yml");
    fs::write(&path, example).unwrap();
    let checked = check_file(&path).unwrap();
    assert!(checked.tls);
    assert_eq!(checked.warnings, [""; 0]);
}

/// Last lines of the exporter-toolkit's TLS test files, after certificate and key, in our own words, and
/// its verdict on them.
const VERDICTS_ON_TLS: [(&str, bool); 22] = [
    ("", true),
    ("  client_auth_type: VerifyClientCertIfGiven\n", true),
    ("  client_auth_type: RequireAndVerifyClientCert\n", true),
    (
        "  client_auth_type: RequireAnyClientCert\n  client_ca_file: ca.pem\n",
        true,
    ),
    (
        "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n",
        true,
    ),
    (
        "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n  client_allowed_sans: [a, b]\n",
        true,
    ),
    (
        "  client_auth_type: VerifyClientCertIfGiven\n  client_allowed_sans: [a]\n",
        false,
    ),
    ("  client_allowed_sans: [a]\n", false),
    ("  client_auth_type: Anybody\n", false),
    ("  client_ca_file: ca.pem\n", false),
    (
        "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: nowhere\n",
        false,
    ),
    (
        "  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA, \
         TLS_RSA_WITH_AES_256_GCM_SHA384, TLS_CHACHA20_POLY1305_SHA256]\n",
        true,
    ),
    (
        "  cipher_suites: [TLS_RSA_WITH_AES_128_CBC_SHA]\n  max_version: TLS12\n",
        false,
    ),
    (
        "  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]\n  max_version: TLS12\n",
        false,
    ),
    (
        "  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]\n  max_version: TLS12\n\
         http_server_config:\n  http2: false\n",
        true,
    ),
    // In TLS 1.3 the suites are not chosen.
    (
        "  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]\n  min_version: TLS13\n",
        true,
    ),
    ("  cipher_suites: [TLS_RSA_WITH_NOTHING]\n", false),
    (
        "  curve_preferences: [CurveP256, CurveP384, CurveP521, X25519, X25519MLKEM768]\n",
        true,
    ),
    ("  curve_preferences: [CurveP257]\n", false),
    ("  min_version: TLS14\n", false),
    (
        "  min_version: TLS12\n  max_version: TLS12\n  prefer_server_cipher_suites: false\n",
        true,
    ),
    ("  certificate: server.pem\n", false),
];

/// The same of files without a certificate.
const VERDICTS: [(&str, bool); 19] = [
    ("", true),
    ("not at all a config\n", false),
    (
        "tls_server_config:\n  cert_file: \"\"\n  key_file: server.key\n",
        false,
    ),
    (
        "tls_server_config:\n  cert_file: server.pem\n  key_file: \"\"\n",
        false,
    ),
    (
        "tls_server_config:\n  cert: \"\"\n  key_file: server.key\n",
        false,
    ),
    (
        "tls_server_config:\n  cert_file: server.pem\n  key: \"\"\n",
        false,
    ),
    (
        "tls_server_config:\n  cert_file: \"\"\n  key_file: \"\"\n  client_auth_type: x\n",
        false,
    ),
    (
        "tls_server_config:\n  cert_file: nowhere\n  key_file: server.key\n",
        false,
    ),
    (
        "tls_server_config:\n  cert_file: server.pem\n  key_file: nowhere\n",
        false,
    ),
    (
        "basic_auth_users:\n  alice: $2y$18$hashhashhashhashhashhOZvB7sUPxsYVmuW9bOPSShqHfDQ1nZLa\n",
        true,
    ),
    (
        "basic_auth_users:\n  alice: $2x$10$hashhashhashhashhashhOZvB7sUPxsYVmuW9bOPSShqHfDQ1nZLa\n",
        true,
    ),
    ("basic_auth_users:\n  alice: swordfish\n", false),
    (
        "http_server_config:\n  headers:\n    X-Frame-Options: deny\n    X-XSS-Protection: 1\n",
        true,
    ),
    (
        "http_server_config:\n  headers:\n    X-Frame-Options: allow\n",
        false,
    ),
    (
        "http_server_config:\n  headers:\n    X-Content-Type-Options: sniff\n",
        false,
    ),
    (
        "http_server_config:\n  headers:\n    Server: apache\n",
        false,
    ),
    ("rate_limit:\n  interval: 0\n  burst: 0\n", true),
    ("rate_limit:\n  interval: \"1s\"\n  burst: 0\n", true),
    ("rate_limit:\n  interval: 1h\n  burst: 1\n", true),
];

#[test]
fn the_verdict_is_that_of_the_exporter_toolkit() {
    let folder = folder();
    let path = folder.path().join("web.yml");
    let tls = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n";
    let with_tls = VERDICTS_ON_TLS.map(|(end, verdict)| (format!("{tls}{end}"), verdict));
    let without = VERDICTS.map(|(text, verdict)| (text.to_owned(), verdict));
    for (text, accepted) in with_tls.iter().chain(&without) {
        fs::write(&path, text).unwrap();
        let checked = check_file(&path);
        assert_eq!(checked.is_ok(), *accepted, "{text}{checked:?}");
    }
}

#[test]
fn what_rustls_cannot_do_at_all_is_refused_with_the_reason() {
    let folder = folder();
    let path = folder.path().join("web.yml");
    let tls = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n";
    for (end, reason) in [
        (
            "  curve_preferences: [CurveP521]\n",
            "none of the `curve_preferences` is spoken here",
        ),
        (
            "  min_version: TLS10\n  max_version: TLS11\n",
            "max_version TLS11 is not spoken here",
        ),
        (
            "  cipher_suites: [TLS_RSA_WITH_AES_128_CBC_SHA]\n  max_version: TLS12\n\
             http_server_config:\n  http2: false\n",
            "none of the `cipher_suites` is spoken here",
        ),
    ] {
        fs::write(&path, format!("{tls}{end}")).unwrap();
        let error = check_file(&path).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}
