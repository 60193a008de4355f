//! Every fuzz target over its corpus, and over mutations of it that are the same every time: what CI runs of fuzzing.

use super::{Body, TARGETS};
use crate::check::random::Random;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Mutations of each target's corpus.
const MUTATIONS: usize = 5_000;

/// An input with a few things changed, as accidents and attackers change them.
fn mutate(random: &mut Random, input: &[u8], other: &[u8]) -> Vec<u8> {
    const NUMBERS: [u32; 8] = [0, 1, 8, 0x7f, 0xff, 0x7fff_ffff, 0x8000_0000, u32::MAX];
    let mut bytes = input.to_vec();
    for _ in 0..1 + random.below(4) {
        let at = random.below(bytes.len());
        let length = random.below(64).min(bytes.len() - at);
        match random.below(7) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..at + length)),
            2 => bytes.extend_from_within(at..at + length),
            3 => {
                let from = random.below(other.len());
                let piece = &other[from..(from + length).min(other.len())];
                drop(bytes.splice(at..at + piece.len().min(bytes.len() - at), piece.iter().copied()));
            }
            4 => {
                let number = NUMBERS[random.below(NUMBERS.len())].to_le_bytes();
                bytes.iter_mut().skip(at).zip(number).for_each(|(byte, new)| *byte = new);
            }
            5 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = random.below(256) as u8),
            _ => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << random.below(8)),
        }
    }
    bytes
}

/// The inputs of a target, by the names of their files.
fn corpus(target: &str) -> BTreeMap<String, Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let files = folder.read_dir().unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let named =
        |file: std::fs::DirEntry| (file.file_name().into_string().unwrap(), std::fs::read(file.path()).unwrap());
    files.map(|file| named(file.unwrap())).collect()
}

/// Runs a target, and shows the input that it panics on.
fn run(target: &str, body: Body, name: &str, input: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| body(input))).is_err() {
        let path = std::env::temp_dir().join(format!("wafermill-finding-{target}"));
        std::fs::write(&path, input).unwrap();
        panic!("`{target}` panicked on {name}, which is in {}", path.display());
    }
}

fn fuzz(target: &str) {
    let body = TARGETS.iter().find(|(name, _)| *name == target).expect("it is a target").1;
    let corpus = corpus(target);
    for (name, input) in &corpus {
        run(target, body, name, input);
    }
    let inputs: Vec<_> = corpus.iter().collect();
    let mut random = Random::new(&[1]);
    for mutation in 0..MUTATIONS {
        let (name, input) = inputs[random.below(inputs.len())];
        let other = inputs[random.below(inputs.len())].1;
        let mutated = mutate(&mut random, input, other);
        run(target, body, &format!("mutation {mutation} of {name}"), &mutated);
    }
}

#[test]
fn every_target_has_a_corpus_and_a_program() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    for (target, _) in TARGETS {
        assert!(!corpus(target).is_empty(), "{target}");
        assert!(root.join("fuzz_targets").join(format!("{target}.rs")).is_file(), "{target}");
    }
    assert_eq!(root.join("corpus").read_dir().unwrap().count(), TARGETS.len(), "there is a folder for each target");
}

macro_rules! tests {
    ($($test:ident: $target:literal,)*) => {
        $(#[test]
        fn $test() {
            fuzz($target);
        })*
    };
}

tests! {
    arrow_files_never_panic: "arrow",
    batches_of_guests_are_valid_or_refused: "batch",
    answers_of_bigquery_are_valid_or_refused: "bigquery",
    components_never_panic: "component",
    csv_files_never_panic: "csv",
    schemas_and_descriptions_of_guests_never_panic: "metadata",
    manifests_never_panic: "model",
    parquet_files_never_panic: "parquet",
    pipeline_files_never_panic: "pipeline",
    saved_tables_are_valid_or_refused: "table",
}
