//! The rules for single values of `[[hook]]`. What is read from a secret's place is never shown, nor
//! what may hold a password or a token.

use std::net::IpAddr;

use chrono::NaiveTime;
use chrono_tz::{TZ_VARIANTS, Tz};
use lettre::message::Mailbox;
use lettre::transport::smtp::extension::ClientId;
use url::{Host, Url};

use super::{Checked, as_base, formed, url, without_user};
use crate::config::diagnostics::Fault;
use crate::egress::{self, Proxy};
use crate::hook;
use crate::roster::printable;
use crate::secret::Secret;

/// Two times of day, from the first up to the second.
pub(in crate::config) fn quiet_hours(text: &str) -> Checked<(NaiveTime, NaiveTime)> {
    let time = |text: &str| match text.trim() {
        "24:00" => Some(NaiveTime::MIN),
        text => NaiveTime::parse_from_str(text, "%H:%M").ok(),
    };
    let times = text
        .split_once('-')
        .and_then(|(from, to)| Some((time(from)?, time(to)?)));
    let shown = printable(text);
    match times {
        None => Err(
            Fault::new(format!("`{shown}` is not from one time of day to another"))
                .help("write both as hours and minutes, such as `22:00-07:00`"),
        ),
        Some((from, to)) if from == to => Err(Fault::new(format!(
            "`{shown}` ends when it begins: no hour of the day is quiet"
        ))),
        Some(times) => Ok(times),
    }
}

pub(in crate::config) fn time_zone(text: &str) -> Checked<Tz> {
    text.parse().map_err(|_| {
        let known: Vec<_> = TZ_VARIANTS.iter().map(|zone| zone.name()).collect();
        let otherwise = "write its name, such as `Europe/Berlin`, or `UTC`";
        let fault = Fault::new(format!("`{}` is not a time zone", printable(text)));
        fault.near(text, &known, otherwise)
    })
}

/// A URL that was read from a secret's place.
pub(in crate::config) fn secret_url(text: &str, allow_private: bool) -> Checked<Url> {
    let url = Url::parse(text)
        .map_err(|error| Fault::new(format!("its content is not a URL: {error}")))?;
    reachable(&url, allow_private)?;
    Ok(url)
}

/// The base URL of an Alertmanager, ending in a slash.
pub(in crate::config) fn alertmanager_url(text: &str, allow_private: bool) -> Checked<Url> {
    let url = url(text, "http://alertmanager:9093/")?;
    without_user(&url, "write `username = \"…\"` and `password_file = \"…\"`")?;
    let url = as_base(url)?;
    reachable(&url, allow_private)?;
    Ok(url)
}

/// Refuses a URL that a hook may not lead to, as far as the URL alone can say. No message repeats it.
pub(super) fn reachable(url: &Url, allow_private: bool) -> Checked<()> {
    if !matches!(url.scheme(), "https" | "http") {
        return Err(Fault::new("the URL is neither http nor https"));
    }
    if allow_private {
        return Ok(());
    }
    if let Some(kind) = url.host().and_then(|host| not_public(&host)) {
        return Err(private("the URL", kind));
    }
    if url.scheme() == "http" {
        return Err(Fault::new("plain http would send your figures unencrypted")
            .help("use https, or set `allow_private = true` if the network to it is safe"));
    }
    Ok(())
}

fn private(what: &str, kind: &str) -> Fault {
    Fault::new(format!("{what} leads to {kind}")).help("set `allow_private = true` if it may")
}

/// Names the kind of a host outside of the public internet, as far as can be said before it is resolved.
fn not_public<S: AsRef<str>>(host: &Host<S>) -> Option<&'static str> {
    match host {
        Host::Domain(name) => (name.as_ref() == "localhost").then_some("this machine"),
        Host::Ipv4(address) => egress::not_public(IpAddr::V4(*address)),
        Host::Ipv6(address) => egress::not_public(IpAddr::V6(*address)),
    }
}

/// The name in the greeting of a mail server.
pub(in crate::config) fn hello(text: &str) -> Checked<ClientId> {
    hook::hello(text).ok_or_else(|| {
        let shown = printable(text);
        Fault::new(format!("`{shown}` is neither a full name nor an address"))
            .help("write a name with its domain, such as `alerts.example.org`, or `[192.0.2.1]`")
    })
}

/// The proxy on the way to a receiver.
pub(in crate::config) fn proxy(text: &str, allow_private: bool) -> Checked<Proxy> {
    if text == "environment" {
        return Ok(Proxy::Environment);
    }
    let url = Url::parse(text).map_err(|error| {
        Fault::new(format!("neither `environment` nor a URL: {error}"))
            .help("write it in full, such as `http://proxy.example.org:3128`")
    })?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(Fault::new("the proxy's URL is neither http nor https"));
    }
    without_user(
        &url,
        "set `HTTPS_PROXY` in the exporter's environment, and write `proxy = \"environment\"`",
    )?;
    let kind = url.host().and_then(|host| not_public(&host));
    match kind.filter(|_| !allow_private) {
        Some(kind) => Err(private("the proxy", kind)),
        None => Ok(Proxy::At(url)),
    }
}

