//! Addresses of objects: `s3://bucket/key` and `gs://bucket/key`.

use crate::digest::digest;
use crate::{Error, Result};
use object_store::path::Path as Key;
use std::fmt;
use std::path::Path;

/// Which protocol a bucket speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    S3,
    Gcs,
}

impl Scheme {
    const ALL: [Self; 2] = [Self::S3, Self::Gcs];

    pub(super) fn prefix(self) -> &'static str {
        match self {
            Self::S3 => "s3://",
            Self::Gcs => "gs://",
        }
    }
}

/// An object, a glob, or what all keys of a dataset begin with, in a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub(super) scheme: Scheme,
    pub(super) bucket: String,
    /// Without a slash at its ends.
    key: String,
    /// Whether a slash ends it, so that it means no object.
    pub(crate) is_folder: bool,
}

impl Address {
    /// Whether a text means an object store, and not a path.
    pub fn is_one(text: impl AsRef<Path>) -> bool {
        let text = text.as_ref().as_os_str().as_encoded_bytes();
        Scheme::ALL.iter().any(|scheme| text.starts_with(scheme.prefix().as_bytes()))
    }

    /// Reads an address.
    ///
    /// # Errors
    /// Where it begins with neither `s3://` nor `gs://`, names no bucket, or its key has empty parts or such as `..`.
    pub fn parse(text: &str) -> Result<Self> {
        let hint = "write `s3://bucket/path` or `gs://bucket/path`";
        let bad = |what: &str| Error::usage(format!("`{text}` {what}")).hint(hint);
        let scheme = Scheme::ALL.into_iter().find(|scheme| text.starts_with(scheme.prefix()));
        let scheme = scheme.ok_or_else(|| bad("is no address of an object store"))?;
        let rest = &text[scheme.prefix().len()..];
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        if !is_bucket(bucket) {
            return Err(bad("names no bucket"));
        }
        let address = Self {
            scheme,
            bucket: bucket.to_owned(),
            key: key.strip_suffix('/').unwrap_or(key).to_owned(),
            is_folder: key.is_empty() || key.ends_with('/'),
        };
        match address.key.is_empty() || !address.key.starts_with('/') && Key::parse(&address.key).is_ok() {
            true => Ok(address),
            false => Err(bad("has a key with an empty part, `.` or `..`")),
        }
    }

    /// The key, or what keys begin with; empty for a whole bucket.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// What all keys below it begin with.
    pub(crate) fn folder(&self) -> String {
        if self.key.is_empty() { String::new() } else { format!("{}/", self.key) }
    }

    /// Another one in the same bucket.
    pub(crate) fn at(&self, key: &str) -> Self {
        Self { key: key.to_owned(), is_folder: key.is_empty(), ..self.clone() }
    }

    /// Of what lies below it.
    pub(crate) fn join(&self, name: &str) -> Self {
        self.at(&(self.folder() + name))
    }

    /// A name for a file that no other address has, and that people may recognize.
    pub fn to_file_name(&self) -> String {
        const MOST: usize = 100;
        const DIGITS: usize = 12;
        let text = self.to_string();
        let plain = |sign: char| if sign.is_ascii_alphanumeric() || matches!(sign, '.' | '_') { sign } else { '-' };
        let digest = digest(text.as_bytes());
        let shown: String = text.replacen("://", "-", 1).chars().map(plain).take(MOST).collect();
        format!("{shown}-{}", &digest[digest.len() - DIGITS..])
    }

    /// Whether it is that address, or lies below it.
    pub fn is_within(&self, outer: &Self) -> bool {
        (self.scheme, &self.bucket) == (outer.scheme, &outer.bucket)
            && (self.key == outer.key || self.key.starts_with(&outer.folder()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slash = if self.key.is_empty() { "" } else { "/" };
        write!(f, "{}{}{slash}{}", self.scheme.prefix(), self.bucket, self.key)
    }
}

/// Names of buckets end up in the host names of requests.
fn is_bucket(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    (3..=222).contains(&name.len()) && name.bytes().all(allowed) && !name.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_they_are_read() {
        for text in ["s3://bucket/a/b*.parquet", "gs://my.bucket", "s3://bucket/a=1/ü ä"] {
            assert_eq!(Address::parse(text).unwrap().to_string(), text);
        }
        let folder = Address::parse("s3://bucket/a/").unwrap();
        assert_eq!(
            (folder.to_string().as_str(), folder.is_folder, folder.folder().as_str()),
            ("s3://bucket/a", true, "a/")
        );
    }

    #[test]
    fn what_means_no_object_is_refused() {
        for text in
            ["s3://", "s3:///key", "s3://b u/x", "s3://bucket//x", "s3://bucket/a//b", "s3://bucket/../x", "http://x/y"]
        {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_what_lies_below_is_within() {
        let outer = Address::parse("s3://bucket/sets").unwrap();
        let within = |text| Address::parse(text).unwrap().is_within(&outer);
        assert!(within("s3://bucket/sets") && within("s3://bucket/sets/x"));
        assert!(!within("s3://bucket/sets2/x") && !within("gs://bucket/sets/x") && !within("s3://other/sets/x"));
    }
}
