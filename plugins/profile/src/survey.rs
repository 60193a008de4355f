//! What the first pass learns of a group: the range of its numbers, and about how many values it has.

use crate::keys::{Keys, hash};
use crate::partials::{RANGE, REGISTERS, schema};
use crate::sketch::Sketch;
use wafermill_sdk::{Result, Rows};

/// One group in the first pass.
#[derive(Debug)]
pub(crate) struct Survey {
    /// Of the finite numbers.
    range: Option<(f64, f64)>,
    sketch: Sketch,
}

impl Survey {
    pub(crate) fn new() -> Self {
        Self { range: None, sketch: Sketch::new() }
    }

    /// Takes some rows of a column, none of them missing.
    pub(crate) fn update(&mut self, keys: &Keys<'_>, rows: &[u32]) {
        if let Some(numbers) = keys.numbers() {
            // Adding zero turns −0.0 into 0.0.
            let numbers = rows.iter().map(|row| numbers[*row as usize] + 0.0).filter(|number| number.is_finite());
            for number in numbers {
                let (low, high) = self.range.unwrap_or((number, number));
                self.range = Some((low.min(number), high.max(number)));
            }
        }
        let mut scratch = Vec::new();
        keys.each_value(rows, |row, count| self.sketch.add(hash(keys.key(row, &mut scratch)), count));
    }
}

/// The partials of some groups.
pub(crate) fn rows(groups: &[(u32, Box<Survey>)]) -> Result<Vec<Rows>> {
    let ranges = Rows::new(RANGE, &schema(RANGE), groups.len(), |output| {
        output.primitives(groups.iter().map(|(group, _)| Some(*group)))?;
        output.primitives(groups.iter().map(|(_, survey)| survey.range.map(|(low, _)| low)))?;
        output.primitives(groups.iter().map(|(_, survey)| survey.range.map(|(_, high)| high)))
    })?;
    let registers = groups.iter().flat_map(|(group, survey)| {
        survey.sketch.registers().into_iter().map(|(register, rank, rows)| (*group, register, rank, rows))
    });
    let registers: Vec<(u32, u32, u8, i64)> = registers.collect();
    if registers.is_empty() {
        return Ok(vec![ranges]);
    }
    let registers = Rows::new(REGISTERS, &schema(REGISTERS), registers.len(), |output| {
        output.primitives(registers.iter().map(|(group, ..)| Some(*group)))?;
        output.primitives(registers.iter().map(|(_, register, ..)| Some(*register)))?;
        output.primitives(registers.iter().map(|(.., rank, _)| Some(*rank)))?;
        output.primitives(registers.iter().map(|(.., rows)| Some(*rows)))
    })?;
    Ok(vec![ranges, registers])
}
