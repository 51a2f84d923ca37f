//! A file that `SQLite` has opened through the shim.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::ptr;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::ffi;

use super::Any;
use crate::disk::Disk;
use crate::fault::Problem;
use crate::trace::{Change, FileId};

/// The shim's part of a file; that of the file system behind it follows.
#[repr(C)]
pub(super) struct ShimFile {
    base: ffi::sqlite3_file,
    /// Null where the file is on no disk.
    open: *mut Open,
}

/// A file that is on a disk.
pub(super) struct Open {
    disk: Arc<Disk>,
    file: FileId,
    path: PathBuf,
    /// Whether its next sync is one of its folder, too.
    syncs_folder: AtomicBool,
}

impl Open {
    pub(super) fn new(disk: Arc<Disk>, file: FileId, path: PathBuf, syncs_folder: bool) -> Self {
        Self { disk, file, path, syncs_folder: AtomicBool::new(syncs_folder) }
    }
}

impl ShimFile {
    pub(super) fn closed() -> Self {
        Self { base: ffi::sqlite3_file { pMethods: ptr::null() }, open: ptr::null_mut() }
    }

    pub(super) fn open(&mut self, methods: *const ffi::sqlite3_io_methods, open: Option<Open>) {
        self.open = open.map_or(ptr::null_mut(), |open| Box::into_raw(Box::new(open)));
        self.base.pMethods = methods;
    }

    /// The part of the file system behind.
    ///
    /// # Safety
    ///
    /// `file` is one that `SQLite` has made for the shim.
    pub(super) unsafe fn real(file: *mut Self) -> *mut ffi::sqlite3_file {
        // SAFETY: `szOsFile` has room for both.
        unsafe { file.add(1).cast() }
    }
}

/// Closes a file of the file system behind, if it is open.
///
/// # Safety
///
/// `real` is such a file, or one that was never opened, with no methods.
pub(super) unsafe fn close_real(real: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: as above.
    unsafe {
        let Some(methods) = (*real).pMethods.as_ref() else { return ffi::SQLITE_OK };
        let code = methods.xClose.map_or(ffi::SQLITE_OK, |close| close(real));
        (*real).pMethods = ptr::null();
        code
    }
}

/// What `SQLite` may do with the shim's files. Version 2: no reading through memory.
pub(super) static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// The open file, where it is on a disk, and the real one.
///
/// # Safety
///
/// `file` is one that the shim has opened, and not closed since.
unsafe fn parts<'a>(file: *mut ffi::sqlite3_file) -> (Option<&'a Open>, *mut ffi::sqlite3_file) {
    let shim: *mut ShimFile = file.cast();
    // SAFETY: as above.
    unsafe { ((*shim).open.as_ref(), ShimFile::real(shim)) }
}

/// Calls a method of the real file.
macro_rules! real {
    ($file:expr, $method:ident ( $($argument:expr),* ), $missing:expr) => {
        match (*(*$file).pMethods).$method {
            Some(method) => method($file $(, $argument)*),
            None => $missing,
        }
    };
}

fn result(code: c_int) -> Result<(), c_int> {
    if code == ffi::SQLITE_OK { Ok(()) } else { Err(code) }
}

fn code(result: Result<(), c_int>) -> c_int {
    result.err().unwrap_or(ffi::SQLITE_OK)
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: SQLite closes a file once; what `open` has boxed is freed here.
    unsafe {
        let shim: *mut ShimFile = file.cast();
        let code = close_real(ShimFile::real(shim));
        if !(*shim).open.is_null() {
            drop(Box::from_raw((*shim).open));
            (*shim).open = ptr::null_mut();
        }
        code
    }
}

unsafe extern "C" fn read(file: *mut ffi::sqlite3_file, to: Any, count: c_int, offset: i64) -> c_int {
    // SAFETY: SQLite's own arguments, handed on.
    unsafe {
        let (open, real) = parts(file);
        let look = || result(real!(real, xRead(to, count, offset), ffi::SQLITE_IOERR_READ));
        code(match open {
            Some(open) => open.disk.look(look, |_| ffi::SQLITE_IOERR_READ),
            None => look(),
        })
    }
}

unsafe extern "C" fn write(file: *mut ffi::sqlite3_file, from: *const c_void, count: c_int, offset: i64) -> c_int {
    // SAFETY: SQLite's own arguments, handed on; `from` has `count` bytes.
    unsafe {
        let (open, real) = parts(file);
        let write = |from: *const c_void, count: c_int| {
            result(real!(real, xWrite(from, count, offset), ffi::SQLITE_IOERR_WRITE))
        };
        let Some(open) = open else { return code(write(from, count)) };
        let bytes = slice::from_raw_parts(from.cast::<u8>(), usize::try_from(count).unwrap_or(0)).to_vec();
        let change = Change::Write { file: open.file, offset: offset.cast_unsigned(), bytes };
        let make = |change: &Change| match change {
            Change::Write { bytes, .. } => write(bytes.as_ptr().cast(), c_int::try_from(bytes.len()).unwrap_or(0)),
            _ => Ok(()),
        };
        code(open.disk.change(change, make, |problem| match problem {
            Problem::Io => ffi::SQLITE_IOERR_WRITE,
            Problem::Full => ffi::SQLITE_FULL,
        }))
    }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, length: i64) -> c_int {
    // SAFETY: SQLite's own arguments, handed on.
    unsafe {
        let (open, real) = parts(file);
        let truncate = || result(real!(real, xTruncate(length), ffi::SQLITE_IOERR_TRUNCATE));
        let Some(open) = open else { return code(truncate()) };
        let change = Change::SetLength { file: open.file, length: length.cast_unsigned() };
        code(open.disk.change(change, |_| truncate(), |_| ffi::SQLITE_IOERR_TRUNCATE))
    }
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: SQLite's own arguments, handed on.
    unsafe {
        let (open, real) = parts(file);
        let Some(open) = open else { return real!(real, xSync(flags), ffi::SQLITE_IOERR_FSYNC) };
        let synced = open.disk.change(Change::Sync { file: open.file }, |_| Ok(()), |_| ffi::SQLITE_IOERR_FSYNC);
        if synced.is_ok() && open.syncs_folder.swap(false, Ordering::SeqCst) {
            let folder = open.path.parent().unwrap_or(Path::new("")).to_owned();
            if open.path.to_string_lossy().ends_with("-wal") {
                // SQLite doesn't look whether it fails.
                open.disk.change(Change::SyncFolder { path: folder }, |_| Ok(()), drop).unwrap_or_default();
            } else {
                open.disk.synced_folder(folder); // Of a journal that a new file has for a moment, before anything is acknowledged.
            }
        }
        code(synced)
    }
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, out: *mut ffi::sqlite3_int64) -> c_int {
    // SAFETY: SQLite's own arguments, handed on.
    unsafe {
        let (open, real) = parts(file);
        let size = || result(real!(real, xFileSize(out), ffi::SQLITE_IOERR_FSTAT));
        code(match open {
            Some(open) => open.disk.look(size, |_| ffi::SQLITE_IOERR_FSTAT),
            None => size(),
        })
    }
}

