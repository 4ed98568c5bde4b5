//! `tls_server_config` → what rustls serves with. What rustls does not speak is refused, or left out with
//! a warning where what remains is no weaker: TLS 1.0 and 1.1, suites with CBC, P-521.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring::{self, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ConfigBuilder, RootCertStore, ServerConfig, SupportedCipherSuite, SupportedProtocolVersion,
    WantsVerifier,
};
use secrecy::zeroize::Zeroizing;
use serde_saphyr::Spanned;

use super::clients::{AllowedNames, AnyCertificate, ClientAuth};
use super::file::{self, Text, place};
use super::files::{Files, shown};
use super::{Fault, SharedTime};
use crate::files::{CERTIFICATES, Content, Purpose, exposure};
use crate::nearest::nearest;
use crate::roster::printable;

/// The versions by the names that the toolkit has for them, and what rustls has for those it speaks.
const VERSIONS: [(&str, Option<&SupportedProtocolVersion>); 4] = [
    ("TLS10", None),
    ("TLS11", None),
    ("TLS12", Some(&TLS12)),
    ("TLS13", Some(&TLS13)),
];

/// Suites of TLS 1.2 that Go knows and rustls has left out, since padding oracles broke their like.
const WITH_CBC: [&str; 4] = [
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
];

/// The suites of TLS 1.3 by Go's names. They are always on, there as here.
const OF_TLS13: [&str; 3] = [
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
];

/// How TLS is spoken.
#[derive(Debug)]
pub(super) struct Tls {
    /// What rustls serves with.
    pub(super) config: Arc<ServerConfig>,
    /// What is asked of clients.
    pub(super) clients: ClientAuth,
    /// Whether only some of their names are allowed.
    pub(super) checks_names: bool,
}

/// What a section is checked with.
pub(super) struct Surroundings<'a> {
    /// What relative paths start from.
    pub(super) folder: &'a Path,
    /// Where what is read is noted.
    pub(super) files: &'a mut Files,
    /// Where a second look is advised.
    pub(super) warnings: &'a mut Vec<String>,
    /// Where files of secrets are noted that others may read.
    pub(super) exposed: &'a mut Vec<String>,
    /// By which certificates are judged.
    pub(super) time: SharedTime,
}

/// Checks the section. Nothing in it is as good as no section.
pub(super) fn check(
    written: Spanned<file::Tls>,
    surroundings: &mut Surroundings<'_>,
) -> Result<Option<Tls>, Fault> {
    let section = place(written.referenced);
    let file::Tls {
        cert,
        key,
        client_ca,
        cert_file,
        key_file,
        client_auth_type,
        client_ca_file,
        client_allowed_sans,
        min_version,
        max_version,
        cipher_suites,
        prefer_server_cipher_suites,
        curve_preferences,
    } = written.value;
    let something = [
        &cert,
        &key,
        &client_ca,
        &cert_file,
        &key_file,
        &client_auth_type,
        &client_ca_file,
        &min_version,
        &max_version,
    ];
    let has_something = something.iter().any(|text| text.is_some())
        || client_allowed_sans.is_some()
        || cipher_suites.is_some()
        || curve_preferences.is_some();
    if !has_something {
        return Ok(None);
    }
    let versions = versions(min_version, max_version, surroundings)?;
    // An empty list is none, as in Go.
    let suites = cipher_suites.filter(|list| !list.is_empty());
    let suites = suites
        .map(|list| suites_of(list, surroundings))
        .transpose()?;
    let groups = curve_preferences.filter(|list| !list.is_empty());
    let groups = groups
        .map(|list| groups_of(list, surroundings))
        .transpose()?;
    let (provider, versions) = provider(versions, suites, groups, surroundings)
        .map_err(|message| Fault::at(section, message))?;
    let pair = [
        pem(("cert", cert), ("cert_file", cert_file), surroundings)?,
        pem(("key", key), ("key_file", key_file), surroundings)?,
    ];
    let [Some(chain), Some(key)] = pair else {
        let message = "`tls_server_config` needs a certificate and its key: `cert_file` and `key_file`, \
             or `cert` and `key`";
        return Err(Fault::at(section, message));
    };
    let chain_place = chain.place;
    let chain = certificates(chain)?;
    let key = private_key(&key)?;

    let clients = client_auth(client_auth_type)?;
    let authorities = pem(
        ("client_ca", client_ca),
        ("client_ca_file", client_ca_file),
        surroundings,
    )?;
    let verifier = verifier(&provider, clients, authorities, section, surroundings)?;
    let checks_names = client_allowed_sans.is_some();
    let verifier = allowed_names(verifier, clients, client_allowed_sans)?;

    let builder = ServerConfig::builder_with_details(provider, Arc::clone(&surroundings.time) as _)
        .with_protocol_versions(&versions)
        .map_err(|error| Fault::at(section, error.to_string()))?;
    let mut config = with_clients(builder, verifier)
        .with_single_cert(chain, key)
        .map_err(|error| {
            let message = match error {
                rustls::Error::InconsistentKeys(_) => {
                    "the key is not that of the certificate".to_owned()
                }
                other => format!("cannot serve with this certificate and key: {other}"),
            };
            Fault::at(chain_place, message)
        })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.ignore_client_order = prefer_server_cipher_suites.unwrap_or(true);
    // Every handshake is a full one: a client that comes back would otherwise not be asked again for a
    // certificate that may have expired since. Scrapers keep their connections anyway.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Some(Tls {
        config: Arc::new(config),
        clients,
        checks_names,
    }))
}

