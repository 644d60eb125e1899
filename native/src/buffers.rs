//! Python's buffers as slices, each length checked.

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::pages::{NONCE_BYTES, TAG_BYTES};

/// A contiguous buffer of bytes, and what the caller calls it.
pub struct Bytes {
    buffer: PyBuffer<u8>,
    name: &'static str,
}

impl Bytes {
    pub fn get(object: &Bound<'_, PyAny>, name: &'static str) -> PyResult<Self> {
        match PyBuffer::get(object) {
            Ok(buffer) if buffer.is_c_contiguous() => Ok(Self { buffer, name }),
            _ => Err(refused(format!("{name}: a contiguous buffer of bytes is needed"))),
        }
    }

    /// The same, with two dimensions, `width` bytes a row.
    pub fn get_rows(object: &Bound<'_, PyAny>, name: &'static str, width: Option<usize>) -> PyResult<Self> {
        let bytes = Self::get(object, name)?;
        if bytes.buffer.dimensions() != 2 || width.is_some_and(|width| bytes.width() != width) {
            return Err(refused(format!("{name} has shape {:?}; (n, {}) is needed", bytes.shape(), text(width))));
        }
        Ok(bytes)
    }

    /// The buffer itself, to be kept longer than this call.
    pub fn into_buffer(self) -> PyBuffer<u8> {
        self.buffer
    }

    fn shape(&self) -> &[usize] {
        self.buffer.shape()
    }

    pub fn width(&self) -> usize {
        self.shape()[1]
    }

    pub fn count(&self) -> usize {
        self.shape()[0]
    }

    pub fn len(&self) -> usize {
        self.buffer.len_bytes()
    }

    pub fn require_count(&self, count: usize) -> PyResult<()> {
        if self.count() == count {
            return Ok(());
        }
        Err(refused(format!("{} has shape {:?}; ({count}, {}) is needed", self.name, self.shape(), self.width())))
    }

    pub fn require_length(&self, length: usize) -> PyResult<()> {
        if self.len() == length {
            return Ok(());
        }
        Err(refused(format!("{} has {} bytes; {length} are needed", self.name, self.len())))
    }

    /// Require room for `length` bytes that can be written and lie in none of `others`.
    pub fn require_room(&self, length: usize, others: &[&Bytes]) -> PyResult<()> {
        if self.len() < length {
            return Err(refused(format!("{} has {} bytes; at least {length} are needed", self.name, self.len())));
        }
        if self.buffer.readonly() {
            return Err(refused(format!("{} is read-only", self.name)));
        }
        match others.iter().find(|other| self.overlaps(other)) {
            Some(other) => Err(refused(format!("{} overlaps {}", self.name, other.name))),
            None => Ok(()),
        }
    }

    fn overlaps(&self, other: &Bytes) -> bool {
        let (start, other_start) = (self.buffer.buf_ptr() as usize, other.buffer.buf_ptr() as usize);
        start < other_start + other.len() && other_start < start + self.len()
    }

    pub fn slice(&self) -> &[u8] {
        if self.len() == 0 {
            return &[];
        }
        // SAFETY: contiguous, of bytes, and kept alive by `buffer`. That no other thread writes to it meanwhile is asked
        // of the caller, as by everything that works on a buffer of Python without the interpreter's lock.
        unsafe { std::slice::from_raw_parts(self.buffer.buf_ptr().cast(), self.len()) }
    }

    /// # Safety
    /// `require_room` has passed, with every other slice of this call among the others, and this is called once.
    pub unsafe fn slice_mut<'a>(&'a self) -> &'a mut [u8] {
        if self.len() == 0 {
            return &mut [];
        }
        // SAFETY: as in `slice`; writable and apart from the others, as the caller says.
        unsafe { std::slice::from_raw_parts_mut(self.buffer.buf_ptr().cast(), self.len()) }
    }
}

/// Return how many pages there are, and the associated data's width; nonces have shape (n, 12), aads (n, A), tags (n, 16).
pub fn require_shapes(page_size: i64, nonces: &Bytes, aads: &Bytes, tags: &Bytes) -> PyResult<(usize, usize)> {
    let size = usize::try_from(page_size).unwrap_or(0);
    if size == 0 {
        return Err(refused(format!("page_size is {page_size}; at least 1 is needed")));
    }
    let count = nonces.count();
    aads.require_count(count)?;
    tags.require_count(count)?;
    match count.checked_mul(size).and_then(|bytes| bytes.checked_add(TAG_BYTES)) {
        Some(_) => Ok((count, size)),
        None => Err(refused(format!("{count} pages of {size} bytes are more than memory holds"))),
    }
}

pub const NONCES: Option<usize> = Some(NONCE_BYTES);
pub const TAGS: Option<usize> = Some(TAG_BYTES);

fn text(width: Option<usize>) -> String {
    width.map_or("any".to_string(), |width| width.to_string())
}

fn refused(found: String) -> PyErr {
    PyValueError::new_err(found)
}
