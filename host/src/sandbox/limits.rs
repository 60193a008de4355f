//! What a plugin may take: every number with its reason. Those of [`Limits`] can be set for each plugin, the others are the same for all.

use std::num::NonZeroUsize;
use std::time::Duration;

/// Limits of one plugin and its instances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of linear memory and of tables. Enough for a million categories.
    pub memory: usize,
    /// Elements of a table, the one that holds pointers to functions. Large programs have some ten thousand.
    pub table_elements: usize,
    /// How long a call may take. A batch takes milliseconds, a model of a million rows seconds.
    pub call: Duration,
    /// Instructions of a call, where they are counted: then time is only the second line, and results do not depend on how busy the
    /// machine is.
    pub fuel: Option<u64>,
    /// Bytes that one call may return. A batch of 8,192 rows with 1,000 columns of 8 bytes is 64 MiB.
    pub returned: usize,
    /// Bytes of a batch that is passed in one call; larger ones are cut. An eighth of the memory, so that what comes of
    /// it fits too, and at most 64 MiB.
    pub passed: usize,
    /// Bytes of linear memory from which on a fitter is drained and replaced.
    pub drain: usize,
    /// Bytes of a carry, the state that one pass leaves to the next.
    pub carry: usize,
    /// Bytes of partials that all fitters of a step may give away in one pass. They go to disk: a billion keys of 50 bytes.
    pub partials: u64,
    /// Bytes of a model. It has to fit into the memory of whoever applies it, but for tables that only people read.
    pub model: u64,
    /// Columns of any schema.
    pub columns: usize,
    /// Bytes of a column's name and of its metadata.
    pub text: usize,
    /// Bytes of a component. Python ones are about 40 MiB.
    pub component: u64,
    /// How long compiling it may take. Python ones take a minute on two cores, and once: compiled code is kept.
    pub compile: Duration,
    /// Bytes by which the process may grow while it is compiled. The bundled plugins take up to 40 MB.
    pub compile_memory: u64,
}

/// The instructions of a call where they are counted and nothing else is said: about what 30 seconds are enough for.
pub const FUEL: u64 = 50_000_000_000;

/// How long a call may take where its instructions are counted. Only one that spends its time outside of its own instructions gets so far.
pub const CALL_WITH_FUEL: Duration = Duration::from_secs(600);

/// Passes over the rows that a plan may ask for, since each of them costs the user a reading of the table.
pub(crate) const PASSES: u32 = 64;

/// Bytes of stack, the same for all plugins since it belongs to the engine. Twice what wasmtime gives by default.
pub(super) const STACK: usize = 1 << 20;

/// Core instances, memories and tables of one component. Adapters need a few each.
pub(super) const CORE_ITEMS: usize = 64;

/// Handles that an instance may have at a time. The host keeps one.
pub(super) const HANDLES: usize = 1_000;

/// Bytes of a plugin's description with the schema of its parameters.
pub(super) const DESCRIPTION: usize = 1 << 20;

/// Bytes of an error's text, and how many rows it may name.
pub(super) const MESSAGE: usize = 2_000;
pub(super) const ROWS: usize = 20;

/// Lines of the log that are kept, and bytes of each.
pub(super) const LOG_LINES: usize = 20;
pub(super) const LOG_LINE: usize = 1_000;

/// Functions of a component, with those of the modules and components in it. CPython with its libraries has 20,000.
pub(super) const FUNCTIONS: usize = 200_000;

/// Bytes of one function, whose compilation takes more than its share the longer it is. The interpreter's loop of CPython has 100 KiB.
pub(super) const FUNCTION: usize = 1 << 20;

/// Imports of a component, and exports: their names are listed before anything else is known of it.
pub(super) const NAMES: usize = 10_000;

/// Functions of a guest that an error lists, the innermost first.
pub(super) const FRAMES: NonZeroUsize = NonZeroUsize::new(20).unwrap();

/// Types of a component.
pub(super) const TYPES: usize = 100_000;

/// Locals of one function.
pub(super) const LOCALS: u32 = 20_000;

/// How deep components and modules may stand in each other.
pub(super) const NESTING: usize = 16;

/// Instances of components that a component may make in all. Each may hold others, and they are spelt out when it is compiled: a few lines
/// make millions of them.
pub(super) const INSTANTIATIONS: usize = 24;

/// Bytes that one instance may give away in a row at least, however little memory it has.
const LEAST_DRAINED: usize = 16 << 20;

/// Bytes that an instance with so much memory may give away in a row: what that can have held, laid out for Arrow.
pub(super) fn drained(memory: usize) -> usize {
    memory.saturating_mul(16).max(LEAST_DRAINED)
}

impl Default for Limits {
    fn default() -> Self {
        Self::with_memory(256 << 20)
    }
}

impl Limits {
    /// The default limits with another limit on memory, and those that depend on it.
    pub fn with_memory(memory: usize) -> Self {
        Self {
            memory,
            table_elements: 200_000,
            call: Duration::from_secs(30),
            fuel: None,
            returned: 256 << 20,
            passed: passed(memory),
            drain: memory / 2,
            carry: 16 << 20,
            partials: 64 << 30,
            model: 4 << 30,
            columns: 100_000,
            text: 64 << 10,
            component: 128 << 20,
            compile: Duration::from_secs(300),
            compile_memory: 2 << 30,
        }
    }

    /// These limits with another one on memory, and what depends on it.
    #[must_use]
    pub fn memory(self, memory: usize) -> Self {
        Self { memory, passed: passed(memory), drain: memory / 2, ..self }
    }
}

fn passed(memory: usize) -> usize {
    (memory / 8).clamp(1 << 20, 64 << 20)
}