/// A secret of Standard Webhooks.
pub(in crate::config) fn signing_secret(text: &str) -> Checked<()> {
    hook::check_signing_secret(&Secret::new(text)).map_err(|error| {
        Fault::new(error.to_string())
            .help("a webhook secret is `whsec_` and 24 to 64 bytes in base64")
    })
}

pub(in crate::config) fn content_type(text: &str) -> Checked<String> {
    let form = "[0-9A-Za-z!#$&^_.+-]+/[0-9A-Za-z!#$&^_.+-]+ *(;[ -~]*)?";
    let help = "write a type and a subtype, such as `application/json`";
    formed(text, form, "a media type", help)
}

/// The digits of a phone number: 7 to 15 with its country code, by E.164.
pub(in crate::config) fn phone_number(text: &str) -> Checked<String> {
    let help = "write the country code and 7 to 15 digits in all, such as `+31612345678`";
    let number = formed(text, "[+]?[1-9][0-9]{6,14}", "a phone number", help)?;
    Ok(number.trim_start_matches('+').to_owned())
}

/// The name of a WhatsApp template.
pub(in crate::config) fn template_name(text: &str) -> Checked<String> {
    let help = "WhatsApp's template names have small letters, digits and underscores";
    formed(text, "[a-z0-9_]{1,512}", "a template's name", help)
}

/// The language of a WhatsApp template.
pub(in crate::config) fn language(text: &str) -> Checked<String> {
    let help = "write it as WhatsApp does, such as `en` or `en_US`";
    formed(
        text,
        "[A-Za-z]{2}[0-9A-Za-z_]{0,14}",
        "a language code",
        help,
    )
}

/// A mail server: a name or an address.
pub(in crate::config) fn host(text: &str, allow_private: bool) -> Checked<String> {
    if text.contains('@') {
        return Err(
            Fault::new("a host with a user or a password is not accepted")
                .help("write `username = \"…\"` and `password_file = \"…\"`"),
        );
    }
    let host = match text.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => Host::Ipv4(address),
        Ok(IpAddr::V6(address)) => Host::Ipv6(address),
        Err(_) => Host::parse(text).map_err(|error| {
            let shown = printable(text);
            let fault = Fault::new(format!("`{shown}` is not a host: {error}"));
            match text.rsplit_once(':') {
                Some((_, port)) if port.parse::<u16>().is_ok() => {
                    fault.help(format!("write the port as its own key: `port = {port}`"))
                }
                _ => fault,
            }
        })?,
    };
    if let Some(kind) = not_public(&host).filter(|_| !allow_private) {
        return Err(private("the host", kind));
    }
    Ok(text.to_owned())
}

