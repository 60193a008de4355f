//! The laws of fitting: whatever the cut, the order and the number of fitters, the same is learned.

use super::Law;
use super::calls::Calls;
use super::case::Case;
use super::learn::{Learned, first_difference, learn};
use super::partition::Partition;
use super::random::Random;
use super::refusal::{Settled, disagreement, settle};
use super::report::Report;
use crate::Result;

/// Fits a case in one piece and in random ones. Gives what was learned, or why it is refused.
///
/// # Errors
/// Where the plugin breaks the contract.
pub(super) fn examine(
    case: &Case<'_>,
    partitions: usize,
    calls: &Calls,
    report: &mut Report,
    random: &mut Random,
) -> Result<Settled<Learned>> {
    let rows = case.input.num_rows();
    let whole = settle(learn(case, calls, || (&case.input, Partition::whole(rows))))?;
    let mut inputs = vec![case.input.clone()];
    if let Some(encoded) = case.encoded(&case.input, random)? {
        let through = settle(learn(case, calls, || (&encoded, Partition::whole(rows))))?;
        let violation = disagreement(&whole, &through, first_difference);
        if violation.is_none() {
            inputs.push(encoded);
        }
        report.judge(Law::Dictionary, case.parsed, Some(&case.name), violation);
    }
    for _ in 0..partitions {
        let mut last = String::new();
        let learned = settle(learn(case, calls, || {
            let input = random.pick(&inputs);
            let partition = Partition::random(rows, random);
            last = partition.describe();
            (input, partition)
        }))?;
        report.partitions += 1;
        let violation = disagreement(&whole, &learned, first_difference);
        report.judge(
            Law::Partition,
            case.parsed,
            Some(&case.name),
            violation.map(|violation| format!("{violation} ({last})")),
        );
    }
    Ok(whole)
}
