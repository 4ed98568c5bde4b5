//! Certificates that are trusted by all outgoing connections.
//!
//! Certificates in a file are trusted both as authorities and as servers: the own certificate of a
//! server, which has signed itself, will do there, as with `curl --cacert`. rustls alone takes such a one for
//! an authority that plays a server, and refuses it.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime, pem};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::files::{self, CERTIFICATES, FileError};

/// Which certificate authorities are trusted to vouch for a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Roots {
    /// Mozilla's list, built in: works on a machine that has no certificates of its own.
    Bundled,
    /// The operating system's list.
    System,
    /// The PEM certificates in this file, and no others.
    File(PathBuf),
}

/// The place of certificates that are the operating system's.
const SYSTEM_STORE: &str = "the system's certificate store";

/// Why nobody can be trusted.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file of certificates cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The operating system's certificates cannot be read.
    #[error("cannot read {SYSTEM_STORE}: {0}")]
    Store(files::Fault),
    /// The file of certificates is not in PEM form.
    #[error("certificates in {path} are not valid PEM", path = .path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// The mistake.
        source: pem::Error,
    },
    /// There is none.
    #[error("no certificate authority found in {0}")]
    NoRoots(String),
    /// TLS cannot be set up at all.
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
}

/// TLS with servers that prove who they are to `roots`. A file is read each time.
///
/// # Errors
/// The certificates cannot be read, or there are none.
pub(crate) fn client_config(roots: &Roots) -> Result<ClientConfig, TrustError> {
    let (certificates, place) = certificates(roots)?;
    let mut authorities = RootCertStore::empty();
    // Stores of systems hold odd certificates, one of which must not spoil all others.
    authorities.add_parsable_certificates(certificates.iter().cloned());
    if authorities.is_empty() {
        return Err(TrustError::NoRoots(place));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    let Roots::File(_) = roots else {
        return Ok(config
            .with_root_certificates(authorities)
            .with_no_client_auth());
    };
    let verifier = Pinning {
        authorities: authorities_of(authorities, provider)?,
        servers: certificates,
    };
    Ok(config
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}

fn authorities_of(
    authorities: RootCertStore,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, TrustError> {
    let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(authorities), provider);
    let general = |error: rustls::client::VerifierBuilderError| {
        TrustError::Tls(rustls::Error::General(error.to_string()))
    };
    builder.build().map_err(general)
}

/// The certificates that are trusted, and what that place is called.
fn certificates(roots: &Roots) -> Result<(Vec<CertificateDer<'static>>, String), TrustError> {
    Ok(match roots {
        Roots::Bundled => (
            webpki_root_certs::TLS_SERVER_ROOT_CERTS.to_vec(),
            "the built-in list".to_owned(),
        ),
        Roots::System => (
            // The environment may name another file.
            files::within(Path::new(SYSTEM_STORE), CERTIFICATES.patience, || {
                rustls_native_certs::load_native_certs().certs
            })
            .map_err(TrustError::Store)?,
            SYSTEM_STORE.to_owned(),
        ),
        Roots::File(path) => {
            let text = files::read(path, CERTIFICATES)?.bytes;
            let found = read_pem(&text).map_err(|source| TrustError::Pem {
                path: path.clone(),
                source,
            })?;
            (found, path.display().to_string())
        }
    })
}

/// Reads the certificates of a text in PEM.
///
/// # Errors
/// One of them is damaged.
pub(crate) fn read_pem(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, pem::Error> {
    CertificateDer::pem_slice_iter(text).collect()
}

/// Has the verifier in that field verify the signatures of a handshake.
macro_rules! signatures_as_of {
    ($verifier:ident) => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            self.$verifier
                .verify_tls12_signature(message, certificate, signed)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            self.$verifier
                .verify_tls13_signature(message, certificate, signed)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.$verifier.supported_verify_schemes()
        }
    };
}
pub(crate) use signatures_as_of;

/// Trusts authorities, and servers that show a certificate that is known.
#[derive(Debug)]
struct Pinning {
    authorities: Arc<WebPkiServerVerifier>,
    servers: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Pinning {
    fn verify_server_cert(
        &self,
        server: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let vouched =
            self.authorities
                .verify_server_cert(server, intermediates, name, ocsp_response, now);
        // That the server has its key is proven by the handshake.
        if vouched.is_err() && self.servers.iter().any(|known| known == server) {
            check_known(server, name, now)?;
            return Ok(ServerCertVerified::assertion());
        }
        vouched
    }

    signatures_as_of!(authorities);
}

/// Checks that a certificate is valid at `now`.
///
/// # Errors
/// It is not valid yet, or no longer.
pub(crate) fn check_dates(
    certificate: &X509Certificate<'_>,
    now: UnixTime,
) -> Result<(), CertificateError> {
    let validity = certificate.validity();
    let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    if seconds < validity.not_before.timestamp() {
        return Err(CertificateError::NotValidYet);
    }
    if seconds > validity.not_after.timestamp() {
        return Err(CertificateError::Expired);
    }
    Ok(())
}

/// Checks the dates and the name of a certificate whose bytes are known. One that names nobody in the way of
/// today may do so in its common name, as those do that are made by hand.
fn check_known(
    certificate: &CertificateDer<'_>,
    name: &ServerName<'_>,
    now: UnixTime,
) -> Result<(), CertificateError> {
    let (_, parsed) =
        X509Certificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding)?;
    check_dates(&parsed, now)?;
    let parsed_again = ParsedCertificate::try_from(certificate);
    let Err(error) = parsed_again.and_then(|parsed| verify_server_name(&parsed, name)) else {
        return Ok(());
    };
    let has_names = !matches!(parsed.subject_alternative_name(), Ok(None));
    let mut common = parsed.subject().iter_common_name();
    let is_common = common.any(|common| {
        common
            .as_str()
            .is_ok_and(|text| text.eq_ignore_ascii_case(&name.to_str()))
    });
    match error {
        _ if !has_names && is_common => Ok(()),
        rustls::Error::InvalidCertificate(error) => Err(error),
        _ => Err(CertificateError::NotValidForName),
    }
}

/// Remedy for a server whose certificate is not trusted, if that is what `error` comes from.
pub(crate) fn advice(error: &(dyn Error + 'static)) -> Option<&'static str> {
    use CertificateError as Fault;
    Some(match certificate_error(error)? {
        Fault::UnknownIssuer => {
            "put the certificate of its authority, or its own if it has signed itself, into a file, and name \
             that as `ca_file`"
        }
        Fault::BadSignature => {
            "an authority in `ca_file` has the same name and another key: put its present certificate there"
        }
        Fault::NotValidForName | Fault::NotValidForNameContext { .. } => {
            "connect by a name that the certificate is for"
        }
        Fault::Expired | Fault::ExpiredContext { .. } => {
            "renew the certificate, or set this host's clock right"
        }
        Fault::NotValidYet | Fault::NotValidYetContext { .. } => "set this host's clock right",
        // The cause is of a crate that is not ours to name.
        Fault::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            "it has signed itself: put exactly this certificate into a file, and name that as `ca_file`"
        }
        _ => return None,
    })
}

/// Fault of a certificate, by `error` or one of its causes.
fn certificate_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a CertificateError> {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(rustls::Error::InvalidCertificate(fault)) = cause.downcast_ref() {
            return Some(fault);
        }
        // The source of an error of the system is that of the error inside, which it does not show.
        let inside = cause
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        next = match inside {
            Some(inside) => Some(inside as &(dyn Error + 'static)),
            None => cause.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, date_time_ymd};

    use super::*;

    fn certificate(names: &[&str], common: &str, is_ca: bool) -> CertificateDer<'static> {
        let names = names.iter().map(|&name| name.to_owned());
        let mut parameters = CertificateParams::new(names.collect::<Vec<_>>()).unwrap();
        parameters
            .distinguished_name
            .push(DnType::CommonName, common);
        if is_ca {
            parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        parameters.not_before = date_time_ymd(2026, 1, 1);
        parameters.not_after = date_time_ymd(2027, 1, 1);
        let key = KeyPair::generate().unwrap();
        parameters.self_signed(&key).unwrap().der().clone()
    }

    #[test]
    fn a_known_certificate_must_be_for_the_name_and_the_time() {
        let at = |date: &str| {
            let instant: chrono::DateTime<chrono::Utc> =
                format!("{date}T00:00:00Z").parse().unwrap();
            let seconds = instant.timestamp().unsigned_abs();
            UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds))
        };
        let named = certificate(&["mail.example", "127.0.0.1"], "other.example", true);
        let bare = certificate(&[], "Mail.example", false);
        for (certificate, name, date, expected) in [
            (&named, "mail.example", "2026-11-29", None),
            (&named, "127.0.0.1", "2026-11-29", None),
            (
                &named,
                "other.example",
                "2026-11-29",
                Some("not valid for name"),
            ),
            (&named, "mail.example", "2025-12-31", Some("NotValidYet")),
            (&named, "mail.example", "2027-01-02", Some("Expired")),
            (&bare, "mail.example", "2026-11-29", None),
            (
                &bare,
                "other.example",
                "2026-11-29",
                Some("not valid for name"),
            ),
        ] {
            let name = ServerName::try_from(name).unwrap();
            let checked = check_known(certificate, &name, at(date));
            let said = checked.map_err(|error| error.to_string());
            match expected {
                None => assert_eq!(said, Ok(())),
                Some(words) => assert!(said.clone().unwrap_err().contains(words), "{said:?}"),
            }
        }
    }

    #[test]
    fn nothing_of_the_machine_is_needed_and_a_file_must_hold_a_certificate() {
        assert!(certificates(&Roots::Bundled).unwrap().0.len() > 100);
        client_config(&Roots::Bundled).unwrap();
        let missing = client_config(&Roots::File("/nonexistent.pem".into())).unwrap_err();
        assert_eq!(
            missing.to_string(),
            "cannot read ca_file `/nonexistent.pem`: No such file or directory (os error 2)"
        );
        let empty = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&empty, "\u{feff}\n").unwrap();
        let refused = client_config(&Roots::File(empty.path().to_owned())).unwrap_err();
        assert_eq!(
            refused.to_string(),
            format!(
                "no certificate authority found in {}",
                empty.path().display()
            )
        );
    }

    #[test]
    fn what_to_do_about_a_certificate_is_said_however_deep_its_fault_lies() {
        let fault = rustls::Error::InvalidCertificate(CertificateError::Expired);
        let inside = io::Error::other(io::Error::other(fault));
        let expected = "renew the certificate, or set this host's clock right";
        assert_eq!(advice(&inside), Some(expected));
        assert_eq!(advice(&io::Error::other("refused")), None);
    }
}
