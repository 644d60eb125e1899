//! What Python sees of reading slots: one page in one call, or a batch that begins while something else goes on.

use std::sync::Arc;

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::buffers::Bytes;
use crate::commit::EIO;
use crate::job::{Failure, Job};
use crate::pages::PageKey;
use crate::slots::{Fault, Page, Session, Slots, AAD_BYTES, ENTRY_BYTES};

/// Its session was not admitted, or is forgotten.
pub const SESSION_UNKNOWN: u8 = 1;
/// The file ends before the end of its slot.
pub const FILE_ENDS: u8 = 2;
/// Its tag does not match.
pub const TAG_MISMATCH: u8 = 3;

/// The slots of one file: `fd` stays its owner's, who closes it after `close`.
#[pyclass(frozen, module = "cmk_keystore_native")]
pub struct SlotReader {
    slots: Arc<Slots>,
}

#[pymethods]
impl SlotReader {
    #[new]
    fn new(fd: i32, page_size: usize) -> PyResult<Self> {
        if fd < 0 || page_size == 0 {
            return Err(PyValueError::new_err(format!("descriptor {fd}, page_size {page_size}: both are needed")));
        }
        // SAFETY: the caller keeps the descriptor open until `close` returned; reading another file's slot by mistake
        // would show as a tag that does not match.
        Ok(Self { slots: Arc::new(unsafe { Slots::new(fd, page_size) }) })
    }

    /// Open pages of this session with `key`; `aad` is that of its pages, their number zero.
    fn admit(&self, session: u32, key: &PageKey, aad: &[u8]) -> PyResult<()> {
        let aad: [u8; AAD_BYTES] = aad
            .try_into()
            .map_err(|_| PyValueError::new_err(format!("aad has {} bytes; {AAD_BYTES} are needed", aad.len())))?;
        self.slots.admit(session, Session::new(key.key.clone(), aad));
        Ok(())
    }

    /// Drop all keys; a call under way keeps those it uses to its end.
    fn forget(&self) {
        self.slots.forget();
    }

    /// Wait for calls that use the descriptor; those that come later raise ValueError.
    fn close(&self, py: Python<'_>) {
        py.detach(|| self.slots.close());
    }

    /// Return the page of this entry, or why not.
    fn read_page<'py>(&self, py: Python<'py>, entry: &[u8], number: u64) -> PyResult<Bound<'py, PyAny>> {
        let page = page_of(entry, number)?;
        let Some(session) = self.slots.session(page.session) else {
            return Ok(SESSION_UNKNOWN.into_pyobject(py)?.into_any());
        };
        let mut found = Ok(());
        let content = PyBytes::new_with(py, self.slots.page_size, |out| {
            found = py.detach(|| self.slots.open_page(&page, &session, out));
            Ok(())
        })?;
        match found {
            Ok(()) => Ok(content.into_any()),
            Err(fault) => Ok(code(fault)?.into_pyobject(py)?.into_any()),
        }
    }

    /// Open the page of this entry into `out`, of `page_size` bytes; return why not, or 0.
    fn read_page_into(&self, py: Python<'_>, entry: &[u8], number: u64, out: &Bound<'_, PyAny>) -> PyResult<u8> {
        let page = page_of(entry, number)?;
        let out = Bytes::get(out, "out")?;
        out.require_length(self.slots.page_size)?;
        out.require_room(self.slots.page_size, &[])?;
        let Some(session) = self.slots.session(page.session) else { return Ok(SESSION_UNKNOWN) };
        // SAFETY: its room was required, and nothing else of this call lies in memory of Python.
        let opened = unsafe { out.slice_mut() };
        py.detach(|| self.slots.open_page(&page, &session, opened)).map_or_else(code, |()| Ok(0))
    }

    /// Begin to open pages into `out`, of n * page_size bytes: `entries` has shape (n, 40), `numbers` (n, 8). A hole is
    /// zeros.
    ///
    /// Return the work, or the number of a session that is not known.
    fn begin<'py>(
        &self,
        py: Python<'py>,
        entries: &Bound<'_, PyAny>,
        numbers: &Bound<'_, PyAny>,
        out: &Bound<'_, PyAny>,
        threads: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        let entries = Bytes::get_rows(entries, "entries", Some(ENTRY_BYTES))?;
        let numbers = Bytes::get_rows(numbers, "numbers", Some(8))?;
        numbers.require_count(entries.count())?;
        let out = Bytes::get(out, "out")?;
        let length =
            entries.count().checked_mul(self.slots.page_size).ok_or_else(|| PyValueError::new_err("too many"))?;
        out.require_length(length)?;
        out.require_room(length, &[&entries, &numbers])?;
        let pages: Vec<Page> = entries
            .slice()
            .chunks_exact(ENTRY_BYTES)
            .zip(numbers.slice().chunks_exact(8))
            .map(|(entry, number)| {
                let number = u64::from_le_bytes(number.try_into().expect("eight bytes"));
                Page::new(number, entry.try_into().expect("forty bytes"))
            })
            .collect();
        let sessions = match self.slots.sessions_of(&pages) {
            Ok(sessions) => sessions,
            Err(unknown) => return Ok(unknown.into_pyobject(py)?.into_any()),
        };
        let buffer = out.into_buffer();
        // SAFETY: its room was required, `entries` and `numbers` were copied, and `Reading` keeps the buffer until the
        // job has finished.
        let job = unsafe { Job::begin(self.slots.clone(), pages, sessions, buffer.buf_ptr().cast(), threads) };
        Ok(Bound::new(py, Reading { job, _out: buffer })?.into_any())
    }
}

/// A batch under way.
#[pyclass(frozen, module = "cmk_keystore_native")]
pub struct Reading {
    job: Arc<Job>,
    _out: PyBuffer<u8>,
}

#[pymethods]
impl Reading {
    /// Take part, and wait for the end. Return ``(place, why, done)`` of a page that could not be opened: all before
    /// place `done` are there, and of that page and all after it no plaintext is, or whole pages.
    fn finish(&self, py: Python<'_>) -> PyResult<Option<(usize, u8, usize)>> {
        match py.detach(|| self.job.finish()) {
            Ok(()) => Ok(None),
            Err(Failure { place, fault, done }) => Ok(Some((place, code(fault)?, done))),
        }
    }

    /// Begin no more of it, and wait for what is under way: nobody writes to the buffer any more.
    fn stop(&self, py: Python<'_>) {
        let _ = py.detach(|| self.job.stop());
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let _ = self.job.stop(); // so that the buffer is given back only when nobody writes to it
    }
}

fn page_of(entry: &[u8], number: u64) -> PyResult<Page> {
    let entry = entry
        .try_into()
        .map_err(|_| PyValueError::new_err(format!("an entry of {} bytes; {ENTRY_BYTES} are needed", entry.len())))?;
    Ok(Page::new(number, entry))
}

fn code(fault: Fault) -> PyResult<u8> {
    match fault {
        Fault::Ends => Ok(FILE_ENDS),
        Fault::Tag => Ok(TAG_MISMATCH),
        Fault::Panicked => Err(PyOSError::new_err((EIO, "a thread that opened pages was cut off"))),
        Fault::Closed => Err(PyValueError::new_err("the file is closed")),
        Fault::Io(error) => Err(PyOSError::new_err((error.raw_os_error().unwrap_or(0), error.to_string()))),
    }
}
