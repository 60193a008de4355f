//! Which objects there are below a prefix.

use super::bucket::{Bucket, Found};
use crate::{Error, Result};
use object_store::Error as Refusal;
use object_store::list::PaginatedListOptions;
use object_store::path::Error as OddKey;

/// Objects that a listing may have; their names are held in memory.
const MOST_OBJECTS: usize = 1 << 20;

/// Keys of a page, where the store is left to choose.
const PAGE: usize = 1_000;

/// What a listing shows.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) objects: Vec<Found>,
    /// Keys of other objects, which no request of ours can name: with empty parts, with `.` or `..`, or with control characters.
    pub(crate) odd: Vec<String>,
}

impl Listing {
    fn len(&self) -> usize {
        self.objects.len() + self.odd.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Bucket {
    /// All objects whose keys begin with `prefix`, or the first of them only.
    pub(crate) fn list(&self, prefix: &str, first: bool) -> Result<Listing> {
        let listed = self.threads.wait(async {
            let (mut listing, mut token, mut offset) = (Listing::default(), None::<String>, None);
            // a page that has an odd key is refused as a whole: smaller ones are asked for until it stands alone
            let mut keys = if first { 1 } else { PAGE };
            loop {
                let max_keys = (first || keys < PAGE).then_some(keys);
                let options = PaginatedListOptions {
                    page_token: token.clone(),
                    offset: offset.clone(),
                    max_keys,
                    ..Default::default()
                };
                // S3 itself sends all keys without a prefix
                match self.client.list_paginated((!prefix.is_empty()).then_some(prefix), options).await {
                    Ok(page) => {
                        listing.objects.extend(page.result.objects.into_iter().map(Found::from));
                        token = page.page_token;
                        if token.is_none() {
                            return Ok(listing);
                        }
                        keys = (2 * keys).min(PAGE);
                    }
                    Err(Refusal::InvalidPath { .. }) if keys > 1 => keys /= 2,
                    Err(Refusal::InvalidPath {
                        source: OddKey::EmptySegment { path } | OddKey::BadSegment { path, .. },
                    }) => {
                        (token, offset) = (None, Some(path.clone()));
                        listing.odd.push(path);
                        keys = PAGE;
                    }
                    Err(refusal) => return Err(refusal),
                }
                if listing.len() > MOST_OBJECTS || first && !listing.is_empty() {
                    return Ok(listing);
                }
            }
        })?;
        let listing = listed.map_err(|refusal| self.explain("the bucket cannot be listed", prefix, &refusal))?;
        match listing.len() > MOST_OBJECTS {
            false => Ok(listing),
            true => {
                let error = Error::new(self.kind, format!("there are more than {MOST_OBJECTS} objects"));
                Err(error.file(self.at(prefix).to_string()).hint("name a folder or a glob with fewer"))
            }
        }
    }
}
