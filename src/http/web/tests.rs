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
