//! From core modules to components.

use std::sync::OnceLock;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, WorldId};

/// What a core module of a plugin exports: how the contract's names appear there, and how many words each takes and gives.
pub const EXPORTS: [(&str, &str, usize); 13] = [
    ("describe", "describe", 0),
    ("plan", "plan", 6),
    ("fitter.open", "[static]fitter.open", 12),
    ("fitter.update", "[method]fitter.update", 3),
    ("fitter.drain", "[method]fitter.drain", 1),
    ("finisher.open", "[static]finisher.open", 12),
    ("finisher.push", "[method]finisher.push", 4),
    ("finisher.finish", "[method]finisher.finish", 1),
    ("finisher.drain", "[method]finisher.drain", 1),
    ("transformer.open", "[static]transformer.open", 8),
    ("transformer.load", "[method]transformer.load", 4),
    ("transformer.outputs", "[method]transformer.outputs", 1),
    ("transformer.apply", "[method]transformer.apply", 3),
];

/// Where it exports them.
pub const INTERFACE: &str = "wafermill:plugin/guest@0.1.0";

/// A component of a core module that exports what [`EXPORTS`] says. Where the module is one that nobody should run, a component that holds it
/// and exports nothing.
///
/// # Panics
/// Where the contract cannot be encoded.
pub fn componentize(module: &[u8]) -> Vec<u8> {
    let (resolve, world) = contract();
    let bare = [b"\0asm\x0d\0\x01\0\x01", &leb(module.len())[..], module].concat();
    let mut module = module.to_vec();
    embed_component_metadata(&mut module, resolve, *world, StringEncoding::UTF8).expect("the contract can be encoded");
    ComponentEncoder::default().module(&module).and_then(|encoder| encoder.validate(true).encode()).unwrap_or(bare)
}

/// A number as WebAssembly has it in front of what it counts.
pub fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = (number & 0x7f) as u8;
        number >>= 7;
        bytes.push(if number > 0 { byte | 0x80 } else { byte });
        if number == 0 {
            return bytes;
        }
    }
}

fn contract() -> &'static (Resolve, WorldId) {
    static CONTRACT: OnceLock<(Resolve, WorldId)> = OnceLock::new();
    CONTRACT.get_or_init(|| {
        let mut resolve = Resolve::default();
        let contract = concat!(env!("CARGO_MANIFEST_DIR"), "/../wit/plugin.wit");
        resolve.push_file(contract).expect("the contract is well written");
        // What a module does not import of this world its component does not import either.
        let guests = concat!(env!("CARGO_MANIFEST_DIR"), "/wit/guest.wit");
        let package = resolve.push_file(guests).expect("what guests may import is well written");
        let world = resolve.select_world(&[package], Some("guest")).expect("it has a world");
        (resolve, world)
    })
}
