//! Pure: what makes a hook the same one under another name.

use super::{Email, Kind, Webhook, Whatsapp};
use crate::egress::Endpoint;
use crate::secret::SecretSource;

/// The kind of a hook, and the file, variable or address that it leads to, as the config has them: a text that
/// tells no secret.
pub(super) fn identity(kind: &Kind) -> String {
    let parts: Vec<String> = match kind {
        Kind::Webhook(Webhook {
            url,
            routing_key,
            secrets: _,
            template: _,
            content_type: _,
        }) => {
            let url = match url {
                Endpoint::Secret(source) => source.to_string(),
                Endpoint::Public(url) => url.to_string(),
            };
            // All services of PagerDuty have the same address.
            let key = routing_key.as_ref().map(SecretSource::to_string);
            ["webhook".to_owned(), url].into_iter().chain(key).collect()
        }
        Kind::Alertmanager(them) => {
            let urls = them.urls.iter().map(ToString::to_string);
            ["alertmanager".to_owned()]
                .into_iter()
                .chain(urls)
                .collect()
        }
        Kind::Whatsapp(Whatsapp {
            account,
            agent_id,
            template_name,
            language,
            recipients,
            api_key: _,
            parameters: _,
        }) => ["whatsapp", account, agent_id, template_name, language]
            .into_iter()
            .map(str::to_owned)
            .chain(recipients.iter().cloned())
            .collect(),
        Kind::Email(Email {
            host,
            port,
            from,
            to,
            encryption: _,
            hello: _,
            credentials: _,
        }) => [
            "email".to_owned(),
            format!("{host}:{port}"),
            from.email.to_string(),
        ]
        .into_iter()
        .chain(to.iter().map(|mailbox| mailbox.email.to_string()))
        .collect(),
        Kind::Heartbeat { service, .. } => vec!["heartbeat".to_owned(), service.url.to_string()],
        Kind::Exec { command } => {
            let command = command.iter().cloned();
            ["exec".to_owned()].into_iter().chain(command).collect()
        }
    };
    // A list in JSON cannot be mistaken for another list.
    serde_json::json!(parts).to_string()
}

#[cfg(test)]
mod tests {
    use super::super::MailProof;
    use super::*;

    fn webhook(url: &str, key: Option<&str>) -> Kind {
        let file = |path: &str| SecretSource::File(path.into());
        Kind::Webhook(Webhook {
            url: Endpoint::Secret(file(url)),
            secrets: Vec::new(),
            template: None,
            content_type: "application/json".to_owned(),
            routing_key: key.map(file),
        })
    }

    fn exec(command: &[&str]) -> Kind {
        Kind::Exec {
            command: command.iter().map(|&part| part.to_owned()).collect(),
        }
    }

    #[test]
    fn a_hook_is_told_from_others_by_where_it_leads() {
        let email = |to: &str| {
            Kind::Email(Email {
                host: "mail.example".to_owned(),
                port: 587,
                encryption: super::super::Encryption::Tls,
                hello: None,
                credentials: Some((
                    "me".to_owned(),
                    MailProof::Password(SecretSource::File("password".into())),
                )),
                from: "Usage <usage@example.com>".parse().unwrap(),
                to: vec![to.parse().unwrap()],
            })
        };
        assert_eq!(
            identity(&webhook("ops.url", Some("routing.key"))),
            r#"["webhook","file `ops.url`","file `routing.key`"]"#
        );
        assert_eq!(
            identity(&email("Ops <ops@example.com>")),
            r#"["email","mail.example:587","usage@example.com","ops@example.com"]"#
        );
        let kinds = [
            webhook("ops.url", None),
            webhook("ops.url", Some("routing.key")),
            webhook("other.url", None),
            email("ops@example.com"),
            email("others@example.com"),
            exec(&["mail", "a b"]),
            exec(&["mail", "a", "b"]),
            exec(&["mail\",\"a b"]),
        ];
        let mut identities: Vec<String> = kinds.iter().map(identity).collect();
        identities.sort();
        identities.dedup();
        assert_eq!(identities.len(), kinds.len());
    }
}
