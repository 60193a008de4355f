//! One response of ReadRows as the bytes of a gRPC message, in which an Arrow message is shared and not copied.

use googleapis_tonic_google_cloud_bigquery_storage_v1::google::cloud::bigquery::storage::v1 as api;
use tonic::codegen::Bytes;
use tonic_prost::prost::Message as _;
use tonic_prost::prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};

/// The numbers of fields in the definition of the API.
const RESPONSE_BATCH: u32 = 4;
const BATCH_BYTES: u32 = 1;
const BATCH_ROWS: u32 = 2;

/// A response.
#[derive(Clone, Default)]
pub(crate) struct Message {
    pub(crate) batch: Option<Batch>,
    /// How many rows the response says that it has.
    pub(crate) rows: i64,
    pub(crate) schema: Option<Bytes>,
    /// Of the stream, at the start and at the end of the response.
    pub(crate) progress: Option<(f64, f64)>,
    pub(crate) throttle: Option<i32>,
}

/// A record batch as the API carries it.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) bytes: Bytes,
    /// Where the response is compressed: the length of its bytes before, or -1 where that did not shorten them.
    pub(crate) uncompressed: Option<i64>,
}

impl Message {
    /// The bytes of the message with its gRPC prefix, in pieces.
    pub(crate) fn frame(self) -> Vec<Bytes> {
        let progress = self
            .progress
            .map(|(start, end)| api::stream_stats::Progress { at_response_start: start, at_response_end: end });
        let response = api::ReadRowsResponse {
            row_count: self.rows,
            stats: progress.map(|progress| api::StreamStats { progress: Some(progress) }),
            throttle_state: self.throttle.map(|throttle_percent| api::ThrottleState { throttle_percent }),
            uncompressed_byte_size: self.batch.as_ref().and_then(|batch| batch.uncompressed),
            schema: self.schema.map(|serialized_schema| {
                api::read_rows_response::Schema::ArrowSchema(api::ArrowSchema { serialized_schema })
            }),
            rows: None,
        };
        let mut head = vec![0; 5];
        head.extend(response.encode_to_vec());
        let mut pieces = Vec::new();
        if let Some(Batch { bytes, .. }) = self.batch {
            // The count of rows in the batch is deprecated, and still set by Google.
            let mut tail = Vec::new();
            encode_key(BATCH_ROWS, WireType::Varint, &mut tail);
            encode_varint(self.rows as u64, &mut tail);
            let length = bytes.len() as u64;
            let batch = key_len(BATCH_BYTES) + encoded_len_varint(length) + bytes.len() + tail.len();
            encode_key(RESPONSE_BATCH, WireType::LengthDelimited, &mut head);
            encode_varint(batch as u64, &mut head);
            encode_key(BATCH_BYTES, WireType::LengthDelimited, &mut head);
            encode_varint(length, &mut head);
            pieces = vec![bytes, tail.into()];
        }
        let length = head.len() - 5 + pieces.iter().map(Bytes::len).sum::<usize>();
        // The first byte stays zero: not compressed.
        head[1..5].copy_from_slice(&(length as u32).to_be_bytes());
        pieces.insert(0, head.into());
        pieces.retain(|piece| !piece.is_empty());
        pieces
    }
}
