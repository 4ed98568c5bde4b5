//! Logins by an OAuth token.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;
use crate::secret::SecretSource;

const TOKEN: &str = "canary-token.abc";
/// The base64 of `user=ops^Aauth=Bearer canary-token.abc^A^A`, as XOAUTH2 has it.
const BEARER: &str = "dXNlcj1vcHMBYXV0aD1CZWFyZXIgY2FuYXJ5LXRva2VuLmFiYwEB";
const OFFER: &[&str] = &["AUTH PLAIN LOGIN XOAUTH2"];

/// A program with that script, and the folder that it is in.
fn program(script: &str) -> (TempDir, MailProof) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    let command = vec![path.to_str().unwrap().to_owned(), "ops".to_owned()];
    (folder, MailProof::TokenCommand(command))
}

/// Sends a message by an office that offers this and answers so, and returns what it heard, too.
async fn send(
    proof: MailProof,
    offers: &'static [&'static str],
    answers: &'static [(&'static str, &'static str)],
) -> (Result<String, String>, Vec<String>) {
    let mut office = Office::open(Manners {
        encryption: Encryption::Tls,
        offers,
        answers,
        ..Manners::default()
    })
    .await;
    let hook = hook(office.server(), Some(("ops".to_owned(), proof)));
    let answer = hook.send(&message(&["cx-month is at 80 %"])).await;
    let own = format!("{HOST}:{}: ", office.port);
    let answer = answer.map_err(|error| error.text.replace(&own, ""));
    (answer, office.hear_all().await)
}

/// The same without any server.
async fn unready(proof: MailProof) -> String {
    let hook = hook(elsewhere(), Some(("ops".to_owned(), proof)));
    let error = hook.send(&message(&["one"])).await.unwrap_err();
    assert!(error.unready, "{}", error.text);
    error.text
}

fn file(folder: &Path, text: &str) -> MailProof {
    let path = folder.join("token.txt");
    fs::write(&path, text).unwrap();
    MailProof::Token(SecretSource::File(path))
}

#[tokio::test]
async fn a_token_of_a_file_or_a_program_logs_in() {
    let folder = tempfile::tempdir().unwrap();
    let (_folder, printed) = program(&format!("test \"$1\" = ops && echo {TOKEN}"));
    for proof in [file(folder.path(), &format!("{TOKEN}\n")), printed] {
        let (answer, heard) = send(proof, OFFER, &[]).await;
        assert_eq!(answer.as_deref(), Ok("250 2.0.0 queued as 7"));
        let auth = format!("AUTH XOAUTH2 {BEARER}");
        assert_eq!(commands(&heard)[..3], ["(TLS)", "EHLO", &auth]);
    }
}

#[tokio::test]
async fn a_refused_token_is_told_with_the_reason_and_never_shown() {
    // {"status":"401","scope":"mail"}
    let google: &[_] = &[("AUTH", "334 eyJzdGF0dXMiOiI0MDEiLCJzY29wZSI6Im1haWwifQ==")];
    let empty: &[_] = &[
        ("AUTH", "334 eyJzdGF0dXMiOiI0MDEiLCJzY29wZSI6Im1haWwifQ=="),
        ("(empty)", "535-5.7.8 not accepted\r\n535 5.7.8 go away"),
    ];
    let microsoft: &[_] = &[("AUTH", "535 5.7.3 Authentication unsuccessful")];
    let repeating: &[_] = &[("AUTH", "535 what is canary-token.abc")];
    // The base64 of the token.
    let challenge: &[_] = &[
        ("AUTH", "334 Y2FuYXJ5LXRva2VuLmFiYw=="),
        ("(empty)", "535 no"),
    ];
    let whole: &[_] = &[(
        "AUTH",
        "535 dXNlcj1vcHMBYXV0aD1CZWFyZXIgY2FuYXJ5LXRva2VuLmFiYwEB is no login",
    )];
    let withheld = "its answer is withheld: it holds the token";
    for (answers, expected) in [
        (
            empty,
            "login: 535 5.7.8 not accepted go away: {\"status\":\"401\",\"scope\":\"mail\"}",
        ),
        (
            google,
            "login: 235 in place of a refusal: {\"status\":\"401\",\"scope\":\"mail\"}",
        ),
        (microsoft, "login: 535 5.7.3 Authentication unsuccessful"),
        (repeating, withheld),
        (challenge, withheld),
        (whole, withheld),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let proof = file(folder.path(), TOKEN);
        let (answer, heard) = send(proof, OFFER, answers).await;
        assert_eq!(answer.unwrap_err(), expected);
        let after = heard.iter().skip_while(|line| !line.starts_with("AUTH"));
        let after: Vec<&String> = after.skip(1).collect();
        let is_challenged = answers[0].1.starts_with("334");
        assert_eq!(
            after.first().is_some_and(|line| line.is_empty()),
            is_challenged
        );
    }
    let folder = tempfile::tempdir().unwrap();
    let proof = file(folder.path(), TOKEN);
    let (answer, heard) = send(proof, &["AUTH PLAIN LOGIN"], &[]).await;
    assert_eq!(answer.unwrap_err(), "login: XOAUTH2 is not offered");
    assert!(!heard.join(" ").contains(BEARER));
}

#[tokio::test]
async fn a_token_that_cannot_be_had_costs_no_attempt_and_is_told_before_anybody_is_called() {
    let folder = tempfile::tempdir().unwrap();
    let error = unready(file(folder.path(), "canary two")).await;
    let expected = "gives no access token: one line of visible ASCII characters is expected";
    assert!(
        error.ends_with(expected) && !error.contains("canary"),
        "{error}"
    );
    for (script, expected) in [
        ("echo canary; exit 3", "exited with status 3"),
        ("echo canary; kill -9 $$", "was ended by signal 9"),
        (
            "echo canary >&2",
            "gives no access token: one line of visible ASCII characters is expected",
        ),
        ("yes canary", "printed more than 16384 bytes"),
        (
            "sleep 100 & echo canary; echo two",
            "gives no access token: one line of visible ASCII characters is expected",
        ),
    ] {
        let (folder, proof) = program(script);
        let error = unready(proof).await;
        let program = folder.path().join("token");
        assert_eq!(error, format!("`{}` {expected}", program.display()));
    }
    let missing = MailProof::TokenCommand(vec!["/nonexistent/token".to_owned()]);
    assert_eq!(
        unready(missing).await,
        "`/nonexistent/token` cannot be started: No such file or directory (os error 2)"
    );
}
