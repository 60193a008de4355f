//! What stands in a component, read without compiling or running any of it: what it imports and exports, and whether it would be
//! costly to compile.

use super::limits::{FUNCTION, FUNCTIONS, INSTANTIATIONS, LOCALS, NAMES, NESTING, TYPES};
use crate::memory::format_size;
use wasmparser::{BinaryReaderError, ComponentInstance, Encoding, Parser, Payload};

/// The names of what a component imports and exports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// In their order.
    pub imports: Vec<String>,
    /// In their order.
    pub exports: Vec<String>,
}

impl Interface {
    /// Whether it needs WASI, of which plugins get one with nothing behind it.
    pub fn needs_wasi(&self) -> bool {
        self.imports.iter().any(|name| super::wasi::is_provided(name))
    }
}

/// Why a component is not looked at further.
pub(super) enum Refusal {
    /// It is none.
    Unreadable(String),
    /// It is larger than a component may be.
    TooLarge(String),
}

impl From<BinaryReaderError> for Refusal {
    fn from(error: BinaryReaderError) -> Self {
        Self::Unreadable(format!("{} (at byte {})", first_line(error.message()), error.offset()))
    }
}

/// How much there is of all that compiling takes time for.
#[derive(Default)]
struct Sizes {
    functions: usize,
    types: usize,
    instantiations: usize,
}

/// Reads a component from its first byte to its last.
pub(super) fn scan(bytes: &[u8]) -> Result<Interface, Refusal> {
    let mut interface = Interface::default();
    let mut sizes = Sizes::default();
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload? {
            Payload::Version { encoding, .. } => {
                depth += 1;
                at_most(depth, NESTING, "components and modules in each other")?;
                if depth == 1 && encoding != Encoding::Component {
                    return Err(Refusal::Unreadable("it is a core module, and no component".to_owned()));
                }
            }
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(imports) if depth == 1 => {
                at_most(interface.imports.len().saturating_add(imports.count() as usize), NAMES, "imports")?;
                for import in imports {
                    interface.imports.push(import?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(exports) if depth == 1 => {
                at_most(interface.exports.len().saturating_add(exports.count() as usize), NAMES, "exports")?;
                for export in exports {
                    interface.exports.push(export?.name.name.to_owned());
                }
            }
            Payload::ComponentInstanceSection(instances) => {
                for instance in instances {
                    let makes_one = matches!(instance?, ComponentInstance::Instantiate { .. });
                    sizes.instantiations += usize::from(makes_one);
                }
                at_most(sizes.instantiations, INSTANTIATIONS, "instances of components")?;
            }
            Payload::TypeSection(types) => {
                sizes.types += types.count() as usize;
                at_most(sizes.types, TYPES, "types")?;
            }
            Payload::CodeSectionStart { count, .. } => {
                sizes.functions += count as usize;
                at_most(sizes.functions, FUNCTIONS, "functions")?;
            }
            Payload::CodeSectionEntry(body) => {
                let (length, most) = (body.range().len(), format_size(FUNCTION as u64));
                if length > FUNCTION {
                    return Err(Refusal::TooLarge(format!("it has a function of {length} bytes, more than {most}")));
                }
                let mut locals = 0_u32;
                for of_one_type in body.get_locals_reader()? {
                    locals = locals.saturating_add(of_one_type?.0);
                }
                at_most(locals as usize, LOCALS as usize, "locals of a function")?;
            }
            _ => {}
        }
    }
    Ok(interface)
}

fn at_most(count: usize, most: usize, things: &str) -> Result<(), Refusal> {
    if count > most { Err(Refusal::TooLarge(format!("it has more than {most} {things}"))) } else { Ok(()) }
}

/// What it says, without the bytes that it lists.
fn first_line(text: &str) -> &str {
    let line = text.lines().next().unwrap_or_default();
    line.split(" - expected=").next().unwrap_or(line)
}
