//! E-mail to a mail server on this machine.

mod login;
mod office;
mod recipients;
mod trust;

use std::fs;
use std::net::SocketAddr;

use office::{HOST, Manners, Office, Server};
use tempfile::TempDir;

use super::server::public;
use super::*;
use crate::alert::Notification;
use crate::hook::tests::{message, settings};
use crate::secret::SecretSource;
use crate::summary::{Row, Summary};

const PASSWORD: &str = "canary-password";

fn mailbox(text: &str) -> Mailbox {
    text.parse().unwrap()
}

/// A message for the first recipient.
fn message(titles: &[&str]) -> Message {
    Message {
        target: "ops@example.com".to_owned(),
        ..message::message(titles)
    }
}

/// A file with the password.
fn password() -> (TempDir, SecretSource) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    fs::write(&path, format!("{PASSWORD}\n")).unwrap();
    (folder, SecretSource::File(path))
}

/// A hook that sends e-mail, with the settings that hooks of all kinds have.
struct Hook(Settings, Email);

impl Hook {
    async fn send(&self, message: &Message) -> Result<String, SendError> {
        self.1.send(&self.0, message).await
    }
}

fn email(
    server: Server,
    credentials: Option<(String, MailProof)>,
    from: Mailbox,
    to: Vec<Mailbox>,
) -> Hook {
    let email = Email {
        host: server.host,
        port: server.port,
        encryption: server.encryption,
        hello: server.hello,
        credentials,
        from,
        to,
    };
    let settings = Settings {
        allow_private: server.allow_private,
        ca_file: server.ca_file,
        ..settings()
    };
    Hook(settings, email)
}

fn hook(server: Server, credentials: Option<(String, MailProof)>) -> Hook {
    let to = ["Ops <ops@example.com>", "lead@example.com"];
    email(
        server,
        credentials,
        mailbox("FlowGent <alerts@example.com>"),
        to.map(mailbox).into(),
    )
}

/// A public address, talked to in the clear.
fn elsewhere() -> Server {
    Server {
        host: "9.9.9.9".to_owned(),
        port: 25,
        encryption: Encryption::None,
        hello: None,
        allow_private: true,
        ca_file: None,
    }
}

/// Result of sending a message by an office of such manners, with a login or without, and what
/// the office heard.
async fn send(manners: Manners, login: bool) -> (Result<String, String>, Vec<String>) {
    let mut office = Office::open(manners).await;
    let (_folder, source) = password();
    let credentials = login.then(|| ("ops".to_owned(), MailProof::Password(source)));
    let hook = hook(office.server(), credentials);
    let answer = hook.send(&message(&["cx-month is at 80 %"])).await;
    let own = format!("{HOST}:{}: ", office.port);
    let answer = answer.map_err(|error| error.text.replace(&own, ""));
    (answer, office.hear_all().await)
}

/// The same without a login.
async fn refused(
    encryption: Encryption,
    answers: &'static [(&'static str, &'static str)],
) -> String {
    let manners = Manners {
        encryption,
        answers,
        ..Manners::default()
    };
    send(manners, false).await.0.unwrap_err()
}

/// The commands of a delivery, but for the message.
fn commands(heard: &[String]) -> Vec<&str> {
    let lines = heard.iter().map(String::as_str);
    lines.filter(|line| !line.contains('\n')).collect()
}

#[tokio::test]
async fn each_way_of_securing_it_logs_in_and_delivers() {
    let envelope = [
        "MAIL FROM:<alerts@example.com>",
        "RCPT TO:<ops@example.com>",
        "DATA",
        "QUIT",
    ];
    // The base64 of a user and the password.
    let plain = ["AUTH PLAIN AG9wcwBjYW5hcnktcGFzc3dvcmQ="];
    let login = ["AUTH LOGIN", "b3Bz", "Y2FuYXJ5LXBhc3N3b3Jk"];
    for (encryption, offers, before, auth) in [
        (
            Encryption::None,
            &["AUTH LOGIN"][..],
            &["EHLO"][..],
            &plain[..],
        ),
        (
            Encryption::Tls,
            &["AUTH LOGIN PLAIN"],
            &["(TLS)", "EHLO"],
            &plain,
        ),
        (Encryption::Tls, &["AUTH LOGIN"], &["(TLS)", "EHLO"], &login),
        (
            Encryption::StartTls,
            &["AUTH PLAIN"],
            &["EHLO", "STARTTLS", "(TLS)", "EHLO"],
            &plain,
        ),
    ] {
        let manners = Manners {
            encryption,
            offers,
            ..Manners::default()
        };
        let (answer, heard) = send(manners, true).await;
        assert_eq!(
            answer.as_deref(),
            Ok("250 2.0.0 queued as 7"),
            "{encryption:?}"
        );
        assert_eq!(commands(&heard), [before, auth, &envelope].concat());
    }
}

