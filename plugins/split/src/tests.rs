//! Rows fall into parts by their hash and nothing else.

use super::*;
use wafermill_sdk::harness::Harness;

fn parts(parts: &[(&str, f64)]) -> Parts {
    Parts(parts.iter().map(|(name, share)| ((*name).to_owned(), *share)).collect())
}

#[test]
fn bounds_divide_all_hashes_by_the_shares() {
    let bounds = parts(&[("train", 0.5), ("val", 0.25), ("test", 0.25)]).bounds().unwrap();
    assert_eq!(bounds, [1 << 63, 3 << 62, u64::MAX]);
}

#[test]
fn shares_must_be_positive_and_add_up_to_one() {
    for bad in [&[("a", 0.5), ("b", 0.4)][..], &[("a", 1.5), ("b", -0.5)], &[("a", f64::NAN)], &[]] {
        assert!(parts(bad).bounds().is_err(), "{bad:?}");
    }
}

#[test]
fn parts_keep_the_order_of_the_file() {
    let params: Params = serde_json::from_str(r#"{"parts": {"z": 0.5, "a": 0.5}}"#).unwrap();
    assert_eq!(params.parts.0, [("z".to_owned(), 0.5), ("a".to_owned(), 0.5)]);
}

#[test]
fn seeds_change_the_division() {
    let differ = (0..1_000).filter(|hash| (mix(*hash, 1) >> 63) != (mix(*hash, 2) >> 63)).count();
    assert!((400..600).contains(&differ), "{differ}");
}

#[test]
fn parts_have_one_name_each() {
    let params: Params = serde_json::from_str(r#"{"parts": {"a": 0.5, "a": 0.5}}"#).unwrap();
    assert_eq!(params.parts.bounds().unwrap_err().to_string(), "there are two parts `a`");
}

#[test]
fn rows_fall_into_parts_by_their_hash() {
    let key = (Field::new("id", DataType::Int64, false), ColumnRole::Key);
    let harness = Harness::<Split>::with_roles("{}", [key]).unwrap();
    let part = &harness.plan().outputs()[0];
    assert_eq!(part.metadata()[PARTS], r#"["train","val","test"]"#);
    let batch = harness.batch(10_000, |output| output.primitives((0..10_000_u64).map(Some))).unwrap();
    let parts = harness.apply(&batch).unwrap();
    let parts = parts.column(0).to_i64().unwrap();
    let rows = [0, 1, 2].map(|part| parts.iter().filter(|it| **it == part).count());
    assert!(
        rows[0].abs_diff(8_000) < 150 && rows[1].abs_diff(1_000) < 150 && rows[2].abs_diff(1_000) < 150,
        "{rows:?}"
    );
}
