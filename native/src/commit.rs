//! Seals the pages of a small commit and its record, and writes both to the slots of a file, in one call.
//!
//! Leaves to others: the sync, that the nonces are fresh, and what an error at either of the two leaves.
//!
//! Invariant: the record is written after all of its pages, so what failed before it changed nothing that a map names.

use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::FromRawFd;
use std::os::unix::fs::FileExt;

use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::buffers::Bytes;
use crate::changes::{buffers, Changes, CHANGE_BYTES, DRAWN_BYTES};
use crate::pages::{NONCE_BYTES, TAG_BYTES};
use crate::slots::AAD_BYTES;
use crate::PageKey;

/// A record's first block, as docs/FORMAT.md, section 5, has it: what is in clear, the tag, the ciphertext.
const BLOCK_BYTES: usize = 4096;
const CLEAR_BYTES: usize = 128;
const NONCE_AT: usize = 112;
const BODY_AT: usize = CLEAR_BYTES + TAG_BYTES;

/// What could not be written.
pub const PAGES_FAILED: u8 = 1;
pub const RECORD_FAILED: u8 = 2;

/// The system's number of an error that has none of its own.
pub const EIO: i32 = 5;

/// Seal `pages` into `out` as `seal_changes`, and a record of `head` and their rows behind `clear`; write the pages to
/// their slots of the file `fd`, and then the record to `record_at`. Have the system begin to write both to the disk.
///
/// Return the rows, the record's tag, and 0; or what could not be written, with the system's number of the error.
#[pyfunction]
#[allow(clippy::too_many_arguments)]
pub fn write_commit<'py>(
    py: Python<'py>,
    fd: i32,
    page_key: &PageKey,
    record_key: &PageKey,
    pages: Vec<Bound<'py, PyAny>>,
    page_size: usize,
    aad: [u8; AAD_BYTES],
    drawn: [u8; DRAWN_BYTES],
    counter: u32,
    session: u32,
    page_nos: Vec<u64>,
    slots: Vec<u64>,
    out: &Bound<'py, PyAny>,
    clear: [u8; CLEAR_BYTES],
    head: &[u8],
    record_at: u64,
) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>, u8, i32)> {
    let (pages, out) = (buffers(&pages)?, Bytes::get(out, "out")?);
    let changes = Changes::new(&pages, page_size, aad, drawn, counter, session, page_nos, slots, &out)?;
    let room = (BLOCK_BYTES - BODY_AT).checked_sub(head.len() + pages.len() * CHANGE_BYTES);
    let beyond = |slot: &u64| slot.checked_mul(page_size as u64).is_none_or(|at| at >= 1 << 62);
    if fd < 0 || room.is_none() || record_at >= 1 << 62 || changes.slots.iter().any(beyond) {
        let (count, length) = (pages.len(), head.len());
        return Err(PyValueError::new_err(format!(
            "descriptor {fd}, {count} pages, {length} bytes before their rows, a record at {record_at}: no file has them"
        )));
    }
    let sources: Vec<&[u8]> = pages.iter().map(Bytes::slice).collect();
    // SAFETY: its room was required, against all that is read, and nobody else writes to it.
    let sealed = unsafe { out.slice_mut() };
    // SAFETY: the caller keeps the descriptor open until this returns; `ManuallyDrop` never closes it.
    let file = ManuallyDrop::new(unsafe { File::from_raw_fd(fd) });
    let (page_key, record_key) = (&page_key.key, &record_key.key);
    let (rows, block, done) = py.detach(|| {
        let rows = changes.seal(page_key, &sources, sealed);
        let block = seal_record(record_key, &clear, head, &rows);
        let done = write(&file, fd, &changes, sealed, &block, record_at);
        (rows, block, done)
    });
    let (failed, number) = match done {
        Ok(()) => (0, 0),
        Err((what, error)) => (what, error.raw_os_error().unwrap_or(EIO)),
    };
    Ok((PyBytes::new(py, &rows), PyBytes::new(py, &block[CLEAR_BYTES..BODY_AT]), failed, number))
}

/// Return the block of a record; its nonce stands in `clear`.
fn seal_record(key: &LessSafeKey, clear: &[u8; CLEAR_BYTES], head: &[u8], rows: &[u8]) -> [u8; BLOCK_BYTES] {
    let mut block = [0; BLOCK_BYTES];
    block[..CLEAR_BYTES].copy_from_slice(clear);
    let (before, body) = block.split_at_mut(BODY_AT);
    let body = &mut body[..head.len() + rows.len()];
    body[..head.len()].copy_from_slice(head);
    body[head.len()..].copy_from_slice(rows);
    let nonce: [u8; NONCE_BYTES] = clear[NONCE_AT..NONCE_AT + NONCE_BYTES].try_into().expect("twelve bytes");
    let tag = key
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(clear), body)
        .expect("a few hundred bytes");
    before[CLEAR_BYTES..].copy_from_slice(tag.as_ref());
    block
}

fn write(
    file: &File,
    fd: i32,
    changes: &Changes,
    sealed: &[u8],
    block: &[u8],
    record_at: u64,
) -> Result<(), (u8, io::Error)> {
    let (slots, size) = (&changes.slots, changes.page_size);
    let mut start = 0;
    while start < slots.len() {
        let length = slots[start..].iter().zip(slots[start]..).take_while(|&(&slot, next)| slot == next).count();
        let run = &sealed[start * size..(start + length) * size];
        file.write_all_at(run, slots[start] * size as u64).map_err(|error| (PAGES_FAILED, error))?;
        start += length;
    }
    file.write_all_at(block, record_at).map_err(|error| (RECORD_FAILED, error))?;
    begin_writing(fd);
    Ok(())
}

/// Have the system write out what was changed in the file; promises nothing, only the sync that follows counts.
#[cfg(target_os = "linux")]
fn begin_writing(fd: i32) {
    const WRITE: u32 = 2;
    extern "C" {
        fn sync_file_range(fd: i32, offset: i64, length: i64, flags: u32) -> i32;
    }
    // SAFETY: a call of the C library without pointers; 0 bytes from 0 on are the whole file.
    unsafe { sync_file_range(fd, 0, 0, WRITE) };
}

#[cfg(not(target_os = "linux"))]
fn begin_writing(_: i32) {}
