//! Decimals without trailing zeros, so that equal values hash alike whatever their scale and width.

use super::value::{Tag, tagged};
use super::width::Width;
use arrow_array::cast::AsArray;
use arrow_array::types::Decimal256Type;
use arrow_array::{ArrayRef, ArrowPrimitiveType};
use arrow_buffer::i256;

/// Hashes decimals whose digits fit 128 bits.
pub(super) fn narrow<W: Width, T: ArrowPrimitiveType<Native: Into<i128>>>(array: &ArrayRef, scale: i8) -> Vec<W> {
    let values = array.as_primitive::<T>().values();
    values.iter().map(|value| hash_narrow((*value).into(), scale.into())).collect()
}

/// Hashes decimals of 256 bits.
pub(super) fn wide<W: Width>(array: &ArrayRef, scale: i8) -> Vec<W> {
    let values = array.as_primitive::<Decimal256Type>().values();
    values.iter().map(|value| hash_wide(*value, scale.into())).collect()
}

fn hash_narrow<W: Width>(mut digits: i128, mut scale: i32) -> W {
    if digits == 0 {
        scale = 0;
    }
    while digits != 0 && digits % 10 == 0 {
        digits /= 10;
        scale -= 1;
    }
    hash(scale, i256::from_i128(digits))
}

fn hash_wide<W: Width>(mut digits: i256, mut scale: i32) -> W {
    let ten = i256::from_i128(10);
    loop {
        if let Some(narrow) = digits.to_i128() {
            return hash_narrow(narrow, scale);
        }
        match digits.checked_div_rem(ten) {
            Some((quotient, i256::ZERO)) => digits = quotient,
            _ => return hash(scale, digits),
        }
        scale -= 1;
    }
}

fn hash<W: Width>(scale: i32, digits: i256) -> W {
    let mut bytes = [0; 36];
    bytes[..4].copy_from_slice(&scale.to_le_bytes());
    bytes[4..].copy_from_slice(&digits.to_le_bytes());
    tagged(Tag::Decimal, bytes)
}
