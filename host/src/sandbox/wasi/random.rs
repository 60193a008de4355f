//! `wasi:random`: the same numbers in each call of each instance.

use super::{charge, interface};
use crate::sandbox::store::State;
use wasmtime::component::Linker;
use wasmtime::{StoreContextMut, bail};

/// Bytes that may be asked for at once.
const BYTES: usize = 1 << 20;

/// Random numbers by SplitMix64 (Steele, Lea, Flood 2014), from a fixed seed. They are no secret.
#[derive(Debug)]
pub(super) struct Random(u64);

impl Default for Random {
    fn default() -> Self {
        Self(0x7761_6665_726d_696c)
    }
}

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        bytes.chunks_mut(8).for_each(|chunk| chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]));
        bytes
    }
}

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    for (name, prefix) in [("random/random", "get-random"), ("random/insecure", "get-insecure-random")] {
        let mut random = interface(linker, name)?;
        random.func_wrap(&format!("{prefix}-bytes"), |mut store: StoreContextMut<'_, State>, (length,): (u64,)| {
            let Some(length) = usize::try_from(length).ok().filter(|length| *length <= BYTES) else {
                bail!("{length} random bytes were asked for at once, more than {BYTES}");
            };
            charge(&mut store, length)?;
            Ok((store.data_mut().wasi.random.bytes(length),))
        })?;
        random.func_wrap(&format!("{prefix}-u64"), |mut store: StoreContextMut<'_, State>, (): ()| {
            Ok((store.data_mut().wasi.random.next(),))
        })?;
    }
    interface(linker, "random/insecure-seed")?.func_wrap(
        "insecure-seed",
        |mut store: StoreContextMut<'_, State>, (): ()| {
            let random = &mut store.data_mut().wasi.random;
            Ok(((random.next(), random.next()),))
        },
    )
}
