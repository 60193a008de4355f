//! Doubles as integers that order as they do.

/// A code that orders as the number does; both zeros have the same one.
#[inline]
pub(super) fn encode(value: f64) -> u64 {
    const SIGN: u64 = 1 << 63;
    let bits = if value.to_bits() == SIGN { 0 } else { value.to_bits() };
    // All bits of negative numbers are turned over, and the sign of the others.
    bits ^ ((bits as i64 >> 63) as u64 | SIGN)
}

/// The upper 32 bits of the code of a number that is not NaN, by operations that vectorise.
#[inline]
pub(super) fn upper_half(value: f64) -> u32 {
    // Adding zero makes one of both zeros.
    let bits = ((value + 0.0).to_bits() >> 32) as u32;
    bits ^ ((bits as i32 >> 31) as u32 | 1 << 31)
}

/// The number with a code.
pub(super) fn decode(code: u64) -> f64 {
    f64::from_bits(if code >> 63 == 1 { code & !(1 << 63) } else { !code })
}
