//! Rows fall into parts by their hash and nothing else.

use super::*;
use wafermill_sdk::harness::Harness;

fn params(parts: &[(&str, f64)], train: &str) -> Params {
    let parts = parts.iter().map(|(name, share)| ((*name).to_owned(), *share)).collect();
    Params { parts, train: train.to_owned(), seed: 0 }
}

#[test]
fn bounds_divide_all_hashes_by_the_shares() {
    let bounds = params(&[("train", 0.5), ("val", 0.25), ("test", 0.25)], "train").bounds().unwrap();
    assert_eq!(bounds, [1 << 63, 3 << 62, u64::MAX]);
}

#[test]
fn shares_must_be_positive_and_add_up_to_one() {
    for bad in [&[("a", 0.5), ("b", 0.4)][..], &[("a", 1.5), ("b", -0.5)], &[("a", f64::NAN)], &[]] {
        assert!(params(bad, "a").bounds().is_err(), "{bad:?}");
    }
}

#[test]
fn the_training_part_is_first_wherever_the_file_has_it() {
    for json in [r#"{"train": 0.5, "val": 0.25, "test": 0.25}"#, r#"{"val": 0.25, "test": 0.25, "train": 0.5}"#] {
        let params: Params = serde_json::from_str(&format!(r#"{{"parts": {json}}}"#)).unwrap();
        assert_eq!(params.in_order().unwrap(), [("train", 0.5), ("test", 0.25), ("val", 0.25)]);
    }
    let params = params(&[("a", 0.1), ("b", 0.9)], "b");
    assert_eq!(params.in_order().unwrap(), [("b", 0.9), ("a", 0.1)]);
}

#[test]
fn the_training_part_must_be_one_of_the_parts() {
    let error = params(&[("a", 0.5), ("b", 0.5)], "train").bounds().unwrap_err();
    assert_eq!(error.to_string(), "no part has the name `train`");
}

#[test]
fn seeds_change_the_division() {
    let differ = (0..1_000).filter(|hash| (mix(*hash, 1) >> 63) != (mix(*hash, 2) >> 63)).count();
    assert!((400..600).contains(&differ), "{differ}");
}

#[test]
fn rows_fall_into_parts_by_their_hash() {
    let key = (Field::new("id", DataType::Int64, false), ColumnRole::Key);
    let harness = Harness::<Split>::with_roles("{}", [key]).unwrap();
    let part = &harness.plan().outputs()[0];
    assert_eq!(part.metadata()[PARTS], r#"["train","test","val"]"#);
    let batch = harness.batch(10_000, |output| output.primitives((0..10_000_u64).map(Some))).unwrap();
    let parts = harness.apply(&batch).unwrap();
    let parts = parts.column(0).to_i64().unwrap();
    let rows = [0, 1, 2].map(|part| parts.iter().filter(|it| **it == part).count());
    assert!(
        rows[0].abs_diff(8_000) < 150 && rows[1].abs_diff(1_000) < 150 && rows[2].abs_diff(1_000) < 150,
        "{rows:?}"
    );
}
