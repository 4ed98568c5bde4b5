//! `tls_server_config` → what rustls serves with. What rustls does not speak is refused, or left out with
//! a warning where what remains is no weaker: TLS 1.0 and 1.1, suites with CBC, P-521.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{ConfigBuilder, RootCertStore, ServerConfig, WantsVerifier};
use secrecy::zeroize::Zeroizing;
use serde_saphyr::Spanned;

use super::choices;
use super::clients::{AnyCertificate, Chosen, ClientAuth};
use super::file::{self, Text, place};
use super::files::{Files, shown};
use super::{Fault, SharedTime};
use crate::egress::trust::read_pem;
use crate::files::{CERTIFICATES, Content, Purpose, exposure};

const NO_PAIR: &str = "`tls_server_config` needs a certificate and its key: `cert_file` and `key_file`, or `cert` \
     and `key`";

/// TLS as it is served.
#[derive(Debug)]
pub(super) struct Tls {
    /// Settings for rustls.
    pub(super) config: Arc<ServerConfig>,
    /// Demand on clients.
    pub(super) clients: ClientAuth,
    /// True if the config names authorities for clients, instead of the system's.
    pub(super) has_authorities: bool,
    /// True if only some of their names are allowed.
    pub(super) checks_names: bool,
}

/// Context in which a section is checked.
pub(super) struct Surroundings<'a> {
    /// Folder from which relative paths start.
    pub(super) folder: &'a Path,
    /// Record of the files that were read.
    pub(super) files: &'a mut Files,
    /// Warnings.
    pub(super) warnings: &'a mut Vec<String>,
    /// Files of secrets that others may read.
    pub(super) exposed: &'a mut Vec<String>,
    /// By which certificates are judged.
    pub(super) time: SharedTime,
    /// True unless HTTP/2 is turned off.
    pub(super) http2: bool,
}

/// Finds nothing in a section.
fn is_empty(written: &file::Tls) -> bool {
    let nothing = file::Tls {
        prefer_server_cipher_suites: written.prefer_server_cipher_suites,
        ..file::Tls::default()
    };
    *written == nothing
}

/// Says why the certificate at `place` does not go with its key.
fn unusable(place: Option<(u64, u64)>, error: rustls::Error) -> Fault {
    let message = match error {
        rustls::Error::InconsistentKeys(_) => "the key is not that of the certificate".to_owned(),
        other => format!("cannot serve with this certificate and key: {other}"),
    };
    Fault::at(place, message)
}

/// HTTP/1.1, and every handshake a full one: a client that comes back would otherwise not be asked again for a
/// certificate that may have expired since. Scrapers keep their connections anyway.
fn serve_afresh(config: &mut ServerConfig) {
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
}