pub(in crate::config) fn mailbox(text: &str) -> Checked<Mailbox> {
    text.parse().map_err(|_| {
        Fault::new(format!("`{}` is not an e-mail address", printable(text)))
            .help("write `ops@example.org` or `Operations <ops@example.org>`")
    })
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn quiet_hours_may_pass_midnight() {
        let hours = |text| quiet_hours(text).map(|(from, to)| format!("{from} {to}"));
        for (written, meant) in [
            ("22:00-07:00", "22:00:00 07:00:00"),
            ("8:05 - 9:30", "08:05:00 09:30:00"),
            ("18:00-24:00", "18:00:00 00:00:00"),
            ("00:00-06:00", "00:00:00 06:00:00"),
        ] {
            assert_eq!(hours(written).unwrap(), meant);
        }
        for bad in [
            "",
            "22:00",
            "22-7",
            "22:00-",
            "22:00-25:00",
            "22:00-+7:00",
            "22:60-07:00",
            "07:00-07:00",
            "00:00-24:00",
            "a-b",
        ] {
            assert!(hours(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_time_zone_is_known_by_its_name() {
        assert_eq!(time_zone("Europe/Berlin").unwrap(), Tz::Europe__Berlin);
        assert_eq!(time_zone("UTC").unwrap(), Tz::UTC);
        let help = |text| time_zone(text).unwrap_err().help.unwrap();
        assert_eq!(help("europe/berlin"), "did you mean `Europe/Berlin`?");
        assert_eq!(help("Amerika/New_York"), "did you mean `America/New_York`?");
        assert!(help("+02:00").starts_with("write its name"));
    }

    #[test]
    fn only_a_hook_that_may_leads_inside_or_through_plain_http() {
        for outside in ["https://hooks.example/x?token=1", "https://1.1.1.1/"] {
            assert!(secret_url(outside, false).is_ok(), "{outside}");
        }
        for inside in [
            "http://hooks.example/canary",
            "http://localhost/canary",
            "https://localhost/canary",
            "https://127.0.0.1/canary",
            "https://10.1.2.3/canary",
            "https://169.254.169.254/canary",
            "https://[::1]/canary",
            "https://[fe80::1]/canary",
            "https://[fd00::1]/canary",
            "https://[::ffff:10.0.0.1]/canary",
            "https://0.0.0.0/canary",
            "https://2130706433/canary",
            "https://100.100.100.200/canary",
            "https://168.63.129.16/canary",
            "https://[64:ff9b::10.1.2.3]/canary",
        ] {
            let fault = secret_url(inside, false).unwrap_err();
            assert!(!format!("{fault:?}").contains("canary"), "{inside}");
            assert!(secret_url(inside, true).is_ok(), "{inside}");
        }
        for never in ["canary", "ftp://canary/", "file:///canary", ""] {
            let fault = secret_url(never, true).unwrap_err();
            assert!(!format!("{fault:?}").contains("canary"), "{never}");
        }
    }

    #[test]
    fn an_alertmanager_is_named_by_its_base() {
        let base = |url| alertmanager_url(url, true).map(|url| url.to_string());
        assert_eq!(base("http://am:9093").unwrap(), "http://am:9093/");
        assert_eq!(base("https://am/prefix").unwrap(), "https://am/prefix/");
        for bad in [
            "am:9093",
            "http://u:canary@am/",
            "http://am/?canary",
            "http://am/#canary",
        ] {
            let fault = alertmanager_url(bad, true).unwrap_err();
            assert!(!format!("{fault:?}").contains("canary"), "{bad}");
        }
    }

    #[test]
    fn a_signing_secret_has_a_prefix_and_a_fair_length() {
        let secret = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![7; bytes]));
        assert!(signing_secret(&secret(24)).is_ok() && signing_secret(&secret(64)).is_ok());
        // The padding gets lost where secrets are copied.
        assert!(secret(32).ends_with('='));
        assert!(signing_secret(secret(32).trim_end_matches('=')).is_ok());
        for bad in [
            secret(23),
            secret(65),
            secret(24).replace("whsec_", ""),
            "whsec_canary".to_owned(),
            "whsec_".to_owned(),
            "whsk_canary".to_owned(),
        ] {
            let fault = signing_secret(&bad).unwrap_err();
            assert!(!format!("{fault:?}").contains("canary"), "{bad}");
            assert!(!format!("{fault:?}").contains("BwcH"), "{bad}");
        }
    }

    #[test]
    fn phone_numbers_have_their_country_code() {
        assert_eq!(phone_number("+31612345678").unwrap(), "31612345678");
        assert_eq!(phone_number("31612345678").unwrap(), "31612345678");
        for bad in [
            "",
            "+",
            "123456",
            "1234567890123456",
            "0612345678",
            "+31 6 12345678",
            "++31612345678",
            "٣١٦١٢٣٤٥٦٧٨",
        ] {
            assert!(phone_number(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_written_for_a_mail_server_is_a_host() {
        for good in ["smtp.example.org", "9.9.9.9", "2620:fe::fe", "mail"] {
            assert_eq!(host(good, false).unwrap(), good);
        }
        for inside in ["localhost", "127.0.0.1", "::1", "10.0.0.1", "100.64.0.1"] {
            assert!(host(inside, false).is_err() && host(inside, true).is_ok());
        }
        for bad in ["", "a b", "smtp.example.org:587", "https://x", "u:p@h"] {
            assert!(host(bad, true).is_err(), "{bad}");
        }
    }

    #[test]
    fn words_of_other_systems_have_their_forms() {
        for good in ["en", "en_US", "fil", "zh_CN"] {
            assert!(language(good).is_ok(), "{good}");
        }
        for bad in ["", "e", "the English language", "en-US", "_US"] {
            assert!(language(bad).is_err(), "{bad}");
        }
        assert!(template_name("credits_low_2").is_ok());
        assert!(template_name("").is_err() && template_name("Credits Low").is_err());
        for good in ["application/json", "text/plain; charset=utf-8"] {
            assert!(content_type(good).is_ok(), "{good}");
        }
        for bad in ["json", "/", "a/", "a b/c", "a/b\n", "", "a/b;ü"] {
            assert!(content_type(bad).is_err(), "{bad}");
        }
        for good in ["ops@example.org", "Operations <ops@example.org>"] {
            assert!(mailbox(good).is_ok(), "{good}");
        }
        for bad in ["ops", "ops@", "a@example.org, b@example.org", ""] {
            assert!(mailbox(bad).is_err(), "{bad}");
        }
    }
}
