//! The files and variables that a config names: found and looked into, so that a mistake shows now
//! and not at the first sync.

use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::diagnostics::Fault;
use super::secrets;
use crate::secret::{Secret, SecretSource};

/// The path as seen from the config file's folder.
pub(super) fn resolve_path(folder: &Path, text: &str) -> Result<PathBuf, Fault> {
    if text.trim().is_empty() {
        return Err(Fault::new("the path is empty"));
    }
    if text.contains('\0') {
        return Err(Fault::new("a path cannot have a zero character"));
    }
    Ok(folder.join(text))
}

/// The two keys by which a secret may be named.
pub(super) struct SecretKeys {
    /// The key that names a file.
    pub(super) file: &'static str,
    /// The key that names an environment variable.
    pub(super) variable: &'static str,
    /// What the secret is.
    pub(super) what: &'static str,
}

pub(super) const API_KEY: SecretKeys = SecretKeys {
    file: "api_key_file",
    variable: "api_key_env",
    what: "key",
};

type Found = (SecretSource, Secret);

pub(super) fn secret_file(folder: &Path, text: &str, keys: &SecretKeys) -> Result<Found, Fault> {
    let SecretKeys {
        file: key, what, ..
    } = keys;
    let source = SecretSource::File(resolve_path(folder, text)?);
    match source.read() {
        Ok(secret) => Ok((source, secret)),
        Err(error) if secrets::looks_like_path(text) || exists(&source) => {
            Err(Fault::new(error.to_string()))
        }
        // This may be the secret itself: the error would name it.
        Err(_) => Err(
            Fault::new(format!("there is no {what} in a file of this name")).help(format!(
                "`{key}` names the file that holds the {what}; the {what} itself must not stand here"
            )),
        ),
    }
}

/// Whether something stands at the secret's place, so that its name is no secret.
fn exists(source: &SecretSource) -> bool {
    matches!(source, SecretSource::File(path) if path.symlink_metadata().is_ok())
}

pub(super) fn secret_variable(text: &str, keys: &SecretKeys) -> Result<Found, Fault> {
    let SecretKeys {
        variable: key,
        what,
        ..
    } = keys;
    let mut characters = text.chars();
    let form = characters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|rest| rest.is_ascii_alphanumeric() || rest == '_');
    let help = format!(
        "`{key}` names the environment variable that holds the {what}; \
         the {what} itself must not stand here"
    );
    if !form {
        return Err(Fault::new("this is not the name of an environment variable").help(help));
    }
    let source = SecretSource::Environment(text.to_owned());
    match source.read() {
        Ok(secret) => Ok((source, secret)),
        Err(error) if secrets::looks_like_variable(text) => Err(Fault::new(error.to_string())),
        Err(_) => Err(Fault::new(format!(
            "there is no {what} in an environment variable of this name"
        ))
        .help(help)),
    }
}

/// The path if the file holds at least one certificate.
pub(super) fn certificates(path: PathBuf) -> Result<PathBuf, Fault> {
    let refuse = |error: String| Fault::new(format!("cannot use `{}`: {error}", path.display()));
    let mut found = 0;
    for certificate in
        CertificateDer::pem_file_iter(&path).map_err(|error| refuse(error.to_string()))?
    {
        certificate.map_err(|error| refuse(error.to_string()))?;
        found += 1;
    }
    if found == 0 {
        return Err(refuse("it holds no PEM certificate".to_owned()));
    }
    Ok(path)
}
