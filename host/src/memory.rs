//! How much memory a run may use.

mod gauge;
mod pressure;

pub use gauge::MemoryGauge;
pub use pressure::{Pressure, Relief};

use crate::{Error, Result};
use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use std::path::{Path, PathBuf};
use sysinfo::{MemoryRefreshKind, RefreshKind, System};

/// The share of the available memory that is used when the user names no budget.
const DEFAULT_SHARE: f64 = 0.7;

/// Bytes of a batch at most, and of a chunk of what is written, but for single rows that are larger. Several are under way for each worker, and
/// each several times over. Another number makes other files: row groups end where chunks do.
pub(crate) const BATCH: u64 = 4 << 20;

/// Assumed where the system does not tell.
const UNKNOWN: usize = 1 << 30;

/// No default is smaller: everything would spill at once.
const LEAST_DEFAULT: usize = 64 << 20;

/// Bytes that a run may use by default: 70 % of what the cgroup or the machine has.
pub fn default_budget() -> usize {
    let wanted = RefreshKind::nothing().with_memory(MemoryRefreshKind::everything());
    let Ok(system) = System::new_with_specifics(wanted) else { return UNKNOWN };
    // sysinfo looks at the topmost group only.
    let limits = system.cgroup_limits().map(|limits| limits.total_memory).filter(|limit| *limit > 0);
    let limits = limits.into_iter().chain(cgroup_limits()).chain([system.total_memory()]);
    let total = limits.min().unwrap_or(UNKNOWN as u64);
    ((total as f64 * DEFAULT_SHARE) as usize).max(LEAST_DEFAULT)
}

/// What the groups allow that this process is in, its own and those above it.
fn cgroup_limits() -> Vec<u64> {
    let Ok(groups) = std::fs::read_to_string("/proc/self/cgroup") else { return Vec::new() };
    let limits = groups.lines().flat_map(limit_files).filter_map(|file| std::fs::read_to_string(file).ok());
    // `max` stands for no limit.
    limits.filter_map(|limit| limit.trim().parse().ok()).collect()
}

/// The files with the limits of a group and of those above it, from a line `ID:CONTROLLERS:PATH` of `/proc/self/cgroup`: cgroups(7).
fn limit_files(line: &str) -> Vec<PathBuf> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (root, file) = match fields.next() {
        Some("") => ("/sys/fs/cgroup", "memory.max"),
        Some(controllers) if controllers.split(',').any(|name| name == "memory") => {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        }
        _ => return Vec::new(),
    };
    let path = Path::new(fields.next().unwrap_or("/"));
    let inside = path.strip_prefix("/").unwrap_or(path);
    inside.ancestors().map(|group| Path::new(root).join(group).join(file)).collect()
}

/// How the memory of a run is divided among those that keep within a share of it. What is left is for readers of
/// files and for the process itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    /// Of rows that are fetched before they are asked for.
    pub read_ahead: usize,
    /// Of batches that were handed to workers, and whose results were not taken yet.
    pub under_way: usize,
    /// Of partial results while fitting, and of the parts of a dataset while applying.
    pub results: usize,
    /// Of all instances of plugins; those that learn are drained at their part of half of it.
    pub guests: usize,
    /// Of rows that are kept from one pass to the next, at most, of what the others leave: they are let go of when memory gets short.
    pub remembered: usize,
}

impl Shares {
    /// Of so many bytes.
    pub fn of(memory: usize) -> Self {
        Self {
            read_ahead: (memory / 8).min(256 << 20),
            under_way: memory / 8,
            results: memory / 2,
            guests: memory / 4,
            remembered: memory / 2,
        }
    }
}

/// Bytes of the rows of a batch as they lie in memory; a dictionary counts whole. Nothing for a column whose layout tells no size.
pub(crate) fn batch_size(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(|column| column_size(column.as_ref())).sum()
}

