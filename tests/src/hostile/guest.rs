//! A guest of a few kilobytes that keeps to the contract in everything, until a part of it is replaced.
//!
//! It takes one column of numbers in batches of two rows, learns a table in one pass, and writes a column `y`. All that it answers
//! lies in its memory from the start.

use super::component::{EXPORTS, INTERFACE, componentize};
use super::image::Image;
use super::message;
use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
use arrow_schema::DataType;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

/// Rows of each batch that it answers.
pub const ROWS: usize = 2;

/// An allocator that never frees.
const REALLOC: &str = "
    (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 63)) (i32.const -64)))
    (global.set $heap (i32.add (local.get $at) (local.get 3)))
    (block $enough
      (br_if $enough (i32.le_u (global.get $heap) (i32.shl (memory.size) (i32.const 16))))
      (drop (memory.grow (i32.add (i32.shr_u (local.get 3) (i32.const 16)) (i32.const 1)))))
    (local.get $at)";

/// The guest; every part of it may be replaced by one that does harm.
#[derive(Clone, Debug)]
pub struct Guest {
    /// Of `describe`.
    pub name: Vec<u8>,
    /// Of `describe`.
    pub summary: Vec<u8>,
    /// Of `describe`: the JSON Schema of the parameters.
    pub params_schema: Vec<u8>,
    /// Of `describe`.
    pub most_passes: u32,
    /// Of `plan`, where it learns.
    pub least_passes: u32,
    /// Of `plan`: the most of them.
    pub planned_passes: u32,
    /// Of `plan`: the names of columns that are read.
    pub reads: Vec<String>,
    /// Of `plan`: names of columns.
    pub drops: Vec<String>,
    /// Of `plan`: for each write, the most columns of its family, or zero where it is one column.
    pub writes: Vec<u32>,
    /// Of `plan`: the schema of what is written.
    pub planned: Vec<u8>,
    /// Of `plan`: the schema of the table of partials.
    pub partials: Vec<u8>,
    /// Of `plan`: the operators of the table of partials; key, sum, min, max are 0 to 3.
    pub operators: Vec<u8>,
    /// Of `plan`: the schema of the table of the model.
    pub model: Vec<u8>,
    /// Of `fitter.drain`.
    pub learned: Vec<u8>,
    /// Of `finisher.drain`.
    pub fitted: Vec<u8>,
    /// Of `finisher.finish`: what it gives for another pass.
    pub again: Option<Vec<u8>>,
    /// Of `transformer.outputs`.
    pub announced: Vec<u8>,
    /// Of `transformer.outputs`.
    pub columns: Vec<u32>,
    /// Of `transformer.apply`.
    pub applied: Vec<u8>,
    /// Of `transformer.apply` from the second call on.
    pub applied_next: Option<Vec<u8>>,
    /// Code that an export runs before it answers.
    pub before: BTreeMap<&'static str, String>,
    /// Code of `cabi_realloc` before it allocates.
    pub before_realloc: String,
    /// Pages of memory.
    pub pages: u64,
    /// What the core module imports beside the contract.
    pub imports: String,
    /// What else is in the core module.
    pub module: String,
}

impl Default for Guest {
    fn default() -> Self {
        Self {
            name: b"guest".to_vec(),
            summary: b"for tests".to_vec(),
            params_schema: b"{}".to_vec(),
            most_passes: 3,
            least_passes: 1,
            planned_passes: 1,
            reads: vec!["x".to_owned()],
            drops: Vec::new(),
            writes: vec![0],
            planned: message::schema(&[("y", DataType::Float64)]),
            partials: message::schema(&[("key", DataType::Int64), ("count", DataType::Int64)]),
            operators: vec![0, 1],
            model: message::schema(&[("m", DataType::Int64)]),
            learned: partials(&[1, 2], &[10, 20]),
            fitted: message::batch(&columns([("m", Arc::new(Int64Array::from(vec![7])) as ArrayRef)])),
            again: None,
            announced: message::schema(&[("y", DataType::Float64)]),
            columns: vec![1],
            applied: numbers(ROWS),
            applied_next: None,
            before: BTreeMap::new(),
            before_realloc: String::new(),
            pages: 2,
            imports: String::new(),
            module: String::new(),
        }
    }
}

/// Partials with these keys and counts.
pub fn partials(keys: &[i64], counts: &[i64]) -> Vec<u8> {
    let column = |values: &[i64]| Arc::new(Int64Array::from(values.to_vec())) as ArrayRef;
    message::batch(&columns([("key", column(keys)), ("count", column(counts))]))
}

/// A column `y` of numbers.
pub fn numbers(rows: usize) -> Vec<u8> {
    message::batch(&columns([("y", Arc::new(Float64Array::from(vec![1.0; rows])) as ArrayRef)]))
}

fn columns<const N: usize>(columns: [(&str, ArrayRef); N]) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true)))
        .expect("the columns are of one length")
}

impl Guest {
    /// With code that an export runs before it answers.
    #[must_use]
    pub fn before(mut self, export: &'static str, code: impl Into<String>) -> Self {
        assert!(EXPORTS.iter().any(|(name, ..)| *name == export), "there is no export `{export}`");
        self.before.insert(export, code.into());
        self
    }

    /// The component.
    ///
    /// # Panics
    /// Where a part of it is no valid WebAssembly.
    pub fn component(&self) -> Vec<u8> {
        componentize(&wat::parse_str(self.text()).expect("the module is well written"))
    }

