//! What the first pass tells the others of each group, as numbers of 64 bits, followed by what quantiles carry.

use crate::Params;
use crate::bins::Bins;
use crate::sketch::{ERROR, REGISTERS, estimate, register};
use wafermill_sdk::stats::Quantiles;
use wafermill_sdk::{Error, ErrorCode, Result};

/// Bytes of a carry that the contract allows.
const MOST: usize = 16 << 20;

/// Standard errors by which an estimate may be too high for a group whose values are all counted: it is that only once in billions.
const SIGMAS: f64 = 7.0;

/// Registers whose values are counted at least, of however many distinct values: 0.4 % of them, about.
const LEAST_REGISTERS: usize = 16;

/// A set of registers.
type Registers = [u64; REGISTERS / 64];

/// Which values of a group are counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Counting {
    /// None.
    #[default]
    Nothing,
    /// All of them.
    All,
    /// Those of some registers; no other value has more rows than `left_out`.
    Some {
        /// Rows of the fullest register that is not among them.
        left_out: u64,
        /// One bit for each register.
        registers: Box<Registers>,
    },
}

/// What is known of a group behind the first pass.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct GroupPlan {
    /// The least and the largest finite number.
    pub(crate) range: Option<(f64, f64)>,
    /// About how many distinct values there are.
    pub(crate) distinct: f64,
    pub(crate) counting: Counting,
}

impl Counting {
    /// For a group whose registers were given so many ranks and rows.
    ///
    /// Where there are too many values to count them all, those of the fullest registers are: a value that many rows have is among them.
    pub(crate) fn choose(registers: &[(u32, u8, i64)], params: &Params) -> (f64, Self) {
        let distinct = estimate(registers.iter().map(|(_, rank, _)| *rank));
        let limit = f64::from(params.distinct_limit);
        if distinct <= limit * (1.0 + SIGMAS * ERROR) {
            return (distinct, Self::All);
        }
        if params.top == 0 {
            return (distinct, Self::Nothing);
        }
        let most = ((limit * REGISTERS as f64 / distinct) as usize).max(LEAST_REGISTERS);
        let mut fullest: Vec<(i64, u32)> = registers.iter().map(|(register, _, rows)| (*rows, *register)).collect();
        // Of equally full ones the first are taken.
        fullest.sort_unstable_by_key(|(rows, register)| (-rows, *register));
        let mut set = Box::new([0; REGISTERS / 64]);
        fullest.iter().take(most).for_each(|(_, register)| set[*register as usize / 64] |= 1 << (register % 64));
        let left_out = fullest.get(most).map_or(0, |(rows, _)| *rows as u64);
        (distinct, Self::Some { left_out, registers: set })
    }

    /// Whether the value with a hash is counted.
    pub(crate) fn counts(&self, hash: u64) -> bool {
        match self {
            Self::Nothing => false,
            Self::All => true,
            Self::Some { registers, .. } => {
                let register = register(hash);
                registers[register / 64] >> (register % 64) & 1 == 1
            }
        }
    }
}

impl GroupPlan {
    /// The bins of its histogram, where it has one.
    pub(crate) fn bins(&self, params: &Params) -> Option<Bins> {
        self.range.filter(|_| params.bins > 0).map(|(low, high)| Bins::between(low, high, params.bins))
    }

    fn write(&self, numbers: &mut Vec<u64>) {
        let (low, high) = self.range.unwrap_or_default();
        let tag = match self.counting {
            Counting::Nothing => 0,
            Counting::All => 1,
            Counting::Some { .. } => 2,
        };
        numbers.extend([tag | u64::from(self.range.is_some()) << 2, low.to_bits(), high.to_bits()]);
        numbers.push(self.distinct.to_bits());
        if let Counting::Some { left_out, registers } = &self.counting {
            numbers.push(*left_out);
            numbers.extend_from_slice(&registers[..]);
        }
    }

    fn read(numbers: &mut impl Iterator<Item = u64>) -> Option<Self> {
        let tag = numbers.next()?;
        let (low, high) = (f64::from_bits(numbers.next()?), f64::from_bits(numbers.next()?));
        let distinct = f64::from_bits(numbers.next()?);
        let counting = match tag & 3 {
            0 => Counting::Nothing,
            1 => Counting::All,
            _ => {
                let left_out = numbers.next()?;
                let mut registers = Box::new([0; REGISTERS / 64]);
                for word in registers.iter_mut() {
                    *word = numbers.next()?;
                }
                Counting::Some { left_out, registers }
            }
        };
        Some(Self { range: (tag >> 2 == 1).then_some((low, high)), distinct, counting })
    }
}

