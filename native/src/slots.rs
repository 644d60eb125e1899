//! Reads sealed pages from the slots of a file and opens them, by the entries that a store's map has for them.
//!
//! Leaves to others: which entry is current, which key a session has, and what a page that does not open means.
//!
//! Invariants:
//! 1. The descriptor is used only between `SlotReader::new` and `SlotReader::close`, which waits for who uses it.
//! 2. Keys are looked up while the interpreter's lock is held, so a forked child never finds that lock taken.
//! 3. No plaintext of a page whose tag failed is left anywhere. What is kept between calls is ciphertext.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::FromRawFd;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce};

use crate::pages::{NONCE_BYTES, TAG_BYTES};

/// An entry, as docs/FORMAT.md, section 4, has it: slot, session, nonce, tag.
pub const ENTRY_BYTES: usize = 40;
/// The associated data of a page (F-11); the page's number stands in the last 8.
pub const AAD_BYTES: usize = 40;
const NUMBER_AT: usize = 32;
/// LIMIT: keys kept, as many as there are AEAD contexts in Python; one more, and all are looked up anew.
const SESSIONS_MAX: usize = 64;

/// A session's key, and the associated data of its pages without the number.
pub struct Session {
    key: Arc<LessSafeKey>,
    aad: [u8; AAD_BYTES],
}

impl Session {
    pub fn new(key: Arc<LessSafeKey>, aad: [u8; AAD_BYTES]) -> Self {
        Self { key, aad }
    }

    fn open(&self, page: &Page, ciphertext: &[u8], out: &mut [u8]) -> bool {
        let mut aad = self.aad;
        aad[NUMBER_AT..].copy_from_slice(&page.number.to_le_bytes());
        let nonce = Nonce::assume_unique_for_key(page.nonce);
        self.key.open_separate_gather(nonce, Aad::from(aad), ciphertext, &page.tag, out).is_ok()
    }
}

/// A page to be read; slot 0 never exists, and means a hole.
pub struct Page {
    number: u64,
    slot: u64,
    pub session: u32,
    nonce: [u8; NONCE_BYTES],
    tag: [u8; TAG_BYTES],
}

impl Page {
    pub fn new(number: u64, entry: &[u8; ENTRY_BYTES]) -> Self {
        Self {
            number,
            slot: u64::from_le_bytes(entry[..8].try_into().expect("eight bytes")),
            session: u32::from_le_bytes(entry[8..12].try_into().expect("four bytes")),
            nonce: entry[12..24].try_into().expect("twelve bytes"),
            tag: entry[24..].try_into().expect("sixteen bytes"),
        }
    }

    pub fn is_hole(&self) -> bool {
        self.slot == 0
    }
}

/// Why a page could not be opened.
#[derive(Debug)]
pub enum Fault {
    /// The file ends before the end of its slot.
    Ends,
    /// Its tag does not match.
    Tag,
    /// The descriptor is not to be used any more.
    Closed,
    Io(io::Error),
    /// The work on it was cut off by a panic.
    Panicked,
}

/// Sessions of the pages of one call, by number.
pub type Sessions = HashMap<u32, Arc<Session>>;

/// The slots of one file. Threads may share it.
pub struct Slots {
    pub page_size: usize,
    /// The descriptor belongs to somebody else, who closes it after `close`.
    file: RwLock<Option<ManuallyDrop<File>>>,
    sessions: Mutex<Sessions>,
}

impl Slots {
    /// # Safety
    /// `fd` is open for reading until `close` returned.
    pub unsafe fn new(fd: i32, page_size: usize) -> Self {
        // SAFETY: as the caller says; and `ManuallyDrop` never closes it.
        let file = ManuallyDrop::new(unsafe { File::from_raw_fd(fd) });
        Self { page_size, file: RwLock::new(Some(file)), sessions: Mutex::default() }
    }

    /// Wait for who uses the descriptor, and use it no more.
    pub fn close(&self) {
        *self.file.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub fn admit(&self, number: u32, session: Session) {
        let mut known = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= SESSIONS_MAX {
            known.clear();
        }
        known.insert(number, Arc::new(session));
    }

    pub fn forget(&self) {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub fn session(&self, number: u32) -> Option<Arc<Session>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).get(&number).cloned()
    }