/// Checks the section. Nothing in it is as good as no section.
pub(super) fn check(
    written: Spanned<file::Tls>,
    surroundings: &mut Surroundings<'_>,
) -> Result<Option<Tls>, Fault> {
    let section = place(written.referenced);
    if is_empty(&written.value) {
        return Ok(None);
    }
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
    let warnings = &mut *surroundings.warnings;
    let versions = choices::versions(min_version, max_version, warnings)?;
    // An empty list is none, as in Go.
    let suites = cipher_suites.filter(|list| !list.is_empty());
    let for_http2 = match &suites {
        Some(list) if surroundings.http2 => choices::check_http2(list, &versions),
        _ => Ok(()),
    };
    let suites = suites
        .map(|list| choices::suites_of(list, warnings))
        .transpose()?;
    // Whoever misspelt one needs to hear that first.
    for_http2?;
    let groups = curve_preferences.filter(|list| !list.is_empty());
    let groups = groups
        .map(|list| choices::groups_of(list, warnings))
        .transpose()?;
    let (provider, versions) = choices::provider(versions, suites, groups, warnings)
        .map_err(|message| Fault::at(section, message))?;
    let pair = [
        pem(("cert", cert), ("cert_file", cert_file), surroundings)?,
        pem(("key", key), ("key_file", key_file), surroundings)?,
    ];
    let [Some(chain), Some(key)] = pair else {
        return Err(Fault::at(section, NO_PAIR));
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
    let has_authorities = authorities.is_some();
    let verifier = verifier(&provider, clients, authorities, section, surroundings)?;
    let checks_names = client_allowed_sans.is_some();
    let verifier = allow_names(verifier, clients, client_allowed_sans)?;

    let builder = ServerConfig::builder_with_details(provider, Arc::clone(&surroundings.time) as _)
        .with_protocol_versions(&versions)
        .map_err(|error| Fault::at(section, error.to_string()))?;
    let mut config = with_clients(builder, verifier)
        .with_single_cert(chain, key)
        .map_err(|error| unusable(chain_place, error))?;
    config.ignore_client_order = prefer_server_cipher_suites.unwrap_or(true);
    serve_afresh(&mut config);
    Ok(Some(Tls {
        config: Arc::new(config),
        clients,
        has_authorities,
        checks_names,
    }))
}

fn with_clients(
    builder: ConfigBuilder<ServerConfig, WantsVerifier>,
    verifier: Option<Chosen>,
) -> ConfigBuilder<ServerConfig, rustls::server::WantsServerCert> {
    match verifier {
        Some(verifier) => builder.with_client_cert_verifier(Arc::new(verifier)),
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
    let found = read_pem(&bytes).map_err(|error| {
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
    choices::one_of(&text, "client_auth_type", &ClientAuth::NAMES)
}

fn verifier(
    provider: &Arc<CryptoProvider>,
    clients: ClientAuth,
    authorities: Option<Pem>,
    section: Option<(u64, u64)>,
    surroundings: &mut Surroundings<'_>,
) -> Result<Option<Chosen>, Fault> {
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
                "client_auth_type {clients:?} accepts any certificate, whoever signed it"
            ));
        }
        return Ok(Some(Chosen::of(Arc::new(AnyCertificate {
            provider: Arc::clone(provider),
            mandatory: clients.requires(),
        }))));
    }
    let (known, origin, authorities_place) = match authorities {
        Some(pem) => {
            let (origin, place) = (pem.origin.clone(), pem.place);
            (certificates(pem)?, origin, place)
        }
        None => {
            surroundings.warnings.push(format!(
                "client_auth_type {clients:?} without `client_ca_file` takes certificates of every authority that \
                 this system trusts: name your own"
            ));
            (
                Vec::new(),
                "this system's certificate store".to_owned(),
                section,
            )
        }
    };
    let mut roots = RootCertStore::empty();
    for certificate in known.iter().cloned() {
        roots.add(certificate).map_err(|error| {
            let message = format!("{origin} holds a certificate that cannot vouch: {error}");
            Fault::at(authorities_place, message)
        })?;
    }
    if known.is_empty() {
        roots.add_parsable_certificates(authorities_of_system());
    }
    let builder =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let builder = if clients.requires() {
        builder
    } else {
        builder.allow_unauthenticated()
    };
    match builder.build() {
        Ok(inner) => Ok(Some(Chosen {
            known,
            ..Chosen::of(inner)
        })),
        Err(error) => Err(Fault::at(authorities_place, format!("{origin}: {error}"))),
    }
}

/// Those who vouch for web sites: the system's, or those that are built in where it has none.
fn authorities_of_system() -> Vec<CertificateDer<'static>> {
    let found = rustls_native_certs::load_native_certs().certs;
    if found.is_empty() {
        return webpki_root_certs::TLS_SERVER_ROOT_CERTS.to_vec();
    }
    found
}

/// Takes, of the certificates that `verifier` takes, those with one of the `names`.
fn allow_names(
    verifier: Option<Chosen>,
    clients: ClientAuth,
    names: Option<Spanned<Vec<String>>>,
) -> Result<Option<Chosen>, Fault> {
    match (verifier, names) {
        (verifier, None) => Ok(verifier),
        (Some(verifier), Some(names)) if clients.requires() => Ok(Some(Chosen {
            allowed: Some(names.value),
            ..verifier
        })),
        (_, Some(names)) => {
            let message = "`client_allowed_sans` needs a `client_auth_type` that requires a certificate: \
                 RequireAndVerifyClientCert or RequireAnyClientCert";
            Err(Fault::at(place(names.referenced), message))
        }
    }
}
