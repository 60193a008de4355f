//! Files that are no components, and components that are costly to read, to compile or to explain.

use crate::hostile::component::{componentize, leb};
use crate::hostile::guest::Guest;
use crate::hostile::{Attack, attack, by_guest};
use std::fmt::Write;

pub(super) fn all() -> Vec<Attack> {
    let text = |what: &str, text: fn() -> String| {
        attack(what, move || wat::parse_str(text()).expect("the component is well written"))
    };
    vec![
        attack("is empty", Vec::new),
        attack("is text", || b"#!/bin/sh\nrm -rf /\n".to_vec()),
        attack("is a program of this machine", || b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0>\0".to_vec()),
        attack("is a core module", || wat::parse_str(Guest::default().text()).expect("the module is well written")),
        text("is a component that exports nothing", || "(component)".to_owned()),
        text("exports what it should with other types", || {
            "(component
              (core module $m (func (export \"f\") (result i32) (i32.const 1)))
              (core instance $i (instantiate $m))
              (func $f (result u32) (canon lift (core func $i \"f\")))
              (instance $guest (export \"describe\" (func $f)) (export \"plan\" (func $f)))
              (export \"wafermill:plugin/guest@0.1.0\" (instance $guest)))"
                .to_owned()
        }),
        attack("is cut in half", || {
            let mut half = Guest::default().component();
            half.truncate(half.len() / 2);
            half
        }),
        attack("nests components 2,000 times", || (0..2_000).fold(Vec::new(), |inner, _| component(&inner))),
        text("makes 2^13 instances in a few lines", || instances(13)),
        text("makes 2^12 instances in a few lines", || instances(12)),
        text("has a type of 2^40 parts", || {
            let mut text = "(component (type $t0 u8)".to_owned();
            for level in 1..=40 {
                let _ = write!(text, "(type $t{level} (tuple $t{0} $t{0}))", level - 1);
            }
            text + ")"
        }),
        text("has 20,000 imports", || {
            let imports: String = (0..20_000).map(|at| format!("(import \"f{at}\" (func))")).collect();
            format!("(component {imports})")
        }),
        by_guest("has 200,000 functions", |guest| guest.module = "(func)".repeat(200_000)),
        by_guest("has 200,000 types", |guest| {
            guest.module = (0..200_000).fold(String::new(), |mut text, at| {
                let _ = write!(
                    text,
                    "(type (func (param {})))",
                    format!("{at:018b}").replace('0', "i32 ").replace('1', "i64 ")
                );
                text
            });
        }),
        by_guest("has a function of 50,000 locals", |guest| {
            guest.module = format!("(func (local {}))", "i32 ".repeat(49_990));
        }),
        by_guest("has a function with 50,000 locals, one of which is set in 2,000 loops", |guest| {
            let body = "(loop (br_if 0 (local.get 0)) (local.set 1 (local.get 2)))".repeat(2_000);
            guest.module = format!("(func (param i32) (local {}) {body})", "i32 ".repeat(49_980));
        }),
        by_guest("has a function with 20,000 locals, one of which is set in 2,000 loops", |guest| {
            let body = "(loop (br_if 0 (local.get 0)) (local.set 1 (local.get 2)))".repeat(2_000);
            guest.module = format!("(func (param i32) (local {}) {body})", "i32 ".repeat(19_990));
        }),
        by_guest("has a function of 900,000 bytes that adds up 1,000 locals", |guest| {
            let body: String = (0..90_000).fold(String::new(), |mut body, at| {
                let (from, to) = (at * 7 % 1_000, at * 13 % 1_000);
                let _ = write!(body, "(local.set {to} (i32.add (local.get {from}) (local.get {to})))");
                body
            });
            guest.module = format!("(func (param i32) (local {}) {body})", "i32 ".repeat(1_000));
        }),
        by_guest("has a function of 4 MiB", |guest| {
            guest.module =
                format!("(func (result i32) (i32.const 1) {})", "(i32.const 1234567) (i32.add)".repeat(700_000));
        }),
        by_guest("has blocks nested 20,000 times", |guest| {
            guest.module = format!("(func {} {})", "(block ".repeat(20_000), ")".repeat(20_000));
        }),
        by_guest("has a jump with 1,000,000 targets", |guest| {
            guest.module = format!("(func (block (br_table {} (i32.const 0))))", "0 ".repeat(1_000_000));
        }),
        by_guest("has 10,000 segments of data", |guest| guest.module = "(data \"x\")".repeat(10_000)),
        by_guest("has an instruction whose result depends on the machine", |guest| {
            guest.module = "(func (result v128) (f32x4.relaxed_madd (v128.const i32x4 0 0 0 0) (v128.const i32x4 0 0 0 0) (v128.const i32x4 0 0 0 0)))".to_owned();
        }),
        attack("has names of 16 MiB, and traps", || with_names(vec![b'x'; 16 << 20])),
        attack("has a name that is long once it is read, and traps", || with_names(mangled())),
        attack("has a section of names that is no such thing, and traps", || {
            let names = b"\x0ecomponent-name\x01\xff\xff\xff\xff\x0f\xff";
            let guest = Guest::default().before("transformer.apply", "unreachable").component();
            [&guest[..], &[0], &leb(names.len()), names].concat()
        }),
    ]
}

/// A component with one that stands in it, if any does.
fn component(inner: &[u8]) -> Vec<u8> {
    const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";
    match inner {
        [] => EMPTY.to_vec(),
        inner => [EMPTY, &[4], &leb(inner.len()), inner].concat(),
    }
}

/// Each level instantiates the one below it twice.
fn instances(levels: usize) -> String {
    let mut text = "(component $c0 (core module $m) (core instance (instantiate $m)))".to_owned();
    for level in 1..=levels {
        let inner = std::mem::take(&mut text);
        let below = level - 1;
        let _ = write!(
            text,
            "(component $c{level} {inner} (instance (instantiate $c{below})) (instance (instantiate $c{below})))"
        );
    }
    text
}

/// A symbol of C++ whose parts refer to those before, twice each.
fn mangled() -> Vec<u8> {
    let mut name = "_Z1fSt4pairIiiE".to_owned();
    for back in 0..40 {
        let _ = write!(
            name,
            "St4pairIS{}_S{}_E",
            if back == 0 { String::new() } else { base36(back - 1) },
            if back == 0 { String::new() } else { base36(back - 1) }
        );
    }
    name.into_bytes()
}

fn base36(number: usize) -> String {
    char::from_digit(number as u32 % 36, 36).map_or_else(String::new, |digit| digit.to_ascii_uppercase().to_string())
}

/// The number of the function `transformer.apply`: behind four imports, the allocator and twelve others.
const APPLY: usize = 17;

/// A guest that traps, all of whose functions have a name.
fn with_names(name: Vec<u8>) -> Vec<u8> {
    let of = |function: usize| if function == APPLY { &name[..] } else { b"f" };
    let one = |function| [&leb(function)[..], &leb(of(function).len()), of(function)].concat();
    let names: Vec<u8> = leb(20).into_iter().chain((0..20).flat_map(one)).collect();
    with_section(&[&[1][..], &leb(names.len()), &names].concat())
}

/// A guest that traps, with a section of names.
fn with_section(names: &[u8]) -> Vec<u8> {
    let guest = Guest::default().before("transformer.apply", "unreachable");
    let mut module = wat::parse_str(guest.text()).expect("the module is well written");
    let section = [b"\x04name", names].concat();
    module.extend([&[0][..], &leb(section.len()), &section].concat());
    componentize(&module)
}
