//! Servers that are not trusted, and ways to them that are not taken.

use super::*;

#[tokio::test]
async fn nothing_is_said_to_a_server_that_does_not_prove_who_it_is() {
    for (encryption, heard) in [
        (Encryption::Tls, &[][..]),
        (Encryption::StartTls, &["EHLO", "STARTTLS"]),
    ] {
        let manners = Manners {
            encryption,
            certificate: "mail.example",
            ..Manners::default()
        };
        let (answer, said) = send(manners, true).await;
        let error = answer.unwrap_err();
        assert!(
            error.starts_with("TLS: invalid peer certificate: certificate not valid for name"),
            "{error}"
        );
        assert_eq!(commands(&said), heard);

        let mut office = Office::open(Manners {
            encryption,
            ..Manners::default()
        })
        .await;
        let stranger = Server {
            ca_file: None,
            ..office.server()
        };
        let error = hook(stranger, None)
            .send(&message(&["one"]))
            .await
            .unwrap_err();
        assert!(
            error.text.contains(
                "TLS: invalid peer certificate: UnknownIssuer: put the certificate of its"
            ),
            "{error}"
        );
        assert_eq!(commands(&office.hear_all().await), heard);
    }
}

#[tokio::test]
async fn a_server_that_has_signed_itself_is_trusted_by_its_own_certificate() {
    for encryption in [Encryption::Tls, Encryption::StartTls] {
        let manners = Manners {
            encryption,
            signs_itself: true,
            ..Manners::default()
        };
        let office = Office::open(manners).await;
        hook(office.server(), None)
            .send(&message(&["one"]))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn starttls_is_not_done_without() {
    let manners = Manners {
        encryption: Encryption::StartTls,
        answers: &[("EHLO", "250-mail.test\r\n250 AUTH PLAIN")],
        ..Manners::default()
    };
    let (answer, heard) = send(manners, true).await;
    let expected = "STARTTLS is not offered, and nothing is sent without it";
    assert_eq!(answer, Err(expected.to_owned()));
    assert_eq!(commands(&heard), ["EHLO"]);
}

#[tokio::test]
async fn what_somebody_puts_before_tls_is_not_taken_for_the_servers_words() {
    let error = refused(
        Encryption::StartTls,
        &[("STARTTLS", "220 go ahead\r\n250 ok")],
    )
    .await;
    assert!(error.starts_with("TLS: "), "{error}");
}

#[tokio::test]
async fn nothing_goes_to_a_public_address_in_the_clear() {
    let error = hook(elsewhere(), None)
        .send(&message(&["one"]))
        .await
        .unwrap_err();
    let expected = "9.9.9.9:25: 9.9.9.9 is a public address: nothing is sent to it without TLS";
    assert_eq!(error.text, expected);
}

#[test]
fn private_networks_may_be_crossed_in_the_clear() {
    let socket = |address: &&str| SocketAddr::new(address.parse().unwrap(), 25);
    for (addresses, expected) in [
        (&["127.0.0.1", "::1", "10.0.0.1", "192.168.1.5"][..], None),
        (&["169.254.7.7", "fe80::1", "fd00::1", "100.64.0.1"], None),
        (&["10.0.0.1", "9.9.9.9"], Some("9.9.9.9")),
        (&["2606:4700::1111"], Some("2606:4700::1111")),
    ] {
        let addresses: Vec<SocketAddr> = addresses.iter().map(socket).collect();
        let found = public(&addresses).map(|address| address.to_string());
        assert_eq!(found.as_deref(), expected);
    }
}

#[tokio::test]
async fn addresses_are_checked_before_anybody_is_called() {
    let office = Office::open(Manners::default()).await;
    let server = Server {
        allow_private: false,
        ..office.server()
    };
    let error = hook(server, None)
        .send(&message(&["one"]))
        .await
        .unwrap_err();
    assert!(error.text.contains(HOST), "{error}");
}

#[tokio::test]
async fn certificates_that_cannot_be_read_are_named() {
    let office = Office::open(Manners {
        encryption: Encryption::Tls,
        ..Manners::default()
    })
    .await;
    let empty = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&empty, "\n").unwrap();
    for (path, reason) in [
        (empty.path(), "no certificate authority found in "),
        (
            std::path::Path::new("/nonexistent.pem"),
            "cannot read ca_file `",
        ),
    ] {
        let server = Server {
            ca_file: Some(path.to_owned()),
            ..office.server()
        };
        let error = hook(server, None)
            .send(&message(&["one"]))
            .await
            .unwrap_err();
        let expected = format!("{HOST}:{}: {reason}{}", office.port, path.display());
        assert!(error.text.starts_with(&expected), "{error}");
    }
}