fn with_clients(
    builder: ConfigBuilder<ServerConfig, WantsVerifier>,
    verifier: Option<Arc<dyn ClientCertVerifier>>,
) -> ConfigBuilder<ServerConfig, rustls::server::WantsServerCert> {
    match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    }
}

/// A text in PEM, and where it comes from.
struct Pem {
    bytes: Zeroizing<Vec<u8>>,
    /// The file, or the key that it stands under.
    origin: String,
    place: Option<(u64, u64)>,
}

/// The one of both that is written: the text itself, or what stands in the file.
fn pem(
    (inline_key, inline): (&str, Option<Text>),
    (file_key, file): (&'static str, Option<Text>),
    surroundings: &mut Surroundings<'_>,
) -> Result<Option<Pem>, Fault> {
    match (inline, file) {
        (None, None) => Ok(None),
        (Some(text), None) => Ok(Some(Pem {
            bytes: text.value.into_bytes().into(),
            origin: format!("`{inline_key}`"),
            place: place(text.referenced),
        })),
        (None, Some(text)) => {
            let place = place(text.referenced);
            if text.value.trim().is_empty() {
                return Err(Fault::at(place, format!("`{file_key}` names no file")));
            }
            let path: PathBuf = surroundings.folder.join(&text.value);
            let purpose = Purpose {
                name: file_key,
                ..CERTIFICATES
            };
            let read = surroundings.files.read(&path, purpose);
            let Content { bytes, metadata } =
                read.map_err(|error| Fault::at(place, error.to_string()))?;
            if file_key == "key_file" {
                surroundings.exposed.extend(exposure(&path, &metadata));
            }
            Ok(Some(Pem {
                bytes,
                origin: format!("`{}`", shown(&path)),
                place,
            }))
        }
        (Some(_), Some(text)) => {
            let message = format!("`{inline_key}` and `{file_key}` exclude each other");
            Err(Fault::at(place(text.referenced), message))
        }
    }
}

fn certificates(pem: Pem) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let Pem {
        bytes,
        origin,
        place,
    } = pem;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let found = found.map_err(|error| {
        Fault::at(
            place,
            format!("{origin} holds a damaged certificate: {error}"),
        )
    })?;
    if found.is_empty() {
        return Err(Fault::at(
            place,
            format!("{origin} holds no certificate in PEM"),
        ));
    }
    Ok(found)
}

fn private_key(pem: &Pem) -> Result<PrivateKeyDer<'static>, Fault> {
    PrivateKeyDer::from_pem_slice(&pem.bytes).map_err(|_| {
        let text = String::from_utf8_lossy(&pem.bytes);
        let message = if text.contains("ENCRYPTED") {
            format!(
                "the key in {} is encrypted: nobody is there to type its password",
                pem.origin
            )
        } else {
            format!("{} holds no private key in PEM", pem.origin)
        };
        Fault::at(pem.place, message)
    })
}

fn client_auth(written: Option<Text>) -> Result<ClientAuth, Fault> {
    let Some(text) = written.filter(|text| !text.value.is_empty()) else {
        return Ok(ClientAuth::NoClientCert);
    };
    one_of(&text, "client_auth_type", &ClientAuth::NAMES)
}

