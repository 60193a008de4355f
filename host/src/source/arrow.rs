//! Arrow IPC: a fragment is a record batch of a file, or a whole stream.

mod footer;
mod message;

use super::agree::agree;
use super::batches::{Batches, Decoder};
use super::files::InputFile;
use super::in_turn::{FragmentReader, Fragmented, in_turn};
use super::input::{Input, beneath};
use super::normalize::{convert, logical_type, physical_type, projected};
use super::{BatchReader, Fragment, Source};
use crate::guard::guard;
use crate::memory::BATCH;
use crate::{Error, Result};
use arrow_ipc::reader::{FileDecoder, StreamReader};
use arrow_schema::{ArrowError, DataType, Schema, SchemaRef};
use footer::Footer;
use message::{Checked, bytes_of_file, bytes_of_stream};
use std::io::{BufReader, Read, Seek};
use std::sync::{Arc, Mutex, PoisonError};

/// Arrow IPC files and streams as one table.
pub(super) struct ArrowSource {
    schema: SchemaRef,
    /// The type in which each column comes.
    physical: Vec<DataType>,
    files: Vec<ArrowFile>,
    fragments: Vec<Fragment>,
    /// For each fragment its file and what it is there.
    pieces: Vec<(usize, Piece)>,
    shared: Mutex<Option<Shared>>,
    /// What a message may claim to have uncompressed, where that was not counted before.
    most: u64,
}

struct ArrowFile {
    file: InputFile,
    /// The schema as it is written.
    schema: SchemaRef,
    /// None where it is a stream.
    footer: Option<Footer>,
}

/// What a fragment is in its file.
#[derive(Clone, Copy)]
enum Piece {
    Stream,
    Batch(usize),
}

/// The decoder of the record batches of a file, which holds their dictionaries.
struct Shared {
    file: usize,
    columns: Vec<usize>,
    decoder: Arc<FileDecoder>,
}

/// How many times as large as it is stored a message of an object is taken to be: to look is to wait for the store.
const EXPANSION: u64 = 4;

impl ArrowSource {
    pub(super) fn open(files: Vec<InputFile>, most: u64) -> Result<Self> {
        let mut opened = Vec::with_capacity(files.len());
        let (mut fragments, mut pieces) = (Vec::new(), Vec::new());
        for (index, file) in files.into_iter().enumerate() {
            let mut reader = file.open()?;
            let name = file.path.display();
            let failure = reader.failure();
            let failed = |error| beneath(&failure, || explain_open(error, &file)).file(&file.path);
            let (schema, footer) = if is_file(&mut reader).map_err(|error| failed(error.into()))? {
                let (footer, rows) = guard(|| footer::read(&mut reader, file.bytes)).flatten().map_err(failed)?;
                for (batch, (block, rows)) in footer.batches.iter().zip(rows).enumerate() {
                    let name = format!("{name}#{batch}");
                    let bytes = footer::stored_bytes(block);
                    fragments.push(Fragment { name: name.into(), rows: Some(rows), bytes: Some(bytes) });
                    pieces.push((index, Piece::Batch(batch)));
                }
                (footer.schema.clone(), Some(footer))
            } else {
                let stream = guard(|| StreamReader::try_new(reader, None)).flatten().map_err(failed)?;
                fragments.push(Fragment { name: name.to_string().into(), rows: None, bytes: Some(file.bytes) });
                pieces.push((index, Piece::Stream));
                (stream.schema(), None)
            };
            opened.push(ArrowFile { file, schema, footer });
        }
        let logical: Vec<Schema> = opened.iter().map(|file| convert(&file.schema, logical_type)).collect();
        let schema = Arc::new(agree(opened.iter().map(|file| file.file.path.as_path()).zip(&logical))?);
        let physical = (0..schema.fields().len()).map(|column| common_physical(column, &opened)).collect();
        Ok(Self { schema, physical, files: opened, fragments, pieces, shared: Mutex::default(), most })
    }

    /// What reading columns of a file takes, as far as its messages tell it.
    fn bytes_of(&self, file: &ArrowFile, columns: &[usize]) -> u64 {
        let ArrowFile { file, schema, footer } = file;
        if file.is_object() {
            let largest = footer.as_ref().and_then(|footer| {
                let batch = footer.batches.iter().map(footer::stored_bytes).max();
                Some(footer.dictionaries.iter().map(footer::stored_bytes).sum::<u64>().saturating_add(batch?))
            });
            return largest.unwrap_or(file.bytes.min(BATCH)).saturating_mul(EXPANSION);
        }
        // What cannot be opened or followed here cannot be read later, which tells why.
        let Ok(mut reader) = file.open() else { return 0 };
        let followed = guard(|| match footer {
            Some(footer) => bytes_of_file(&mut reader, footer, columns),
            None => bytes_of_stream(&mut reader, schema, file.bytes, columns),
        });
        followed.map_or(0, |(bytes, _)| bytes)
    }

