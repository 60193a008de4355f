//! Who asks BigQuery, and which project pays.

use super::TableName;
use super::options::{Access, CredentialsFrom};
use crate::{Error, Result, plain_file};
use google_cloud_auth::build_errors::Error as BuildError;
use google_cloud_auth::credentials::{
    self, Credentials, anonymous, external_account, impersonated, service_account, user_account,
};
use serde_json::Value;
use std::path::{Path, PathBuf};

const SCOPE: &str = "https://www.googleapis.com/auth/bigquery";

/// Bytes of a file of credentials.
const MOST: u64 = 1 << 20;

const HINT: &str = "run `gcloud auth application-default login`, set GOOGLE_APPLICATION_CREDENTIALS to the file of a service account, or state `credentials`; `wafermill doctor` tells what is found";

/// Makes credentials; nothing is asked of the network yet.
///
/// # Errors
/// Where there are none, or their file is wrong.
pub(super) fn credentials(access: &Access) -> Result<Credentials> {
    // Both TLS providers could be compiled in, so the choice is ours; where it was made before, that stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let own = match &access.credentials {
        CredentialsFrom::Anonymous => anonymous::Builder::new().build(),
        CredentialsFrom::Environment => {
            let built = credentials::Builder::default().with_scopes([SCOPE]).build();
            built.map_err(|error| unusable("no credentials for Google Cloud", error))?
        }
        CredentialsFrom::File(path) => of_file(path)?,
    };
    match &access.impersonate {
        None => Ok(own),
        Some(account) => {
            let builder = impersonated::Builder::from_source_credentials(own).with_target_principal(account);
            builder.with_scopes([SCOPE]).build().map_err(|error| {
                let hint = "it is named as NAME@PROJECT.iam.gserviceaccount.com, and takes the role `roles/iam.serviceAccountTokenCreator` on it";
                Error::source(format!("`{account}` cannot be impersonated")).because(error).hint(hint)
            })
        }
    }
}

/// What is said where nobody proves that the credentials are what they seem.
pub(super) fn unproven(access: &Access) -> Error {
    let message = match &access.credentials {
        CredentialsFrom::Environment if default_file().is_none() => {
            "no credentials for Google Cloud: there is no file of them, and no metadata server answers".to_owned()
        }
        _ => format!("the credentials are not accepted: {}", describe(access)),
    };
    Error::source(message).hint(HINT)
}

/// Which credentials are used, for people.
pub(super) fn describe(access: &Access) -> String {
    let own = match &access.credentials {
        CredentialsFrom::Anonymous => "none: anonymous".to_owned(),
        CredentialsFrom::File(path) => describe_file(path),
        CredentialsFrom::Environment => match default_file() {
            Some(path) => describe_file(&path),
            None => "those of the metadata server, which machines of Google Cloud have".to_owned(),
        },
    };
    match &access.impersonate {
        None => own,
        Some(account) => format!("`{account}`, impersonated by {own}"),
    }
}

fn describe_file(path: &Path) -> String {
    let value = read(path).unwrap_or_default();
    let kind = value["type"].as_str().unwrap_or("unknown type");
    let whose = value["client_email"].as_str().map(|email| format!(" `{email}`")).unwrap_or_default();
    format!("{kind}{whose} in `{}`", path.display())
}

/// The file of Application Default Credentials, where there is one.
fn default_file() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("GOOGLE_APPLICATION_CREDENTIALS") {
        return Some(path.into());
    }
    let home = std::env::var_os("HOME")?;
    let path = Path::new(&home).join(".config/gcloud/application_default_credentials.json");
    path.exists().then_some(path)
}

fn of_file(path: &Path) -> Result<Credentials> {
    let value = read(path)?;
    let built: Result<Credentials, BuildError> = match value["type"].as_str() {
        Some("service_account") => {
            let scopes = service_account::AccessSpecifier::from_scopes([SCOPE]);
            service_account::Builder::new(value).with_access_specifier(scopes).build()
        }
        Some("authorized_user") => user_account::Builder::new(value).with_scopes([SCOPE]).build(),
        Some("external_account") => external_account::Builder::new(value).with_scopes([SCOPE]).build(),
        Some("impersonated_service_account") => impersonated::Builder::new(value).with_scopes([SCOPE]).build(),
        other => {
            let kind = other.map_or_else(|| "no `type`".to_owned(), |kind| format!("the type `{kind}`"));
            return Err(Error::source(format!("the credentials have {kind}")).file(path).hint(HINT));
        }
    };
    built.map_err(|error| unusable("the credentials cannot be used", error).file(path))
}

/// What is wrong with what a file says is told without quoting it: it could be a key.
fn unusable(message: &str, error: BuildError) -> Error {
    if error.is_loading() {
        return Error::source(message).because(error).hint(HINT);
    }
    Error::source(format!("{message}: a field is missing or wrong")).hint(HINT)
}

fn read(path: &Path) -> Result<Value> {
    let failed = |error: Error| error.file(path).hint(HINT);
    let text = plain_file::read_to_string(path, MOST)
        .map_err(|error| failed(Error::source("the credentials cannot be read").because(error)))?;
    // What a parser says of a wrong file could quote a key.
    serde_json::from_str(&text).map_err(|_| failed(Error::source("the file of credentials is no JSON")))
}

/// The project that pays: as stated, or that of the environment, of the credentials, or of the table itself.
pub(super) fn billing_project(stated: Option<&str>, access: &Access, table: Option<&TableName>) -> Result<String> {
    if let Some(project) = stated {
        return Ok(project.to_owned());
    }
    if let Some(project) = std::env::var("GOOGLE_CLOUD_PROJECT").ok().filter(|project| !project.is_empty()) {
        return Ok(project);
    }
    let file = match &access.credentials {
        CredentialsFrom::File(path) => Some(path.clone()),
        CredentialsFrom::Environment => default_file(),
        CredentialsFrom::Anonymous => None,
    };
    if let Some(path) = file {
        let value = read(&path)?;
        let named = ["quota_project_id", "project_id"].iter().find_map(|key| value[*key].as_str());
        if let Some(project) = named {
            return Ok(project.to_owned());
        }
    }
    match table {
        Some(table) => Ok(table.project.clone()),
        None => Err(Error::usage("no project is known that pays")
            .hint("state `billing_project` or `--billing-project`, or set GOOGLE_CLOUD_PROJECT")),
    }
}
