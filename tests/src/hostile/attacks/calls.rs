//! Loops without an end.

use crate::hostile::component::EXPORTS;
use crate::hostile::guest::Guest;
use crate::hostile::{Attack, attack, by_guest};

const SPIN: &str = "(loop (br 0))";

pub(super) fn all() -> Vec<Attack> {
    let mut all = vec![
        by_guest("loops in its start function", |guest| {
            guest.module = format!("(func $start {SPIN}) (start $start)");
        }),
        by_guest("loops in `cabi_realloc`", |guest| guest.before_realloc = SPIN.to_owned()),
    ];
    for (export, ..) in EXPORTS {
        all.push(attack(format!("loops in `{export}`"), move || Guest::default().before(export, SPIN).component()));
    }
    all.push(by_guest("loops once `apply` has returned", |guest| {
        let post = "cabi_post_wafermill:plugin/guest@0.1.0#[method]transformer.apply";
        guest.module = format!("(func (export \"{post}\") (param i32) {SPIN})");
    }));
    all.push(attack("logs in a loop", || {
        let log = "(loop (call $log (i32.const 1) (i32.const 0) (i32.const 1000)) (br 0))";
        Guest::default().before("transformer.apply", log).component()
    }));
    all.push(attack("fills its memory in a loop", || {
        let fill = "(loop (memory.fill (i32.const 0) (i32.const 0) (i32.const 131072)) (br 0))";
        Guest::default().before("transformer.apply", fill).component()
    }));
    all
}
