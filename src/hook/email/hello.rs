//! The name that mail servers are greeted with. RFC 5321 wants a full name, or else the address in brackets, and
//! servers refuse what is neither, such as the bare name of a host.

use std::net::IpAddr;

use lettre::transport::smtp::extension::ClientId;

/// Form of `text`, a full name or an address with or without brackets, in a greeting; none if it is neither.
#[must_use]
pub fn hello(text: &str) -> Option<ClientId> {
    let inside = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let address = inside.unwrap_or(text);
    let address = address.strip_prefix("IPv6:").unwrap_or(address);
    match address.parse() {
        Ok(address) => Some(literal(address)),
        Err(_) => is_full_name(text).then(|| ClientId::Domain(text.to_owned())),
    }
}

/// Name for greetings from `address`: the `chosen` one, or the host's name if it is a full one, or
/// the address.
pub(super) fn greeting(chosen: Option<&ClientId>, host: &ClientId, address: IpAddr) -> ClientId {
    match (chosen, host) {
        (Some(chosen), _) => chosen.clone(),
        (None, ClientId::Domain(name)) if is_full_name(name) => host.clone(),
        (None, _) => literal(address),
    }
}

fn literal(address: IpAddr) -> ClientId {
    match address.to_canonical() {
        IpAddr::V4(address) => ClientId::Ipv4(address),
        IpAddr::V6(address) => ClientId::Ipv6(address),
    }
}

/// Returns true if it is a name with a domain, and not one that every machine has.
fn is_full_name(name: &str) -> bool {
    let is_label = |label: &str| {
        let is_letter = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
        (1..=63).contains(&label.len())
            && label.chars().all(is_letter)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let labels: Vec<&str> = name.split('.').collect();
    let last = labels.last().copied().unwrap_or_default();
    name.len() <= 253
        && labels.len() > 1
        && labels.into_iter().all(is_label)
        && !last.bytes().all(|letter| letter.is_ascii_digit())
        && !["localdomain", "localhost"].contains(&last.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_greeted_with_a_full_name_or_an_address() {
        let own = |text: &str| text.parse::<IpAddr>().unwrap();
        for (host, address, expected) in [
            ("vm.example.com", "192.0.2.7", "vm.example.com"),
            ("VM-1.example", "192.0.2.7", "VM-1.example"),
            ("vm", "192.0.2.7", "[192.0.2.7]"),
            ("localhost.localdomain", "192.0.2.7", "[192.0.2.7]"),
            ("a_b.example.com", "192.0.2.7", "[192.0.2.7]"),
            ("a..example", "192.0.2.7", "[192.0.2.7]"),
            ("-a.example", "192.0.2.7", "[192.0.2.7]"),
            ("10.1.2.3", "192.0.2.7", "[192.0.2.7]"),
            ("f3c2a1b4d5e6", "2001:db8::7", "[IPv6:2001:db8::7]"),
            ("vm", "::ffff:192.0.2.7", "[192.0.2.7]"),
        ] {
            let host = ClientId::Domain(host.to_owned());
            let greeting = greeting(None, &host, own(address));
            assert_eq!(greeting.to_string(), expected, "{host}");
        }
        let chosen = ClientId::Domain("mail.example.com".to_owned());
        let host = ClientId::Domain("vm.example.com".to_owned());
        assert_eq!(greeting(Some(&chosen), &host, own("192.0.2.7")), chosen);
    }

    #[test]
    fn a_greeting_may_be_chosen_if_servers_take_it() {
        for (text, expected) in [
            ("mail.example.com", Some("mail.example.com")),
            ("192.0.2.7", Some("[192.0.2.7]")),
            ("[192.0.2.7]", Some("[192.0.2.7]")),
            ("[IPv6:2001:db8::7]", Some("[IPv6:2001:db8::7]")),
            ("2001:db8::7", Some("[IPv6:2001:db8::7]")),
            ("mail", None),
            ("", None),
            ("a b.example", None),
            ("mail.example.com\r\nQUIT", None),
        ] {
            let shown = hello(text).map(|hello| hello.to_string());
            assert_eq!(shown.as_deref(), expected, "{text}");
        }
    }
}
