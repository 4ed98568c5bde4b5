//! Versions, cipher suites and groups of TLS, by the names that Go has for them, and what rustls has for those
//! that it speaks.

use std::sync::Arc;

use rustls::crypto::ring::{self, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::version::{TLS12, TLS13};
use rustls::{SupportedCipherSuite, SupportedProtocolVersion};

use super::Fault;
use super::file::{Text, place};
use crate::nearest::nearest;
use crate::roster::printable;

/// The versions by the names that the toolkit has for them, and what rustls has for those it speaks.
const VERSIONS: [(&str, Option<&SupportedProtocolVersion>); 4] = [
    ("TLS10", None),
    ("TLS11", None),
    ("TLS12", Some(&TLS12)),
    ("TLS13", Some(&TLS13)),
];

/// Suites of TLS 1.2 that Go knows and rustls left out: padding oracles broke the like of the first, and who
/// steals the key can read what was ever said with the second.
const CBC: &str = "CBC";
const RSA: &str = "key exchange with RSA";
const NOT_SPOKEN: [(&str, &str); 8] = [
    ("TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", CBC),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", CBC),
    ("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", CBC),
    ("TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", CBC),
    ("TLS_RSA_WITH_AES_128_CBC_SHA", RSA),
    ("TLS_RSA_WITH_AES_256_CBC_SHA", RSA),
    ("TLS_RSA_WITH_AES_128_GCM_SHA256", RSA),
    ("TLS_RSA_WITH_AES_256_GCM_SHA384", RSA),
];

/// One of these is needed where HTTP/2 is spoken over TLS 1.2 (RFC 9113, 9.2.2).
const OF_HTTP2: [&str; 2] = [
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
];

/// The suites of TLS 1.3 by Go's names. They are always on, there as here.
const OF_TLS13: [&str; 3] = [
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
];

/// The value of `names` that `text` names.
pub(super) fn one_of<T: Copy>(text: &Text, key: &str, names: &[(&str, T)]) -> Result<T, Fault> {
    let known: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
    let found = names.iter().find(|(name, _)| *name == text.value);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let message = unknown(&text.value, key, &known);
        Fault::at(place(text.referenced), message)
    })
}

fn unknown(value: &str, key: &str, known: &[&str]) -> String {
    let value = printable(value);
    match nearest(&value, known) {
        Some(near) => format!("`{value}` is no `{key}`: did you mean `{near}`?"),
        None => format!("`{value}` is no `{key}`: there are {}", known.join(", ")),
    }
}

type Versions = Vec<&'static SupportedProtocolVersion>;

/// The versions from `least` to `most` that are spoken here.
pub(super) fn versions(
    least: Option<Text>,
    most: Option<Text>,
    warnings: &mut Vec<String>,
) -> Result<Versions, Fault> {
    let position = |written: &Option<Text>, key, default| match written {
        None => Ok(default),
        Some(text) => {
            one_of(text, key, &VERSIONS)?;
            let position = VERSIONS.iter().position(|(name, _)| *name == text.value);
            Ok(position.unwrap_or(default))
        }
    };
    let low = position(&least, "min_version", 2)?;
    let high = position(&most, "max_version", 3)?;
    let names = [VERSIONS[low].0, VERSIONS[high].0];
    let spoken: Versions = VERSIONS
        .get(low..=high)
        .unwrap_or_default()
        .iter()
        .filter_map(|(_, version)| *version)
        .collect();
    if spoken.is_empty() {
        let message = if low > high {
            format!("min_version {} is above max_version {}", names[0], names[1])
        } else {
            format!(
                "max_version {} is not spoken here, only TLS12 and TLS13 are",
                names[1]
            )
        };
        return Err(Fault::at(
            most.or(least).and_then(|text| place(text.referenced)),
            message,
        ));
    }
    if VERSIONS[low].1.is_none() {
        warnings.push(format!(
            "min_version {} is taken for TLS12: nothing below is spoken here",
            names[0]
        ));
    }
    Ok(spoken)
}

