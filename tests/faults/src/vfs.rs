//! The way from `SQLite` to a disk: a file system that stands before the one that `SQLite` brings along, and hands everything on.
//!
//! A file below no [`Disk`] is handed on untouched, so a process may have both. There is no reading through memory (`xFetch`), so every
//! read of a file is met; the shared memory of the write-ahead log's index is handed on: it outlasts no process, and no power cut.
#![allow(unsafe_code, reason = "SQLite asks for a file system in C's own terms")]

mod file;

use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::mem::size_of;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use std::sync::OnceLock;

use rusqlite::ffi;

use self::file::{METHODS, Open, ShimFile};
use crate::disk::Disk;
use crate::fault::Problem;
use crate::trace::Change;

/// What the shim is called among the file systems.
const NAME: &CStr = c"faults";

/// Makes the shim the file system of every connection that this process opens from now on.
///
/// # Panics
///
/// Where `SQLite` refuses it.
pub fn install() {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        // SAFETY: the default file system lives as long as the process; so does the shim, which is never freed.
        let code = unsafe {
            let inner = ffi::sqlite3_vfs_find(ptr::null());
            assert!(!inner.is_null(), "SQLite has a file system");
            let shim = ffi::sqlite3_vfs {
                iVersion: 2,
                szOsFile: (*inner).szOsFile + c_int::try_from(size_of::<ShimFile>()).unwrap_or(c_int::MAX),
                mxPathname: (*inner).mxPathname,
                pNext: ptr::null_mut(),
                zName: NAME.as_ptr(),
                pAppData: inner.cast(),
                xOpen: Some(open),
                xDelete: Some(delete),
                xAccess: Some(access),
                xFullPathname: Some(full_pathname),
                xDlOpen: None,
                xDlError: None,
                xDlSym: None,
                xDlClose: None,
                xRandomness: Some(randomness),
                xSleep: Some(sleep),
                xCurrentTime: Some(current_time),
                xGetLastError: Some(last_error),
                xCurrentTimeInt64: Some(current_time_int64),
                xSetSystemCall: None,
                xGetSystemCall: None,
                xNextSystemCall: None,
            };
            match ffi::sqlite3_vfs_register(Box::into_raw(Box::new(shim)), 1) {
                ffi::SQLITE_OK => ffi::sqlite3_auto_extension(Some(opened)),
                refused => refused,
            }
        };
        assert_eq!(code, ffi::SQLITE_OK, "SQLite takes the shim");
    });
}

/// A connection was opened: where its disk wants that, it syncs less.
unsafe extern "C" fn opened(
    connection: *mut ffi::sqlite3,
    _: *mut *mut c_char,
    _: *const ffi::sqlite3_api_routines,
) -> c_int {
    // SAFETY: SQLite's own connection; the name lives as long as it does.
    unsafe {
        let name = ffi::sqlite3_db_filename(connection, c"main".as_ptr());
        if path(name).and_then(Disk::of).is_none_or(|(disk, _)| !disk.syncs_less()) {
            return ffi::SQLITE_OK;
        }
        let less = c"PRAGMA synchronous = NORMAL".as_ptr();
        ffi::sqlite3_exec(connection, less, None, ptr::null_mut(), ptr::null_mut())
    }
}

/// The file system behind the shim.
///
/// # Safety
///
/// `vfs` is the shim.
unsafe fn inner(vfs: *mut ffi::sqlite3_vfs) -> *mut ffi::sqlite3_vfs {
    // SAFETY: `install` put it there.
    unsafe { (*vfs).pAppData.cast() }
}

/// The path that `SQLite` names.
///
/// # Safety
///
/// `name` is null or a C string that lives as long as the call.
unsafe fn path<'a>(name: *const c_char) -> Option<&'a Path> {
    // SAFETY: as above.
    (!name.is_null()).then(|| Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(name) }.to_bytes())))
}

unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite gives a file of `szOsFile` bytes, the shim's part first; the name is one of its own, as `inner` wants it.
    unsafe {
        let shim: *mut ShimFile = file.cast();
        ptr::write(shim, ShimFile::closed());
        let real = ShimFile::real(shim);
        (*real).pMethods = ptr::null();
        let inner = inner(vfs);
        let open_real = || match (*inner).xOpen.map(|open| open(inner, name, real, flags, out_flags)) {
            Some(ffi::SQLITE_OK) => Ok(()),
            Some(code) => Err(code),
            None => Err(ffi::SQLITE_CANTOPEN),
        };
        let (opened, open) = match path(name).and_then(Disk::of) {
            Some((disk, below)) => {
                let opened = disk.open(&below, None, open_real, |problem| match problem {
                    Problem::Io => ffi::SQLITE_CANTOPEN,
                    Problem::Full => ffi::SQLITE_FULL,
                });
                // What the file system behind does for a journal: its name lasts from its first sync on.
                let journals = ffi::SQLITE_OPEN_MAIN_JOURNAL | ffi::SQLITE_OPEN_SUPER_JOURNAL | ffi::SQLITE_OPEN_WAL;
                let syncs_folder = flags & ffi::SQLITE_OPEN_CREATE != 0 && flags & journals != 0;
                match opened {
                    Ok((id, ())) => (Ok(()), Some(Open::new(disk, id, below, syncs_folder))),
                    Err(code) => (Err(code), None),
                }
            }
            None => (open_real(), None),
        };
        match opened {
            Ok(()) => {
                (*shim).open(&raw const METHODS, open);
                ffi::SQLITE_OK
            }
            Err(code) => {
                file::close_real(real); // It may be open, and be said not to be.
                code
            }
        }
    }
}

unsafe extern "C" fn delete(vfs: *mut ffi::sqlite3_vfs, name: *const c_char, sync_folder: c_int) -> c_int {
    // SAFETY: SQLite's own arguments, handed on.
    unsafe {
        let inner = inner(vfs);
        let delete = || match (*inner).xDelete.map(|delete| delete(inner, name, 0)) {
            Some(ffi::SQLITE_OK) => Ok(()),
            Some(code) => Err(code),
            None => Err(ffi::SQLITE_IOERR_DELETE),
        };
        let Some((disk, below)) = path(name).and_then(Disk::of) else {
            return (*inner).xDelete.map_or(ffi::SQLITE_IOERR_DELETE, |delete| delete(inner, name, sync_folder));
        };
        let parent = below.parent().unwrap_or(Path::new("")).to_owned();
        let change = Change::Delete { path: below };
        match disk.change(change, |_| delete(), |_| ffi::SQLITE_IOERR_DELETE) {
            Ok(()) => {
                if sync_folder != 0 {
                    disk.synced_folder(parent);
                }
                ffi::SQLITE_OK
            }
            Err(code) => code,
        }
    }
}

unsafe extern "C" fn access(vfs: *mut ffi::sqlite3_vfs, name: *const c_char, flags: c_int, out: *mut c_int) -> c_int {
    // SAFETY: SQLite's own arguments, handed on.
    unsafe { (*inner(vfs)).xAccess.map_or(ffi::SQLITE_IOERR_ACCESS, |access| access(inner(vfs), name, flags, out)) }
}

unsafe extern "C" fn full_pathname(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    length: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: SQLite's own arguments, handed on.
    unsafe { (*inner(vfs)).xFullPathname.map_or(ffi::SQLITE_CANTOPEN, |full| full(inner(vfs), name, length, out)) }
}

unsafe extern "C" fn randomness(vfs: *mut ffi::sqlite3_vfs, length: c_int, out: *mut c_char) -> c_int {
    // SAFETY: SQLite's own arguments, handed on.
    unsafe { (*inner(vfs)).xRandomness.map_or(0, |randomness| randomness(inner(vfs), length, out)) }
}

unsafe extern "C" fn sleep(vfs: *mut ffi::sqlite3_vfs, microseconds: c_int) -> c_int {
    // SAFETY: SQLite's own arguments, handed on.
    unsafe { (*inner(vfs)).xSleep.map_or(0, |sleep| sleep(inner(vfs), microseconds)) }
}

unsafe extern "C" fn current_time(vfs: *mut ffi::sqlite3_vfs, out: *mut f64) -> c_int {
    // SAFETY: SQLite's own arguments, handed on.
    unsafe { (*inner(vfs)).xCurrentTime.map_or(ffi::SQLITE_ERROR, |time| time(inner(vfs), out)) }
}

unsafe extern "C" fn current_time_int64(vfs: *mut ffi::sqlite3_vfs, out: *mut ffi::sqlite3_int64) -> c_int {
    // SAFETY: SQLite's own arguments, handed on.
    unsafe { (*inner(vfs)).xCurrentTimeInt64.map_or(ffi::SQLITE_ERROR, |time| time(inner(vfs), out)) }
}

unsafe extern "C" fn last_error(vfs: *mut ffi::sqlite3_vfs, length: c_int, out: *mut c_char) -> c_int {
    // SAFETY: SQLite's own arguments, handed on.
    unsafe { (*inner(vfs)).xGetLastError.map_or(0, |error| error(inner(vfs), length, out)) }
}

/// What C calls any pointer.
type Any = *mut c_void;