fn verifier(
    provider: &Arc<CryptoProvider>,
    clients: ClientAuth,
    authorities: Option<Pem>,
    section: Option<(u64, u64)>,
    surroundings: &mut Surroundings<'_>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, Fault> {
    if clients == ClientAuth::NoClientCert {
        return match authorities {
            None => Ok(None),
            Some(pem) => Err(Fault::at(
                pem.place,
                format!(
                    "{} vouches for clients, but no certificate is asked of them: \
                     add `client_auth_type: RequireAndVerifyClientCert`",
                    pem.origin
                ),
            )),
        };
    }
    if !clients.verifies() {
        if let Some(pem) = authorities {
            certificates(pem)?;
            surroundings.warnings.push(format!(
                "client_auth_type {clients:?} takes any certificate, whoever has signed it"
            ));
        }
        return Ok(Some(Arc::new(AnyCertificate {
            provider: Arc::clone(provider),
            mandatory: clients.requires(),
        })));
    }
    let Some(pem) = authorities else {
        let message = format!(
            "client_auth_type {clients:?} needs `client_ca_file`: those who vouch for clients; \
             whoever vouches for web sites is not meant"
        );
        return Err(Fault::at(section, message));
    };
    let (authorities_place, origin) = (pem.place, pem.origin.clone());
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        roots.add(certificate).map_err(|error| {
            let message = format!("{origin} holds a certificate that cannot vouch: {error}");
            Fault::at(authorities_place, message)
        })?;
    }
    let builder =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let builder = if clients.requires() {
        builder
    } else {
        builder.allow_unauthenticated()
    };
    match builder.build() {
        Ok(verifier) => Ok(Some(verifier)),
        Err(error) => Err(Fault::at(authorities_place, format!("{origin}: {error}"))),
    }
}

fn allowed_names(
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    clients: ClientAuth,
    names: Option<Spanned<Vec<String>>>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, Fault> {
    match (verifier, names) {
        (verifier, None) => Ok(verifier),
        (Some(inner), Some(names)) if clients.requires() => Ok(Some(Arc::new(AllowedNames {
            inner,
            allowed: names.value,
        }))),
        (_, Some(names)) => {
            let message = "`client_allowed_sans` needs a `client_auth_type` that requires a certificate: \
                 RequireAndVerifyClientCert or RequireAnyClientCert";
            Err(Fault::at(place(names.referenced), message))
        }
    }
}

/// The value of `names` that `text` names.
fn one_of<T: Copy>(text: &Text, key: &str, names: &[(&str, T)]) -> Result<T, Fault> {
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

fn versions(
    least: Option<Text>,
    most: Option<Text>,
    surroundings: &mut Surroundings<'_>,
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
        surroundings.warnings.push(format!(
            "min_version {} is taken for TLS12: nothing below is spoken here",
            names[0]
        ));
    }
    Ok(spoken)
}

/// The suites of TLS 1.2 that are named, in their order.
fn suites_of(
    list: Vec<Text>,
    surroundings: &mut Surroundings<'_>,
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
        } else if WITH_CBC.contains(&name) {
            surroundings.warnings.push(format!(
                "cipher suite {name} is left out: CBC is not spoken here"
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
fn groups_of(
    list: Vec<Text>,
    surroundings: &mut Surroundings<'_>,
) -> Result<Vec<&'static dyn SupportedKxGroup>, Fault> {
    let ours: [(&str, Option<&'static dyn SupportedKxGroup>); 4] = [
        ("CurveP256", Some(kx_group::SECP256R1)),
        ("CurveP384", Some(kx_group::SECP384R1)),
        ("CurveP521", None),
        ("X25519", Some(kx_group::X25519)),
    ];
    let mut chosen = Vec::new();
    for text in list {
        match one_of(&text, "curve_preferences", &ours)? {
            Some(group) => chosen.push(group),
            None => surroundings
                .warnings
                .push("curve CurveP521 is left out: it is not spoken here".to_owned()),
        }
    }
    Ok(chosen)
}

/// The cryptography for what was chosen, and the versions that it allows for.
fn provider(
    mut versions: Versions,
    suites: Option<Vec<SupportedCipherSuite>>,
    groups: Option<Vec<&'static dyn SupportedKxGroup>>,
    surroundings: &mut Surroundings<'_>,
) -> Result<(Arc<CryptoProvider>, Versions), &'static str> {
    let mut provider = ring::default_provider();
    if let Some(mut chosen) = suites {
        if chosen.is_empty() {
            versions.retain(|version| version.version != TLS12.version);
            if versions.is_empty() {
                return Err("none of the `cipher_suites` is spoken here, so TLS12 cannot be");
            }
            surroundings
                .warnings
                .push("TLS12 is not spoken: none of its `cipher_suites` is left".to_owned());
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