    /// The decoder of a file's record batches, the same one for all of them, so that their dictionaries are read once.
    fn decoder(
        &self,
        (file, footer): (usize, &Footer),
        reader: &mut Input,
        batch: usize,
        columns: Vec<usize>,
    ) -> Result<Arc<FileDecoder>, ArrowError> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let known = shared.take().filter(|shared| shared.file == file && shared.columns == columns);
        let decoder = match known {
            Some(shared) => shared.decoder,
            None => Arc::new(footer.decoder(reader, columns.clone(), self.most)?),
        };
        // Dictionaries are not kept in memory beyond the last batch.
        if batch + 1 < footer.batches.len() {
            *shared = Some(Shared { file, columns, decoder: decoder.clone() });
        }
        Ok(decoder)
    }
}

impl Source for ArrowSource {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn fragments(&self) -> &[Fragment] {
        &self.fragments
    }

    /// A batch is read whole, and beside it stand the dictionaries.
    fn reading_bytes(&self, columns: &[usize]) -> u64 {
        self.files.iter().map(|file| self.bytes_of(file, columns)).max().unwrap_or(0)
    }

    fn files(&self) -> Vec<&InputFile> {
        self.files.iter().map(|file| &file.file).collect()
    }

    fn read(&self, columns: &[usize], batch_rows: usize) -> Result<BatchReader<'_>> {
        self.read_from(0, columns, batch_rows)
    }

    fn read_from(&self, start: u64, columns: &[usize], batch_rows: usize) -> Result<BatchReader<'_>> {
        Ok(in_turn(self, start, columns, batch_rows))
    }
}

impl Fragmented for ArrowSource {
    fn open(&self, fragment: usize, columns: &[usize], batch_rows: usize) -> Result<FragmentReader> {
        let (number, piece) = self.pieces[fragment];
        let ArrowFile { file, schema: written, footer } = &self.files[number];
        let path = file.path.clone();
        let mut reader = file.open()?;
        let (failure, most) = (reader.failure(), self.most);
        let explain = move |error: ArrowError, rows| {
            let what = match piece {
                Piece::Stream => format!("the stream cannot be decoded after {rows} rows"),
                Piece::Batch(index) => format!("record batch {index} cannot be decoded"),
            };
            let hint = "the file is damaged or was written by a broken writer; write it anew, or leave it out";
            beneath(&failure, || Error::source(what).because(error).hint(hint)).file(&path)
        };
        // Nothing vouches for the length of a batch but its columns, so one is read even where none is asked for.
        let read = if columns.is_empty() && !self.physical.is_empty() { vec![0] } else { columns.to_vec() };
        let wanted: Vec<usize> = (0..columns.len()).collect();
        let open = || -> Result<Decoder, ArrowError> {
            Ok(match (piece, footer) {
                (Piece::Batch(batch), Some(footer)) => {
                    let (block, decoder) =
                        (footer.batches[batch], self.decoder((number, footer), &mut reader, batch, read)?);
                    Box::new(std::iter::once_with(move || footer::read_batch(&mut reader, &decoder, &block, most)))
                }
                // What messages of a store claim is looked at as they come: to look before is to wait for each.
                _ if file.is_object() => {
                    Box::new(StreamReader::try_new(Checked::new(BufReader::new(reader), most), Some(read))?)
                }
                _ => {
                    bytes_of_stream(&mut reader, written, file.bytes, &read).1?;
                    reader.rewind()?;
                    Box::new(StreamReader::try_new(BufReader::new(reader), Some(read))?)
                }
            })
        };
        let decoder = guard(open).flatten().map_err(|error| explain(error, 0))?;
        let decoder = decoder.map(move |batch| batch?.project(&wanted));
        let schema = projected(&self.schema, &self.physical, columns);
        let expected = self.fragments[fragment].rows;
        Ok(Box::new(Batches::new(decoder, schema, batch_rows, expected, explain)))
    }
}

/// Whether it is an IPC file and not a stream, which its first bytes tell.
fn is_file(reader: &mut (impl Read + Seek)) -> std::io::Result<bool> {
    let mut start = Vec::new();
    reader.by_ref().take(6).read_to_end(&mut start)?;
    reader.rewind()?;
    Ok(start == b"ARROW1")
}

/// A dictionary if all files have one: converting text to dictionaries costs more than it saves.
fn common_physical(column: usize, files: &[ArrowFile]) -> DataType {
    let mut types = files.iter().map(|file| physical_type(file.schema.field(column).data_type()));
    let first = types.next().unwrap_or(DataType::Null);
    if types.all(|other| other == first) { first } else { logical_type(&first) }
}

fn explain_open(error: ArrowError, file: &InputFile) -> Error {
    Error::source("this is no complete Arrow IPC file or stream")
        .because(error)
        .file(&file.path)
        .hint("check that it was written and copied to its end; Feather version 1 must be converted")
}
