//! Canonical bytes of messages: msgpack arrays in field order, with integers of any size.
//!
//! Flow: Python says once, for each type of message, which fields it has (`shape_of`); from then on a message is
//! walked here, and its bytes are written as they are found, with nothing made in between.
//! Only exact types are written: `None`, `bool`, `int`, `str`, `bytes`, `tuple`, `list`, `dict` with sorted keys, and
//! what `shape_of` answers for. What it refuses, it refuses with an error of its own.
//! Absent on purpose: reading. What comes from outside is read where its types are known.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use alloy_primitives::keccak256;
use pyo3::exceptions::PyValueError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyInt, PyList, PyString, PyTuple, PyType};

/// Messages nest a handful of times; readers of msgpack stop here too.
const DEPTH_MAX: usize = 511;
/// Of a message, to begin with: most are smaller.
const BUFFER_BYTES: usize = 1024;
/// The extension of integers that do not fit 63 bits: sign, then magnitude.
const BIG_INT: u8 = 1;
const SMALL_MAX: i64 = i64::MAX;

/// How values of one type are written.
enum Shape {
    /// Its fields in order, and what those of its tail say while they say nothing.
    Fields(Vec<Py<PyString>>, Vec<Py<PyAny>>),
    /// A member of an enumeration: its value.
    Member,
}

/// A field that is written as another value than its own.
struct Instead<'a, 'py> {
    place: usize,
    value: &'a Bound<'py, PyAny>,
}

/// Writes messages, and knows the shapes of those that it met.
#[pyclass(frozen, module = "seawall._native")]
pub struct CanonicalPacker {
    shape_of: Py<PyAny>,
    magnitude_of: Py<PyAny>,
    shapes: Mutex<HashMap<usize, Known>>,
}

/// A type by its address, which stays its own while it is held.
struct Known {
    _kind: Py<PyType>,
    shape: Arc<Shape>,
}

#[pymethods]
impl CanonicalPacker {
    /// `shape_of(type)` answers names of fields and defaults of its tail, or None for an enumeration;
    /// `magnitude_of(int)` sign and magnitude of one that does not fit 63 bits. Both may refuse.
    #[new]
    fn new(shape_of: Py<PyAny>, magnitude_of: Py<PyAny>) -> Self {
        Self {
            shape_of,
            magnitude_of,
            shapes: Mutex::default(),
        }
    }

    /// The bytes of a message.
    fn pack<'py>(&self, message: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
        let mut out = Vec::with_capacity(BUFFER_BYTES);
        self.write(message, &mut out, 0, None)?;
        Ok(PyBytes::new(message.py(), &out))
    }

    /// keccak256 of `domain` and the bytes of a message, in which the field at `place` says `instead`.
    #[pyo3(signature = (domain, message, place=None, instead=None))]
    fn digest<'py>(
        &self,
        domain: &[u8],
        message: &Bound<'py, PyAny>,
        place: Option<usize>,
        instead: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let mut out = Vec::with_capacity(BUFFER_BYTES);
        out.extend_from_slice(domain);
        let instead = place
            .zip(instead)
            .map(|(place, value)| Instead { place, value });
        self.write(message, &mut out, 0, instead)?;
        Ok(PyBytes::new(message.py(), keccak256(&out).as_slice()))
    }
}

