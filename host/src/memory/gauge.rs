//! The memory of this process.

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

/// Looks at the memory of this process.
pub struct MemoryGauge {
    /// Nothing where the system does not tell.
    system: Option<(System, Pid)>,
    peak: u64,
}

impl Default for MemoryGauge {
    fn default() -> Self {
        let system = System::new().ok().zip(sysinfo::get_current_pid().ok());
        Self { system, peak: 0 }
    }
}

impl MemoryGauge {
    /// Bytes that are resident now; none where the system does not tell.
    pub fn resident(&mut self) -> u64 {
        let Some((system, process)) = &mut self.system else { return 0 };
        let wanted = ProcessRefreshKind::nothing().with_memory().without_tasks();
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&[*process]), false, wanted);
        system.process(*process).map_or(0, sysinfo::Process::memory)
    }

    /// Bytes that are resident now, and the most that were.
    pub fn read(&mut self) -> (u64, u64) {
        let now = self.resident();
        // What lies between two looks is known on Linux only.
        self.peak = self.peak.max(now).max(high_water().unwrap_or(0));
        (now, self.peak)
    }
}

/// The most that was resident, as Linux tells it.
fn high_water() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_was_in_use_is_in_the_peak_and_memory_that_is_in_use_is_seen() {
        // Other tests take and free memory meanwhile: what is held is resident in any case.
        const HELD: usize = 256 << 20;
        let mut gauge = MemoryGauge::default();
        let block = std::hint::black_box(vec![1_u8; HELD]);
        let (with, _) = gauge.read();
        drop(block);
        let (_, peak) = gauge.read();
        assert!(with >= HELD as u64 && peak >= with, "{with} {peak}");
    }
}
