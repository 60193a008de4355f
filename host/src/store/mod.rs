//! Object stores: Amazon S3 and what speaks like it, and Google Cloud Storage.
//!
//! There is no rename and no folder there: an object appears whole under its key, or not at all. What makes a dataset complete is its
//! manifest, which is written last.

mod address;
mod bucket;
mod explain;
mod journal;
mod listing;
mod manifest;
mod object;
mod progress;
mod publish;
mod regions;
mod staged;
mod upload;
mod wait;
mod windows;

pub use address::Address;
pub use bucket::Bucket;
pub(crate) use bucket::Found;
pub(crate) use explain::ODD_KEY;
pub use journal::UPLOAD;
pub use manifest::{MANIFEST_OBJECT, UPLOAD_OBJECT};
pub(crate) use object::{Failure, Means, Object, ObjectReader};
pub use progress::Progress;
pub use publish::Remote;
pub(crate) use regions::Regions;