    /// The core module.
    pub fn text(&self) -> String {
        let mut image = Image::default();
        let answers = self.answers(&mut image);
        let mut functions = String::new();
        for (name, export, words) in EXPORTS {
            let parameters = "(param i32)".repeat(words);
            let (before, answer) = (self.before.get(name).map_or("", String::as_str), &answers[name]);
            // Writing to a string cannot fail.
            let _ = writeln!(
                functions,
                "(func (export \"{INTERFACE}#{export}\") {parameters} (result i32) (local $at i32) {before} {answer})"
            );
        }
        let resources: String = ["fitter", "finisher", "transformer"].map(import_of).concat();
        let (pages, imports, module, before) = (self.pages, &self.imports, &self.module, &self.before_realloc);
        let (segment, heap) = (image.segment(), image.end());
        let pages = pages.max(u64::from(heap >> 16) + 1);
        format!(
            "(module {resources}
              (import \"wafermill:plugin/logging@0.1.0\" \"log\" (func $log (param i32 i32 i32)))
              {imports}
              (memory (export \"memory\") {pages})
              (global $heap (mut i32) (i32.const {heap}))
              (global $calls (mut i32) (i32.const 0))
              (global $drained (mut i32) (i32.const 0))
              (func (export \"cabi_realloc\") (param i32 i32 i32 i32) (result i32) (local $at i32) {before} {REALLOC})
              {functions} {segment} {module})"
        )
    }

    /// The code that gives each export's answer.
    fn answers(&self, image: &mut Image) -> BTreeMap<&'static str, String> {
        let constant = |address: u32| format!("(i32.const {address})");
        let nothing = image.words(&[0, 0, 0]);
        let mut answers: BTreeMap<_, _> = EXPORTS.map(|(name, ..)| (name, constant(nothing))).into();
        answers.insert("describe", constant(self.description(image)));
        answers.insert("plan", constant(self.plan(image)));
        for (resource, export) in
            [("fitter", "fitter.open"), ("finisher", "finisher.open"), ("transformer", "transformer.open")]
        {
            let slot = image.words(&[0, 0]);
            let made = format!("(call $new_{resource} (i32.const 1))");
            answers.insert(export, format!("(i32.store (i32.const {}) {made}) (i32.const {slot})", slot + 4));
        }
        for (export, rows) in [("fitter.drain", &self.learned), ("finisher.drain", &self.fitted)] {
            let [address, length] = image.blob(rows);
            let rows = image.words(&[0, 1, 0, address, length]);
            let once = "(global.set $drained (i32.xor (global.get $drained) (i32.const 1)))";
            answers.insert(
                export,
                format!("{once} (select (i32.const {rows}) (i32.const {nothing}) (global.get $drained))"),
            );
        }
        if let Some(carry) = &self.again {
            let [address, length] = image.blob(carry);
            answers.insert("finisher.finish", constant(image.words(&[0, 1, address, length])));
        }
        let [schema, schema_length] = image.blob(&self.announced);
        let columns = image.list(&self.columns.iter().map(|count| vec![*count]).collect::<Vec<_>>());
        answers.insert("transformer.outputs", {
            constant(image.words(&[0, schema, schema_length, columns[0], columns[1]]))
        });
        let mut applied = [&self.applied, self.applied_next.as_ref().unwrap_or(&self.applied)].map(|rows| {
            let [address, length] = image.blob(rows);
            image.words(&[0, address, length])
        });
        applied.reverse();
        answers.insert("transformer.apply", {
            let count = "(global.set $calls (i32.add (global.get $calls) (i32.const 1)))";
            let later = "(i32.gt_u (global.get $calls) (i32.const 1))";
            format!("{count} (select (i32.const {}) (i32.const {}) {later})", applied[0], applied[1])
        });
        answers
    }

    fn description(&self, image: &mut Image) -> u32 {
        let mut words = Vec::new();
        for text in [&self.name[..], b"1.0.0", &self.summary] {
            words.extend(image.blob(text));
        }
        // The role, and the passes.
        words.extend([0, 0, self.most_passes]);
        words.extend(image.blob(&self.params_schema));
        image.words(&words)
    }

    fn plan(&self, image: &mut Image) -> u32 {
        let names = |image: &mut Image, names: &[String]| -> Vec<[u32; 2]> {
            names.iter().map(|name| image.blob(name)).collect()
        };
        let reads: Vec<_> =
            names(image, &self.reads).into_iter().map(|[address, length]| vec![0, address, length, 0]).collect();
        let drops: Vec<_> = names(image, &self.drops).into_iter().map(|name| name.to_vec()).collect();
        let writes: Vec<_> = self.writes.iter().map(|most| vec![0, 0, 0, u32::from(*most > 0), *most]).collect();
        let name = image.blob("table");
        let (partials, operators) = (image.blob(&self.partials), image.blob(&self.operators));
        let partials = [name, partials, operators].concat();
        let model = [name, image.blob(&self.model)].concat();
        let learns = self.planned_passes > 0;
        let tables = |table: Vec<u32>| if learns { vec![table] } else { Vec::new() };
        let mut words = vec![0, if learns { self.least_passes } else { 0 }, self.planned_passes];
        words.extend(image.list(&reads));
        words.extend(image.list(&drops));
        words.extend(image.list(&writes));
        words.extend(image.blob(&self.planned));
        words.extend(image.list(&tables(partials)));
        words.extend(image.list(&tables(model)));
        image.words(&words)
    }
}

fn import_of(resource: &str) -> String {
    format!(
        "(import \"[export]{INTERFACE}\" \"[resource-new]{resource}\" (func $new_{resource} (param i32) (result i32)))\n"
    )
}