#[tokio::test]
async fn a_message_says_what_people_and_mail_systems_need() {
    let mut office = Office::open(Manners::default()).await;
    let mut message = message(&[
        "cx-month: 80 % of 5 000 credits\r\nBcc: spy@example.com",
        "Zweitens",
    ]);
    message.notification.alerts[0].text = "Verbraucht: 4\u{202f}012.\n.\nDrei Agenten.".to_owned();
    message.notification.alerts[0].url = Some("https://dash.example/".to_owned());
    message.notification.alerts[1].text = "Siehe https://dash.example/".to_owned();
    message.notification.alerts[1].url = Some("https://dash.example/".to_owned());
    let hook = email(
        office.server(),
        None,
        mailbox("\"Jörg, Wächter\" <alerts@example.com>"),
        vec![mailbox("Ops <ops@example.com>")],
    );
    hook.send(&message).await.unwrap();
    let heard = office.hear_all().await;
    let mail = heard.iter().find(|line| line.contains('\n')).unwrap();
    let expected = [
        "From: =?utf-8?b?SsO2cmcsIFfDpGNodGVy?= <alerts@example.com>",
        "Subject: cx-month: 80 % of 5 000 credits Bcc: spy@example.com (and 1 more)",
        "Date: Mon, 23 Nov 2026 00:12:00 +0000",
        "Message-ID: <msg_27UH4WbU6Z5A5EzD8u03UvzRbpk@flowgent-exporter>",
        "Auto-Submitted: auto-generated",
        "X-Flowgent-Delivery: msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
        "To: Ops <ops@example.com>",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: quoted-printable",
        "",
        "Verbraucht: 4=E2=80=AF012.",
        "..",
        "Drei Agenten.",
        "https://dash.example/",
        "",
        "Siehe https://dash.example/",
        "",
        ".",
        "",
    ];
    assert_eq!(mail.split("\r\n").collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_summary_is_plain_text_and_a_page_with_bars_in_which_nothing_is_markup() {
    let mut office = Office::open(Manners::default()).await;
    let sample = Summary::sample("2026-11-30".parse().unwrap());
    let mut top = sample.top.clone();
    top[0].name = "acme/<b>&\"x\u{202e}".to_owned();
    top.push(Row {
        known_credits: 1_003.0,
        missing_days: 0,
        change_ratio: Some(-0.25),
        ..sample.top[0].clone()
    });
    let summary = Summary {
        text: "8,024 credits used.\nOne agent-day is missing.\n\nTop agents:\n1. …".to_owned(),
        top,
        ..sample
    };
    let message = Message {
        notification: Notification::of_summary(summary),
        ..message(&[])
    };
    hook(office.server(), None).send(&message).await.unwrap();
    let heard = office.hear_all().await;
    let mail = heard
        .iter()
        .find(|line| line.contains("Subject: "))
        .unwrap();
    assert!(
        mail.contains("Subject: Summary example: 8,024 credits used\r\n"),
        "{mail}"
    );
    // The plain text comes first: of alternatives, the last one that can be shown is.
    let kinds = mail
        .match_indices("Content-Type: ")
        .map(|(place, _)| mail[place..].lines().next().unwrap());
    let kinds: Vec<&str> = kinds.map(|line| line.split(';').next().unwrap()).collect();
    assert_eq!(
        kinds,
        [
            "Content-Type: multipart/alternative",
            "Content-Type: text/plain",
            "Content-Type: text/html"
        ]
    );
    assert!(mail.contains("\r\nOne agent-day is missing.\r\n"), "{mail}");
    assert!(mail.contains("\r\nhttps://dash.example/\r\n"), "{mail}");
    let page = html::html(message.notification.summary.as_ref().unwrap());
    for part in [
        "<p>8,024 credits used.<br>One agent-day is missing.</p>",
        "acme/&lt;b&gt;&amp;&quot;x\\u202e<div style=\"width:100%;",
        "acme/support<div style=\"width:25%;",
        ">≥ 4,012</td>",
        ">+10%</td>",
        ">−25%</td>",
        ">3,600 → 4,012</td>",
        "<b>example</b>: 4,012 of 5,000 credits used (80%)<div style=\"width:80%;",
        "<a href=\"https://dash.example/\">",
    ] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
}

#[tokio::test]
async fn a_server_is_greeted_with_what_it_takes() {
    for (chosen, expected) in [
        (Some("alerts.example.org"), "alerts.example.org"),
        (None, ""),
    ] {
        let mut office = Office::open(Manners::default()).await;
        let server = Server {
            hello: chosen.and_then(crate::hook::hello),
            ..office.server()
        };
        hook(server, None).send(&message(&["one"])).await.unwrap();
        let greeting = office.hear().await;
        let said = greeting.strip_prefix("EHLO ").unwrap();
        // This host may have a full name.
        assert!(said == expected || chosen.is_none(), "{said}");
        assert!(crate::hook::hello(said).is_some(), "{said}");
    }
}

#[tokio::test]
async fn every_refusal_is_told_by_its_place_code_and_words() {
    for (answers, expected) in [
        (&[("", "421 too busy")][..], "greeting: 421 too busy"),
        (&[("EHLO", "502 what")], "greeting: 502 what"),
        (
            &[("AUTH", "535-5.7.8 no\r\n535 go away")],
            "login: 535 5.7.8 no go away",
        ),
        (
            &[("MAIL", "550 unknown sender")],
            "MAIL: 550 unknown sender",
        ),
        (&[("RCPT", "451 greylisted")], "RCPT: 451 greylisted"),
        (&[("DATA", "554 no")], "DATA: 554 no"),
        (
            &[(".", "552 \u{1b}[31m too\tlarge")],
            "message: 552 [31m too large",
        ),
        (
            &[(".", "hello")],
            "message: no answer in SMTP: error Tag at: hello",
        ),
    ] {
        let manners = Manners {
            answers,
            ..Manners::default()
        };
        let error = send(manners, true).await.0.unwrap_err();
        assert_eq!(error, expected);
    }
    let error = refused(Encryption::StartTls, &[("", "554 no")]).await;
    assert_eq!(error, "greeting: 554 no");
    let error = refused(Encryption::StartTls, &[("STARTTLS", "454 not now")]).await;
    assert_eq!(error, "STARTTLS: 454 not now");
}

#[tokio::test]
async fn a_password_that_a_server_repeats_is_shown_nowhere() {
    for answers in [
        &[("AUTH", "535 canary-password is wrong")][..],
        &[(
            "AUTH",
            "501 what is AUTH PLAIN AG9wcwBjYW5hcnktcGFzc3dvcmQ=",
        )],
        &[("RCPT", "550 Y2FuYXJ5LXBhc3N3b3Jk")],
        &[(".", "250 CANARY-PASSWORD")],
    ] {
        let manners = Manners {
            answers,
            ..Manners::default()
        };
        let (Ok(text) | Err(text)) = send(manners, true).await.0;
        assert!(
            text.ends_with("its answer is withheld: it holds the password"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_password_is_read_before_anybody_is_called() {
    let source = SecretSource::File("/nonexistent/password".into());
    let hook = hook(
        elsewhere(),
        Some(("ops".to_owned(), MailProof::Password(source))),
    );
    let error = hook.send(&message(&["one"])).await.unwrap_err();
    let expected =
        "cannot read file `/nonexistent/password`: No such file or directory (os error 2)";
    assert_eq!(error.text, expected);
}

#[tokio::test]
async fn a_server_that_falls_silent_is_left_when_it_is_given_up() {
    for (encryption, answers) in [
        (Encryption::None, &[("", "")][..]),
        (Encryption::StartTls, &[("", "")]),
        (Encryption::StartTls, &[("STARTTLS", "")]),
        (Encryption::None, &[("EHLO", "")]),
        (Encryption::Tls, &[("MAIL", "")]),
        (Encryption::Tls, &[(".", "")]),
    ] {
        let mut office = Office::open(Manners {
            encryption,
            answers,
            ..Manners::default()
        })
        .await;
        let hook = hook(office.server(), None);
        let message = message(&["one"]);
        tokio::select! {
            answer = hook.send(&message) => panic!("{answer:?}"),
            () = async { while office.hear().await != "(silence)" {} } => {}
        }
        // The connection is closed.
        while office.hear().await != "(end)" {}
    }
}

#[tokio::test]
async fn a_message_that_was_taken_is_sent_even_if_nobody_says_goodbye() {
    let manners = Manners {
        answers: &[("QUIT", "")],
        ..Manners::default()
    };
    let (answer, _) = send(manners, false).await;
    assert_eq!(answer.as_deref(), Ok("250 2.0.0 queued as 7"));
}

#[tokio::test]
async fn a_server_that_talks_without_end_is_not_listened_to() {
    for (encryption, place, expected) in [
        (
            Encryption::StartTls,
            &[("", "(flood)")],
            "greeting: the answer has 65536 bytes or more",
        ),
        (
            Encryption::None,
            &[("", "(flood)")],
            "greeting: the answers have more than 65536 bytes",
        ),
        (
            Encryption::Tls,
            &[("RCPT", "(flood)")],
            "RCPT: the answers have more than 65536 bytes",
        ),
    ] {
        assert_eq!(refused(encryption, place).await, expected);
    }
}

#[tokio::test]
async fn letters_beyond_ascii_in_addresses_need_a_server_that_takes_them() {
    for (offers, expected) in [
        (&[][..], None),
        (
            &["SMTPUTF8", "8BITMIME"],
            Some("MAIL FROM:<wächter@example.com> SMTPUTF8 BODY=8BITMIME"),
        ),
    ] {
        let mut office = Office::open(Manners {
            encryption: Encryption::Tls,
            offers,
            ..Manners::default()
        })
        .await;
        let hook = email(
            office.server(),
            None,
            mailbox("wächter@example.com"),
            vec![mailbox("ops@example.com")],
        );
        let answer = hook.send(&message(&["one"])).await;
        let heard = office.hear_all().await;
        let mail = commands(&heard)
            .into_iter()
            .find(|line| line.starts_with("MAIL"));
        assert_eq!(mail, expected);
        assert_eq!(answer.is_ok(), expected.is_some());
    }
}
