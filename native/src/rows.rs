//! Values of rows as SQLite's driver takes them quickest.
//!
//! The driver looks for an adapter of every value that is not exactly an integer, a float, a text or a bytearray, which
//! costs more than storing it. So bytes go as bytearrays, and truth as 0 and 1; everything else goes as it is.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyByteArray, PyBytes, PyInt, PyList, PyTuple};

// Of a row; more than any table has columns, so that no number given here can reserve all memory.
const VALUES_MAX: usize = 64;

/// The values of rows `begin` to `end`, one row after the other, each of `width` values.
#[pyfunction]
pub fn driver_values<'py>(
    rows: &Bound<'py, PyList>,
    begin: usize,
    end: usize,
    width: usize,
) -> PyResult<Bound<'py, PyList>> {
    if begin > end || end > rows.len() {
        return Err(PyValueError::new_err(format!(
            "rows {begin} to {end} of {}",
            rows.len()
        )));
    }
    let py = rows.py();
    let (no, yes) = (PyInt::new(py, 0u8), PyInt::new(py, 1u8));
    let mut values: Vec<Bound<'py, PyAny>> =
        Vec::with_capacity((end - begin).saturating_mul(width.min(VALUES_MAX)));
    for place in begin..end {
        let row = rows.get_item(place)?;
        let row = row.cast::<PyTuple>()?;
        if row.len() != width {
            return Err(PyValueError::new_err(format!(
                "a row of {} values, not of {width}",
                row.len()
            )));
        }
        for value in row.iter_borrowed() {
            values.push(if let Ok(data) = value.cast_exact::<PyBytes>() {
                PyByteArray::new(py, data.as_bytes()).into_any()
            } else if let Ok(said) = value.cast_exact::<PyBool>() {
                if said.is_true() { &yes } else { &no }.clone().into_any()
            } else {
                value.to_owned()
            });
        }
    }
    PyList::new(py, values)
}
