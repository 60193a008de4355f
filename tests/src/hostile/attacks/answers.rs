//! Addresses, lengths and tags that the canonical ABI does not allow.

use crate::hostile::guest::Guest;
use crate::hostile::{Attack, attack};

pub(super) fn all() -> Vec<Attack> {
    let answer = |what: &str, export: &'static str, words: &[u32]| {
        let code = returning(words);
        attack(what, move || Guest::default().before(export, code.clone()).component())
    };
    vec![
        attack("answers at an address beyond its memory", || {
            Guest::default().before("transformer.apply", "(return (i32.const -8))").component()
        }),
        attack("answers at a crooked address", || {
            Guest::default().before("transformer.apply", "(return (i32.const 2))").component()
        }),
        answer("returns a batch that reaches beyond its memory", "transformer.apply", &[0, 1024, 1 << 30]),
        answer("returns a batch that ends where addresses do", "transformer.apply", &[0, 1024, u32::MAX - 1023]),
        attack("returns a batch of 8 MiB", || {
            let code = returning(&[0, 0, 8 << 20]);
            Guest { pages: 200, ..Guest::default() }.before("transformer.apply", code).component()
        }),
        answer("returns neither a batch nor an error", "transformer.apply", &[7, 0, 0]),
        answer("returns an error of an unknown code", "transformer.apply", &[1, 99, 1024, 1]),
        answer(
            "returns an error that is no UTF-8",
            "transformer.apply",
            &[1, 0, 48, 4, 0, 0, 0, 0, 0, 0, 0, 0, u32::MAX],
        ),
        attack("returns an error with a text of 512 KiB that steers a terminal", || {
            let text = "\u{1b}[2J".repeat(128 << 10);
            let escaped: String = text.bytes().map(|byte| format!("\\{byte:02x}")).collect();
            let code = returning(&[1, 0, 1 << 20, text.len() as u32]);
            Guest { pages: 64, module: format!("(data (i32.const 1048576) \"{escaped}\")"), ..Guest::default() }
                .before("transformer.apply", code)
                .component()
        }),
        attack("returns an error with 100,000 rows", || {
            let code = returning(&[1, 0, 1024, 1, 0, 0, 0, 1024, 100_000]);
            Guest { pages: 64, ..Guest::default() }.before("transformer.apply", code).component()
        }),
        answer("returns a handle that it never made", "transformer.open", &[0, 12_345]),
        attack("returns a fitter where a transformer is asked for", || {
            let code = "(i32.store (i32.const 0) (i32.const 0)) (i32.store (i32.const 4) (call $new_fitter (i32.const 1))) (return (i32.const 0))";
            Guest::default().before("transformer.open", code).component()
        }),
        answer(
            "returns a list of columns that reaches beyond its memory",
            "transformer.outputs",
            &[0, 1024, 8, 1024, 1 << 28],
        ),
        answer("returns a list of columns at a crooked address", "transformer.outputs", &[0, 1024, 8, 1025, 1]),
        answer("returns a list of 1,000,000 batches of the model", "finisher.push", &[0, 0, 1_000_000]),
        answer("returns rows of a table that was not planned", "fitter.drain", &[0, 1, 99, 1024, 64]),
        attack("logs what is no UTF-8", || {
            let code = "(i32.store (i32.const 0) (i32.const -1)) (call $log (i32.const 1) (i32.const 0) (i32.const 4))";
            Guest::default().before("transformer.apply", code).component()
        }),
        attack("logs what lies beyond its memory", || {
            let code = "(call $log (i32.const 1) (i32.const -65536) (i32.const 4))";
            Guest::default().before("transformer.apply", code).component()
        }),
        attack("logs at an unknown level", || {
            let code = "(call $log (i32.const 77) (i32.const 0) (i32.const 4))";
            Guest::default().before("transformer.apply", code).component()
        }),
        attack("divides by zero", || {
            Guest::default().before("transformer.apply", "(drop (i32.div_s (i32.const 1) (i32.const 0)))").component()
        }),
        attack("reads beyond its memory", || {
            Guest::default().before("transformer.apply", "(drop (i32.load (i32.const -16)))").component()
        }),
    ]
}

/// Code that answers with words at the address 0.
fn returning(words: &[u32]) -> String {
    let store = |(at, word): (usize, &u32)| format!("(i32.store (i32.const {}) (i32.const {word}))", 4 * at);
    let stores: String = words.iter().enumerate().map(store).collect();
    format!("{stores} (return (i32.const 0))")
}
