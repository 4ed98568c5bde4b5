//! Demands on clients in the handshake: `client_auth_type` and `client_allowed_sans`.

use std::net::IpAddr;
use std::sync::Arc;

use crate::egress::trust::{check_dates, signatures_as_of};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// `client_auth_type`, by the names that Go has for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClientAuth {
    /// No certificate is asked for.
    NoClientCert,
    /// One is asked for, and neither needed nor looked at.
    RequestClientCert,
    /// Any will do, as long as the client has its key.
    RequireAnyClientCert,
    /// One that is given must be good.
    VerifyClientCertIfGiven,
    /// A good one is needed.
    RequireAndVerifyClientCert,
}

impl ClientAuth {
    /// Every name. `RequireClientCert` is an old one of `RequireAnyClientCert`.
    pub(super) const NAMES: [(&str, Self); 6] = [
        ("NoClientCert", Self::NoClientCert),
        ("RequestClientCert", Self::RequestClientCert),
        ("RequireAnyClientCert", Self::RequireAnyClientCert),
        ("RequireClientCert", Self::RequireAnyClientCert),
        ("VerifyClientCertIfGiven", Self::VerifyClientCertIfGiven),
        (
            "RequireAndVerifyClientCert",
            Self::RequireAndVerifyClientCert,
        ),
    ];

    /// True if certificates are checked against the authorities for clients.
    pub(super) fn verifies(self) -> bool {
        matches!(
            self,
            Self::VerifyClientCertIfGiven | Self::RequireAndVerifyClientCert
        )
    }

    /// True if nobody gets in without a certificate.
    pub(super) fn requires(self) -> bool {
        matches!(
            self,
            Self::RequireAnyClientCert | Self::RequireAndVerifyClientCert
        )
    }
}

/// Takes any certificate whose key the client has.
#[derive(Debug)]
pub(super) struct AnyCertificate {
    pub(super) provider: Arc<CryptoProvider>,
    pub(super) mandatory: bool,
}

impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

/// Takes the certificates that `inner` takes and those that are `known`, and of both those with an allowed name.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) inner: Arc<dyn ClientCertVerifier>,
    /// Certificates of `client_ca_file`. A client's own certificate, which has signed itself, will do there, as in
    /// Go. rustls alone takes such a one for an authority that plays a client, and refuses it.
    pub(super) known: Vec<CertificateDer<'static>>,
    /// The names that are allowed, if not any.
    pub(super) allowed: Option<Vec<String>>,
}

impl Chosen {
    /// All that `inner` takes.
    pub(super) fn of(inner: Arc<dyn ClientCertVerifier>) -> Self {
        Self {
            inner,
            known: Vec::new(),
            allowed: None,
        }
    }
}

impl ClientCertVerifier for Chosen {
    fn offer_client_auth(&self) -> bool {
        self.inner.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.inner.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let vouched = self
            .inner
            .verify_client_cert(certificate, intermediates, now);
        // That the client has its key is proven by the handshake.
        let verified = if vouched.is_err() && self.known.iter().any(|known| known == certificate) {
            check_known(certificate, now).map_err(Error::InvalidCertificate)?;
            ClientCertVerified::assertion()
        } else {
            vouched?
        };
        match &self.allowed {
            Some(allowed) if !has_allowed_name(certificate, allowed) => {
                let refused = CertificateError::ApplicationVerificationFailure;
                Err(Error::InvalidCertificate(refused))
            }
            _ => Ok(verified),
        }
    }

    signatures_as_of!(inner);
}

/// Checks the dates and the purpose of a certificate whose bytes are known.
fn check_known(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), CertificateError> {
    let (_, parsed) =
        X509Certificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding)?;
    check_dates(&parsed, now)?;
    match parsed.extended_key_usage() {
        Ok(None) => Ok(()),
        Ok(Some(usage)) if usage.value.client_auth || usage.value.any => Ok(()),
        _ => Err(CertificateError::InvalidPurpose),
    }
}

/// Returns true if one of the certificate's alternative names (DNS, e-mail, IP address, URI) is exactly one of
/// the `allowed`. IP addresses are compared as such, however they are written.
fn has_allowed_name(certificate: &CertificateDer<'_>, allowed: &[String]) -> bool {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else {
        return false;
    };
    let Ok(Some(names)) = certificate.subject_alternative_name() else {
        return false;
    };
    let is_allowed = |name: &str| allowed.iter().any(|allowed| allowed == name);
    names.value.general_names.iter().any(|name| match name {
        GeneralName::DNSName(name) | GeneralName::RFC822Name(name) | GeneralName::URI(name) => {
            is_allowed(name)
        }
        GeneralName::IPAddress(bytes) => {
            let address = <[u8; 4]>::try_from(*bytes)
                .map(IpAddr::from)
                .or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from));
            let mut allowed = allowed
                .iter()
                .filter_map(|name| name.parse::<IpAddr>().ok());
            address.is_ok_and(|address| allowed.any(|allowed| allowed == address))
        }
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType,
        date_time_ymd,
    };

    use super::*;

    #[test]
    fn a_known_certificate_must_be_for_clients_and_the_time() {
        let certificate = |usages: &[ExtendedKeyUsagePurpose]| {
            let mut parameters = CertificateParams::new(Vec::new()).unwrap();
            parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            parameters.extended_key_usages = usages.to_vec();
            parameters.not_before = date_time_ymd(2026, 1, 1);
            parameters.not_after = date_time_ymd(2027, 1, 1);
            let key = KeyPair::generate().unwrap();
            parameters.self_signed(&key).unwrap().der().clone()
        };
        let at = |date: &str| {
            let instant: chrono::DateTime<chrono::Utc> =
                format!("{date}T00:00:00Z").parse().unwrap();
            let seconds = instant.timestamp().unsigned_abs();
            UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds))
        };
        use ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
        for (usages, date, expected) in [
            (&[][..], "2026-11-29", Ok(())),
            (&[ServerAuth, ClientAuth], "2026-11-29", Ok(())),
            (
                &[ServerAuth],
                "2026-11-29",
                Err(CertificateError::InvalidPurpose),
            ),
            (&[], "2025-12-31", Err(CertificateError::NotValidYet)),
            (&[], "2027-01-02", Err(CertificateError::Expired)),
        ] {
            let checked = check_known(&certificate(usages), at(date));
            assert_eq!(checked, expected, "{usages:?} {date}");
        }
    }

    #[test]
    fn a_name_is_allowed_only_if_it_is_exactly_the_same() {
        let mut parameters = CertificateParams::new(["scraper.example".to_owned()]).unwrap();
        parameters.subject_alt_names.extend([
            SanType::Rfc822Name("ops@example.com".try_into().unwrap()),
            SanType::IpAddress("10.0.0.1".parse().unwrap()),
            SanType::IpAddress("2001:db8::1".parse().unwrap()),
            SanType::URI("spiffe://example/prometheus".try_into().unwrap()),
        ]);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        let is_allowed = |name: &str| has_allowed_name(certificate.der(), &[name.to_owned()]);
        for name in [
            "scraper.example",
            "ops@example.com",
            "10.0.0.1",
            "2001:db8:0::1",
            "spiffe://example/prometheus",
        ] {
            assert!(is_allowed(name), "{name}");
        }
        for name in [
            "",
            "example",
            "SCRAPER.example",
            "scraper.example.",
            "10.0.0.2",
            "spiffe://example",
        ] {
            assert!(!is_allowed(name), "{name}");
        }
        assert!(!has_allowed_name(certificate.der(), &[]));
        assert!(!has_allowed_name(
            &b"no certificate"[..].into(),
            &["".into()]
        ));
    }
}
