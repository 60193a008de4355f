//! The laws of fitting: whatever the cut, the order, the number of fitters and their memory, the same is learned.

use super::Law;
use super::case::{Case, Ground};
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
    report: &mut Report,
    random: &mut Random,
) -> Result<Settled<Learned>> {
    let rows = case.input.num_rows();
    let whole = |ground| settle(learn(case, ground, || (&case.input, Partition::whole(rows))));
    let first = whole(Ground::PLAIN)?;
    for (ground, law) in
        [(Ground { pieces: 1, ..Ground::OTHER }, Law::Instance), (Ground { pieces: 3, ..Ground::PLAIN }, Law::Finish)]
    {
        let violation = disagreement(&first, &whole(ground)?, first_difference);
        if report.judge(law, case.parsed, Some(&case.name), violation) {
            // What differs by itself tells nothing of what it is compared for below.
            return Ok(first);
        }
    }
    let mut inputs = vec![case.input.clone()];
    if let Some(encoded) = case.encoded(&case.input, random)? {
        let through = settle(learn(case, Ground::PLAIN, || (&encoded, Partition::whole(rows))))?;
        let violation = disagreement(&first, &through, first_difference);
        if !report.judge(Law::Dictionary, case.parsed, Some(&case.name), violation) {
            inputs.push(encoded);
        }
    }
    for _ in 0..partitions {
        let mut last = String::new();
        let learned = settle(learn(case, Ground::PLAIN, || {
            let input = random.pick(&inputs);
            let partition = Partition::random(rows, random);
            last = partition.describe();
            (input, partition)
        }))?;
        report.partitions += 1;
        let violation = disagreement(&first, &learned, first_difference);
        let violation = violation.map(|violation| format!("{violation} ({last})"));
        report.judge(Law::Partition, case.parsed, Some(&case.name), violation);
    }
    Ok(first)
}