    /// Return the sessions that these pages name, or the number of one that is not known.
    pub fn sessions_of(&self, pages: &[Page]) -> Result<Sessions, u32> {
        let mut found = Sessions::new();
        let mut last = None;
        for page in pages.iter().filter(|page| !page.is_hole()) {
            if last != Some(page.session) && !found.contains_key(&page.session) {
                found.insert(page.session, self.session(page.session).ok_or(page.session)?);
            }
            last = Some(page.session);
        }
        Ok(found)
    }

    /// Read one page, no hole, and open it into `out`, of `page_size` bytes; they are zeros after a fault.
    pub fn open_page(&self, page: &Page, session: &Session, out: &mut [u8]) -> Result<(), Fault> {
        with_scratch(self.page_size, |sealed| {
            self.read(page.slot, sealed).map_err(|(_, fault)| fault)?;
            if session.open(page, sealed, out) {
                return Ok(());
            }
            out.fill(0); // the library may have written what it then rejects
            Err(Fault::Tag)
        })
    }

    /// Read these pages and open them into `out`; a hole is zeros. After a fault, which names the place of the page, it
    /// and all after it are zeros.
    pub fn open_pages(&self, pages: &[Page], sessions: &Sessions, out: &mut [u8]) -> Result<(), (usize, Fault)> {
        let order = in_file_order(pages);
        with_scratch(order.len() * self.page_size, |sealed| {
            self.read_runs(pages, &order, sealed).map_err(|found| {
                out.fill(0);
                found
            })?;
            let mut positions = vec![usize::MAX; pages.len()];
            order.iter().enumerate().for_each(|(position, &place)| positions[place] = position);
            for (place, page) in pages.iter().enumerate() {
                let target = &mut out[place * self.page_size..][..self.page_size];
                if page.is_hole() {
                    target.fill(0);
                    continue;
                }
                let ciphertext = &sealed[positions[place] * self.page_size..][..self.page_size];
                if !sessions[&page.session].open(page, ciphertext, target) {
                    out[place * self.page_size..].fill(0);
                    return Err((place, Fault::Tag));
                }
            }
            Ok(())
        })
    }

    /// Read the slots of the pages at these places, one after the other into `out`: adjacent ones at once.
    fn read_runs(&self, pages: &[Page], places: &[usize], out: &mut [u8]) -> Result<(), (usize, Fault)> {
        let mut start = 0;
        while start < places.len() {
            let first = pages[places[start]].slot;
            let length =
                places[start..].iter().zip(first..).take_while(|(&place, slot)| pages[place].slot == *slot).count();
            let target = &mut out[start * self.page_size..][..length * self.page_size];
            self.read(first, target).map_err(|(done, fault)| (places[start + done / self.page_size], fault))?;
            start += length;
        }
        Ok(())
    }

    /// Fill `out` from a slot on; a fault comes with the bytes read before it.
    fn read(&self, slot: u64, out: &mut [u8]) -> Result<(), (usize, Fault)> {
        let known = self.file.read().unwrap_or_else(PoisonError::into_inner);
        let file = known.as_ref().ok_or((0, Fault::Closed))?;
        let Some(start) = slot.checked_mul(self.page_size as u64).filter(|&start| start < 1 << 62) else {
            return Err((0, Fault::Ends)); // no file reaches so far
        };
        let mut done = 0;
        while done < out.len() {
            match file.read_at(&mut out[done..], start + done as u64) {
                Ok(0) => return Err((done, Fault::Ends)),
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err((done, Fault::Io(error))),
            }
        }
        Ok(())
    }
}

/// The places of all pages that are no holes, by slot, so that adjacent ones come together.
fn in_file_order(pages: &[Page]) -> Vec<usize> {
    let mut places: Vec<usize> = (0..pages.len()).filter(|&place| !pages[place].is_hole()).collect();
    if !places.is_sorted_by_key(|&place| pages[place].slot) {
        places.sort_by_key(|&place| pages[place].slot);
    }
    places
}

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Lend memory of this thread that stays in its cache: the system takes long to give new one.
fn with_scratch<T>(bytes: usize, work: impl FnOnce(&mut [u8]) -> T) -> T {
    SCRATCH.with_borrow_mut(|scratch| {
        if scratch.len() < bytes {
            scratch.resize(bytes, 0);
        }
        work(&mut scratch[..bytes])
    })
}