/// Bytes of a column, as [`batch_size`] counts them.
pub(crate) fn column_size(column: &dyn Array) -> usize {
    let nulls = column.nulls().map_or(0, |nulls| nulls.len().div_ceil(8));
    // Arrow counts the items of a whole list where only some of its rows are meant.
    let items = |values: &dyn Array, first: usize, last: usize| column_size(values.slice(first, last - first).as_ref());
    match column.data_type() {
        DataType::List(_) => {
            let (list, offsets) = (column.as_list::<i32>(), column.as_list::<i32>().offsets());
            nulls + size_of_val(&offsets[..]) + items(list.values(), offsets[0] as usize, offsets[list.len()] as usize)
        }
        DataType::LargeList(_) => {
            let (list, offsets) = (column.as_list::<i64>(), column.as_list::<i64>().offsets());
            nulls + size_of_val(&offsets[..]) + items(list.values(), offsets[0] as usize, offsets[list.len()] as usize)
        }
        DataType::Map(..) => {
            let (map, offsets) = (column.as_map(), column.as_map().offsets());
            nulls + size_of_val(&offsets[..]) + items(map.entries(), offsets[0] as usize, offsets[map.len()] as usize)
        }
        DataType::Struct(_) => {
            nulls + column.as_struct().columns().iter().map(|field| column_size(field.as_ref())).sum::<usize>()
        }
        _ => column.to_data().get_slice_memory_size().unwrap_or(0),
    }
}

/// Reads a size such as `512MiB`, `2GB` or `1048576` as bytes.
///
/// # Errors
/// Where the text is no number with an optional unit of `KB`, `MB`, `GB`, `TB`, `KiB`, `MiB`, `GiB` or `TiB`.
pub fn parse_size(text: &str) -> Result<usize> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: f64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        "tb" => 1e12,
        "k" | "kib" => 1024.0,
        "m" | "mib" => 1048576.0,
        "g" | "gib" => 1073741824.0,
        "t" | "tib" => 1099511627776.0,
        _ => return Err(bad_size(text)),
    };
    match number.parse::<f64>() {
        Ok(number) if number * factor >= 1.0 && number * factor <= u64::MAX as f64 / 2.0 => {
            Ok((number * factor) as usize)
        }
        _ => Err(bad_size(text)),
    }
}

/// Writes bytes with a binary unit, as `parse_size` reads them.
pub fn format_size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if value.fract() == 0.0 { format!("{value} {}", UNITS[unit]) } else { format!("{value:.1} {}", UNITS[unit]) }
}

fn bad_size(text: &str) -> Error {
    Error::usage(format!("`{text}` is not a size")).hint("write bytes with a unit, as in `512MiB` or `2GB`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_decimal_and_binary_units() {
        assert_eq!(parse_size("512MiB").unwrap(), 512 << 20);
        assert_eq!(parse_size("1.5 GB").unwrap(), 1_500_000_000);
        assert_eq!(parse_size("4096").unwrap(), 4096);
        for bad in ["", "MiB", "-1", "1 parsec", "0"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn slices_of_lists_weigh_what_their_items_do() {
        use arrow_array::types::Int64Type;
        use arrow_array::{ArrayRef, ListArray, StructArray};
        use std::sync::Arc;
        let lists = (0..1_000).map(|row| (row % 5 != 0).then(|| vec![Some(row); 20]));
        let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists));
        let nested: ArrayRef = Arc::new(StructArray::try_from(vec![("items", lists.clone())]).unwrap());
        let batch = RecordBatch::try_from_iter([("lists", lists), ("nested", nested)]).unwrap();
        let whole = batch_size(&batch);
        assert!(whole > 2 * 800 * 20 * 8, "{whole}");
        let parts: usize = (0..10).map(|part| batch_size(&batch.slice(100 * part, 100))).sum();
        assert!(parts >= whole && parts < whole + 500, "{parts} of {whole}");
    }

    #[test]
    fn a_group_is_bound_by_those_above_it() {
        let files = |line| limit_files(line).into_iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
        let expected = ["/sys/fs/cgroup/a/b/memory.max", "/sys/fs/cgroup/a/memory.max", "/sys/fs/cgroup/memory.max"];
        assert_eq!(files("0::/a/b"), expected);
        let expected = ["/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
        assert_eq!(files("4:cpu,memory:/a"), expected);
        assert!(files("5:cpu:/a").is_empty() && files("").is_empty());
    }

    #[test]
    fn sizes_are_written_as_they_are_read() {
        for bytes in [1024_u64, 512 << 20, 3 << 30] {
            assert_eq!(parse_size(&format_size(bytes)).unwrap() as u64, bytes);
        }
    }
}