impl CanonicalPacker {
    fn write<'py>(
        &self,
        value: &Bound<'py, PyAny>,
        out: &mut Vec<u8>,
        depth: usize,
        instead: Option<Instead<'_, 'py>>,
    ) -> PyResult<()> {
        if depth > DEPTH_MAX {
            return Err(PyValueError::new_err("a message that nests too deeply"));
        }
        if let Ok(text) = value.cast_exact::<PyString>() {
            return write_text(text, out);
        }
        if let Ok(number) = value.cast_exact::<PyInt>() {
            return self.write_int(number, out);
        }
        if let Ok(data) = value.cast_exact::<PyBytes>() {
            let data = data.as_bytes();
            write_head(out, data.len(), None, [0xc4, 0xc5, 0xc6])?;
            out.extend_from_slice(data);
            return Ok(());
        }
        if value.is_none() {
            out.push(0xc0);
            return Ok(());
        }
        if let Ok(said) = value.cast_exact::<PyBool>() {
            out.push(if said.is_true() { 0xc3 } else { 0xc2 });
            return Ok(());
        }
        if let Ok(items) = value.cast_exact::<PyTuple>() {
            write_array_head(out, items.len())?;
            for item in items.iter_borrowed() {
                self.write(&item, out, depth + 1, None)?;
            }
            return Ok(());
        }
        if let Ok(items) = value.cast_exact::<PyList>() {
            write_array_head(out, items.len())?;
            for item in items.iter() {
                self.write(&item, out, depth + 1, None)?;
            }
            return Ok(());
        }
        if let Ok(named) = value.cast_exact::<PyDict>() {
            return self.write_dict(named, out, depth);
        }
        match &*self.shape(value)? {
            Shape::Member => {
                let member = value.getattr(pyo3::intern!(value.py(), "_value_"))?;
                self.write(&member, out, depth + 1, None)
            }
            Shape::Fields(names, tail) => {
                self.write_fields(value, names, tail, out, depth, instead)
            }
        }
    }

    fn write_fields<'py>(
        &self,
        message: &Bound<'py, PyAny>,
        names: &[Py<PyString>],
        tail: &[Py<PyAny>],
        out: &mut Vec<u8>,
        depth: usize,
        instead: Option<Instead<'_, 'py>>,
    ) -> PyResult<()> {
        let py = message.py();
        let least = names.len() - tail.len();
        let mut count = names.len();
        while count > least {
            let said = message.getattr(names[count - 1].bind(py))?;
            let unsaid = tail[count - 1 - least].bind(py);
            if !(said.is(unsaid) || (!unsaid.is_none() && said.eq(unsaid)?)) {
                break;
            }
            count -= 1;
        }
        write_array_head(out, count)?;
        for (place, name) in names[..count].iter().enumerate() {
            match &instead {
                Some(other) if other.place == place => {
                    self.write(other.value, out, depth + 1, None)?;
                }
                _ => self.write(&message.getattr(name.bind(py))?, out, depth + 1, None)?,
            }
        }
        Ok(())
    }

    fn write_dict(
        &self,
        named: &Bound<'_, PyDict>,
        out: &mut Vec<u8>,
        depth: usize,
    ) -> PyResult<()> {
        let keys = named.keys();
        keys.sort()?;
        write_head(out, keys.len(), Some((0x80, 16)), [0, 0xde, 0xdf])?;
        for key in keys.iter() {
            self.write(&key, out, depth + 1, None)?;
            let item = named.as_any().get_item(&key)?;
            self.write(&item, out, depth + 1, None)?;
        }
        Ok(())
    }

    fn write_int(&self, number: &Bound<'_, PyInt>, out: &mut Vec<u8>) -> PyResult<()> {
        let mut overflow = 0;
        // SAFETY: an exact int, held for the call; it cannot fail for one, only overflow.
        let small =
            unsafe { ffi::PyLong_AsLongLongAndOverflow(number.as_ptr(), &raw mut overflow) };
        if overflow == 0 && (-SMALL_MAX..=SMALL_MAX).contains(&small) {
            write_small(small, out);
            return Ok(());
        }
        let answer = self.magnitude_of.bind(number.py()).call1((number,))?;
        let data = answer.cast::<PyBytes>()?.as_bytes();
        match data.len() {
            1 => out.push(0xd4),
            2 => out.push(0xd5),
            4 => out.push(0xd6),
            8 => out.push(0xd7),
            16 => out.push(0xd8),
            size => {
                let size = u8::try_from(size)
                    .map_err(|_| PyValueError::new_err("an integer of more than 255 bytes"))?;
                out.extend_from_slice(&[0xc7, size]);
            }
        }
        out.push(BIG_INT);
        out.extend_from_slice(data);
        Ok(())
    }

    fn shape(&self, value: &Bound<'_, PyAny>) -> PyResult<Arc<Shape>> {
        let kind = value.get_type();
        let key = kind.as_ptr() as usize;
        let found = self.shapes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = found.get(&key) {
            return Ok(Arc::clone(&known.shape));
        }
        drop(found); // Python is asked, and may come back here
        let answer = self.shape_of.bind(value.py()).call1((&kind,))?;
        let shape = Arc::new(if answer.is_none() {
            Shape::Member
        } else {
            let (names, tail) = answer.extract()?;
            Shape::Fields(names, tail)
        });
        let known = Known {
            _kind: kind.unbind(),
            shape: Arc::clone(&shape),
        };
        let mut shapes = self.shapes.lock().unwrap_or_else(PoisonError::into_inner);
        shapes.insert(key, known);
        drop(shapes);
        Ok(shape)
    }
}

fn write_text(text: &Bound<'_, PyString>, out: &mut Vec<u8>) -> PyResult<()> {
    let data = text.to_str()?.as_bytes();
    write_head(out, data.len(), Some((0xa0, 32)), [0xd9, 0xda, 0xdb])?;
    out.extend_from_slice(data);
    Ok(())
}

fn write_array_head(out: &mut Vec<u8>, size: usize) -> PyResult<()> {
    write_head(out, size, Some((0x90, 16)), [0, 0xdc, 0xdd])
}

/// Size of what follows: in the mark itself below a bound, or in one, two or four bytes after it. A mark of 0: there
/// is none of that size.
fn write_head(
    out: &mut Vec<u8>,
    size: usize,
    inside: Option<(u8, usize)>,
    marks: [u8; 3],
) -> PyResult<()> {
    let wide = u32::try_from(size).map_err(|_| PyValueError::new_err("a message too large"))?;
    match inside {
        Some((mark, below)) if size < below => out.push(mark | wide as u8),
        _ if wide <= 0xff && marks[0] != 0 => out.extend_from_slice(&[marks[0], wide as u8]),
        _ if wide <= 0xffff => {
            out.push(marks[1]);
            out.extend_from_slice(&(wide as u16).to_be_bytes());
        }
        _ => {
            out.push(marks[2]);
            out.extend_from_slice(&wide.to_be_bytes());
        }
    }
    Ok(())
}

/// The shortest form: unsigned from zero on, signed below.
fn write_small(number: i64, out: &mut Vec<u8>) {
    match number {
        0..=0x7f => out.push(number as u8),
        0x80..=0xff => out.extend_from_slice(&[0xcc, number as u8]),
        0x100..=0xffff => {
            out.push(0xcd);
            out.extend_from_slice(&(number as u16).to_be_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            out.push(0xce);
            out.extend_from_slice(&(number as u32).to_be_bytes());
        }
        0x1_0000_0000.. => {
            out.push(0xcf);
            out.extend_from_slice(&number.to_be_bytes());
        }
        -0x20..0 => out.push(number as u8),
        -0x80..-0x20 => out.extend_from_slice(&[0xd0, number as u8]),
        -0x8000..-0x80 => {
            out.push(0xd1);
            out.extend_from_slice(&(number as i16).to_be_bytes());
        }
        -0x8000_0000..-0x8000 => {
            out.push(0xd2);
            out.extend_from_slice(&(number as i32).to_be_bytes());
        }
        _ => {
            out.push(0xd3);
            out.extend_from_slice(&number.to_be_bytes());
        }
    }
}
