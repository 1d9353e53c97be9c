//! A batch of rows, read where it lies.

use crate::columns::Columns;
use std::fmt;
use std::marker::PhantomData;

/// The rows of a batch: the candidates for a task, in the host's order. Made for each call; reading a
/// row copies its few numbers and allocates nothing.
pub struct Rows<'a, C> {
    columns: &'a [Vec<f64>],
    row: PhantomData<fn() -> C>,
}

impl<'a, C: Columns> Rows<'a, C> {
    /// Of columns in the order of `C::NAMES`, all of the same length.
    pub fn new(columns: &'a [Vec<f64>]) -> Rows<'a, C> {
        Rows { columns, row: PhantomData }
    }

    /// 0 for a row type without columns: rows are counted by them.
    pub fn len(self) -> usize {
        self.columns.first().map_or(0, Vec::len)
    }

    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// # Panics
    /// If there is no row `index`.
    #[inline]
    pub fn get(self, index: usize) -> C {
        C::read(|column| self.columns[column][index])
    }

    /// All rows, in order.
    #[inline]
    pub fn iter(self) -> impl ExactSizeIterator<Item = C> + DoubleEndedIterator + Clone + 'a
    where
        C: 'a,
    {
        (0..self.len()).map(move |index| self.get(index))
    }
}

impl<C> Clone for Rows<'_, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for Rows<'_, C> {}

impl<C: Columns + fmt::Debug> fmt::Debug for Rows<'_, C> {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.debug_list().entries(self.iter()).finish()
    }
}
