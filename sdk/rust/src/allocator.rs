//! The guest's allocator: what may hold Arrow buffers is aligned to a cache line.
//!
//! The canonical ABI passes a `list<u8>` aligned to 1, which would make every typed view of a message a copy.

use std::alloc::{GlobalAlloc, Layout, System};

/// Arrow's recommended alignment of buffers.
const ALIGNMENT: usize = 64;

/// No message with a column of values is smaller.
const THRESHOLD: usize = 128;

/// The system's allocator, with allocations of 128 bytes and more aligned to 64.
#[derive(Debug)]
pub struct AlignedAllocator;

fn aligned(layout: Layout) -> Layout {
    if layout.size() >= THRESHOLD { layout.align_to(ALIGNMENT).unwrap_or(layout) } else { layout }
}

// SAFETY: every call is passed on to `System`, with a layout that is a function of the caller's layout alone, so that
// memory is freed with the layout it was allocated with.
unsafe impl GlobalAlloc for AlignedAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's duty; the size is unchanged.
        unsafe { System.alloc(aligned(layout)) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's duty; the size is unchanged.
        unsafe { System.alloc_zeroed(aligned(layout)) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `alloc` or `realloc` with the same caller's layout.
        unsafe { System.dealloc(pointer, aligned(layout)) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let old = aligned(layout);
        let Ok(new) = Layout::from_size_align(size, layout.align()).map(aligned) else {
            return std::ptr::null_mut();
        };
        if old.align() == new.align() {
            // SAFETY: `pointer` was allocated with `old`, and the new size was checked above.
            return unsafe { System.realloc(pointer, old, size) };
        }
        // SAFETY: the new block is distinct, and both are as long as what is copied; the old one is freed with its layout.
        unsafe {
            let moved = System.alloc(new);
            if !moved.is_null() {
                moved.copy_from_nonoverlapping(pointer, old.size().min(size));
                System.dealloc(pointer, old);
            }
            moved
        }
    }
}
