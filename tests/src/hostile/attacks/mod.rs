//! The attacks, by what they aim at.

mod answers;
mod batches;
mod calls;
mod components;
mod imports;
mod plans;
mod resources;
mod schemas;
mod wasi;

use super::Attack;

/// All of them, by chapters.
pub fn all() -> Vec<(&'static str, Vec<Attack>)> {
    vec![
        ("Never returning", calls::all()),
        ("Taking memory", resources::all()),
        ("Answers that are no answers", answers::all()),
        ("Descriptions and plans", plans::all()),
        ("Schemas", schemas::all()),
        ("Batches, partials and models", batches::all()),
        ("Imports", imports::all()),
        ("WASI", wasi::all()),
        ("Components", components::all()),
    ]
}