/// What each pass but the first begins with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Carry {
    pub(crate) groups: Vec<GroupPlan>,
    /// What quantiles carry; nothing where no group has any.
    pub(crate) quantiles: Option<Vec<u8>>,
}

impl Carry {
    /// Whether the pass that begins with it knows all quantiles when it ends.
    pub(crate) fn is_last_pass(&self) -> Result<bool> {
        let quantiles = self.quantiles.as_ref();
        let quantiles = quantiles.map(|carry| Quantiles::open(self.groups.len(), Some(carry))).transpose()?;
        Ok(quantiles.is_none_or(|quantiles| quantiles.is_last_pass()))
    }

    /// As bytes.
    ///
    /// # Errors
    /// Where there are more than the contract allows.
    pub(crate) fn write(&self) -> Result<Vec<u8>> {
        let mut numbers = vec![self.groups.len() as u64];
        self.groups.iter().for_each(|group| group.write(&mut numbers));
        let mut bytes: Vec<u8> = numbers.into_iter().flat_map(u64::to_le_bytes).collect();
        bytes.extend(self.quantiles.iter().flatten());
        if bytes.len() > MOST {
            let message = format!("{} columns of parts are more than can be described at once", self.groups.len());
            return Err(
                Error::new(ErrorCode::Limit, message).hint("describe fewer columns in each of several aggregates")
            );
        }
        Ok(bytes)
    }

    /// From what [`write`](Self::write) gave.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self> {
        let (numbers, rest) = bytes.as_chunks::<8>();
        let mut numbers = numbers.iter().map(|number| u64::from_le_bytes(*number));
        let groups = numbers.next().and_then(|count| (0..count).map(|_| GroupPlan::read(&mut numbers)).collect());
        let quantiles: Vec<u8> = numbers.flat_map(u64::to_le_bytes).collect();
        match groups {
            Some(groups) if rest.is_empty() => {
                Ok(Self { groups, quantiles: Some(quantiles).filter(|it| !it.is_empty()) })
            }
            _ => Err(Error::invalid_model("this carry is not one of `profile`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(json: &str) -> Params {
        wafermill_sdk::serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_carry_comes_back_as_it_was() {
        let registers: Vec<_> = (0..REGISTERS as u32).map(|register| (register, 9, i64::from(register % 7))).collect();
        let (distinct, counting) = Counting::choose(&registers, &params(r#"{"distinct_limit": 100}"#));
        assert!(matches!(counting, Counting::Some { left_out: 6, .. }), "{distinct} {counting:?}");
        let plan = GroupPlan { range: Some((-1.0, 2.5)), distinct, counting };
        let groups = vec![GroupPlan::default(), plan, GroupPlan { counting: Counting::All, ..GroupPlan::default() }];
        for quantiles in [None, Some(vec![1; 64])] {
            let carry = Carry { groups: groups.clone(), quantiles };
            let bytes = carry.write().unwrap();
            assert_eq!(Carry::read(&bytes).unwrap(), carry);
            assert!(Carry::read(&bytes[..bytes.len() - 1]).is_err() && Carry::read(&bytes[..40]).is_err());
        }
    }

    #[test]
    fn the_fullest_registers_are_counted_where_there_are_too_many_values() {
        let mut registers: Vec<_> = (0..REGISTERS as u32).map(|register| (register, 12, 100)).collect();
        registers[77].2 = 5_000;
        let (distinct, counting) = Counting::choose(&registers, &params(r#"{"distinct_limit": 2000}"#));
        assert!(distinct > 1e6);
        assert!(counting.counts(77 << 52) && !counting.counts(78 << 52));
        assert!(matches!(counting, Counting::Some { left_out: 100, .. }), "{counting:?}");
        assert_eq!(Counting::choose(&registers, &params(r#"{"top": 0}"#)).1, Counting::Nothing);
        assert_eq!(Counting::choose(&registers[..3], &params("{}")).1, Counting::All);
    }
}