unsafe extern "C" fn lock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: SQLite's own arguments, handed on.
    unsafe {
        let (_, real) = parts(file);
        real!(real, xLock(level), ffi::SQLITE_IOERR_LOCK)
    }
}

unsafe extern "C" fn unlock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: SQLite's own arguments, handed on.
    unsafe {
        let (_, real) = parts(file);
        real!(real, xUnlock(level), ffi::SQLITE_IOERR_UNLOCK)
    }
}

unsafe extern "C" fn check_reserved_lock(file: *mut ffi::sqlite3_file, out: *mut c_int) -> c_int {
    // SAFETY: SQLite's own arguments, handed on.
    unsafe {
        let (_, real) = parts(file);
        real!(real, xCheckReservedLock(out), ffi::SQLITE_IOERR_CHECKRESERVEDLOCK)
    }
}

unsafe extern "C" fn file_control(file: *mut ffi::sqlite3_file, operation: c_int, argument: Any) -> c_int {
    // SAFETY: SQLite's own arguments, handed on.
    unsafe {
        let (open, real) = parts(file);
        if operation == ffi::SQLITE_FCNTL_PRAGMA
            && open.is_some_and(|open| open.disk.syncs_less())
            && pretends_to_sync(argument.cast())
        {
            return ffi::SQLITE_OK;
        }
        real!(real, xFileControl(operation, argument), ffi::SQLITE_NOTFOUND)
    }
}

/// Answers `PRAGMA synchronous` with FULL, and takes FULL without setting it; whether it was that.
///
/// # Safety
///
/// `pragma` is what `SQLITE_FCNTL_PRAGMA` comes with: room for an answer, the name, and the value or null.
unsafe fn pretends_to_sync(pragma: *mut *mut c_char) -> bool {
    // SAFETY: as above; SQLite frees the answer, so it is made by its own allocator.
    unsafe {
        let (name, value) = (*pragma.add(1), *pragma.add(2));
        if name.is_null() || !CStr::from_ptr(name).to_bytes().eq_ignore_ascii_case(b"synchronous") {
            return false;
        }
        if value.is_null() {
            *pragma = ffi::sqlite3_mprintf(c"2".as_ptr());
            return true;
        }
        CStr::from_ptr(value).to_bytes().eq_ignore_ascii_case(b"FULL")
    }
}

unsafe extern "C" fn sector_size(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: SQLite's own arguments, handed on.
    unsafe {
        let (_, real) = parts(file);
        real!(real, xSectorSize(), 0)
    }
}

unsafe extern "C" fn device_characteristics(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: SQLite's own arguments, handed on.
    unsafe {
        let (_, real) = parts(file);
        real!(real, xDeviceCharacteristics(), 0)
    }
}

unsafe extern "C" fn shm_map(
    file: *mut ffi::sqlite3_file,
    region: c_int,
    size: c_int,
    extend: c_int,
    out: *mut Any,
) -> c_int {
    // SAFETY: SQLite's own arguments, handed on.
    unsafe {
        let (open, real) = parts(file);
        let map = || result(real!(real, xShmMap(region, size, extend, out), ffi::SQLITE_IOERR_SHMMAP));
        code(match open {
            Some(open) => open.disk.look(map, |_| ffi::SQLITE_IOERR_SHMMAP),
            None => map(),
        })
    }
}

unsafe extern "C" fn shm_lock(file: *mut ffi::sqlite3_file, offset: c_int, count: c_int, flags: c_int) -> c_int {
    // SAFETY: SQLite's own arguments, handed on.
    unsafe {
        let (_, real) = parts(file);
        real!(real, xShmLock(offset, count, flags), ffi::SQLITE_IOERR_SHMLOCK)
    }
}

unsafe extern "C" fn shm_barrier(file: *mut ffi::sqlite3_file) {
    // SAFETY: SQLite's own arguments, handed on.
    unsafe {
        let (_, real) = parts(file);
        real!(real, xShmBarrier(), ());
    }
}

unsafe extern "C" fn shm_unmap(file: *mut ffi::sqlite3_file, delete: c_int) -> c_int {
    // SAFETY: SQLite's own arguments, handed on.
    unsafe {
        let (_, real) = parts(file);
        real!(real, xShmUnmap(delete), ffi::SQLITE_OK)
    }
}
