//! Record batches that lie about themselves, as results, partials and models.

use crate::hostile::guest::{Guest, partials};
use crate::hostile::message::{self, RawBatch, schema};
use crate::hostile::{Attack, attack, by_guest};
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, RecordBatch};
use arrow_schema::DataType;
use std::sync::Arc;

pub(super) fn all() -> Vec<Attack> {
    let mut all = vec![
        numbers("returns no message", |_| {}, |message| message.clear()),
        numbers("returns a batch that is cut short", |_| {}, |message| message.truncate(message.len() - 1)),
        numbers("returns bytes behind its batch", |_| {}, |message| message.extend([0; 8])),
        numbers("returns a batch twice", |_| {}, |message| message.extend(message.clone())),
        numbers("returns a message without its marker", |_| {}, |message| message[0] = 0),
        numbers("returns metadata longer than the message", |_| {}, |message| message[7] = 0x7f),
        numbers(
            "returns random bytes behind a marker",
            |_| {},
            |message| {
                message.iter_mut().skip(8).zip(0_u32..).for_each(|(byte, at)| *byte = (at * 31 % 251) as u8);
            },
        ),
        numbers(
            "returns a schema in place of a batch",
            |_| {},
            |message| *message = schema(&[("y", DataType::Float64)]),
        ),
        numbers("says that its body is longer than it is", |batch| batch.body_length = Some(1 << 40), |_| {}),
        numbers("says that its body is shorter than nothing", |batch| batch.body_length = Some(-8), |_| {}),
        numbers("says that it has 2^40 rows", |batch| (batch.rows, batch.nodes[0][0]) = (1 << 40, 1 << 40), |_| {}),
        numbers("says that it has 2^63-1 rows", |batch| (batch.rows, batch.nodes[0][0]) = (i64::MAX, i64::MAX), |_| {}),
        numbers("says that it has fewer than no rows", |batch| (batch.rows, batch.nodes[0][0]) = (-2, -2), |_| {}),
        numbers("says that its column has other rows than it has", |batch| batch.nodes[0][0] = 1, |_| {}),
        numbers("says that more rows are null than there are", |batch| batch.nodes[0][1] = 3, |_| {}),
        numbers("says that rows are null, and not which", |batch| batch.nodes[0][1] = 1, |_| {}),
        numbers(
            "says that none is null where one is",
            |batch| {
                batch.body.splice(0..0, [0b01, 0, 0, 0, 0, 0, 0, 0]);
                batch.buffers = vec![[0, 1], [8, 16]];
            },
            |_| {},
        ),
        numbers("is compressed", |batch| batch.compressed = true, |_| {}),
        numbers(
            "has a column more than its schema",
            |batch| {
                batch.nodes.push([2, 0]);
                batch.buffers.extend([[0, 0], [0, 16]]);
            },
            |_| {},
        ),
        numbers("has a column less than its schema", |batch| batch.nodes.clear(), |_| {}),
        numbers("has no buffers", |batch| batch.buffers.clear(), |_| {}),
        numbers("has a buffer that ends beyond its body", |batch| batch.buffers[1] = [8, 16], |_| {}),
        numbers("has a buffer that begins beyond its body", |batch| batch.buffers[1] = [1 << 40, 16], |_| {}),
        numbers("has a buffer that begins before its body", |batch| batch.buffers[1] = [-8, 16], |_| {}),
        numbers("has a buffer of fewer than no bytes", |batch| batch.buffers[1] = [8, -8], |_| {}),
        numbers(
            "has a buffer that ends where numbers do",
            |batch| batch.buffers[1] = [i64::MAX - 7, i64::MAX - 7],
            |_| {},
        ),
        numbers("has a buffer that is too short for its rows", |batch| batch.buffers[1] = [0, 8], |_| {}),
        numbers("has a buffer that begins at a crooked place", |batch| batch.buffers[1] = [4, 8], |_| {}),
        numbers("has buffers that lie over each other", |batch| batch.buffers[0] = [0, 8], |_| {}),
        numbers("has its buffers in another order", |batch| batch.buffers = vec![[8, 1], [0, 8]], |_| {}),
        numbers("has 60,000 buffers", |batch| batch.buffers = vec![[0, 0]; 60_000], |_| {}),
        texts("has texts whose offsets go back", &[0, 6, 3], b"abcdef"),
        texts("has texts whose offsets begin before the texts", &[-4, 0, 3], b"abcdef"),
        texts("has texts whose offsets end beyond the texts", &[0, 3, 1_000], b"abcdef"),
        texts("has texts whose offsets end where numbers do", &[0, 3, i32::MAX], b"abcdef"),
        texts("has texts that are no UTF-8", &[0, 3, 6], b"ab\xff\xfe\x80f"),
        texts("has a text that is cut within a letter", &[0, 1, 2], "é".as_bytes()),
        texts("has fewer offsets than texts", &[0, 3], b"abcdef"),
    ];
    all.extend(dictionaries());
    all.extend([
        by_guest("gives partials in any order, and keys twice", |guest| {
            guest.learned = partials(&[9, 2, 9, -5, 2], &[1, 1, 1, 1, 1]);
        }),
        by_guest("gives partials whose sum is too large", |guest| {
            guest.learned = partials(&[1, 1], &[i64::MAX, i64::MAX]);
        }),
        by_guest("gives partials without rows", |guest| guest.learned = partials(&[], &[])),
        by_guest("gives partials of another table", |guest| guest.learned = crate::hostile::guest::numbers(2)),
        by_guest("gives a model without rows", |guest| {
            guest.fitted =
                RawBatch { nodes: vec![[0, 0]], buffers: vec![[0, 0], [0, 0]], ..RawBatch::default() }.message();
        }),
        by_guest("gives a model of another table", |guest| guest.fitted = partials(&[1], &[1])),
    ]);
    all
}

