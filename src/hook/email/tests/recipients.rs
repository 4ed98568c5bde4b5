//! Each recipient is written to by itself.

use super::*;
use crate::hook::Kind;
use crate::hook::tests::settings;

#[tokio::test]
async fn a_recipient_who_is_refused_for_now_fails_alone_and_can_be_tried_again() {
    let mut office = Office::open(Manners {
        answers: &[("RCPT TO:<ops@", "451 greylisted")],
        ..Manners::default()
    })
    .await;
    let to = ["Ops <ops@example.com>", "lead@example.com"].map(mailbox);
    let hook = email(office.server(), None, mailbox("a@example.com"), to.into());
    let targets = targets(&hook);
    assert_eq!(targets, ["ops@example.com", "lead@example.com"]);
    let mut answers = Vec::new();
    for target in targets {
        let message = Message {
            target,
            ..message(&["one"])
        };
        answers.push(hook.send(&message).await.map_err(|error| error.text));
        let mails = office.hear_all().await;
        let mails = mails.iter().filter(|line| line.contains("Subject: "));
        assert_eq!(mails.count(), usize::from(answers.len() == 2));
    }
    let refused = format!("{HOST}:{}: RCPT: 451 greylisted", office.port);
    let taken = "250 2.0.0 queued as 7".to_owned();
    assert_eq!(answers, [Err(refused), Ok(taken)]);
}

/// The targets of a hook of such recipients.
fn targets(hook: &Hook) -> Vec<String> {
    let mut settings = settings();
    settings.kind = Kind::Email(hook.1.clone());
    settings.route().targets
}

#[tokio::test]
async fn who_has_left_the_config_gets_what_was_put_for_them() {
    let mut office = Office::open(Manners::default()).await;
    let hook = hook(office.server(), None);
    let gone = Message {
        target: "gone@example.com".to_owned(),
        ..message(&["one"])
    };
    hook.send(&gone).await.unwrap();
    let heard = office.hear_all().await;
    assert!(commands(&heard).contains(&"RCPT TO:<gone@example.com>"));
    assert!(
        heard
            .iter()
            .any(|line| line.contains("To: gone@example.com\r\n"))
    );
    let nobody = Message {
        target: String::new(),
        ..message(&["one"])
    };
    let error = hook.send(&nobody).await.unwrap_err();
    assert!(error.text.starts_with("`` is no address: "), "{error}");
}
