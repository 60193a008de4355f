//! Arrow IPC: a fragment is a record batch of a file, or a whole stream.

mod footer;

use super::agree::agree;
use super::batches::{Batches, Decoder};
use super::files::InputFile;
use super::in_turn::{FragmentReader, Fragmented, in_turn};
use super::input::{Input, beneath};
use super::normalize::{convert, logical_type, physical_type, projected};
use super::{BatchReader, Fragment, Source};
use crate::guard::guard;
use crate::{Error, Result};
use arrow_ipc::reader::{FileReader, StreamReader};
use arrow_schema::{ArrowError, DataType, Schema, SchemaRef};
use std::io::{BufReader, Read, Seek};
use std::sync::Arc;

/// Arrow IPC files and streams as one table.
pub(super) struct ArrowSource {
    schema: SchemaRef,
    /// The type in which each column comes.
    physical: Vec<DataType>,
    files: Vec<InputFile>,
    fragments: Vec<Fragment>,
    /// For each fragment its file and what it is there.
    pieces: Vec<(usize, Piece)>,
}

/// What a fragment is in its file.
#[derive(Clone, Copy)]
enum Piece {
    Stream,
    Batch(usize),
}

impl ArrowSource {
    pub(super) fn open(files: Vec<InputFile>) -> Result<Self> {
        let (mut fragments, mut pieces) = (Vec::new(), Vec::new());
        let mut schemas = Vec::with_capacity(files.len());
        for (index, file) in files.iter().enumerate() {
            let mut reader = file.open()?;
            let name = file.path.display();
            let failure = reader.failure();
            let failed = |error| beneath(&failure, || explain_open(error, file)).file(&file.path);
            if is_file(&mut reader).map_err(|error| failed(error.into()))? {
                let (schema, blocks) = guard(|| footer::read(&mut reader, file.bytes)).flatten().map_err(failed)?;
                schemas.push(schema);
                for (block, batch) in blocks.into_iter().enumerate() {
                    let name = format!("{name}#{block}");
                    fragments.push(Fragment { name: name.into(), rows: Some(batch.rows), bytes: Some(batch.bytes) });
                    pieces.push((index, Piece::Batch(block)));
                }
            } else {
                let stream = guard(|| StreamReader::try_new(reader, None)).flatten().map_err(failed)?;
                schemas.push(stream.schema());
                fragments.push(Fragment { name: name.to_string().into(), rows: None, bytes: Some(file.bytes) });
                pieces.push((index, Piece::Stream));
            }
        }
        let logical: Vec<Schema> = schemas.iter().map(|schema| convert(schema, logical_type)).collect();
        let schema = Arc::new(agree(files.iter().map(|file| file.path.as_path()).zip(&logical))?);
        let physical = (0..schema.fields().len()).map(|column| common_physical(column, &schemas)).collect();
        Ok(Self { schema, physical, files, fragments, pieces })
    }
}

impl Source for ArrowSource {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn fragments(&self) -> &[Fragment] {
        &self.fragments
    }

    /// A batch of a file is read whole. How large those of a stream are is not known.
    fn reading_bytes(&self, _: &[usize]) -> u64 {
        let batches =
            self.fragments.iter().zip(&self.pieces).filter(|(_, (_, piece))| matches!(piece, Piece::Batch(_)));
        batches.filter_map(|(fragment, _)| fragment.bytes).max().unwrap_or(0)
    }

    fn files(&self) -> Vec<&InputFile> {
        self.files.iter().collect()
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
        let (file, piece) = self.pieces[fragment];
        let file = &self.files[file];
        let path = file.path.clone();
        let reader = file.open()?;
        let failure = reader.failure();
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
        let decoder = guard(|| open_piece(reader, piece, read)).flatten().map_err(|error| explain(error, 0))?;
        let decoder = decoder.map(move |batch| batch?.project(&wanted));
        let schema = projected(&self.schema, &self.physical, columns);
        let expected = self.fragments[fragment].rows;
        Ok(Box::new(Batches::new(decoder, schema, batch_rows, expected, explain)))
    }
}

fn open_piece(file: Input, piece: Piece, columns: Vec<usize>) -> Result<Decoder, ArrowError> {
    Ok(match piece {
        Piece::Stream => Box::new(StreamReader::try_new(BufReader::new(file), Some(columns))?),
        Piece::Batch(index) => {
            let mut reader = FileReader::try_new(file, Some(columns))?;
            reader.set_index(index)?;
            Box::new(reader.take(1))
        }
    })
}

/// Whether it is an IPC file and not a stream, which its first bytes tell.
fn is_file(reader: &mut (impl Read + Seek)) -> std::io::Result<bool> {
    let mut start = Vec::new();
    reader.by_ref().take(6).read_to_end(&mut start)?;
    reader.rewind()?;
    Ok(start == b"ARROW1")
}

/// A dictionary if all files have one: converting text to dictionaries costs more than it saves.
fn common_physical(column: usize, schemas: &[SchemaRef]) -> DataType {
    let mut types = schemas.iter().map(|schema| physical_type(schema.field(column).data_type()));
    let first = types.next().unwrap_or(DataType::Null);
    if types.all(|other| other == first) { first } else { logical_type(&first) }
}

fn explain_open(error: ArrowError, file: &InputFile) -> Error {
    Error::source("this is no complete Arrow IPC file or stream")
        .because(error)
        .file(&file.path)
        .hint("check that it was written and copied to its end; Feather version 1 must be converted")
}