/// By a batch of numbers, changed before it becomes a message, and after.
fn numbers(what: &str, batch: fn(&mut RawBatch), message: fn(&mut Vec<u8>)) -> Attack {
    by_guest(what, move |guest| {
        let mut raw = RawBatch::of_numbers(&[1.0, 2.0]);
        batch(&mut raw);
        guest.applied = raw.message();
        message(&mut guest.applied);
    })
}

fn texts(what: &str, offsets: &'static [i32], bytes: &'static [u8]) -> Attack {
    attack(what, move || {
        let written = schema(&[("y", DataType::Utf8)]);
        let mut raw = RawBatch::of_texts(offsets, bytes);
        (raw.rows, raw.nodes) = (2, vec![[2, 0]]);
        Guest { planned: written.clone(), announced: written, applied: raw.message(), ..Guest::default() }.component()
    })
}

fn dictionaries() -> Vec<Attack> {
    let of_words = |what: &str, change: fn(&mut RawBatch, &mut RawBatch), order: fn([Vec<u8>; 2]) -> Vec<u8>| {
        attack(what, move || {
            let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
            let mut words = RawBatch::of_texts(&[0, 3, 6], b"abcdef");
            words.dictionary = Some((0, false));
            let keys = RawBatch { body: [0, 1_i32].map(i32::to_le_bytes).concat(), ..RawBatch::default() };
            let mut keys = RawBatch { rows: 2, nodes: vec![[2, 0]], buffers: vec![[0, 0], [0, 8]], ..keys };
            change(&mut words, &mut keys);
            Guest {
                planned: schema(&[("y", DataType::Utf8)]),
                announced: schema(&[("y", dictionary)]),
                applied: order([words.message(), keys.message()]),
                ..Guest::default()
            }
            .component()
        })
    };
    vec![
        of_words("has keys beyond its dictionary", |_, keys| keys.body[4] = 9, |all| all.concat()),
        of_words("has keys before its dictionary", |_, keys| keys.body[4..8].fill(0xff), |all| all.concat()),
        of_words("has a dictionary that is no UTF-8", |words, _| words.body[16] = 0xff, |all| all.concat()),
        of_words(
            "has a dictionary of another number",
            |words, _| words.dictionary = Some((7, false)),
            |all| all.concat(),
        ),
        of_words(
            "has a dictionary that adds to another",
            |words, _| words.dictionary = Some((0, true)),
            |all| all.concat(),
        ),
        of_words("has a dictionary twice", |_, _| {}, |[words, keys]| [words.clone(), words, keys].concat()),
        of_words("has its dictionary behind the batch", |_, _| {}, |[words, keys]| [keys, words].concat()),
        of_words("lacks its dictionary", |_, _| {}, |[_, keys]| keys),
        of_words("has a compressed dictionary", |words, _| words.compressed = true, |all| all.concat()),
        of_words(
            "has a dictionary with nulls",
            |words, _| {
                words.nodes[0][1] = 1;
                words.body.splice(0..0, [0b01, 0, 0, 0, 0, 0, 0, 0]);
                words.buffers = vec![[0, 1], [8, 12], [24, 6]];
            },
            |all| all.concat(),
        ),
        by_guest("has a dictionary that it did not announce", |guest| {
            let words: DictionaryArray<Int32Type> = vec!["a", "b"].into_iter().collect();
            let batch = RecordBatch::try_from_iter([("y", Arc::new(words) as ArrayRef)]).expect("there is one column");
            guest.applied = message::batch(&batch);
        }),
    ]
}
