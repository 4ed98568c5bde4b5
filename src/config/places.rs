//! The files and variables that a config names: found and looked into, so that a mistake shows now
//! and not at the first sync.

use std::fs::Metadata;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use crate::egress::trust::read_pem;

use super::diagnostics::Fault;
use super::secrets::{self, SecretKeys};
use crate::files::{self, CERTIFICATES};
use crate::hook::Template;
use crate::roster::printable;
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

/// The place of a secret, and the secret itself or why it cannot be had.
pub(super) type Found = (SecretSource, Result<Secret, Fault>);

/// The secret in the file of that name. An error only if the name may be the secret itself. In a service of systemd,
/// which may be allowed to read its credentials only, a relative name is that of a credential first.
pub(super) fn secret_file(folder: &Path, text: &str, keys: &SecretKeys) -> Result<Found, Fault> {
    let SecretKeys {
        file: key, what, ..
    } = keys;
    let credential = credential(text);
    let given = credential
        .clone()
        .filter(|path| files::metadata(path).is_ok());
    let is_given = given.is_some();
    let source = SecretSource::File(match given {
        Some(path) => path,
        None => resolve_path(folder, text)?,
    });
    match source.read() {
        Ok(secret) => Ok((source, Ok(secret))),
        Err(error) if secrets::looks_like_path(text) || exists(&source) => {
            let mut message = error.to_string();
            let missing = credential.filter(|_| !is_given);
            if let Some(name) = missing.as_deref().and_then(Path::file_name) {
                message += &format!(
                    ", and systemd gave the service no credential `{}` when it started",
                    name.display()
                );
            }
            Ok((source, Err(Fault::new(message))))
        }
        // This may be the secret itself: the error would name it.
        Err(_) => Err(
            Fault::new(format!("there is no {what} in a file of this name")).help(format!(
                "`{key}` names the file that holds the {what}; never write the {what} itself here"
            )),
        ),
    }
}

/// The file at that path: in a service of systemd, the credential of a relative path first.
pub(super) fn credential_or_path(folder: &Path, text: &str) -> Result<PathBuf, Fault> {
    match credential(text).filter(|path| files::metadata(path).is_ok()) {
        Some(path) => Ok(path),
        None => resolve_path(folder, text),
    }
}

/// Place of the credential for a relative path; none outside of a service that has credentials.
fn credential(text: &str) -> Option<PathBuf> {
    let folder = PathBuf::from(std::env::var_os("CREDENTIALS_DIRECTORY")?);
    Some(folder.join(credential_name(text)?))
}

/// The name of the credential that systemd makes of the file at a relative path when it is told to load
/// the whole folder: `keys_acme.key` for `keys/acme.key`. None for other paths.
fn credential_name(text: &str) -> Option<String> {
    let components = Path::new(text).components();
    let names = components.filter(|component| *component != Component::CurDir);
    let names: Option<Vec<&str>> = names
        .map(|component| match component {
            Component::Normal(name) => name.to_str(),
            _ => None,
        })
        .collect();
    names.map(|names| names.join("_"))
}

/// Returns true if a file exists at the secret's place, so that its name is no secret.
fn exists(source: &SecretSource) -> bool {
    matches!(source, SecretSource::File(path) if files::is_there(path))
}

/// The secret in the environment variable of that name. An error only where the name may be the secret itself.
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
         never write the {what} itself here"
    );
    if !form {
        return Err(Fault::new("this is not the name of an environment variable").help(help));
    }
    let source = SecretSource::Environment(text.to_owned());
    match source.read() {
        Ok(secret) => Ok((source, Ok(secret))),
        Err(error) if secrets::looks_like_variable(text) => {
            Ok((source, Err(Fault::new(error.to_string()))))
        }
        Err(_) => Err(Fault::new(format!(
            "there is no {what} in an environment variable of this name"
        ))
        .help(help)),
    }
}

/// The text of a template's file.
pub(super) fn template_text(path: &Path) -> Result<String, Fault> {
    let purpose = files::template(Template::MAX_BYTES as u64);
    files::text(path, purpose).map_err(|error| Fault::new(error.to_string()))
}

/// Refuses what cannot be the name of a program: neither its whole path, nor its name on the `PATH`.
pub(super) fn program_name(text: &str) -> Result<(), Fault> {
    if Path::new(text).is_absolute() {
        return Ok(());
    }
    if text.contains(char::is_whitespace) {
        return Err(Fault::new("a program's name has no spaces").help(
            "write each argument as its own element: `command = [\"program\", \"argument\"]`",
        ));
    }
    if text.is_empty() || text.contains('/') {
        return Err(Fault::new(format!(
            "`{}` is neither an absolute path nor a program's name",
            printable(text)
        ))
        .help("write the path from `/` on, or a program's name on the PATH"));
    }
    Ok(())
}

/// Refuses a program that cannot be started.
pub(super) fn program(text: &str) -> Result<(), Fault> {
    let path = Path::new(text);
    // What follows a space may be an argument, and secret.
    let shown = match text.split_once(char::is_whitespace) {
        Some((program, _)) => format!("{} …", printable(program)),
        None => printable(text),
    };
    if path.is_absolute() {
        return match files::metadata(path) {
            Ok(found) if is_program(&found) => Ok(()),
            Ok(_) => Err(Fault::new(format!("`{shown}` is not an executable file"))),
            Err(error) => Err(Fault::new(format!(
                "cannot find program `{shown}`: {error}"
            ))),
        };
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&folders)
        .filter_map(|folder| files::metadata(&folder.join(text)).ok())
        .any(|found| is_program(&found));
    if found {
        Ok(())
    } else {
        Err(
            Fault::new(format!("there is no program `{shown}` on the PATH"))
                .help("write its absolute path"),
        )
    }
}

fn is_program(found: &Metadata) -> bool {
    found.is_file() && found.permissions().mode() & 0o111 != 0
}

/// Refuses a file that does not hold at least one certificate.
pub(super) fn certificates(path: &Path) -> Result<(), Fault> {
    let refuse = |error: String| Fault::new(format!("cannot use `{}`: {error}", path.display()));
    let read = files::read(path, CERTIFICATES);
    let text = read.map_err(|error| Fault::new(error.to_string()))?.bytes;
    let found = read_pem(&text).map_err(|error| refuse(error.to_string()))?;
    if found.is_empty() {
        return Err(refuse("it holds no PEM certificate".to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::credential_name;

    #[test]
    fn a_relative_path_is_the_name_of_a_credential_as_systemd_makes_it_of_a_folder() {
        let name = |text| credential_name(text).unwrap_or_default();
        assert_eq!(name("keys/acme.key"), "keys_acme.key");
        assert_eq!(name("./keys/eu/acme.key"), "keys_eu_acme.key");
        assert_eq!(name("acme.key"), "acme.key");
        assert_eq!(credential_name("/etc/acme.key"), None);
        assert_eq!(credential_name("../acme.key"), None);
    }
}
