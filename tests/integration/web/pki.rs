//! An authority that issues certificates into a scene's folder.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

use crate::harness::Scene;

pub struct Pki(Issuer<'static, KeyPair>);

impl Pki {
    /// A new authority, whose certificate is `ca.pem`.
    pub fn new(scene: &Scene) -> Self {
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        // Whose certificate bears the name of its issuer is taken for self-signed by OpenSSL.
        let name = &mut authority.distinguished_name;
        name.push(DnType::CommonName, "test authority");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = authority.self_signed(&key).unwrap();
        scene.write("ca.pem", &certificate.pem());
        Self(Issuer::new(authority, key))
    }

    /// Writes `NAME.pem` and `NAME.key` for `host`, valid from 2020 to the beginning of the year `until`.
    pub fn issue(&self, scene: &Scene, name: &str, host: &str, until: i32) {
        let mut parameters = CertificateParams::new([host.to_owned()]).unwrap();
        let subject = &mut parameters.distinguished_name;
        subject.push(DnType::CommonName, host);
        parameters.not_before = date_time_ymd(2020, 1, 1);
        parameters.not_after = date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &self.0).unwrap();
        scene.write(&format!("{name}.pem"), &certificate.pem());
        scene.write(&format!("{name}.key"), &key.serialize_pem());
    }
}