/// Refuses what other exporters would, though HTTP/2 is not spoken here: a file must do for all or none.
pub(super) fn check_http2(
    suites: &[Text],
    versions: &[&SupportedProtocolVersion],
) -> Result<(), Fault> {
    if !versions.contains(&&TLS12) {
        return Ok(());
    }
    let is_enough = |suite: &Text| OF_HTTP2.contains(&suite.value.as_str());
    match suites.first() {
        Some(first) if !suites.iter().any(is_enough) => {
            let [one, other] = OF_HTTP2;
            let message = format!(
                "`cipher_suites` has neither {one} nor {other}, one of which HTTP/2 needs: add one, or write \
                 `http2: false` under `http_server_config`"
            );
            Err(Fault::at(place(first.referenced), message))
        }
        _ => Ok(()),
    }
}

/// The suites of TLS 1.2 that are named, in their order.
pub(super) fn suites_of(
    list: Vec<Text>,
    warnings: &mut Vec<String>,
) -> Result<Vec<SupportedCipherSuite>, Fault> {
    let ours: Vec<(String, SupportedCipherSuite)> = ring::ALL_CIPHER_SUITES
        .iter()
        .filter(|suite| suite.tls13().is_none())
        .map(|suite| (format!("{:?}", suite.suite()), *suite))
        .collect();
    let mut chosen = Vec::new();
    for text in list {
        let name = text.value.as_str();
        if let Some((_, suite)) = ours.iter().find(|(ours, _)| ours == name) {
            chosen.push(*suite);
        } else if let Some((_, how)) = NOT_SPOKEN.iter().find(|(other, _)| *other == name) {
            warnings.push(format!(
                "cipher suite {name} is left out: {how} is not spoken here"
            ));
        } else if !OF_TLS13.contains(&name) {
            let known: Vec<&str> = ours.iter().map(|(name, _)| name.as_str()).collect();
            let message = unknown(name, "cipher_suites", &known);
            return Err(Fault::at(place(text.referenced), message));
        }
    }
    Ok(chosen)
}

/// The groups that are named, in their order.
pub(super) fn groups_of(
    list: Vec<Text>,
    warnings: &mut Vec<String>,
) -> Result<Vec<&'static dyn SupportedKxGroup>, Fault> {
    let ours: [(&str, Option<&'static dyn SupportedKxGroup>); 5] = [
        ("CurveP256", Some(kx_group::SECP256R1)),
        ("CurveP384", Some(kx_group::SECP384R1)),
        ("CurveP521", None),
        ("X25519", Some(kx_group::X25519)),
        ("X25519MLKEM768", None),
    ];
    let mut chosen = Vec::new();
    for text in list {
        match one_of(&text, "curve_preferences", &ours)? {
            Some(group) => chosen.push(group),
            None => warnings.push(format!(
                "curve {} is left out: it is not spoken here",
                text.value
            )),
        }
    }
    Ok(chosen)
}

/// The cryptography for what was chosen, and the versions that it allows for.
pub(super) fn provider(
    mut versions: Versions,
    suites: Option<Vec<SupportedCipherSuite>>,
    groups: Option<Vec<&'static dyn SupportedKxGroup>>,
    warnings: &mut Vec<String>,
) -> Result<(Arc<CryptoProvider>, Versions), &'static str> {
    let mut provider = ring::default_provider();
    if let Some(mut chosen) = suites {
        if chosen.is_empty() {
            versions.retain(|version| version.version != TLS12.version);
            if versions.is_empty() {
                return Err("none of the `cipher_suites` is spoken here, so TLS12 cannot be");
            }
            warnings.push("TLS12 is not spoken: none of its `cipher_suites` is left".to_owned());
        }
        chosen.extend(
            ring::ALL_CIPHER_SUITES
                .iter()
                .filter(|suite| suite.tls13().is_some()),
        );
        provider.cipher_suites = chosen;
    }
    if let Some(chosen) = groups {
        if chosen.is_empty() {
            return Err("none of the `curve_preferences` is spoken here");
        }
        provider.kx_groups = chosen;
    }
    Ok((Arc::new(provider), versions))
}
