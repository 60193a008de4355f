//! A map whose keys are strings of bytes.

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::{BuildHasher, Hasher};

/// Values by strings of bytes, in no order.
///
/// Keys are compared eight bytes at a time: a guest's `memcmp` compares one after the other.
#[derive(Clone, Debug)]
pub struct ByteMap<V> {
    entries: HashTable<(Box<[u8]>, V)>,
    hash: FixedState,
}

impl<V> Default for ByteMap<V> {
    fn default() -> Self {
        Self { entries: HashTable::new(), hash: FixedState::default() }
    }
}

impl<V> ByteMap<V> {
    /// The value of a key.
    #[inline]
    pub fn get(&self, key: &[u8]) -> Option<&V> {
        let entry = self.entries.find(hash(&self.hash, key), |(other, _)| same(key, other))?;
        Some(&entry.1)
    }

    /// The value of a key, which is made where there is none; a key is copied only then.
    #[inline]
    pub fn entry(&mut self, key: &[u8], value: impl FnOnce() -> V) -> &mut V {
        let state = &self.hash;
        let hash_of = |(key, _): &(Box<[u8]>, V)| hash(state, key);
        let entry = self.entries.entry(hash(state, key), |(other, _)| same(key, other), hash_of);
        &mut entry.or_insert_with(|| (key.into(), value())).into_mut().1
    }

    /// Takes out up to `most` keys with their values.
    pub fn extract(&mut self, most: usize) -> impl Iterator<Item = (Box<[u8]>, V)> {
        self.entries.extract_if(|_| true).take(most)
    }

    /// Keys and their values.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &V)> {
        self.entries.iter().map(|(key, value)| (&**key, value))
    }
}

#[inline]
fn hash(state: &FixedState, key: &[u8]) -> u64 {
    let mut hasher = state.build_hasher();
    hasher.write(key);
    hasher.finish()
}

#[inline]
fn same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let word = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
    let ((ones, rest), (others, other_rest)) = (one.as_chunks(), other.as_chunks());
    ones.iter().map(word).eq(others.iter().map(word)) && rest.iter().eq(other_rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_differ_in_any_byte_are_others() {
        let mut map = ByteMap::default();
        let keys: Vec<Vec<u8>> = (0..40_u8).map(|length| (0..length).collect()).collect();
        for key in &keys {
            *map.entry(key, || 0) += key.len();
            for at in 0..key.len() {
                let mut other = key.clone();
                other[at] ^= 0x80;
                *map.entry(&other, || 1_000) += at;
            }
        }
        assert!(keys.iter().all(|key| map.get(key) == Some(&key.len())));
        assert_eq!(map.iter().filter(|(_, value)| **value >= 1_000).count(), (0..40).sum::<usize>());
        assert_eq!(map.get(b"\xff"), None);
        let first = map.extract(10).count();
        assert_eq!((first, map.extract(usize::MAX).count()), (10, 40 + (0..40).sum::<usize>() - 10));
    }
}
