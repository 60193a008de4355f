//! The pipeline file.

use crate::pipeline::Document;
use crate::sandbox::Limits;
use std::path::Path;

/// The text of a pipeline file: read, and all of it that needs no table turned into what the host works with.
pub(super) fn pipeline(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let path = Path::new("pipeline.toml");
    let document = match Document::parse(text.to_owned(), path) {
        Ok(document) => document,
        Err(error) => return check_position(&error, text),
    };
    let pipeline = &document.pipeline;
    let checked = [
        pipeline.limits.over(&Limits::default(), "/limits").map(drop),
        pipeline.output.check(pipeline.aggregate.len()),
        pipeline.source.csv.options().map(drop),
    ];
    let of_steps = pipeline.steps.iter().enumerate().map(|(at, step)| {
        let _ = step.columns.selector();
        step.limits.over(&Limits::default(), &format!("/steps/{at}/limits")).map(drop)
    });
    for error in checked.into_iter().chain(of_steps).filter_map(Result::err) {
        check_position(&document.locate(error), text);
    }
}

/// Checks that an error is in the file, where that has such a place.
fn check_position(error: &crate::Error, text: &str) {
    let Some((line, column)) = error.place().position else { return };
    let found = text.split('\n').nth(line - 1).expect("the line is in the file");
    assert!(column <= found.chars().count() + 1, "the column is in its line");
}
